"""The guard's own motions: standing up, holding, sitting down, and the blend between any two commands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dbp_policy import go2
from dbp_policy.types import MotorCommand

_ZERO = np.zeros(12)
_KP = np.full(12, go2.STAND_KP)
_KD = np.full(12, go2.STAND_KD)


@dataclass(frozen=True)
class Motion:
    """Joint poses to reach one after another, each in its time, smoothly."""

    waypoints: tuple[tuple[float, np.ndarray], ...]
    """(duration [s], pose (12,) [rad])."""

    @property
    def duration(self) -> float:
        return sum(duration for duration, _ in self.waypoints)

    def command(self, q_start: np.ndarray, elapsed: float) -> MotorCommand:
        """The command `elapsed` seconds after starting from the pose `q_start`."""
        q_from = q_start
        for duration, q_to in self.waypoints:
            if elapsed < duration:
                return hold(q_from + smooth(elapsed / duration) * (q_to - q_from))
            elapsed -= duration
            q_from = q_to
        return hold(q_from)


STAND_UP = Motion(((1.0, go2.CROUCH_Q), (1.0, go2.STAND_Q)))
SIT_DOWN = Motion(((0.4, go2.STAND_Q), (1.4, go2.CROUCH_Q), (0.2, go2.CROUCH_Q)))
"""Times of the SDK's go2_stand_example (one second a move); sitting first gathers the feet under the body."""

SETTLE_RAMP = 0.15
SETTLE = Motion(((SETTLE_RAMP, go2.LOW_STAND_Q), (0.4, go2.LOW_STAND_Q), (1.0, go2.CROUCH_Q)))
"""The way down when something is wrong: low onto all four legs, still, folded (stair and slope not considered)."""


def hold(q: np.ndarray) -> MotorCommand:
    """Holds a pose with the standing gains."""
    return MotorCommand(q=q, dq=_ZERO, kp=_KP, kd=_KD, tau=_ZERO)


def blend(a: MotorCommand, b: MotorCommand, share: float) -> MotorCommand:
    """From `a` (share 0) to `b` (share 1), pose and gains."""
    if share >= 1.0:
        return b
    x, y = _fields(a), _fields(b)
    return MotorCommand(*(x + share * (y - x)))


def smooth(x: float) -> float:
    """3x² - 2x³ on [0, 1]: starts and ends at rest."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def _fields(c: MotorCommand) -> np.ndarray:
    return np.array((c.q, c.dq, c.kp, c.kd, c.tau))
