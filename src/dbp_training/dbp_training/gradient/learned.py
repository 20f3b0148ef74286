"""A learned model, the replay of real transitions it learns from, and its training: what two of the sources share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.dynamics import DynamicsConfig, DynamicsModel
from dbp_training.env import Env, Transition
from dbp_training.replay import Replay
from dbp_training.schedule import falling

_PREFILL_STEP, _PREFILL_DECAY = 0.3, 0.8
"""Random actions of the prefill, tanh of an AR(1) process: they have to hold for a few steps to move the robot."""


class LearnedDynamics:
    """The model and all it takes to learn it.

    Args:
        config: The model and its training.
        state_size: Length of the state.
        action_size: Length of the action.
    """

    def __init__(self, config: DynamicsConfig, state_size: int, action_size: int) -> None:
        self.config = config
        self.model = DynamicsModel(state_size, action_size, config.hidden, config.residual)
        self.replay = Replay(
            config.capacity, state=state_size, last_action=action_size, action=action_size, reached=state_size
        )
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.lr)
        self.remembers = True
        """Whether what the simulator does is kept to be learned from."""

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        """Fills the replay by random actions and trains the first model."""
        wave = torch.zeros(env.num_envs, env.task.action_size)
        for _ in range(max(1, self.config.prefill // (env.num_envs * parallel.size()))):
            wave = _PREFILL_DECAY * wave + _PREFILL_STEP * torch.randn(wave.shape, generator=generator)
            with torch.no_grad():
                self.simulate(env, torch.tanh(wave))
        return self._fit(self.config.initial_updates, self.config.lr, generator)

    def learn(self, generator: torch.Generator, progress: float) -> dict[str, float]:
        """Trains the model a little more on the replay."""
        return self._fit(self.config.updates, falling(self.config.lr, self.config.lr_end, progress), generator)

    def _fit(self, updates: int, lr: float, generator: torch.Generator) -> dict[str, float]:
        self._optimiser.param_groups[0]["lr"] = lr
        loss, batch = torch.zeros(()), parallel.share("the model's batch", self.config.batch)
        for _ in range(updates):
            loss = self.model.loss(**self.replay.sample(batch, generator))
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            parallel.average_gradients(self.model.parameters())
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
            self._optimiser.step()
        if not torch.isfinite(loss):
            raise DbpError(f"dynamics model: expected a finite loss, got {loss.item()}")
        return {"model_loss": loss.item()}

    def simulate(self, env: Env, action: Tensor) -> Transition:
        """Steps the simulator and remembers what it did."""
        before, last_action = env.state, env.memory.last_action
        t = env.step(action)
        if not self.remembers:
            return t
        seen = {"state": before, "last_action": last_action, "action": action, "reached": t.reached}
        seen = {name: value.detach()[t.valid] for name, value in seen.items()}
        self.replay.add(**seen)
        self.model.update_normalisers(seen["state"], seen["reached"])
        return t

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""
        parts = ("model", "replay", "_optimiser")
        return {name: getattr(self, name).state_dict() for name in parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        for name, value in state.items():
            getattr(self, name).load_state_dict(value)
