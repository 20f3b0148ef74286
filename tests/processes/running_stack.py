"""The real processes on loopback for one test: own DDS domain, own ROS domain, own sockets, and a recorder."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import tempfile
from pathlib import Path

import domains

from dbp_bringup import stack
from dbp_bringup.report import Recorded
from dbp_bringup.robot import local_channel
from dbp_bringup.session import Session
from dbp_bringup.stall_watch import StallWatch
from dbp_bringup.supervisor import Supervisor
from dbp_policy import clock
from dbp_policy.errors import DbpError

CORES = 4
"""For a stack to run in real time: the simulated robot takes up to half a core that a real one does not, a test its
own, and all of them come near the 95 % of a core that Linux leaves to real-time programs."""
FACTOR = 0.6
"""With fewer."""
STALL = 0.015
"""A machine that stood still for this long can make any of the guard's 20 ms limits trip [s]."""
ATTEMPTS = 3
"""A run in which the machine did not stand still at all is rare; what fails so often has another reason."""

repeats: list[str] = []
"""Runs that were repeated because the machine had stalled; the terminal summary counts them."""


def slow_motion(stacks: int = 1) -> None:
    """Slows this process's clock down, and that of all it starts, for so many stacks on few cores."""
    if len(os.sched_getaffinity(0)) < CORES * stacks:
        clock.slow_down(FACTOR / stacks)


class CoreStalledError(AssertionError):
    """Something that only a core that stood still explains; this process need not have seen it from its own core."""


def repeat_if_stalled(test):
    """Repeats a failed test if the machine itself stood still meanwhile: such a run proves nothing."""

    @functools.wraps(test)
    def attempt(*args, **kwargs):
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                with StallWatch() as watch:
                    return test(*args, **kwargs)
            except (AssertionError, DbpError) as error:
                stalled = watch.worst >= STALL or isinstance(error, CoreStalledError)
                if not stalled or not attempts_left:
                    raise
                repeats.append(f"{test.__name__}: stalled {1e3 * watch.worst:.0f} ms ({error})".splitlines()[0])

    return attempt


class RunningStack:
    """Robot, policy node, guard and recorder; use as a context.

    Args:
        values: Arguments of the simulated stack.
    """

    def __init__(self, **values: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="dbp-")  # short: a socket's path has 107 characters
        self.folder = Path(self._temporary.name)
        domain = str(domains.fresh())
        os.environ.update(stack.local_discovery(None), ROS_DOMAIN_ID=domain)
        values = {"runtime_dir": str(self.folder), "domain": domain, "headless": "true", **values}
        self._out = self.folder / "run.npz"
        arguments = ("--out", str(self._out), "--domain", domain, "--runtime-dir", str(self.folder))
        recorder = stack.Process("recorder", "dbp_bringup", "recorder", arguments)
        self.supervisor = Supervisor((recorder, *stack.simulated_stack(values)))
        self.hands = local_channel.Channel(self.folder)

    def __enter__(self) -> RunningStack:
        with contextlib.ExitStack() as undo:  # a test that fails to start leaves nothing running
            undo.enter_context(self.supervisor)
            self.session = Session("cmd_vel")
            undo.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.session.__exit__()
        self.supervisor.stop()
        self.hands.close()
        self._temporary.cleanup()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Sends a signal to one of the processes."""
        os.kill(self.supervisor.process_id(name), number)

    def recorded(self) -> Recorded:
        """Ends the stack; what the recorder heard."""
        self.supervisor.stop()
        return Recorded.load(self._out)

    def walk(self) -> None:
        """Brings the robot up and into the policy."""
        self.session.wait_ready()
        self.session.demand("stand_up", "standing")
        self.session.demand("start", "policy")
