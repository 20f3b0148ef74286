"""The real guard with a remote e-stop endpoint: no way up without it, and none past it."""

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
from running_stack import RunningStack, repeat_if_stalled

from dbp_bringup.report import FALLEN_UP_Z, KP
from dbp_policy import go2
from dbp_policy.clock import now
from dbp_policy.estop_key import make_key

FORWARD = np.array([0.4, 0.0, 0.0])


def free_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return str(probe.getsockname()[1])


@contextmanager
def endpoint(port: str, key):
    """The program at the other computer, without a terminal; its SIGTERM is its stop."""
    command = [sys.executable, "-m", "dbp_policy.estop_endpoint", "--guard", f"127.0.0.1:{port}", "--name", "gate"]
    program = subprocess.Popen([*command, "--key", str(key)], stdin=subprocess.DEVNULL)
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def stand_and_walk(session) -> None:
    session.wait_ready()
    session.demand("stand_up", "standing")
    session.demand("start", "policy")
    session.walk(FORWARD, 2.0)


def settles_and_latches(session, fault: str) -> None:
    session.spin_until(lambda: session.mode == "settling", 2.0, "settling")
    session.spin_until(lambda: session.mode == "damping", 4.0, "damping")
    session.spin(0.2)  # the diagnostics are slower than the mode
    assert fault in session.diagnostics["faults"]
    granted, reason = session.ask("stand_up")
    assert not granted and fault in reason
    granted, reason = session.ask("reset")
    assert not granted and fault in reason, "what stopped the robot is still so"


def assert_let_down(recorded, since: float) -> None:
    """It was folded under control, and neither fell over nor was asked to move afterwards."""
    assert recorded.truth[recorded.truth[:, 0] >= since][:, 8].min() > FALLEN_UP_Z
    commands = recorded.lowcmd[(recorded.lowcmd_t >= since + 0.6) & (recorded.lowcmd_t <= since + 1.2)]
    assert (commands[:, KP] == go2.STAND_KP).all(), "it settles"


@repeat_if_stalled
def test_a_guard_with_an_endpoint_stands_up_only_beside_it_and_its_stop_and_its_end_stop_the_robot(tmp_path):
    key, port = tmp_path / "key", free_port()
    if not key.exists():  # a repetition finds it there
        make_key(key)
    with RunningStack(estop_endpoints="gate", estop_key=str(key), estop_port=port) as stack:
        session = stack.session
        # The node speaks before it knows of a guard: its first diagnostics have no faults.
        session.spin_until(lambda: session.diagnostics.get("faults") == "endpoint_silent", 60.0, "an endpoint missed")
        granted, reason = session.ask("stand_up")
        assert not granted and "endpoint_silent" in reason and session.mode == "damping"

        with endpoint(port, key) as program:
            stand_and_walk(session)
            stopped = now()
            program.send_signal(signal.SIGTERM)
            settles_and_latches(session, "estop")
            assert program.wait(5.0) == 0
        with endpoint(port, key) as program:
            let_go = "stand_up refused: latched, reset first"  # and nothing else against it
            session.spin_until(lambda: session.ask("stand_up") == (False, let_go), 10.0, "the release")
            assert session.ask("reset")[0]
            stand_and_walk(session)
            killed = now()
            program.kill()
            settles_and_latches(session, "endpoint_silent")
        recorded = stack.recorded()
    assert_let_down(recorded, stopped)
    assert_let_down(recorded, killed)


def test_endpoints_without_a_key_end_the_guard_in_one_line():
    command = [sys.executable, "-m", "dbp_policy.guard.process", "--estop-endpoints", "gate"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("error: expected e-stop endpoints and their key") and ended.stderr.count("\n") == 1
