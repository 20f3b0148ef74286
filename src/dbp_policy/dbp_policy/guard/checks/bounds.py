"""Comparisons over a dozen values, written so that NaN fails."""

from __future__ import annotations

import numpy as np


def every(condition: np.ndarray) -> bool:
    """Whether it holds for each value: `condition.all()` in a sixth of its time, which the guard asks a score of times
    per lowstate."""
    return all(condition.tolist())


def within(values: np.ndarray, bound: np.ndarray | float) -> bool:
    """Whether |values| <= bound, each of them."""
    return every(np.abs(values) <= bound)
