"""Whether a process's memory grows: a robust slope against a bound. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

BOUND = 1024.0
"""Memory may grow by so much [KiB/h]: half an hour on a battery then takes half a MiB."""

WARM_UP = 0.1
"""Share of the time at the start that does not count: caches fill and pools are made."""

STEP = 256.0
"""A rise of less is no growth [KiB], however steep: the C library takes memory in pieces of 128 KiB and more, and one
of them within a minute would be 8 MiB/h."""


@dataclass(frozen=True)
class Growth:
    """Of one process's memory over the time that counts."""

    slope_kib_per_hour: float
    """Theil-Sen: the median of the slopes between all pairs of samples."""
    rise_kib: float
    """What that slope makes of the time that counts."""
    first_kib: float
    last_kib: float
    highest_kib: float
    grew: bool
    """The slope is above `BOUND`, and the rise above `STEP`."""

    def as_json(self) -> dict:
        """The figures, rounded."""
        return {k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(self).items()}


def theil_sen(times: np.ndarray, values: np.ndarray) -> float:
    """Median slope between all pairs of samples; up to 29 % of outliers do not move it (Sen 1968).

    Args:
        times: Ascending, shape (n,).
        values: Shape (n,); fewer than two give a slope of 0.
    """
    i, j = np.triu_indices(len(times), 1)
    return float(np.median((values[j] - values[i]) / (times[j] - times[i]))) if len(i) else 0.0


def growth(seconds: Sequence[float], kib: Sequence[float]) -> Growth:
    """Judges memory over time.

    Args:
        seconds: When each sample was taken, from the start on, ascending.
        kib: The memory.
    """
    t, m = np.asarray(seconds, dtype=float), np.asarray(kib, dtype=float)
    counts = t >= WARM_UP * t[-1]
    t, m = t[counts] / 3600.0, m[counts]
    slope = theil_sen(t, m)
    rise = slope * (t[-1] - t[0])
    return Growth(slope, rise, m[0].item(), m[-1].item(), m.max().item(), bool(slope > BOUND and rise > STEP))
