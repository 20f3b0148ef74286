"""How learning rates fall."""

from __future__ import annotations


def falling(start: float, end_share: float, progress: float) -> float:
    """Linear from `start` at progress 0 to `end_share * start` at progress 1."""
    return start * (1.0 + (end_share - 1.0) * progress)
