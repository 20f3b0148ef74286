"""Replay of single transitions in preallocated rings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Replay:
    """The newest `capacity` rows of named vectors.

    Args:
        capacity: Rows kept.
        **sizes: Name and length of each vector of a row.
    """

    def __init__(self, capacity: int, **sizes: int) -> None:
        self.capacity = capacity
        self._data = {name: torch.zeros(capacity, size) for name, size in sizes.items()}
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, **rows: Tensor) -> None:
        """Adds rows, each tensor (n, size) with n <= capacity; the oldest make room."""
        (count,) = {len(values) for values in rows.values()}
        if rows.keys() != self._data.keys() or count > self.capacity:
            wanted = f"up to {self.capacity} rows of {sorted(self._data)}"
            raise ValueError(f"replay: expected {wanted}, got {count} of {sorted(rows)}")
        index = (self._next + torch.arange(count)) % self.capacity
        for name, values in rows.items():
            self._data[name][index] = values.detach()
        self._next = (self._next + count) % self.capacity
        self._size = min(self._size + count, self.capacity)

    def sample(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`count` rows drawn uniformly with replacement."""
        index = torch.randint(self._size, (count,), generator=generator)
        return {name: values[index] for name, values in self._data.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"data": {k: v[: self._size].clone() for k, v in self._data.items()}, "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, values in state["data"].items():
            self._data[name][: len(values)] = values
            self._size = len(values)
        self._next = state["next"]
