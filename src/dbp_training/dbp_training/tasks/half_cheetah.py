"""Gymnasium's HalfCheetah-v5: a planar two-legged runner; it cannot fail."""

from __future__ import annotations

from dataclasses import dataclass

from dbp_training.tasks.gymnasium import GymnasiumTask


@dataclass(frozen=True)
class HalfCheetahConfig:
    """The task's numbers."""

    episode_steps: int = 1000
    evaluation_episodes: int = 32


class HalfCheetah(GymnasiumTask):
    """`dbp_training.env.Task`; six torques, observation as in gymnasium: positions but x, velocities."""

    name, asset = "half_cheetah", "half_cheetah.xml"
    dt, substeps = 0.05, 5
    hidden, action_size = 1, 6
    control_weight = 0.1
    position_noise, normal_velocities = 0.1, True

    def __init__(self, config: HalfCheetahConfig | None = None) -> None:
        self.config = c = config or HalfCheetahConfig()
        super().__init__(c.episode_steps, c.evaluation_episodes)
