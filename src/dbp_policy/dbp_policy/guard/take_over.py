"""The time before the guard has anything to say: a robot has to be there, lie still, and be let go by others."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dbp_policy.errors import DbpError
from dbp_policy.guard.checks.lowstate import is_lying, is_valid
from dbp_policy.guard.guard import REST_SPEED
from dbp_policy.types import RobotState

LYING_TIME = 1.0
"""How long the robot has to lie still before its sport mode is released [s]: released earlier it drops the rest."""
STATE_MAX_AGE = 0.1
"""A lowstate older than this tells nothing of how the robot lies now [s]; one is due every 2 ms."""
RIVAL_TIMEOUT = 12.0
"""How long another writer of rt/lowcmd may take to leave [s]: DDS misses one that was killed after 10 s."""


class MotionSwitcher(Protocol):
    """The robot's motion service, as `unitree.motion_switcher.MotionSwitcherClient` reaches it."""

    mode: str | None

    def step_check(self, now: float) -> str | None: ...

    def step_release(self, now: float, lying: bool) -> bool: ...


class Sport(Protocol):
    """The robot's own control, as `unitree.sport.SportClient` reaches it."""

    last_code: int | None

    def step_stand_down(self, now: float) -> None: ...


class TakeOver:
    """Decides when the motors are ours.

    Args:
        switcher: The robot's motion service.
        sport: The robot's own control.
        release: Whether to have an active sport mode lay the robot down, and to release it then.
        now: Time [s].
        look_only: Take nothing from anybody: a robot that is there is enough.
    """

    def __init__(self, switcher: MotionSwitcher, sport: Sport, release: bool, now: float, look_only: bool) -> None:
        self._switcher = switcher
        self._sport = sport
        self._release = release
        self._look_only = look_only
        self._state: RobotState | None = None
        self._heard = now
        """When it came."""
        self._moved = now
        self._released = False
        self._rival_since: float | None = None
        self.awaited = ""
        """What is waited for, for the operator."""

    def step(self, state: RobotState | None, rivals: int, bad_lowstates: int, now: float) -> bool:
        """Looks once; True as soon as the guard may begin.

        Args:
            state: The newest lowstate since the last call, None if none came.
            rivals: Writers of rt/lowcmd besides guard and standby.
            bad_lowstates: How many came with a wrong length or CRC so far.
            now: Time [s].

        Raises:
            DbpError: A sport mode is active and must not be released, or another writer of rt/lowcmd does not leave.
        """
        if state is not None:
            self._state, self._heard = state, now
        if self._state is None or not now - self._heard <= STATE_MAX_AGE or not _lies_still(self._state):
            self._moved = now
        if self._look_only and self._state is not None:
            return True
        lying = now - self._moved > LYING_TIME
        if self._state is not None and (self._released or self._let_go(lying, now)):
            self._released = True
            return self._alone(rivals, now)
        self.awaited = self._waiting_for(bad_lowstates, lying)
        return False

    def _let_go(self, lying: bool, now: float) -> bool:
        if self._release:
            if self._switcher.mode and is_valid(self._state) and not is_lying(self._state):
                self._sport.step_stand_down(now)
            return self._switcher.step_release(now, lying)
        if active := self._switcher.step_check(now):
            raise DbpError(f"expected the robot's motion service to be released, got {active!r} active")
        return active == ""

    def _alone(self, rivals: int, now: float) -> bool:
        if not rivals:
            return True
        if self._rival_since is None:
            self._rival_since = now
        if now - self._rival_since > RIVAL_TIMEOUT:
            raise DbpError("expected to be the only writer of rt/lowcmd, found another: end that first")
        self.awaited = "another writer of rt/lowcmd to leave"
        return False

    def _waiting_for(self, bad_lowstates: int, lying: bool) -> str:
        if self._state is None:
            bad = f" ({bad_lowstates} came with a wrong length or CRC)" if bad_lowstates else ""
            return f"rt/lowstate{bad} (is the robot on, and the interface the right one?)"
        if self._switcher.mode and not lying:
            mode, code = self._switcher.mode, self._sport.last_code
            asked = f"was asked to lay it down (it answered {code}) and " if code is not None else ""
            return f"the robot to lie still: its sport mode {mode!r} {asked}is released only then"
        return "the motion_switcher service"


def _lies_still(state: RobotState) -> bool:
    return is_lying(state) and bool((np.abs(state.dq_sdk) < REST_SPEED).all())
