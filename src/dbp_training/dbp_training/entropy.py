"""Entropy in the return: a bonus for actions that are hard to foresee, and the temperature that weighs it.

As in SAPO (arXiv 2412.12089, "Stabilizing reinforcement learning in differentiable multiphysics simulation").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training import parallel


@dataclass(frozen=True)
class EntropyConfig:
    """The bonus and how its weight is learned."""

    wanted: float = -1.0
    """Entropy that the temperature holds the policy at, per element of the action [nat]."""
    temperature: float = 1.0
    """At the start, in units of the reward."""
    lr: float = 5e-3
    """Of the temperature's logarithm."""


class Temperature:
    """The learned weight of the bonus.

    Args:
        config: The bonus.
        action_size: Length of the action.
    """

    def __init__(self, config: EntropyConfig, action_size: int) -> None:
        self._wanted = config.wanted * action_size
        self._log = torch.tensor(config.temperature).log().requires_grad_(True)
        self._optimiser = torch.optim.Adam([self._log], lr=config.lr)

    @property
    def value(self) -> float:
        """What a bonus of one weighs."""
        return self._log.exp().item()

    def bonus(self, log_prob: Tensor) -> Tensor:
        """alpha (-log pi + |H|) / (2 |H|) of actions' log-probabilities (...), H the wanted entropy.

        It is alpha/2 for an entropy of 0, and 0 at the wanted one if that is negative.
        """
        size = abs(self._wanted)
        return self.value * (size - log_prob) / (2.0 * size)

    def learn(self, log_prob: Tensor) -> dict[str, float]:
        """Raises the temperature where the policy's entropy is below the wanted one, lowers it where above.

        Raises:
            DbpError: The entropy is not finite.
        """
        entropy = -log_prob.detach().mean()
        if not torch.isfinite(entropy):
            raise DbpError(f"actor: expected a finite entropy, got {entropy.item()}")
        self._optimiser.zero_grad(set_to_none=True)
        (self._log * (entropy - self._wanted)).backward()
        parallel.average_gradients([self._log])
        self._optimiser.step()
        return {"entropy": entropy.item(), "temperature": self.value}

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""
        return {"log": self._log.detach().clone(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self._log.data.copy_(state["log"])
        self._optimiser.load_state_dict(state["optimiser"])
