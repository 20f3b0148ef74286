"""The e-stop endpoint as a program: what its keys do, how it ends, what it says."""

from __future__ import annotations

import itertools
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbp_policy.errors import DbpError
from dbp_policy.estop_client import PERIOD, Endpoint
from dbp_policy.estop_endpoint import Args, Wire, guard_address, run
from dbp_policy.estop_key import make_key, read_key
from dbp_policy.estop_records import PORT, Answer, Wish, decode_check_in, encode_answer
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.endpoint_socket import RemoteStops
from dbp_policy.types import GuardStatus, Mode

KEY = bytes(range(32))
TICK = 0.002
ENDING = 20.0
"""A program that hangs is given up after so long [s]."""
CTRL_C = b"\x03"


# Pure ----------------------------------------------------------------------------------------------------------------


def said(endpoint: Endpoint, now: float):
    datagram = endpoint.check_in(now)
    return None if datagram is None else decode_check_in(datagram, KEY)


def answer(sent: float, challenge: bytes = b"fresh..1", name: str = "gate", key: bytes = KEY) -> bytes:
    return encode_answer(Answer(name, challenge, sent, Mode.STANDING, False), key)


def test_it_checks_in_once_per_period_with_the_newest_challenge():
    endpoint = Endpoint("gate", KEY)
    first = said(endpoint, 10.0)
    assert (first.name, first.wish, first.challenge, first.sent) == ("gate", Wish.RUN, bytes(8), 10.0)
    endpoint.receive(answer(10.0), 10.004)
    assert endpoint.round_trip == pytest.approx(0.004)
    assert said(endpoint, 10.049) is None and endpoint.wait(10.049) == pytest.approx(0.001)
    assert said(endpoint, 10.051).challenge == b"fresh..1"


def test_a_stop_is_said_at_once_and_more_often_until_the_release():
    endpoint = Endpoint("gate", KEY)
    said(endpoint, 10.0)
    endpoint.press(10.001)
    assert said(endpoint, 10.001).wish == Wish.STOP
    endpoint.press(10.002)  # it is pressed
    assert said(endpoint, 10.002) is None
    assert said(endpoint, 10.001 + 1.01 * PERIOD[Wish.STOP]).wish == Wish.STOP
    endpoint.release()
    assert said(endpoint, 10.1).wish == Wish.RUN


def test_a_stop_was_heard_when_a_check_in_since_is_answered():
    endpoint = Endpoint("gate", KEY)
    said(endpoint, 10.0)
    endpoint.press(10.001)
    endpoint.receive(answer(10.0), 10.002)
    assert not endpoint.stop_heard and "STOP (not heard yet)" in endpoint.line(10.002)
    endpoint.receive(answer(10.001), 10.003)
    assert endpoint.stop_heard and "gate: STOP  guard" in endpoint.line(10.003)
    endpoint.release()
    assert not endpoint.stop_heard


def test_answers_that_are_not_the_guards_or_are_late_are_dropped():
    endpoint = Endpoint("gate", KEY)
    endpoint.receive(answer(10.0), 10.0)
    known = endpoint.answer
    for datagram in (
        answer(9.9, b"overtook"),
        answer(10.0, b"repeated"),
        answer(10.2, b"tomorrow"),
        answer(float("nan")),
        answer(10.05, name="desk"),
        answer(10.05, key=bytes(32)),
        b"",
    ):
        endpoint.receive(datagram, 10.1)
        assert endpoint.answer == known


def test_the_line_says_when_the_guard_does_not_answer():
    endpoint = Endpoint("gate", KEY)
    assert endpoint.line(5.0) == "gate: run   the guard does not answer"
    endpoint.receive(answer(10.0), 10.0012)
    assert endpoint.line(10.1) == "gate: run   guard: standing  round trip 1.2 ms"
    assert endpoint.line(12.5012) == "gate: run   the guard does not answer for 2.5 s"
    later = encode_answer(Answer("gate", bytes(8), 13.0, 77, True), KEY)
    endpoint.receive(later, 13.0)
    assert "guard: mode 77, latched" in endpoint.line(13.0)


# Command line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", ("127.0.0.1", PORT)), ("127.0.0.1:5000", ("127.0.0.1", 5000)), ("localhost", ("127.0.0.1", PORT))],
)
def test_the_guards_address(text, address):
    assert guard_address(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "no.such.host.invalid", "a" * 80]
)
def test_an_address_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(DbpError, match="^--guard: expected") as error:
        guard_address(text)
    assert "\n" not in str(error.value)


def test_what_does_not_serve_is_refused_in_one_line(tmp_path):
    key, short = tmp_path / "key", tmp_path / "short"
    make_key(key)
    short.write_bytes(b"short")
    good = {"guard": "127.0.0.1", "name": "gate", "key": key}
    for wrong, reason in (
        ({"guard": ""}, "expected --guard"),
        ({"name": ""}, "expected --guard"),
        ({"key": None}, "expected --guard"),
        ({"name": "a name of too many bytes"}, "1 to 16 bytes"),
        ({"key": tmp_path / "no"}, "No such file"),
        ({"key": short}, "got 5"),
        ({"guard": "255.255.255.255"}, "cannot reach"),
        ({"make_key": key}, "already"),
    ):
        with pytest.raises(DbpError, match=reason) as error:
            run(Args(**{**good, **wrong}))
        assert "\n" not in str(error.value)


def test_it_writes_a_key(tmp_path, capsys):
    assert run(Args(make_key=tmp_path / "key")) == 0
    assert len(read_key(tmp_path / "key")) == 32 and str(tmp_path / "key") in capsys.readouterr().out


def test_a_network_that_cannot_send_is_no_error():
    wire = Wire(("127.0.0.1", 9))  # nobody listens: Linux says so at the next call
    endpoint = Endpoint("gate", KEY)
    for _ in range(5):
        wire.exchange(endpoint)
        time.sleep(PERIOD[Wish.RUN])
    assert not endpoint.answered(0.0)
    wire.socket.close()


# The program ---------------------------------------------------------------------------------------------------------


class FarEnd:
    """A guard's ear in this process, in injected time, and the program with or without a terminal."""

    def __init__(self, folder: Path) -> None:
        key = folder / "key"
        make_key(key)
        self.stops = RemoteStops("gate", key, 0)
        self.report = EndpointReport()
        self._now = (i * TICK for i in itertools.count())
        where = f"127.0.0.1:{self.stops.socket.port}"
        self.command = [sys.executable, "-m", "dbp_policy.estop_endpoint", "--guard", where, "--name", "gate"]
        self.command += ["--key", str(key)]

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + ENDING
        while not holds():
            assert time.monotonic() < end, self.report
            self.report = self.stops.report(next(self._now))
            time.sleep(TICK)

    def until_report(self, report: EndpointReport) -> None:
        self.until(lambda: self.report == report)

    def wait(self, program: subprocess.Popen) -> int:
        self.until(lambda: program.poll() is not None)
        return program.returncode


PRESSED = EndpointReport(pressed=True)


@pytest.fixture
def far_end(tmp_path) -> Iterator[FarEnd]:
    far = FarEnd(tmp_path)
    far.until(lambda: bool(far.report.silent))
    yield far
    far.stops.close()


@contextmanager
def program(command: list[str], **how) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, **how)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read(terminal: int, end: bytes) -> bytes:
    """What the program has written, up to some bytes."""
    text = b""
    while end not in text:
        text += os.read(terminal, 1000)
    return text


def in_a_terminal(terminal: int) -> Callable[[], None]:
    def own() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(terminal), os.O_RDWR))  # the first that is opened is the controlling one

    return own


def test_keys_stop_and_release_and_ctrl_c_stops_and_leaves(far_end):
    mine, its = pty.openpty()
    far_end.stops.tell(GuardStatus(mode=Mode.POLICY))
    streams = {"stdin": its, "stdout": its, "stderr": its}
    with program(far_end.command, **streams, preexec_fn=in_a_terminal(its)) as endpoint:
        far_end.until_report(EndpointReport())
        assert b"space or Enter STOP" in read(mine, b"guard: policy")
        for key in (b" ", b"\n"):
            os.write(mine, key)
            far_end.until_report(PRESSED)
            os.write(mine, b"x")  # no key
            os.write(mine, b"r")
            far_end.until_report(EndpointReport())
        os.write(mine, CTRL_C)
        assert far_end.wait(endpoint) == 0
        assert far_end.report == PRESSED
        assert b"the guard has heard the stop" in read(mine, b"left: the guard has heard the stop")
    os.close(its)
    os.close(mine)


def test_a_terminal_that_goes_away_stops(far_end):
    mine, its = pty.openpty()
    with program(far_end.command, stdin=its, stdout=its, stderr=its, preexec_fn=in_a_terminal(its)) as endpoint:
        far_end.until_report(EndpointReport())
        os.close(its)
        os.close(mine)
        far_end.wait(endpoint)
        assert far_end.report == PRESSED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_without_a_terminal_it_checks_in_until_it_is_ended(far_end, number):
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with program(far_end.command, **streams) as endpoint:
        far_end.until_report(EndpointReport())
        endpoint.send_signal(number)
        assert far_end.wait(endpoint) == 0
        assert far_end.report == PRESSED
        assert b"no terminal" in endpoint.stdout.read()


def test_a_program_that_is_killed_is_missed(far_end):
    with program(far_end.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as endpoint:
        far_end.until_report(EndpointReport())
        endpoint.kill()
        far_end.until_report(EndpointReport(False, ("gate",)))


def test_a_wrong_command_line_ends_in_one_line(tmp_path):
    command = [sys.executable, "-m", "dbp_policy.estop_endpoint", "--name", "gate"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: expected --guard") and ended.stderr.count("\n") == 1
