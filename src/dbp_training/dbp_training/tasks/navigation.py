"""A point mass in the plane goes to a target among round obstacles, and fails where it runs into one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.analytic import AnalyticTask, circle


@dataclass(frozen=True)
class NavigationConfig:
    """The task's numbers."""

    dt: float = 0.05
    episode_steps: int = 100
    acceleration: float = 4.0
    """Of action 1 along each axis [m/s²]."""
    drag: float = 1.0
    """Velocity lost per second, as a share [1/s]."""
    start: tuple[float, float] = (-1.0, 0.0)
    """Middle of the starting places [m]."""
    goal: tuple[float, float] = (1.0, 0.0)
    """Middle of the targets [m]."""
    spread: tuple[float, float] = (0.1, 0.8)
    """Half-widths of starting places and targets along each axis [m]."""
    obstacles: tuple[tuple[float, float, float], ...] = ((-0.35, 0.5, 0.2), (-0.35, -0.5, 0.2), (0.3, 0.0, 0.2))
    """x, y and radius of each [m]."""
    margin: float = 0.1
    """Distance to an obstacle at which its price sets in [m]."""
    avoidance: float = 10.0
    """Price per metre behind the margin, per step."""
    softness: float = 0.05
    """Width over which the price of an obstacle grows from nothing to its slope [m]."""
    tolerance: float = 0.1
    """[m]"""
    effort: float = 0.01
    """Price of the squared action, per step."""


class Navigation(AnalyticTask):
    """2-D reaching among obstacles; state: position [m] and velocity [m/s]."""

    name = "navigation"
    state_size, action_size, observation_size = 4, 2, 6

    def __init__(self, config: NavigationConfig | None = None) -> None:
        self.config = c = config or NavigationConfig()
        self.dt, self.episode_steps, self.tolerance = c.dt, c.episode_steps, c.tolerance
        obstacles = torch.tensor(c.obstacles, dtype=torch.float64)
        self._centres, self._radii = obstacles[:, :2], obstacles[:, 2]

    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        c = self.config
        p, v = state[..., :2], state[..., 2:]
        v = v + c.dt * (c.acceleration * action - c.drag * v)
        return torch.cat([p + c.dt * v, v], -1)

    def new_states(self, num: int, rng: np.random.Generator) -> np.ndarray:
        place = self.config.start + rng.uniform(-1.0, 1.0, (num, 2)) * self.config.spread
        return np.concatenate([place, np.zeros((num, 2))], -1)

    def new_targets(self, num: int, rng: np.random.Generator) -> np.ndarray:
        return self.config.goal + rng.uniform(-1.0, 1.0, (num, 2)) * self.config.spread

    def distance(self, state: Tensor, command: Tensor) -> Tensor:
        return (state[..., :2] - command).norm(dim=-1)

    def clearance(self, state: Tensor) -> Tensor:
        """Distance to the edge of each obstacle, negative inside, (..., obstacles) [m]."""
        offset = state[..., None, :2] - self._centres.to(state.dtype)
        return torch.sqrt((offset**2).sum(-1) + 1e-6) - self._radii.to(state.dtype)

    def failed(self, state: Tensor) -> Tensor:
        return (self.clearance(state) < 0.0).any(-1)

    def lines(self, state: Tensor, command: Tensor) -> dict[str, np.ndarray]:
        shown = {"target": command.numpy()[None], "mass": state[:2].numpy()[None]}
        rings = zip(self._centres.numpy(), self._radii.numpy(), strict=True)
        return shown | {f"obstacle {i}": circle(*ring) for i, ring in enumerate(rings, start=1)}

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        return torch.cat([state, memory.command - state[..., :2]], -1)

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        """3 less a smooth distance to the target, the nearness of obstacles and the effort.

        What is lost by a failure is the rest of the episode's reward, so that this has to be positive.
        """
        c = self.config
        offset = reached[..., :2] - memory.command
        left = torch.sqrt((offset**2).sum(-1) + 0.01)
        depth = c.softness * F.softplus((c.margin - self.clearance(reached)) / c.softness)
        effort = c.effort * (action**2).sum(-1)
        return 3.0 - left - 0.05 * (reached[..., 2:] ** 2).sum(-1) - c.avoidance * depth.sum(-1) - effort
