"""Velocity commands for a long walk: a random walk inside a policy's range, with stops, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

STRIDE = 0.35
"""Standard deviation of a change, as a share of the range."""
STOPS = 0.2
"""Share of the stretches that are stops."""
STRETCH = (2.0, 6.0)
"""How long one command lasts [s]."""


def wander(low: Sequence[float], high: Sequence[float], seed: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Gives (seconds, command) without end.

    Args:
        low: Of vx, vy, wz [m/s, m/s, rad/s].
        high: Of the same.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    command = np.zeros(3)
    while True:
        command = np.clip(command + STRIDE * (high - low) * rng.standard_normal(3), low, high)
        stop = rng.random() < STOPS
        yield float(rng.uniform(*STRETCH)), np.zeros(3) if stop else command
