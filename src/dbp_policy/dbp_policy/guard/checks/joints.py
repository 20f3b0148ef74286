"""Joint encoders against each other's story: angles against speeds, angles against commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.bounds import every, within
from dbp_policy.types import MotorCommand, RobotState

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_GAP = 0.02
"""After so long without a lowstate histories begin anew [s]."""

_ZERO = np.zeros(12)


class EncoderWatch:
    """Notices an encoder that jumps, hangs, or contradicts the joint's speed."""

    def __init__(self) -> None:
        self._previous: RobotState | None = None
        self._drift = _ZERO
        """Way by angles less way by speeds, since the last gap [rad]."""
        self._drifts: deque[np.ndarray] = deque(maxlen=1 + round(t.VELOCITY_WINDOW / _PERIOD))
        """Its values from the window's begin to its end."""
        self._heard: tuple[RobotState, MotorCommand] | None = None
        """The last lowstate and command since the last gap."""
        self._asked_from: np.ndarray | None
        """Commanded angle when each joint last moved [rad]; None if all of them did just now or none is asked to."""
        self._asked: np.ndarray
        """How many lowstates since then came while the command was elsewhere; before, there is no such number."""

    def update(self, state: RobotState, command: MotorCommand) -> Iterator[str]:
        """Takes the next new, valid lowstate and the last command given; yields fault names."""
        previous, self._previous = self._previous, state
        if previous is None:
            return
        elapsed = 1e-3 * (state.tick_ms - previous.tick_ms)
        if not 0.0 < elapsed <= _GAP:
            self._restart()
            return
        way = state.q_sdk - previous.q_sdk
        if not within(way, t.ENCODER_JUMP + t.DQ_FAULT * max(0.0, elapsed - _PERIOD)):
            yield "encoder_jump"
        differs = self._contradicts_speed(way - 0.5 * elapsed * (state.dq_sdk + previous.dq_sdk))
        if self._is_stuck(state, way, command) or differs:
            yield "encoder_implausible"

    def _restart(self) -> None:
        self._drifts.clear()
        self._heard = None

    def _contradicts_speed(self, difference: np.ndarray) -> bool:
        self._drift = self._drift + difference
        self._drifts.append(self._drift)
        full = len(self._drifts) == self._drifts.maxlen
        return full and not within(self._drift - self._drifts[0], t.VELOCITY_MISMATCH)

    def _is_stuck(self, state: RobotState, way: np.ndarray, command: MotorCommand) -> bool:
        heard, self._heard = self._heard, (state, command)
        if heard is None or 0.0 not in way.tolist() or not any(command.kp.tolist()):
            self._asked_from = None
            return False
        if self._asked_from is None:
            self._asked_from, self._asked = _asked_angle(*heard), _ZERO
        stays = (way == 0.0) & (command.kp != 0.0)
        self._asked_from = np.where(stays, self._asked_from, _asked_angle(state, command))
        self._asked = stays * (self._asked + (np.abs(command.q - self._asked_from) > t.STUCK_ASKED))
        return not every(self._asked < t.STUCK_STATES)


def _asked_angle(state: RobotState, command: MotorCommand) -> np.ndarray:
    """Where a command asks each joint to be; without stiffness nobody asks it to move."""
    return np.where(command.kp != 0.0, command.q, state.q_sdk)
