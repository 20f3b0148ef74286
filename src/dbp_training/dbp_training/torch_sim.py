"""A batched simulator made of one differentiable function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


class TorchSim:
    """`dbp_training.sim.BatchSim` of x' = f(x, u).

    Args:
        dynamics: f: states (N, state_size) and controls (N, nu) to the next states.
        num_sims: How many simulations.
        state_size: Length of the state.
    """

    def __init__(self, dynamics: Callable[[Tensor, Tensor], Tensor], num_sims: int, state_size: int) -> None:
        self.num_sims = num_sims
        self.state = torch.zeros(num_sims, state_size)
        """State of every simulation; writing a row places it."""
        self._dynamics = dynamics

    @torch.no_grad()
    def step(self, controls: np.ndarray) -> np.ndarray:
        unstable = torch.zeros(self.num_sims, dtype=torch.bool)
        for k in range(controls.shape[1]):
            self.state = self._dynamics(self.state, torch.from_numpy(controls[:, k]))
            unstable |= ~torch.isfinite(self.state).all(-1)
        return unstable.numpy()

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state["state"].clone()
