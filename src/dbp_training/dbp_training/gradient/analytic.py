"""A differentiable simulator forwards and backwards."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dbp_training.env import Env, Memory, Transition
from dbp_training.gradient.source import swap


@runtime_checkable
class Differentiable(Protocol):
    """What a task has to offer for `Analytic`."""

    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        """The state one step later, as its simulator computes it; differentiable. (..., state_size)"""


class Analytic:
    """State and derivative of the simulator; nothing to learn.

    The environments, which keep books and start new episodes, step outside the graph as they do for every source. That
    computes the dynamics twice, which costs less than the way back through them.
    """

    recurrent = 0

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        return {}

    def learn(self, generator: torch.Generator, progress: float) -> dict[str, float]:
        return {}

    def cut(self) -> None:
        pass

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        exact = env.task.dynamics(state, action) if torch.is_grad_enabled() else None
        t = env.step(action)
        return t.reached if exact is None else swap(t.reached, exact), t

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
