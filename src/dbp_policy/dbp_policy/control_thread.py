"""The policy side's thread: between the guard's datagrams and the policy loop, with a snapshot for whoever watches."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from dbp_policy import local_link, realtime
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.policy_tick import RECORDER_SOCKET, TickSender
from dbp_policy.runner import Runner
from dbp_policy.sticks import RemoteSticks
from dbp_policy.types import GuardStatus, Mode, RobotState

PRIORITY = 50
_SWITCH_INTERVAL = 0.0005
"""How long other threads may keep the interpreter to themselves [s]; Python's 5 ms would hold up the answers."""


class ControlThread(threading.Thread):
    """Answers every lowstate of the guard; owns the policy loop.

    Args:
        loop: The policy loop.
        folder: Folder of the stack's sockets.
        sticks: Gets the remote's bytes of every lowstate.

    Attributes:
        answering: Whether lowstates are answered. Without answers the guard grants no start, and a robot that follows
            the policy comes down, so it has to leave that mode first.
    """

    def __init__(self, loop: PolicyLoop, folder: Path, sticks: RemoteSticks) -> None:
        super().__init__(name="control", daemon=True)
        self.loop = loop
        self.answering = False
        self._sticks = sticks
        self._next_runner: Runner | None = None
        self.snapshot: tuple[RobotState, GuardStatus] | None = None
        self.error: Exception | None = None
        self.states = 0
        self.heard = -np.inf
        """When the guard last said anything, monotonic [s]."""
        self._folder = folder
        self._listening = threading.Event()
        self._stopping = False

    def start(self) -> None:
        """Begins to listen.

        Raises:
            DbpError: The socket has an owner.
        """
        super().start()
        self._listening.wait()
        if isinstance(self.error, DbpError):
            raise self.error

    def run(self) -> None:
        try:
            realtime.take_priority(PRIORITY, only_this_thread=True)
            realtime.own_files()  # the guard learns of a kill by the closed socket: not after all of the node's memory
            link = local_link.Link(self._folder, local_link.POLICY_SOCKET)
        except Exception as error:
            self.error = error
            return
        finally:
            self._listening.set()
        self.loop.on_tick = TickSender(lambda record: link.send(record, RECORDER_SOCKET))
        realtime.quiet_collector(collect_garbage=True)
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            while not self._stopping:
                if link.wait(0.1):
                    self._answer(link)
        except Exception as error:  # whatever it is, the node has to end: the guard then sees the silence
            self.error = error
        finally:
            link.close()

    def _answer(self, link: local_link.Link) -> None:
        for message, status, _ in link.receive():
            if isinstance(message, RobotState):
                self._change_policy(status)
                self._sticks.update(message.remote, message.stamp)
                target = self.loop.on_state(message, status, now())
                if target is not None and self.answering:
                    link.send(local_link.encode(target), local_link.GUARD_SOCKET)
                self.states += 1
                self.snapshot = (message, status)
                self.heard = now()
            elif isinstance(message, GuardStatus) and self.snapshot is not None:  # the robot is silent, the guard not
                self.snapshot = (self.snapshot[0], message)
                self.heard = now()

    def _change_policy(self, status: GuardStatus) -> None:
        runner = self._next_runner
        if runner is not None and status.mode != Mode.POLICY:
            self.loop.use(runner)
            self._next_runner = None

    def use(self, runner: Runner) -> None:
        """Changes the policy at the next lowstate at which the robot does not follow the present one."""
        self._next_runner = runner

    def stop(self) -> None:
        """Ends the thread and closes its socket."""
        self._stopping = True
        self.join(1.0)
