"""`./dbp doctor` beside the MuJoCo robot: all well, and each thing that is wrong found and named with its mend."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from running_stack import repeat_if_stalled

from dbp_bringup.doctor import guided
from dbp_bringup.stack import Process
from dbp_bringup.supervisor import executable_path
from dbp_policy import go2
from dbp_policy.types import RobotState
from dbp_policy.unitree import interfaces, wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import SportModeService, motion_switcher_server

DOCTOR = Process("doctor", "dbp_bringup", "doctor")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dbp-") as name:  # short: a socket's path has 107 characters
        yield Path(name)


@contextlib.contextmanager
def robot(domain: int, folder: Path, *options: str, oddity: str = "") -> Iterator[None]:
    """The MuJoCo robot, ready."""
    program = [str(Path(__file__).with_name("odd_robot.py")), oddity]
    if not oddity:
        program = [str(executable_path(Process("robot", "dbp_bringup", "go2_robot")))]
    arguments = ["--headless", "--domain", str(domain), "--runtime-dir", str(folder), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, *program, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "ready" in process.stdout.readline()
            yield
        finally:
            process.terminate()


def doctor(folder: Path, *options: str, **variables: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Exit code, and level, text and mend of each finding."""
    out = folder / "doctor.json"
    command = [sys.executable, str(executable_path(DOCTOR)), "--json", str(out), "--runtime-dir", str(folder)]
    done = subprocess.run([*command, *options], env={**os.environ, **variables}, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    found = {f["name"]: (f["level"], f["found"], f["mend"]) for f in json.loads(out.read_text())["findings"]}
    assert all(name in done.stdout and mend in done.stdout for name, (_, _, mend) in found.items())
    return done.returncode, found


def grave(found: dict) -> dict[str, str]:
    """What is not well, but for this machine's timer: it may well stall."""
    return {name: level for name, (level, _, _) in found.items() if level != "ok" and name != "timer"}


def test_all_is_well_with_a_healthy_simulation(domain, folder):
    with robot(domain, folder, "--sport-mode", "none", "--noise", "1"):
        code, found = doctor(folder, "--domain", str(domain))
    assert code == 0 and not grave(found) and len(found) == 18


def test_sport_mode_and_a_second_writer(domain, folder):
    with robot(domain, folder, "--sport-mode", "ai"):
        code, found = doctor(folder, "--domain", str(domain))
        assert code == 0 and grave(found) == {"sport mode": "warning"}
        assert "'ai' is active" in found["sport mode"][1] and "lay the robot down" in found["sport mode"][2]
    with robot(domain, folder, "--sport-mode", "none"):
        other = Participant("lo", domain)
        writer = other.writer(wire.LOWCMD_TOPIC)
        code, found = doctor(folder, "--domain", str(domain))
        assert writer is not None
        other.close()
    assert code == 1 and grave(found) == {"writers": "fault"}
    assert "end the other program" in found["writers"][2]


@pytest.mark.parametrize(
    ("oddity", "name", "level", "words"),
    [
        ("upside_down", "gravity", "fault", "accelerometer and attitude disagree"),
        ("low_battery", "battery", "warning", "sit down and charge"),
        ("empty_battery", "battery", "fault", "charge it"),
        ("hot", "motors", "fault", "let it cool down"),
        ("swapped_joints", "legs", "warning", "./dbp doctor --joints"),
    ],
)
def test_a_robot_with_something_wrong(oddity, name, level, words, domain, folder):
    with robot(domain, folder, "--sport-mode", "none", oddity=oddity):
        code, found = doctor(folder, "--domain", str(domain))
    assert code == (level == "fault") and grave(found) == {name: level}
    assert words in found[name][2]


def test_no_robot(domain, folder):
    code, found = doctor(folder, "--domain", str(domain), "--patience", "0.5")
    assert code == 1 and grave(found) == {"lowstate": "fault", "sport mode": "fault"}
    assert "is the robot on" in found["lowstate"][2]


def test_a_wrong_interface_and_domain_0_on_loopback(folder):
    code, found = doctor(folder, "--network-interface", "eth77")
    assert code == 1 and found["interface"][0] == "fault" and "192.168.123.99/24" in found["interface"][2]
    code, found = doctor(folder, "--domain", "0")
    assert code == 1 and grave(found) == {"domain": "fault"} and "loopback" in found["domain"][1]


def test_a_middleware_that_clashes(folder):
    code, found = doctor(folder, "--domain", "99", RMW_IMPLEMENTATION="rmw_cyclonedds_cpp")
    assert code == 1 and grave(found) == {"middleware": "fault"} and "rmw_fastrtps_cpp" in found["middleware"][2]


def test_cyclonedds_11(folder):
    """Its version alone: a second one need not be installed to tell."""
    others = [i.name for i in interfaces.list_interfaces() if not i.is_loopback and i.is_up and i.addresses]
    if not others:
        pytest.skip("this machine has no interface but loopback")
    metadata = folder / "cyclonedds-11.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: cyclonedds\nVersion: 11.0.1\n")
    path = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
    code, found = doctor(folder, "--network-interface", others[0], PYTHONPATH=path)
    assert code == 1 and found["cyclonedds"][0] == "fault" and "11.0.1" in found["cyclonedds"][1]
    assert "./dbp setup" in found["cyclonedds"][2]


class HandMovedRobot:
    """Sends lowstates of a robot in its sling whose joints a hand moves; in this `order`, with these signs."""

    def __init__(self, domain: int, order: np.ndarray, sign: np.ndarray) -> None:
        self.q = np.tile([0.0, 0.9, -1.8], 4)
        self.sport = SportModeService("normal")
        self._order, self._sign = order, sign
        self._participant = Participant("lo", domain)
        self._states = self._participant.writer(wire.LOWSTATE_TOPIC)
        self._service = motion_switcher_server(self._participant, self.sport)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> HandMovedRobot:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ending.set()
        self._thread.join()
        self._participant.close()

    def _run(self) -> None:
        tick = 0
        while not self._ending.wait(0.004):
            self._service.poll()
            tick += 4
            q = (self._sign * self.q)[self._order] + 1e-4 * np.sin(tick)
            acc, gyro = np.array([0.0, 0.0, go2.GRAVITY]), np.full(3, 1e-4 * np.cos(tick))
            state = RobotState(tick_ms=tick, q_sdk=q, acc_body=acc, gyro_body=gyro)
            self._states.write(wire.encode_lowstate(state))


@repeat_if_stalled
def test_the_guided_check_tells_exchanged_legs_and_an_inverted_sign(domain, folder):
    order, sign = np.r_[3:6, 0:3, 6:12], np.ones(12)
    sign[8] = -1.0
    out = folder / "doctor.json"
    command = [sys.executable, str(executable_path(DOCTOR)), "--domain", str(domain), "--joints", "--json", str(out)]
    with HandMovedRobot(domain, order, sign) as hands:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        _until(process, b"type release: ")
        process.stdin.write(b"release\n")
        for step in guided.steps():
            _until(process, b"(s skips): ")
            process.stdin.write(b"\n")
            _until(process, b"now move it")
            hands.q[step.joint] += 0.3 * step.sign
            _until(process, b"rad")
            hands.q[step.joint] -= 0.3 * step.sign
        process.stdin.close()
        assert process.wait(30.0) == 1
        assert not hands.sport.active, "released, because the operator said so"
        process.stdout.close()
    found = {f["name"]: f for f in json.loads(out.read_text())["findings"]}
    levels = [found[name]["level"] for name in go2.JOINT_NAMES]
    assert levels == ["fault"] * 6 + ["ok", "ok", "fault"] + ["ok"] * 3
    assert "FL_hip_joint went by" in found["FR_hip_joint"]["found"] and "slot 3 " in found["FR_hip_joint"]["mend"]
    assert "sign of this joint is inverted" in found["RR_calf_joint"]["mend"]


def _until(process: subprocess.Popen, text: bytes) -> bytes:
    read = b""
    while text not in read:
        more = process.stdout.read(1)
        assert more, f"the doctor ended: {read.decode()}"
        read += more
    return read
