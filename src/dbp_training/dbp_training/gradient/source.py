"""Where the derivative of the next state with respect to state and action comes from: the one seam of the trainer."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from dbp_training.env import Env, Memory, Transition


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, value: Tensor, _gradient: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_ctx, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


def swap(value: Tensor, gradient: Tensor) -> Tensor:
    """Exactly `value` forwards; backwards the gradient goes to `gradient` alone."""
    return _Swap.apply(value, gradient)


def carry(start: Tensor, reached: Tensor, done: Tensor) -> Tensor:
    """What the next step starts from: the value `start`, with the gradient of `reached` unless the episode is done.

    Args:
        start: Value, shape (N, n).
        reached: Attached to the graph of the steps before, shape (N, n).
        done: Where the graph is cut, shape (N,) bool.
    """
    return torch.where(done[:, None], start, swap(start, reached))


def clip_adjoint(reached: Tensor, limit: float) -> None:
    """From now on what flows back through `reached` (N, n) is scaled down, row by row, to a norm of at most `limit`.

    The direction stays. What is not finite stays so, for the trainer to find.
    """
    if reached.requires_grad:
        reached.register_hook(lambda slope: slope * (limit / slope.norm(dim=-1, keepdim=True)).clamp(max=1.0))


class GradientSource(Protocol):
    """Steps environments inside a graph."""

    recurrent: int
    """Width of the hidden state of what is learned; 0 for none."""

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        """Whatever has to happen before the first window; figures to log."""

    def learn(self, generator: torch.Generator, progress: float) -> dict[str, float]:
        """Improves the source before a window; `progress` runs from 0 to 1 over the training. Figures to log."""

    def cut(self) -> None:
        """Cuts the graph of what is remembered of the steps before: a window, or a part of it, begins."""

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        """Steps `env` by `action`; the reached state attached to the graph of state, memory and action."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
