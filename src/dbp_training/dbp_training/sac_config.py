"""The numbers of the SAC baseline, apart from the library, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SacConfig:
    """Names as in stable-baselines3 where they are not plain; defaults are its own, with several environments."""

    num_envs: int = 32
    horizon: int = 8
    """Steps of all environments between updates."""
    updates: int = 128
    """Gradient steps after them: one for every two environment steps."""
    prefill: int = 5000
    """Environment steps with random actions before the first update."""
    capacity: int = 300_000
    batch: int = 256
    hidden: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critics; those of the first-order algorithms' actor (`algorithms.py`)."""
    lr: float = 3e-4
    tau: float = 0.005
    discount: float = 0.99
