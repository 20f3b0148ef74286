"""Gymnasium's Hopper-v5: a planar one-legged robot hops forward."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.gymnasium import GymnasiumTask

HEIGHT, ANGLE, VELOCITIES = 0, 1, slice(5, 11)
"""In the state: the torso's height and pitch; all generalised velocities."""


@dataclass(frozen=True)
class HopperConfig:
    """The task's numbers."""

    episode_steps: int = 1000
    evaluation_episodes: int = 32


class Hopper(GymnasiumTask):
    """`dbp_training.env.Task`; three torques, observation as in gymnasium: positions but x, velocities within ±10."""

    name, asset = "hopper", "hopper.xml"
    dt, substeps = 0.008, 4
    hidden, action_size = 1, 3
    control_weight, alive_reward = 1e-3, 1.0
    position_noise = 5e-3

    def __init__(self, config: HopperConfig | None = None) -> None:
        self.config = c = config or HopperConfig()
        super().__init__(c.episode_steps, c.evaluation_episodes)

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        return torch.cat([state[..., : VELOCITIES.start], state[..., VELOCITIES].clamp(-10.0, 10.0)], -1)

    def healthy(self, state: Tensor) -> Tensor:
        bounded = (state[..., ANGLE : VELOCITIES.stop].abs() < 100.0).all(-1)
        return bounded & (state[..., HEIGHT] > 0.7) & (state[..., ANGLE].abs() < 0.2)
