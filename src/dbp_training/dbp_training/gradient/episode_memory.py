"""What a recurrent model remembers of the episodes under way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class EpisodeMemory:
    """Hidden states of each environment: along the real states, and along those of a window with their graph.

    Where the window's states are the simulator's the two are equal.

    Args:
        num_envs: How many environments.
        size: Width of the hidden state.
    """

    def __init__(self, num_envs: int, size: int) -> None:
        self.real = self.window = torch.zeros(num_envs, size)
        self.begins = torch.ones(num_envs, 1)
        """1 where the next step is an episode's first."""

    def cut(self) -> None:
        """The window, or a part of it, begins: what was real before it has no graph."""
        self.window = self.real

    def step(self, real: Tensor, window: Tensor, done: Tensor) -> None:
        """Takes in the hidden states of a step; an imagined episode that ended goes on from the real one.

        Args:
            real, window: After the step, (N, size).
            done: The real episode ended, (N,) bool.
        """
        self.begins = done[:, None].float()
        self.real = torch.where(done[:, None], 0.0, real.detach())
        self.window = torch.where(done[:, None], 0.0, window)

    def rejoin(self, done: Tensor) -> None:
        """Lets the window go on from the real states where an imagined episode ended, (N,) bool."""
        self.window = torch.where(done[:, None], self.real, self.window)

    def state_dict(self) -> dict[str, Any]:
        """Between two windows."""
        return {"real": self.real, "begins": self.begins}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self.real = self.window = state["real"]
        self.begins = state["begins"]
