"""Motors, battery and feet: what wears down rather than breaks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.bounds import every, within
from dbp_policy.types import RobotState


def heat_faults(state: RobotState) -> Iterator[str]:
    """Motor temperatures of one lowstate."""
    if not every(state.temperature_sdk < t.MOTOR_HOT):
        yield "motor_hot" if every(state.temperature_sdk < t.MOTOR_OVERHEATED) else "motor_overheated"


class BatteryWatch:
    """State of charge, and the voltage against the highest seen."""

    def __init__(self) -> None:
        self._highest = 0.0

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new lowstate; yields fault names."""
        if not state.battery_soc >= t.BATTERY_CRITICAL:
            yield "battery_critical"
        elif not state.battery_soc >= t.BATTERY_LOW:
            yield "battery_low"
        if math.isfinite(state.battery_v):
            self._highest = max(self._highest, state.battery_v)
        if not state.battery_v >= t.VOLTAGE_SAG * self._highest:
            yield "voltage_sag"


class LostWatch:
    """Packets that the robot's own bus loses on the way to a motor."""

    def __init__(self) -> None:
        self._counts: deque[np.ndarray] = deque(maxlen=1 + t.LOST_WINDOW)
        """From the window's begin to its end."""

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new lowstate; yields fault names."""
        self._counts.append(state.lost_sdk)
        if not every(state.lost_sdk - self._counts[0] < t.LOST_GROWTH):
            yield "motor_lost"


class FootWatch:
    """Foot sensors that read the very same while the legs move."""

    def __init__(self) -> None:
        self._previous: RobotState | None = None
        self._stuck = 0.0

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new, valid lowstate; yields fault names."""
        previous, self._previous = self._previous, state
        if previous is None:
            return
        if state.foot_force.tobytes() != previous.foot_force.tobytes():
            self._stuck = 0.0
        elif not within(state.dq_sdk, t.FOOT_MOVING):
            self._stuck += max(0.0, 1e-3 * (state.tick_ms - previous.tick_ms))
        if self._stuck > t.FOOT_STUCK_TIME:
            yield "foot_force"
