"""The real processes of the simulated stack, brought back to their feet after each injection."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import tempfile
from pathlib import Path

from dbp_bringup import stack
from dbp_bringup.supervisor import Supervisor
from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.operator import ask_guard
from dbp_policy.types import GuardStatus, Mode, Request

BRING_TIMEOUT = 30.0
"""A robot that is not up by then [s] is started anew, once."""
_END_TIMEOUT = 10.0
_LOOK = 0.05
_WAY = {Mode.DAMPING: Request.STAND_UP, Mode.STANDING: Request.START, Mode.POLICY: Request.STAND_UP}
"""What leads on from a mode, up to walking and from there back to standing."""


class StackUnderTest:
    """Robot, policy node, standby and guard on a DDS domain of their own; use as a context.

    Args:
        disk_full: Nothing that they print or write to a file finds room.
    """

    def __init__(self, disk_full: bool = False) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="dbp-")  # short: a socket's path has 107 characters
        self.folder = Path(self._temporary.name)
        self.domain = random.randint(2, 100)
        os.environ.update(stack.local_discovery(os.environ.get("ROS_DISTRO")), ROS_DOMAIN_ID=str(self.domain))
        self._disk_full = disk_full
        self._output = os.open("/dev/full" if disk_full else self.folder / "output.txt", os.O_WRONLY | os.O_CREAT)
        values = {"runtime_dir": str(self.folder), "domain": str(self.domain), "headless": "true"}
        self._processes = stack.simulated_stack(values)
        self._supervisor = Supervisor(self._processes, output=self._output)
        self._expected_to_end: set[int] = set()
        self.ended_by_themselves: list[str] = []
        """Processes that ended without having been told to."""
        self.tripped: list[str] = []
        """Faults that latched before anything was injected."""
        self.started_anew: list[str] = []
        """Why all had to be started anew to put the robot on its feet."""

    def __enter__(self) -> StackUnderTest:
        for process in self._processes:
            self._start(process.name)
        return self

    def __exit__(self, *_) -> None:
        for name in self._running():
            self.signal(signal.SIGCONT, name)
        with contextlib.redirect_stdout(None):
            self._supervisor.stop()
        os.close(self._output)
        self._temporary.cleanup()

    def process_id(self, name: str) -> int:
        """Of a process that runs, or ran last under that name."""
        return self._supervisor.process_id(name)

    def signal(self, number: int, name: str) -> None:
        """Sends a signal; a process that gets one which ends it is not missed afterwards."""
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self._expected_to_end.add(self.process_id(name))
        os.kill(self.process_id(name), number)

    def expect_end(self, name: str) -> None:
        """Somebody else is going to end that process."""
        self._expected_to_end.add(self.process_id(name))

    def ask(self, request: Request) -> GuardStatus:
        """The guard's answer. Raises `DbpError` if there is none."""
        return ask_guard(self.folder, request)

    def bring(self, mode: Mode, timeout: float = BRING_TIMEOUT) -> float:
        """Starts what has ended and leads the robot to standing or walking; the time it took [s].

        Raises:
            DbpError: It does not get there, even from a new start.
        """
        begin = now()
        try:
            self._lead(mode, begin + timeout)
        except DbpError as error:
            self.started_anew.append(str(error))
            for process in reversed(self._processes):
                self.end(process.name)
            self._lead(mode, now() + timeout)
        return now() - begin

    def status(self) -> GuardStatus:
        """What the guard says of itself; changes nothing. Raises `DbpError` if it says nothing."""
        return ask_guard(self.folder, Request.RESET, made=0.0)

    def wait_for_guard(self, timeout: float = BRING_TIMEOUT) -> GuardStatus:
        """Starts what has ended; the guard's status as soon as it gives one. Raises `DbpError` if it never does."""
        end = now() + timeout
        while True:
            self.restore()
            try:
                return self.status()
            except DbpError:
                if now() > end:
                    raise
            clock.sleep(_LOOK)

    def is_in(self, mode: Mode) -> bool:
        """Whether the robot still stands or walks; notes what tripped if it does not."""
        status = self.status()
        if status.mode == mode and not status.latched:
            return True
        self.tripped.append(",".join(status.faults) or "latched")
        return False

    def end(self, name: str) -> None:
        """Ends a process as its supervisor would, if it runs."""
        if name not in self._running():
            return
        self.signal(signal.SIGCONT, name)
        self.signal(signal.SIGTERM, name)
        end = now() + _END_TIMEOUT
        while name in self._running():
            clock.sleep(_LOOK)
            if now() > end:
                self.signal(signal.SIGKILL, name)

    def restore(self) -> None:
        """Starts what has ended."""
        missing = [p.name for p in self._processes if p.name not in self._running()]
        for name in missing:
            if self.process_id(name) not in self._expected_to_end:
                self.ended_by_themselves.append(f"{name}: exit code {self._supervisor.ended()[name]}")
        if "robot" in missing:  # a new robot's motors are not this guard's
            missing = [p.name for p in self._processes]
        if "standby" in missing and "guard" not in missing:  # the guard counts the dead one's writer for 10 s more
            missing.append("guard")
        for name in missing:
            self.end(name)
        for name in missing:
            self._start(name)

    def _lead(self, mode: Mode, end: float) -> None:
        trouble, resets = "", 0
        while True:
            self.restore()
            try:
                status = self.status()
                if status.mode == mode and not status.latched:
                    return
                if status.latched:
                    latched = ",".join(status.faults)
                    status = self.ask(Request.RESET)
                    resets += not status.refusal
                    if resets > 1 and not status.refusal:
                        self.tripped.append(latched)
                elif status.mode in _WAY:
                    status = self.ask(_WAY[status.mode])
                trouble = status.refusal or trouble
            except DbpError as error:
                trouble = str(error)
            if now() > end:
                raise DbpError(f"expected mode {mode.name.lower()} within {BRING_TIMEOUT:g} s: {trouble}")
            clock.sleep(_LOOK)

    def _start(self, name: str) -> None:
        process_id = self._supervisor.start(name)
        if self._disk_full:
            resource.prlimit(process_id, resource.RLIMIT_FSIZE, (0, 0))

    def _running(self) -> set[str]:
        ended = self._supervisor.ended()
        return {p.name for p in self._processes if p.name not in ended}
