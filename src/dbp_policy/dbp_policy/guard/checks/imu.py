"""Gyro, accelerometer and attitude against each other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.bounds import within
from dbp_policy.rotations import up_body
from dbp_policy.types import RobotState

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_GAP = 0.02
"""After so long without a lowstate histories begin anew [s]."""

_ZERO = np.zeros(3)

_SMOOTHING = 0.02
"""Share of a new accelerometer reading in the mean: 0.1 s."""


class GyroWatch:
    """Notices a gyro that hangs or contradicts the attitude."""

    def __init__(self) -> None:
        self._previous: RobotState | None = None
        self._drift = _ZERO
        """Rotation by attitudes less rotation by rates, since the last gap [rad]."""
        self._drifts: deque[np.ndarray] = deque(maxlen=1 + round(t.GYRO_WINDOW / _PERIOD))
        """Its values from the window's begin to its end."""
        self._repeats = 0

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new, valid lowstate; yields fault names."""
        previous, self._previous = self._previous, state
        if previous is None:
            return
        elapsed = 1e-3 * (state.tick_ms - previous.tick_ms)
        if not 0.0 < elapsed <= _GAP:
            self._drifts.clear()
            self._repeats = 0
            return
        same = state.gyro_body.tobytes() == previous.gyro_body.tobytes()
        self._repeats = self._repeats + 1 if same else 0
        turned = rotation_between(previous.quat_wxyz, state.quat_wxyz)
        self._drift = self._drift + turned - 0.5 * elapsed * (state.gyro_body + previous.gyro_body)
        self._drifts.append(self._drift)
        full = len(self._drifts) == self._drifts.maxlen
        differs = full and not within(self._drift - self._drifts[0], t.GYRO_MISMATCH * t.GYRO_WINDOW)
        if differs or self._repeats >= t.GYRO_STUCK_STATES:
            yield "gyro_implausible"


class GravityWatch:
    """Compares the accelerometer's direction with the attitude's, while nothing moves: a check before standing up."""

    def __init__(self) -> None:
        self._acc = _ZERO
        """Running mean of the specific force since the robot came to lie still [m/s²]."""
        self._still = 0

    def update(self, state: RobotState, lying: bool) -> Iterator[str]:
        """Takes the next new, valid lowstate; `lying`: no motor moves it; yields fault names."""
        force = math.sqrt(state.acc_body.dot(state.acc_body))
        if not (lying and abs(force - go2.GRAVITY) <= t.STILL_ACC and within(state.gyro_body, t.STILL_RATE)):
            self._still = 0
            return
        self._still += 1
        self._acc = self._acc + max(_SMOOTHING, 1.0 / self._still) * (state.acc_body - self._acc)
        x, y, z = self._acc.tolist()
        up_x, up_y, up_z = up_body(state.quat_wxyz)
        # cos(angle) |acc| >= cos(limit) |acc|, not divided by a norm that can be 0
        aligned = x * up_x + y * up_y + z * up_z >= math.cos(t.GRAVITY_ANGLE) * math.sqrt(x * x + y * y + z * z)
        if self._still * _SMOOTHING >= 1.0 and not aligned:
            yield "imu_gravity"


class FreeFallWatch:
    """Notices that nothing carries the robot."""

    def __init__(self) -> None:
        self._falling = 0.0
        self._tick: int | None = None

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new, valid lowstate; yields fault names."""
        elapsed = 0.0 if self._tick is None else min(max(0.0, 1e-3 * (state.tick_ms - self._tick)), _GAP)
        self._tick = state.tick_ms
        carried = state.acc_body.dot(state.acc_body) >= t.FREE_FALL_ACC**2
        self._falling = 0.0 if carried else self._falling + elapsed
        if self._falling > t.FREE_FALL_DAMP:
            yield "falling"
        elif self._falling > t.FREE_FALL_ZERO:
            yield "free_fall"


def rotation_between(a_wxyz: np.ndarray, b_wxyz: np.ndarray) -> np.ndarray:
    """Small rotation from attitude a to b in body axes, shape (3,) [rad]: twice the vector of conj(a) b."""
    aw, ax, ay, az = a_wxyz.tolist()
    bw, bx, by, bz = b_wxyz.tolist()
    w = aw * bw + ax * bx + ay * by + az * bz
    vector = (
        aw * bx - ax * bw - ay * bz + az * by,
        aw * by - ay * bw - az * bx + ax * bz,
        aw * bz - az * bw - ax * by + ay * bx,
    )
    return math.copysign(2.0, w) * np.array(vector)
