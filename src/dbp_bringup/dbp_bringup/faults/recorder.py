"""An independent view of rt/lowcmd: the bytes as they went, and what a careful reader makes of them.

Nothing of the guard is used here: the bounds are computed anew from the robot's facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dbp_policy import go2
from dbp_policy.types import MotorCommand
from dbp_policy.unitree import wire

PERIOD = 1.0 / go2.LOWSTATE_HZ
POSITION_MARGIN = 0.021
"""Past the joint range, float32's rounding included [rad]."""
STEP_MAX = 0.9
"""From one command to the next, both stiff [rad]."""
SENSED = 0.1
"""What noise in a joint's angle and speed makes of a command that is limited by them [rad]."""
TORQUE_REACH = 1.51
"""Torque asked for, over the motor's."""


class Recorder:
    """Keeps every command with its time, and where the joints were when it was given.

    Args:
        joints: Gives joint angles and speeds of now, each shape (12,) [rad], [rad/s].
    """

    def __init__(self, joints: Callable[[], tuple[np.ndarray, np.ndarray]]) -> None:
        self._joints = joints
        self.times: list[float] = []
        self.payloads: list[bytes] = []
        self._q: list[np.ndarray] = []
        self._dq: list[np.ndarray] = []

    def __call__(self, now: float, payload: bytes) -> None:
        q, dq = self._joints()
        self.times.append(now)
        self.payloads.append(payload)
        self._q.append(q.copy())
        self._dq.append(dq.copy())

    def commands(self) -> list[MotorCommand]:
        """All commands, decoded.

        Raises:
            WireError: One of them is not what a Go2 would take.
        """
        return [wire.decode_lowcmd(payload) for payload in self.payloads]

    def violation(self, sensors_lie: bool) -> str:
        """What about the stream should never be, empty if nothing.

        Args:
            sensors_lie: The joints are not where the guard was told, so that it cannot know the torque it asks for.
        """
        try:
            commands = self.commands()
        except wire.WireError as error:
            return str(error)
        if not commands:
            return ""
        if (np.diff(self.times) > 1.5 * PERIOD).any():
            return "the stream has a gap"
        return out_of_bounds(rows_of(commands), np.array(self._q), np.array(self._dq), sensors_lie)

    def stiff(self) -> np.ndarray:
        """Which commands have stiffness on any joint, shape (n,), bool."""
        return np.array([bool(c.kp.any()) for c in self.commands()], dtype=bool)

    def damped_from(self) -> float:
        """See the function of this name."""
        return damped_from(self.times, self.stiff())

    def stands_between(self, begin: float, end: float, sensors_lie: bool = False) -> bool:
        """All commands of a time span hold the low standing pose with the standing gains, as near as the motors' torque
        lets a joint be asked for it that is elsewhere, or on its way.

        Args:
            begin: Of the time span [s].
            end: Of the time span [s].
            sensors_lie: One joint is not where the guard was told, so that its torque says nothing of what it may ask.
        """
        chosen = [i for i, now in enumerate(self.times) if begin <= now <= end]
        if not chosen:
            return False
        commands = self.commands()
        if not np.allclose([commands[i].kp for i in chosen], go2.STAND_KP):
            return False
        off = np.array([_is_off(commands[i].q, self._q[i], self._dq[i]) for i in chosen])
        return off.any(axis=0).sum() <= sensors_lie


def _is_off(q_asked: np.ndarray, q: np.ndarray, dq: np.ndarray) -> np.ndarray:
    """Which joints are asked for another angle than the low stand's, shape (12,), bool."""
    reach = go2.TAU_MAX / go2.STAND_KP  # |kp (q* - q) - kd dq| <= tau_max
    middle = q + go2.STAND_KD * dq / go2.STAND_KP
    wanted = np.clip(go2.LOW_STAND_Q, middle - reach, middle + reach)
    return ~(np.abs(q_asked - wanted) <= SENSED)


def rows_of(commands: Sequence[MotorCommand]) -> np.ndarray:
    """q, dq, kp, kd, tau of each command, shape (n, 5, 12)."""
    return np.array([(c.q, c.dq, c.kp, c.kd, c.tau) for c in commands]).reshape(-1, 5, go2.NUM_JOINTS)


def out_of_bounds(rows: np.ndarray, q_sdk: np.ndarray, dq_sdk: np.ndarray, sensors_lie: bool) -> str:
    """What about the commands of one writer should never be, empty if nothing.

    Args:
        rows: See `rows_of`, in the order they went.
        q_sdk: Where the joints were when each was given, shape (n, 12) [rad].
        dq_sdk: How fast they turned, shape (n, 12) [rad/s].
        sensors_lie: See `Recorder.violation`.
    """
    if not np.isfinite(rows).all():
        return "a number is not finite"
    q, dq, kp, kd, tau = rows.transpose(1, 0, 2)
    if dq.any() or tau.any():
        return "a speed or a torque is asked for"
    if (kp < 0.0).any() or (kp > go2.KP_MAX).any() or (kd < 0.0).any() or (kd > go2.KD_MAX).any():
        return "a gain is out of bounds"
    outside = (q < go2.Q_MIN - POSITION_MARGIN) | (q > go2.Q_MAX + POSITION_MARGIN)
    if (outside & (kp > 0.0)).any():
        return "an angle is outside the joint's range"
    if ((np.abs(np.diff(q, axis=0)) > STEP_MAX) & (kp[1:] > 0.0) & (kp[:-1] > 0.0)).any():
        return "an angle steps too far"
    asked = np.abs(kp * (q - q_sdk) - kd * dq_sdk)
    if not sensors_lie and ((asked > TORQUE_REACH * go2.TAU_MAX) & (kp > 0.0)).any():
        return "more torque is asked for than the motors have"
    return ""


def damped_from(times: Sequence[float], stiff: np.ndarray) -> float:
    """Time of the first of the damping commands that a record ends with; infinite if it does not end with any."""
    if not len(stiff) or stiff[-1]:
        return np.inf
    last = np.flatnonzero(stiff)
    return times[last[-1] + 1] if len(last) else times[0]
