"""The numbers of the PPO baseline, apart from the library, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PpoConfig:
    """Names as in rsl-rl-lib where they are not plain; defaults are its usual ones for legged robots."""

    num_envs: int = 256
    horizon: int = 24
    """Steps of a rollout."""
    epochs: int = 5
    minibatches: int = 4
    hidden: tuple[int, ...] = (256, 128, 64)
    """Hidden layers of actor and critic; those of the first-order algorithms' actor (`algorithms.py`)."""
    init_std: float = 0.5
    """Of the exploration at the start; it is learned."""
    lr: float = 1e-3
    """At the start; it follows `desired_kl`."""
    desired_kl: float = 0.01
    clip: float = 0.2
    entropy: float = 0.005
    discount: float = 0.99
    lam: float = 0.95
