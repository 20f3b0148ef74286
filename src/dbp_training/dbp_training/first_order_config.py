"""The numbers of the first-order trainer's loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbp_training.critic import CriticConfig
from dbp_training.entropy import EntropyConfig
from dbp_training.env import Task
from dbp_training.networks import Actor


@dataclass(frozen=True)
class FirstOrderConfig:
    """The loop's numbers."""

    num_envs: int = 64
    horizon: int = 32
    """Steps of a window."""
    segment: int | None = None
    """Steps after which the graph is cut inside a window, which has a whole number of segments; None: never."""
    tail: Literal["none", "bootstrap", "monte-carlo"] = "none"
    """How a segment's return goes on: not at all; by the critic, differentiable in the last state; by the rewards
    observed after it, a constant: it completes the objective's value and leaves its slope alone."""
    critic: CriticConfig | None = None
    """The critic, or None for no value learning."""
    discount: float = 0.99
    hidden: tuple[int, ...] = (256, 128, 64)
    """Hidden layers of the actor."""
    recurrent: int = 0
    """Width of the actor's hidden state, which may tell what an observation does not; 0 for none."""
    lr: float = 1e-3
    lr_end: float = 0.03
    """Learning rate at the end of training, as a share of `lr`; the rate falls linearly."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Decays of Adam's moments."""
    exploration: float = 0.2
    """Standard deviation of the noise on the actor's output before the tanh; with `entropy` the actor has its own."""
    exploration_memory: float = 0.0
    """How much of a step's noise the next one keeps, from 0 to 1; its deviation stays. Noise that lasts moves a body
    where noise that is new at every step shakes it (Eberhard et al., ICLR 2023)."""
    entropy: EntropyConfig | None = None
    """The bonus for entropy in return and critic, or None for none."""
    adjoint_clip: float | None = None
    """Largest slope of an environment's return in a state on the way [1/unit of state]; a larger one is scaled down to
    it. Contacts multiply slopes from step to step: few environments would drown the others. None: no limit."""
    grad_clip: float = 1.0
    averaging: float = 15.0
    """Decay of the averaged actor: it is about the mean over the newest 1/averaging of all windows."""
    measure_every: int = 0
    """Windows between measurements of the gradient: against the exact one on tasks that have one, elsewhere against
    finite differences over a window of one of the environments, without a tail; 0: never."""

    def __post_init__(self) -> None:
        if self.tail == "bootstrap" and self.critic is None:
            raise ValueError("tail bootstrap: expected a critic, got none")
        if self.segment and self.horizon % self.segment:
            raise ValueError(f"expected a horizon of whole segments, got {self.horizon} and {self.segment}")
        if not 0.0 <= self.exploration_memory < 1.0:
            raise ValueError(f"exploration_memory: expected a number from 0 to below 1, got {self.exploration_memory}")
        if self.adjoint_clip is not None and not self.adjoint_clip > 0.0:
            raise ValueError(f"adjoint_clip: expected a positive number or None, got {self.adjoint_clip}")

    def make_actor(self, task: Task) -> Actor:
        """A policy for `task`, untrained."""
        spread = self.entropy is not None
        return Actor(task.observation_size, task.action_size, self.hidden, spread, task.switch, self.recurrent)
