"""Adapter: listens to a robot on DDS, without ever writing a motor command."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from dbp_bringup.doctor.robot import Heard
from dbp_policy import local_link
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import RobotState
from dbp_policy.unitree import wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import MotionSwitcherClient

_LOOK = 0.02
_DEPTH = 512
"""Lowstates that wait while this process is not served: a second."""


class Listener:
    """Readers of rt/lowstate and rt/lowcmd, and the question which sport mode is active.

    Args:
        interface: Network interface.
        domain: DDS domain.

    Raises:
        DbpError: DDS does not open there.
    """

    def __init__(self, interface: str, domain: int) -> None:
        participant = Participant(interface, domain)
        self._lowstates = participant.reader(wire.LOWSTATE_TOPIC, depth=_DEPTH)
        self._commands = participant.reader(wire.LOWCMD_TOPIC)
        self._switcher = MotionSwitcherClient(participant)

    def listen(self, seconds: float, patience: float, folder: Path) -> Heard:
        """Collects for `seconds` from the first lowstate on, which may take `patience` [s] to come.

        The motion service has as long to answer.

        Args:
            seconds: How long to listen.
            patience: How long to wait for a robot.
            folder: Where the sockets of this computer's stack lie.
        """
        begin, first = now(), None
        states: list[RobotState | None] = []
        simulated = False
        while now() < (begin + patience if first is None else first + seconds) or self._is_asking(begin + patience):
            self._switcher.step_check(now())
            self._lowstates.wait(_LOOK)
            for payload in self._lowstates.take():
                first = now() if first is None else first
                states.append(_decoded(payload))
                simulated = simulated or states[-1] is not None and is_simulated(payload)
        robots, writers = self._lowstates.matched, self._commands.matched
        return Heard(states, robots, simulated, self._switcher.mode, writers, _own_writers(folder))

    def _is_asking(self, end: float) -> bool:
        return self._switcher.mode is None and now() < end

    def newest(self, timeout: float = 1.0) -> RobotState:
        """The newest lowstate, of those that come from now on.

        Raises:
            DbpError: None comes in time.
        """
        self._lowstates.take()
        end = now() + timeout
        while now() < end:
            self._lowstates.wait(_LOOK)
            good = [state for state in map(_decoded, self._lowstates.take()) if state is not None]
            if good:
                return good[-1]
        raise DbpError("expected lowstates to go on, got none any more")

    def release_sport_mode(self, timeout: float = 10.0) -> None:
        """Takes the motors from the sport mode, which leaves them limp.

        Raises:
            DbpError: It is not released in time.
        """
        end = now() + timeout
        while not self._switcher.step_release(now(), lying=True):
            self._lowstates.wait(_LOOK)
            self._lowstates.take()
            if now() > end:
                raise DbpError(f"expected the sport mode to be released within {timeout:.0f} s")


def is_simulated(payload: bytes) -> bool:
    """Whether a good lowstate carries the mark of this project's simulation."""
    return tuple(np.asarray(wire.LOWSTATE.to_record(payload)["sn"]).tolist()) == wire.SIMULATION_SN


def _decoded(payload: bytes) -> RobotState | None:
    try:
        return wire.decode_lowstate(payload, now())
    except wire.WireError:
        return None


def _own_writers(folder: Path) -> int:
    """Guard and standby of a stack that runs on this computer: each that takes a datagram (an empty one is dropped)."""
    with contextlib.suppress(DbpError, OSError):
        link = local_link.Link(folder)
        try:
            return sum(bool(link.send(b"", name)) for name in (local_link.GUARD_SOCKET, local_link.STANDBY_SOCKET))
        finally:
            link.close()
    return 0
