"""Named algorithms: configurations of the one first-order trainer, as functions that return frozen dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbp_training.dynamics import DynamicsConfig
from dbp_training.env import Task
from dbp_training.first_order import FirstOrderConfig
from dbp_training.gradient import Decoupled, GradientSource


@dataclass(frozen=True)
class Algorithm:
    """A trainer configuration and the gradient source it uses."""

    name: str
    first_order: FirstOrderConfig
    dynamics: DynamicsConfig

    def gradient_source(self, task: Task) -> GradientSource:
        """A fresh gradient source for `task`."""
        return Decoupled(self.dynamics, task.state_size, task.action_size)


def dmo(randomised: bool = False) -> Algorithm:
    """Decoupled forward-backward model-based optimisation (arXiv 2509.00215): no critic, short windows.

    Args:
        randomised: The robot differs between episodes, which asks for a larger model and more of its training.
    """
    dynamics = DynamicsConfig(hidden=(384, 384), updates=16) if randomised else DynamicsConfig()
    return Algorithm("dmo", FirstOrderConfig(), dynamics)


ALGORITHMS: dict[str, Callable[[bool], Algorithm]] = {"dmo": dmo}
"""Name to a function of whether the task is randomised."""
