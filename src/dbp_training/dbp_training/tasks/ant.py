"""Gymnasium's Ant-v5: a four-legged robot runs along x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.gymnasium_sim import GymnasiumSim
from dbp_training.tasks.gymnasium import GymnasiumTask

_CONTACTS = 27
"""Where the contact forces begin in an observation that has them."""


@dataclass(frozen=True)
class AntConfig:
    """The task's numbers."""

    episode_steps: int = 1000
    evaluation_episodes: int = 32
    observe_contacts: bool = False
    """Observe the contact forces too, gymnasium's default: 105 instead of 27 elements. They follow from the rest, and
    jump: a learned model spends itself on them. They cost the same either way."""


class Ant(GymnasiumTask):
    """`dbp_training.env.Task`; eight torques, observation as in gymnasium: positions but x and y, velocities."""

    name, asset = "ant", "ant.xml"
    dt, substeps = 0.05, 5
    hidden, action_size = 2, 8
    control_weight, alive_reward = 0.5, 1.0
    position_noise, normal_velocities = 0.1, True
    place_fields = ("xpos",)

    def __init__(self, config: AntConfig | None = None) -> None:
        self.config = c = config or AntConfig()
        fields = ("cfrc_ext",) if c.observe_contacts else ()
        super().__init__(c.episode_steps, c.evaluation_episodes, fields, contact_weight=5e-4)

    def place(self, sim: GymnasiumSim) -> np.ndarray:
        return sim.derived["xpos"][:, 1, 0]  # the torso's, as of the last stage

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        seen = super().observe(state, memory)
        return torch.cat([seen[..., :_CONTACTS], seen[..., _CONTACTS:].clamp(-1.0, 1.0)], -1)

    def contact_cost(self, forces: np.ndarray) -> np.ndarray:
        return self._contact_weight * (np.clip(forces, -1.0, 1.0) ** 2).sum((1, 2))

    def healthy(self, state: Tensor) -> Tensor:
        return (self.height(state) >= 0.2) & (self.height(state) <= 1.0)
