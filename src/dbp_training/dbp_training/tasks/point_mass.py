"""A point mass on a line goes to a target and stops there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.analytic import AnalyticTask


@dataclass(frozen=True)
class PointMassConfig:
    """The task's numbers."""

    dt: float = 0.05
    episode_steps: int = 100
    acceleration: float = 4.0
    """Of action 1 [m/s²]."""
    drag: float = 0.5
    """Velocity lost per second, as a share [1/s]."""
    reach: float = 1.0
    """Starts and targets lie within this distance of the origin [m]."""
    tolerance: float = 0.05
    """[m]"""
    effort: float = 0.02
    """Price of the squared action, per step."""


class PointMass(AnalyticTask):
    """1-D reaching; state: position [m] and velocity [m/s]."""

    name = "point_mass"
    state_size, action_size, observation_size = 2, 1, 2

    def __init__(self, config: PointMassConfig | None = None) -> None:
        self.config = c = config or PointMassConfig()
        self.dt, self.episode_steps, self.tolerance = c.dt, c.episode_steps, c.tolerance

    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        c = self.config
        x, v = state[..., :1], state[..., 1:]
        v = v + c.dt * (c.acceleration * action - c.drag * v)
        return torch.cat([x + c.dt * v, v], -1)

    def new_states(self, num: int, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-1.0, 1.0, (num, 2)) * (self.config.reach, 0.0)

    def new_targets(self, num: int, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-self.config.reach, self.config.reach, (num, 1))

    def distance(self, state: Tensor, command: Tensor) -> Tensor:
        return (state[..., 0] - command[..., 0]).abs()

    def lines(self, state: Tensor, command: Tensor) -> dict[str, np.ndarray]:
        target, mass = (np.array([[float(x), 0.0]]) for x in (command[0], state[0]))
        return {"target": target, "mass": mass}

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        return torch.cat([memory.command - state[..., :1], state[..., 1:]], -1)

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        """1 - e² - 0.1 v² - effort a²: a linear-quadratic problem."""
        error, v = reached[..., 0] - memory.command[..., 0], reached[..., 1]
        return 1.0 - error**2 - 0.1 * v**2 - self.config.effort * (action**2).sum(-1)
