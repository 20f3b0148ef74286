"""Where the derivative of the next state with respect to state and action comes from: the one seam of the trainer.

| source      | forward state            | backward                                     |
|-------------|--------------------------|----------------------------------------------|
| `Decoupled` | simulator                | learned model, evaluated at the real states  |

A differentiable simulator (its own state and derivative) and a purely imagined rollout (the model's state and
derivative) fit the same interface.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training.dynamics import DynamicsConfig, DynamicsModel
from dbp_training.env import Env, Memory, Transition
from dbp_training.replay import Replay

_PREFILL_STEP, _PREFILL_DECAY = 0.3, 0.8
"""Random actions of the prefill, tanh of an AR(1) process: they have to hold for a few steps to move the robot."""


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


class GradientSource(Protocol):
    """Steps environments inside a graph."""

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        """Whatever has to happen before the first window; figures to log."""

    def learn(self, generator: torch.Generator, progress: float) -> dict[str, float]:
        """Improves the source before a window; `progress` runs from 0 to 1 over the training. Figures to log."""

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        """Steps `env` by `action`; the reached state attached to the graph of state, memory and action."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Decoupled:
    """Simulator forwards, learned model backwards.

    Args:
        config: The model and its training.
        state_size: Length of the state.
        action_size: Length of the action.
    """

    def __init__(self, config: DynamicsConfig, state_size: int, action_size: int) -> None:
        self.config = config
        self.model = DynamicsModel(state_size, action_size, config.hidden)
        self.replay = Replay(
            config.capacity, state=state_size, last_action=action_size, action=action_size, reached=state_size
        )
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.lr)

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        wave = torch.zeros(env.num_envs, env.task.action_size)
        for _ in range(max(1, self.config.prefill // env.num_envs)):
            wave = _PREFILL_DECAY * wave + _PREFILL_STEP * torch.randn(wave.shape, generator=generator)
            with torch.no_grad():
                self.step(env, env.state, env.memory, torch.tanh(wave))
        return self._fit(self.config.initial_updates, self.config.lr, generator)

    def learn(self, generator: torch.Generator, progress: float) -> dict[str, float]:
        lr = self.config.lr * (1.0 + (self.config.lr_end - 1.0) * progress)
        return self._fit(self.config.updates, lr, generator)

    def _fit(self, updates: int, lr: float, generator: torch.Generator) -> dict[str, float]:
        self._optimiser.param_groups[0]["lr"] = lr
        loss = torch.zeros(())
        for _ in range(updates):
            loss = self.model.loss(**self.replay.sample(self.config.batch, generator))
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
            self._optimiser.step()
        if not torch.isfinite(loss):
            raise DbpError(f"dynamics model: expected a finite loss, got {loss.item()}")
        return {"model_loss": loss.item()}

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        predicted = self.model(state, memory.last_action, action) if torch.is_grad_enabled() else None
        t = env.step(action)
        seen = {"state": state, "last_action": memory.last_action, "action": action, "reached": t.reached}
        seen = {name: value.detach()[t.valid] for name, value in seen.items()}
        self.replay.add(**seen)
        self.model.update_normalisers(seen["state"], seen["reached"])
        return t.reached if predicted is None else swap(t.reached, predicted), t

    def state_dict(self) -> dict[str, Any]:
        parts = ("model", "replay", "_optimiser")
        return {name: getattr(self, name).state_dict() for name in parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            getattr(self, name).load_state_dict(value)
