"""The standby's process, beside child processes that stand in for guards."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dbp_policy import local_link
from dbp_policy.clock import now
from dbp_policy.guard import standby_process
from dbp_policy.guard.standby_process import StandbyProcess
from dbp_policy.local_link import STANDBY_SOCKET, Link, encode
from dbp_policy.types import Beat
from dbp_policy.unitree import wire

PATIENCE = 20.0


_EXITING = 0x4  # PF_EXITING of linux/sched.h


def alive(process_id: int) -> bool:
    """Whether it can run a line of its own: not one that ends, has ended uncollected, or that SIGKILL waits for."""
    try:
        rows = dict(line.split(":\t", 1) for line in Path(f"/proc/{process_id}/status").read_text().splitlines())
        state, *numbers = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    pending = int(rows["ShdPnd"], 16) | int(rows["SigPnd"], 16)
    return not (state == "Z" or int(numbers[5]) & _EXITING or pending >> (signal.SIGKILL - 1) & 1)


class Writer:
    """Keeps what is written, and who lived at the first word."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.watched: subprocess.Popen | None = None
        self.guard_ended: bool | None = None

    def write(self, payload: bytes) -> None:
        if not self.sent and self.watched is not None:
            self.guard_ended = not alive(self.watched.pid)
        self.sent.append(payload)


class Bench:
    """A standby in a thread, and a way to beat for guards."""

    def __init__(self, folder) -> None:
        self.writer = Writer()
        self.process = StandbyProcess(self.writer, Link(folder, STANDBY_SOCKET))
        self._link = Link(folder)
        self._thread = threading.Thread(target=self.process.run, daemon=True)
        self._children: list[subprocess.Popen] = []
        self._thread.start()

    def guard(self) -> subprocess.Popen:
        child = subprocess.Popen(["sleep", "600"])
        self._children.append(child)
        self.writer.watched = child
        return child

    def beat(self, process_id: int, in_control: bool = True, leaving: bool = False) -> None:
        self._link.send(encode(Beat(process_id, in_control, leaving, now())), STANDBY_SOCKET)

    def beat_until(self, condition: Callable[[], bool], process_id: int, **beat: bool) -> None:
        """Beats like a guard; a machine that stalls may make the standby take over in the middle of it."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self.beat(process_id, **beat)
            time.sleep(0.001)

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)

    def end(self) -> None:
        self.process.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for child in self._children:
            child.kill()
            child.wait()

    def followed(self) -> int | None:
        return self.process._watched


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Iterator[Bench]:
    monkeypatch.setattr(standby_process, "_DAMPING", 0.05)
    bench = Bench(tmp_path)
    yield bench
    bench.end()


def damping_only(payloads: list[bytes]) -> bool:
    commands = [wire.decode_lowcmd(payload) for payload in payloads]
    return all(not (c.kp.any() or c.tau.any() or c.dq.any()) and np.all(c.kd == 3.0) for c in commands)


def test_it_says_nothing_beside_a_guard_that_commands_nothing(bench):
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid, in_control=False)
    guard.kill()
    guard.wait()
    bench.wait(lambda: bench.followed() is None)
    assert not bench.writer.sent


def test_a_guard_that_dies_is_replaced_and_the_next_one_followed(bench):
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid)
    guard.kill()
    guard.wait()
    bench.wait(lambda: len(bench.writer.sent) > 10)
    assert damping_only(bench.writer.sent) and bench.writer.guard_ended
    following = bench.guard()
    bench.beat_until(lambda: bench.followed() == following.pid, following.pid, in_control=False)
    said = len(bench.writer.sent)
    bench.beat_until(lambda: bench.followed() == following.pid, following.pid, in_control=False)
    assert len(bench.writer.sent) == said, "it has let go"


def test_a_guard_that_falls_silent_is_killed_before_the_standby_speaks(bench):
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid)
    bench.wait(lambda: len(bench.writer.sent) > 10)
    assert guard.wait(PATIENCE) == -9 and bench.writer.guard_ended
    assert damping_only(bench.writer.sent)


def test_a_guard_that_leaves_is_not_replaced(bench):
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid)
    bench.beat_until(lambda: bench.followed() is None, guard.pid, leaving=True)
    assert not bench.writer.sent and guard.poll() is None


def test_a_guard_that_was_gone_before_it_could_be_watched_is_replaced(bench):
    child = bench.guard()
    child.kill()
    child.wait()
    bench.beat(child.pid)
    bench.wait(lambda: len(bench.writer.sent) > 10)
    assert damping_only(bench.writer.sent)


def test_a_guard_that_dies_just_before_it_would_be_killed_is_replaced_as_well(bench, monkeypatch):
    guard = bench.guard()

    def too_late(handle: int, number: int) -> None:
        guard.kill()
        guard.wait()
        raise ProcessLookupError

    monkeypatch.setattr(standby_process.signal, "pidfd_send_signal", too_late)
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid)
    bench.wait(lambda: len(bench.writer.sent) > 10)


def test_asked_to_end_it_stays_as_long_as_a_guard_commands(bench):
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid)
    bench.process.stop()
    for _ in range(50):
        bench.beat(guard.pid)
        time.sleep(0.001)
    assert bench._thread.is_alive()
    bench.beat_until(lambda: not bench._thread.is_alive(), guard.pid, leaving=True)


def test_anything_but_a_beat_is_nothing(bench):
    bench._link.send(b"noise", STANDBY_SOCKET)
    guard = bench.guard()
    bench.beat_until(lambda: bench.followed() == guard.pid, guard.pid, in_control=False)
    assert not bench.writer.sent


# Its start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, code", [((), 0), (("--domain", "0"), 2)])
def test_it_starts_or_refuses_a_network_in_one_line(monkeypatch, tmp_path, capsys, arguments, code):
    made: dict = {}

    class Process:
        def __init__(self, writer, link) -> None:
            made.update(writer=writer, link=link)

        def run(self) -> None:
            made["ran"] = True

        def stop(self, *_) -> None: ...

    class Participant:
        def __init__(self, *where) -> None:
            made["where"] = where

        def writer(self, topic: str) -> str:
            return topic

    monkeypatch.setattr(standby_process, "StandbyProcess", Process)
    monkeypatch.setattr(standby_process, "Participant", Participant)
    monkeypatch.setattr(standby_process, "on_ending", lambda action: made.update(on_ending=action))
    monkeypatch.setattr(standby_process.realtime, "take_priority", lambda priority: "no priority")
    monkeypatch.setattr(standby_process.realtime, "lock_memory", lambda: "")
    monkeypatch.setattr(standby_process.realtime, "quiet_collector", lambda collect_garbage: made.update(gc=0))
    monkeypatch.setattr("sys.argv", ["standby", "--runtime-dir", str(tmp_path), *arguments])
    assert standby_process.main() == code
    if code:
        assert made == {} and capsys.readouterr().err.startswith("error: ")
        return
    assert made["ran"] and "gc" in made and made["writer"] == "rt/lowcmd"
    assert made["on_ending"].__name__ == "stop"
    assert isinstance(made["link"], local_link.Link)
    made["link"].close()
    assert capsys.readouterr().out == "standby: ready\nstandby: no priority\n"
