"""The benches on real processes: that they measure what they say, not how fast this machine is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import domains
import pytest
from running_stack import CoreStalledError, repeat_if_stalled

from dbp_bringup.bench import control
from dbp_bringup.bench.stages import STAGES
from dbp_policy import clock

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def own_domains(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domains.fresh()))


def domain() -> str:
    return str(domains.fresh())


@repeat_if_stalled
def test_control_measures_every_controller_process_and_stage(tmp_path):
    out = tmp_path / "control.json"
    turns = ["--rounds", "1", "--seconds", "1", "--walk", "2"]
    assert control.main([*turns, "--domain", domain(), "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["real_time_factor"] == clock.real_time_factor()
    latency, load, stages = result["latency"], result["cpu"], result["stages"]
    for controller in ("guard", "sdk"):
        figures = latency[controller]
        assert 490 <= figures["answered"] <= 500
        assert 0.0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"]
    assert latency["p50_ratio"] == pytest.approx(latency["sdk"]["p50_us"] / latency["guard"]["p50_us"], abs=0.01)
    assert {"robot_percent", "guard_percent", "standby_percent", "policy_node_percent"} <= set(load)
    assert all(0.0 < percent < 200.0 for percent in load.values())
    assert set(stages) == {*STAGES, "whole tick", "between ticks"}
    assert max(stages[name]["p50_us"] for name in STAGES) < stages["whole tick"]["p50_us"]


def soak(tmp_path, minutes: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dbp_bringup.bench", "soak", "--minutes", minutes, "--domain", domain()]
    command += ["--json", str(tmp_path / "soak.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end_of(process: subprocess.Popen) -> str:
    """What it has printed by its end. Nobody stops the guard here: silent for 15 ms it was on a core that stood still,
    and with the standby in its place the stack ends.
    """
    output, _ = process.communicate(timeout=PATIENCE)
    if "the guard has failed" in output:
        raise CoreStalledError(output)
    return output


@repeat_if_stalled
def test_a_short_soak_walks_to_its_end_and_judges_what_it_saw(tmp_path):
    """Whether a fault came of a slow machine is the bench's question, not this test's: see `test_soak_verdict`."""
    process = soak(tmp_path, "0.2")
    output = end_of(process)
    report = json.loads((tmp_path / "soak.json").read_text())
    interrupted = report["faults"]["count"] or report["interruptions"]["count"]
    assert (process.returncode, report["passed"]) == ((1, False) if interrupted else (0, True)), output
    others = [text for text in report["failures"] if "faults" not in text and "interrupted" not in text]
    assert (others, report["minutes"]) == ([], 0.2), output
    assert [round(sample["t"]) for sample in report["samples"]][:2] == [0, 10]
    assert {"guard", "standby", "policy_node"} <= set(report["growth_of_anonymous_memory"])


@repeat_if_stalled
def test_an_interrupted_soak_reports_what_it_saw_and_leaves_nobody_behind(tmp_path):
    process = soak(tmp_path, "10")
    out = tmp_path / "soak.json"
    end = time.monotonic() + PATIENCE
    while not out.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    assert process.poll() is None, end_of(process)
    children = [int(pid) for pid in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()]
    process.send_signal(signal.SIGINT)
    try:
        output = end_of(process)
    finally:
        process.terminate()  # one that did not end must not walk on beside the other tests
    report = json.loads(out.read_text())
    assert (process.returncode, report["passed"], report["failures"]) == (1, False, ["interrupted"]), output
    assert len(report["samples"]) >= 1
    assert "the guard damps the robot first" in output
    assert len(children) >= 4
    while any(os.path.exists(f"/proc/{pid}") for pid in children):  # Python's own resource tracker ends just after it
        assert time.monotonic() < end + PATIENCE
        time.sleep(0.01)
