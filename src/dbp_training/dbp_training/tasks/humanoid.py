"""Gymnasium's Humanoid-v5: a two-legged robot with arms walks along x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dbp_training.gymnasium_sim import GymnasiumSim
from dbp_training.tasks.gymnasium import GymnasiumTask


@dataclass(frozen=True)
class HumanoidConfig:
    """The task's numbers."""

    episode_steps: int = 1000
    evaluation_episodes: int = 32
    observe_derived: bool = False
    """Observe inertias, velocities, joint and contact forces of the bodies too, gymnasium's default: 348 instead of 45
    elements. They follow from the rest: a learned model spends itself on them."""


class Humanoid(GymnasiumTask):
    """`dbp_training.env.Task`; 17 torques, observation as in gymnasium: positions but x and y, velocities."""

    name, asset = "humanoid", "humanoid.xml"
    dt, substeps = 0.015, 5
    hidden, action_size = 2, 17
    forward_weight, control_weight, alive_reward = 1.25, 0.1, 5.0
    action_scale = 0.4
    position_noise = 1e-2
    place_fields = ("xipos",)

    def __init__(self, config: HumanoidConfig | None = None) -> None:
        self.config = c = config or HumanoidConfig()
        fields = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext") if c.observe_derived else ()
        super().__init__(c.episode_steps, c.evaluation_episodes, fields, contact_weight=5e-7)

    def place(self, sim: GymnasiumSim) -> np.ndarray:
        """Of the centre of mass, as of the last stage."""
        mass = self._model.body_mass
        return sim.derived["xipos"][:, :, 0] @ (mass / mass.sum())

    def contact_cost(self, forces: np.ndarray) -> np.ndarray:
        return np.minimum(self._contact_weight * (forces**2).sum((1, 2)), 10.0)

    def healthy(self, state: Tensor) -> Tensor:
        return (self.height(state) > 1.0) & (self.height(state) < 2.0)
