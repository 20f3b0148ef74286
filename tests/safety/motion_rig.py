"""Lowstates of a robot that moves, whose sensors agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dbp_policy import go2
from dbp_policy.types import RobotState

PERIOD = 0.002
UP = np.array([0.0, 0.0, go2.GRAVITY])


def at(array, index: int, value: float) -> np.ndarray:
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


def about(axis, angle: float) -> np.ndarray:
    """Quaternion of a rotation."""
    return np.array([np.cos(0.5 * angle), *(np.sin(0.5 * angle) * np.asarray(axis, dtype=float))])


def swinging(steps: int, amplitude: float = 0.3, hertz: float = 2.0) -> Iterator[RobotState]:
    """All joints and the trunk swing; angles, speeds, attitude and gyro belong together."""
    omega = 2.0 * np.pi * hertz
    for step in range(steps):
        now = step * PERIOD
        yield RobotState(
            tick_ms=2 * step,
            q_sdk=go2.STAND_Q + amplitude * np.sin(omega * now),
            dq_sdk=np.full(12, amplitude * omega * np.cos(omega * now)),
            quat_wxyz=about((1, 0, 0), amplitude * np.sin(omega * now)),
            gyro_body=np.array([amplitude * omega * np.cos(omega * now), 0.0, 0.0]),
            acc_body=UP,
        )


def still(steps: int, period_ms: int = 2, **changes) -> list[RobotState]:
    """A robot that stands still."""
    standing = RobotState(q_sdk=go2.STAND_Q, acc_body=UP)
    return [replace(standing, tick_ms=period_ms * i, **changes) for i in range(steps)]


def first(found: list[list[str]], name: str) -> int:
    return next(i for i, names in enumerate(found) if name in names)
