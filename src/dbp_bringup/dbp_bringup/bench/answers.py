"""How long a robot waits for its answer: from the times of its lowstates and of the lowcmds that came back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answers:
    """What became of the lowstates of one stretch of time."""

    latencies: np.ndarray
    """From writing a lowstate to the arrival of the first lowcmd after it, shape (answered,) [s]."""
    late: int
    """Lowstates without an answer before the next one. A lowcmd does not say which lowstate it answers, so the one
    after these may have got a late answer that counts as a quick one: their number tells what a latency is worth."""


def answers(written: Sequence[float], arrived: Sequence[float], period: float) -> Answers:
    """Pairs lowstates with the lowcmds that followed them.

    Args:
        written: When each lowstate was written, ascending [s].
        arrived: When each lowcmd arrived, ascending [s].
        period: When the next lowstate after the last of these was due [s].
    """
    written, arrived = np.asarray(written, dtype=float), np.asarray(arrived, dtype=float)
    first = np.searchsorted(arrived, written, side="right")
    until = np.append(arrived, np.inf)[first] - written
    next_one = np.append(np.diff(written), period)
    return Answers(until[np.isfinite(until)], int(np.count_nonzero(until > next_one)))


def percentiles_us(seconds: np.ndarray) -> dict[str, float]:
    """Median, tail and worst of durations in seconds, at least one [us]."""
    shares = {"p50_us": 50.0, "p99_us": 99.0, "p999_us": 99.9, "max_us": 100.0}
    return {name: round(1e6 * float(np.percentile(seconds, share)), 1) for name, share in shares.items()}
