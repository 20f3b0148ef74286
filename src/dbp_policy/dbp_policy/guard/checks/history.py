"""The last few values of something, for checks over a window."""

from __future__ import annotations

import numpy as np


class Ring:
    """The last `length` arrays of one shape, without allocation."""

    def __init__(self, length: int, size: int) -> None:
        self.values = np.zeros((length, size))
        """In no particular order."""
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count >= len(self.values)

    @property
    def oldest(self) -> np.ndarray:
        """What the next `push` will replace; of a full ring `length` pushes ago."""
        return self.values[self._count % len(self.values)]

    def push(self, value: np.ndarray) -> None:
        self.values[self._count % len(self.values)] = value
        self._count += 1

    def clear(self) -> None:
        self._count = 0
