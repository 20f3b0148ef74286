"""Replay of single transitions, and of sequences of them, in preallocated rings."""

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


class SequenceReplay:
    """The newest sequences of `length` steps in a row, of environments that are stepped together.

    Args:
        capacity: Steps kept.
        length: Of a sequence [steps].
        first: Names of the vectors that are kept of a sequence's first step alone.
        **sizes: Name and length of each vector of a step.
    """

    def __init__(self, capacity: int, length: int, first: tuple[str, ...] = (), **sizes: int) -> None:
        self.length, self._first, self._sizes = length, first, sizes
        lengths = {name: size if name in first else length * size for name, size in sizes.items()}
        self._whole = Replay(capacity // length, **lengths)
        self._steps: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        """Whole sequences."""
        return len(self._whole)

    def add(self, **rows: Tensor) -> None:
        """Adds the next step of all environments, each tensor (n, size), the same environments each time."""
        self._steps.append({name: values.detach() for name, values in rows.items()})
        if len(self._steps) < self.length:
            return
        steps, self._steps = self._steps, []
        joined = {name: torch.cat([step[name] for step in steps], -1) for name in rows if name not in self._first}
        self._whole.add(**joined, **{name: steps[0][name] for name in self._first})

    def sample(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`count` sequences drawn uniformly with replacement, (count, length, size); those of `first` (count, size)."""
        drawn = self._whole.sample(count, generator)
        return {
            name: values if name in self._first else values.view(count, self.length, self._sizes[name])
            for name, values in drawn.items()
        }

    def state_dict(self) -> dict[str, Any]:
        return {"whole": self._whole.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._whole.load_state_dict(state["whole"])
        self._steps = list(state["steps"])
