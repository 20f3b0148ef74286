"""The fault matrix: a subset of its runs, and proof that its judge sees what is wrong."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dbp_bringup.faults import __main__ as command
from dbp_bringup.faults import settle
from dbp_bringup.faults.catalogue import injections
from dbp_bringup.faults.fault_list import FAULT_LIST
from dbp_bringup.faults.injections import Injection
from dbp_bringup.faults.matrix import Run, run
from dbp_bringup.faults.recorder import Recorder
from dbp_bringup.faults.report import markdown, report, row_failed
from dbp_bringup.faults.restarts import Restart, Restarts, summary
from dbp_bringup.faults.start_states import MODES, StartStates
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.guard import guard, motions, thresholds
from dbp_policy.guard.checks import lowstate, targets
from dbp_policy.guard.faults import FAULTS, Severity
from dbp_policy.guard.guard import Guard
from dbp_policy.guard.modes import ModeMachine
from dbp_policy.guard.senses import Senses
from dbp_policy.onnx_policy import load_runner
from dbp_policy.types import Mode, MotorCommand, damping_command
from dbp_policy.unitree import wire

SEEDS = {Severity.DAMP: 3, Severity.ZERO: 3, Severity.WARN: 2, Severity.SETTLE: 1, Severity.NONE: 1}
"""Runs per fault and mode in the subset: the short ones more often. `./dbp faults` has 20 of each."""


@pytest.fixture(scope="module")
def states(walk_policy_path) -> StartStates:
    return StartStates(load_runner(walk_policy_path))


def named(key: str) -> Injection:
    return next(x for x in injections() if x.key == key)


# The matrix -----------------------------------------------------------------------------------------------------------


def test_every_fault_is_named_once_happens_somewhere_and_has_a_bound():
    every = injections()
    assert len({x.key for x in every}) == len(every) and all("/" not in x.key for x in every)
    for x in every:
        assert x.modes and set(x.modes) <= set(MODES) and x.bound > 0.0
        assert x.reaction < Severity.DAMP or x.bound <= 0.3, "what damps, damps at once"


def test_every_fault_of_the_list_is_shown_by_something_that_exists():
    root, keys = Path(__file__).parents[2], {x.key for x in injections()}
    assert len(FAULT_LIST) == len({listed.fault for listed in FAULT_LIST}) == 54
    for listed in FAULT_LIST:
        assert listed.shown_by, listed.fault
        assert set(listed.matrix) <= keys, listed.fault
        assert all((root / test).is_file() for test in listed.tests), listed.fault
    assert {key for key in keys if " + " not in key} == {key for listed in FAULT_LIST for key in listed.matrix}


def test_a_thousand_runs_are_safe_and_in_time(states):
    runs = []
    for injection in injections():
        for mode in injection.modes:
            first = zlib.crc32(f"{injection.key}{mode}".encode()) % 20
            runs += [run(states, injection, mode, first + 7 * k) for k in range(SEEDS[injection.reaction])]
    assert len(runs) >= 1000
    assert [(r.key, r.unsafe or r.reaction_time) for r in runs if r.unsafe or r.late] == []


def test_every_fault_of_the_table_is_raised_by_some_injection(states, monkeypatch):
    """Those that the runs of a subset cannot raise are named here, and tested in test_guard.py."""
    seen: set[str] = set()
    status = Guard._status

    def watch(self, faults):
        seen.update(faults)
        return status(self, faults)

    monkeypatch.setattr(Guard, "_status", watch)
    for injection in injections():
        run(states, injection, "walking" if "walking" in injection.modes else injection.modes[0], 3)
    assert set(FAULTS) - seen == {"command_unsafe"}


def test_the_same_key_plays_the_same_run(states):
    first, second = (run(states, named("encoder jumps"), "walking", 5) for _ in range(2))
    assert (first.key, first.reaction_time) == (second.key, second.reaction_time)
    assert first.key == "encoder jumps/walking/5" and first.reaction_time == pytest.approx(0.002)


# Its judge ------------------------------------------------------------------------------------------------------------


def deaf(*_, **__) -> list[str]:
    return []


@pytest.mark.parametrize("key", ["lowstate stops", "not finite: q", "e-stop on the remote", "motor at 85 °C"])
def test_a_guard_that_sees_nothing_is_unsafe(states, monkeypatch, key):
    update = Senses.update
    monkeypatch.setattr(Senses, "update", lambda *a: (update(*a), [])[1])
    if key == "not finite: q":
        monkeypatch.setattr("dbp_policy.guard.guard.command_allowed", lambda *_: True)
    with np.errstate(invalid="ignore"):
        try:
            result = run(states, named(key), "standing", 0)
        except DbpError as error:  # a NaN went as far as the codec, which refuses it
            assert "finite" in str(error)
        else:
            assert result.unsafe


def test_a_guard_that_waits_too_long_is_late(states, monkeypatch):
    monkeypatch.setattr(thresholds, "LOWSTATE_TIMEOUT", 0.025)
    result = run(states, named("lowstate stops"), "walking", 0)
    assert result.late and not result.unsafe and result.reaction_time == pytest.approx(0.026, abs=0.0021)


def test_a_guard_that_damps_without_a_reason_is_unsafe(states, monkeypatch):
    monkeypatch.setattr(lowstate, "posture_faults", deaf)
    monkeypatch.setattr(thresholds, "LOWSTATE_LATE", 0.0)
    monkeypatch.setattr(thresholds, "LOWSTATE_TIMEOUT", 0.001)
    assert run(states, named("one lowstate in twenty lost"), "walking", 0).unsafe == "damped without a reason"


def test_a_guard_that_forgets_its_latch_is_unsafe(states, monkeypatch):
    unlatched = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(ModeMachine, "latched", unlatched, raising=False)
    result = run(states, named("lowstate 20 ms late"), "estop", 19)
    assert result.unsafe == "motion though nobody asked for any"


def test_a_settling_that_does_not_stand_is_unsafe(states, monkeypatch):
    crooked = motions.Motion(tuple((duration, pose + 0.1) for duration, pose in motions.SETTLE.waypoints))
    monkeypatch.setitem(guard._MOTIONS, Mode.SETTLING, crooked)
    assert run(states, named("motor at 85 °C"), "standing", 0).unsafe == "neither settled nor damped"


def test_a_policy_watch_that_never_ages_is_unsafe(states, monkeypatch):
    monkeypatch.setattr(targets.TargetWatch, "age", property(lambda s: 0.0))
    assert run(states, named("policy hangs, its process lives"), "walking", 0).unsafe


ZERO = np.zeros(12)
HOLD = MotorCommand(go2.STAND_Q, ZERO, np.full(12, 60.0), np.full(12, 5.0), ZERO)


def record(*commands: MotorCommand, times: list[float] | None = None) -> Recorder:
    recorder = Recorder(lambda: (go2.STAND_Q, ZERO))
    for i, command_ in enumerate(commands):
        recorder(times[i] if times else 0.002 * i, wire.encode_lowcmd(command_))
    return recorder


@pytest.mark.parametrize(
    "commands, times, violation",
    [
        ([HOLD, HOLD, damping_command()], None, ""),
        ([HOLD, HOLD], [0.0, 0.004], "the stream has a gap"),
        ([MotorCommand(HOLD.q, ZERO + 0.1, HOLD.kp, HOLD.kd, ZERO)], None, "a speed or a torque is asked for"),
        ([MotorCommand(HOLD.q, ZERO, HOLD.kp, HOLD.kd, ZERO + 1.0)], None, "a speed or a torque is asked for"),
        ([MotorCommand(HOLD.q, ZERO, HOLD.kp + 41.0, HOLD.kd, ZERO)], None, "a gain is out of bounds"),
        ([MotorCommand(HOLD.q + 1.2, ZERO, HOLD.kp, HOLD.kd, ZERO)], None, "an angle is outside the joint's range"),
        ([MotorCommand(HOLD.q + 0.65, ZERO, HOLD.kp, HOLD.kd, ZERO)], None, "more torque is asked for"),
        (
            [MotorCommand(HOLD.q + x, ZERO, ZERO + 1.0, ZERO, ZERO) for x in (-0.4, 0.55)],
            None,
            "an angle steps too far",
        ),
    ],
)
def test_the_recorder_knows_the_bounds(commands, times, violation):
    found = record(*commands, times=times).violation(sensors_lie=False)
    assert found.startswith(violation) and bool(found) == bool(violation)


def test_the_recorder_tells_damping_from_the_rest():
    damping = damping_command()
    assert record(HOLD, damping, damping).damped_from() == 0.002
    assert record(damping, HOLD, damping).damped_from() == 0.004, "what came before the last stiffness does not count"
    assert record(damping).damped_from() == 0.0
    assert record(damping, HOLD).damped_from() == record().damped_from() == np.inf
    low = MotorCommand(go2.LOW_STAND_Q, ZERO, HOLD.kp, HOLD.kd, ZERO)
    assert record(low).stands_between(0.0, 1.0) and not record(HOLD).stands_between(0.0, 1.0)
    assert not record(damping).stands_between(0.0, 1.0)
    for joints, told_right, told_wrong in (([4], False, True), ([4, 7], False, False), ([], True, True)):
        asked = go2.LOW_STAND_Q.copy()
        asked[joints] += 0.11
        commands = record(MotorCommand(asked, ZERO, HOLD.kp, HOLD.kd, ZERO), low)
        assert commands.stands_between(0.0, 1.0) == told_right
        assert commands.stands_between(0.0, 1.0, sensors_lie=True) == told_wrong
    broken = Recorder(lambda: (go2.STAND_Q, ZERO))
    broken(0.0, b"noise")
    assert "expected" in broken.violation(False)


# Restarts -------------------------------------------------------------------------------------------------------------


def test_a_guard_that_restarts_after_a_stop_moves_nothing(walk_policy_path):
    restarts = Restarts(load_runner(walk_policy_path), phases=4)
    result = summary([restarts.play(seed) for seed in range(12)])
    assert (result["restarts"], result["moved"]) == (12, 0) and result["motion_rad_max"] < 0.01


def test_a_restarted_guard_that_obeys_old_requests_is_found_out(walk_policy_path, monkeypatch):
    monkeypatch.setattr(guard, "REQUEST_MAX_AGE", 10.0)
    restarts = Restarts(load_runner(walk_policy_path), phases=1)
    assert summary([restarts.play(seed) for seed in range(6)])["moved"] > 0


# The command ----------------------------------------------------------------------------------------------------------


STILL, MOVED = Restart(3, 0.001, False), Restart(4, 0.02, False)


def test_the_report_counts_and_names_what_to_replay():
    every = injections()
    good = Run("lowstate stops/walking/0", "lowstate stops", "walking", "", False, 0.016, False, 0.1)
    bad = Run("lowstate stops/walking/1", "lowstate stops", "walking", "", True, 0.030, False, 0.1)
    worse = Run("lowstate stops/idle/2", "lowstate stops", "idle", "commands", False, float("nan"), False, 0.1)
    result = json.loads(json.dumps(report(every, [good, bad, worse], [STILL, MOVED], 1.0), allow_nan=False))
    assert (result["runs"], result["unsafe"], result["late"]) == (3, 1, 1)
    assert [f["replay"] for f in result["failures"]] == [bad.key, worse.key]
    assert result["restarts"] == {"restarts": 2, "moved": 1, "motion_rad_max": 0.02, "seeds_that_moved": [4]}
    (row,) = result["faults"]
    assert row["reaction_ms_max"] == 30.0 and row["modes"]["walking"] == {"runs": 2, "unsafe": 0, "late": 1}
    assert row_failed(row) and not row_failed(report(every, [good], [STILL], 1.0)["faults"][0])
    assert "| lowstate stops | damp | 20 | 30 | 2 | 3 | 1 | 1 |" in markdown(result)


def test_the_command_runs_the_matrix_and_writes_it(tmp_path, monkeypatch, walk_policy_path):
    few = (named("lowstate stops"), named("policy killed"))
    monkeypatch.setattr(command, "injections", lambda: few)
    files = {"json": tmp_path / "a.json", "markdown": tmp_path / "a.md"}
    args = command.Args(seeds=1, restarts=4, policy=walk_policy_path, workers=1, **files)
    console = Console(record=True, width=140)
    assert command.matrix(args, console)
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["runs"], result["unsafe"], result["late"]) == (10, 0, 0)
    assert "10 runs, 0 unsafe, 0 late" in (tmp_path / "a.md").read_text()
    assert "lowstate stops" in console.export_text()


def test_the_command_plays_a_run_again(walk_policy_path):
    console = Console(record=True, width=140)
    assert command.replay(command.Args(replay="lowstate stops/walking/3", policy=walk_policy_path), console)
    assert "lowstate stops/walking/3" in console.export_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--replay", "nonsense"],
        ["--replay", "lowstate stops/walking/x"],
        ["--seeds", "0"],
        ["--restarts", "0"],
        ["--json", "/nowhere/x.json"],
        ["--settle", "--phases", "0"],
    ],
)
def test_bad_arguments_are_refused_in_one_line(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["faults", *arguments])
    assert command.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "expected" in error and error.count("\n") == 1


# Settling -------------------------------------------------------------------------------------------------------------


def test_settling_is_gentler_than_damping(walk_policy_path):
    runner = load_runner(walk_policy_path)
    walks = settle.Walks(runner, 4)
    stops = [walks.stop(phase, reaction) for phase in range(4) for reaction in settle.REACTIONS]
    result = settle.summary(stops)
    assert result["speed"]["mean"] == pytest.approx(settle.fastest(runner), rel=0.05)
    assert result["phases"] == 4 and result["settle"]["gentle_share"] == 1.0
    for figure in ("impact_weights", "tilt_degrees", "distance_m"):
        assert result["settle"][figure]["max"] < result["damp"][figure]["max"]
