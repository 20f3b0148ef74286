"""A learned model, the replay of real transitions it learns from, and its training: what two of the sources share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.dynamics import DynamicsConfig, DynamicsModel
from dbp_training.env import Env, Transition
from dbp_training.gradient.episode_memory import EpisodeMemory
from dbp_training.replay import Replay, SequenceReplay
from dbp_training.schedule import falling

_PREFILL_STEP, _PREFILL_DECAY = 0.3, 0.8
"""Random actions of the prefill, tanh of an AR(1) process: they have to hold for a few steps to move the robot."""


class LearnedDynamics:
    """The model and all it takes to learn it.

    A plain model learns from single transitions. A recurrent one learns from sequences, each with the hidden state
    that the model of then had before it.

    Args:
        config: The model and its training.
        state_size: Length of the state.
        action_size: Length of the action.
    """

    def __init__(self, config: DynamicsConfig, state_size: int, action_size: int) -> None:
        self.config = config
        self.model = DynamicsModel(state_size, action_size, config.hidden, config.residual, config.recurrent)
        sizes = {"state": state_size, "last_action": action_size, "action": action_size, "reached": state_size}
        self.replay: Replay | SequenceReplay = Replay(config.capacity, **sizes)
        if config.recurrent:
            sizes |= {"begins": 1, "valid": 1, "hidden": config.recurrent}
            self.replay = SequenceReplay(config.capacity, config.sequence, ("hidden",), **sizes)
        self.episodes: EpisodeMemory | None = None
        """What a recurrent model remembers of the episodes under way, once they have begun."""
        self._predicted: Tensor | None = None
        """Its hidden state in the window, after the step that was predicted last."""
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.lr)
        self.remembers = True
        """Whether what the simulator does is kept to be learned from."""

    @property
    def recurrent(self) -> int:
        """Width of the model's hidden state, 0 for none."""
        return self.config.recurrent

    def prepare(self, env: Env, generator: torch.Generator) -> dict[str, float]:
        """Fills the replay by random actions and trains the first model."""
        wave = torch.zeros(env.num_envs, env.task.action_size)
        least = self.config.sequence if self.recurrent else 1
        for _ in range(max(least, self.config.prefill // (env.num_envs * parallel.size()))):
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
            loss = self._loss(batch, generator)
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            parallel.average_gradients(self.model.parameters())
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
            self._optimiser.step()
        if not torch.isfinite(loss):
            raise DbpError(f"dynamics model: expected a finite loss, got {loss.item()}")
        return {"model_loss": loss.item()}

    def _loss(self, batch: int, generator: torch.Generator) -> Tensor:
        """Of a batch of so many steps."""
        if not self.recurrent:
            return self.model.loss(**self.replay.sample(batch, generator))
        return self.model.sequence_loss(**self.replay.sample(max(1, batch // self.config.sequence), generator))

    def cut(self) -> None:
        """Cuts the graph of a recurrent model's hidden state: a window, or a part of it, begins."""
        if self.episodes is not None:
            self.episodes.cut()

    def predict(self, state: Tensor, last_action: Tensor, action: Tensor) -> Tensor:
        """The model's next state, (N, state_size), in the graph of all that led to it."""
        if not self.recurrent:
            return self.model(state, last_action, action)
        self._predicted = self.model.remember(state, last_action, action, self._remembered(len(state)).window)
        return self.model(state, last_action, action, self._predicted)

    def simulate(self, env: Env, action: Tensor) -> Transition:
        """Steps the simulator and remembers what it did."""
        before, last_action = env.state, env.memory.last_action
        t = env.step(action)
        if not self.remembers:
            return t
        seen = {"state": before, "last_action": last_action, "action": action.detach(), "reached": t.reached}
        valid = {name: value[t.valid] for name, value in seen.items()}
        if self.recurrent:
            self._follow(seen, t)
        else:
            self.replay.add(**valid)
        self.model.update_normalisers(valid["state"], valid["reached"])
        return t

    def _follow(self, seen: dict[str, Tensor], t: Transition) -> None:
        """Takes a step into the sequences and into what is remembered of the episodes."""
        episodes = self._remembered(len(t.done))
        own = {"begins": episodes.begins, "valid": t.valid[:, None].float(), "hidden": episodes.real}
        self.replay.add(**seen, **own)
        with torch.no_grad():
            real = self.model.remember(seen["state"], seen["last_action"], seen["action"], episodes.real)
        window, self._predicted = self._predicted, None
        episodes.step(real, real if window is None else window, t.done)

    def _remembered(self, num_envs: int) -> EpisodeMemory:
        if self.episodes is None:
            self.episodes = EpisodeMemory(num_envs, self.recurrent)
        return self.episodes

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""
        state = {name: getattr(self, name).state_dict() for name in ("model", "replay", "_optimiser")}
        return state if self.episodes is None else state | {"episodes": self.episodes.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken; without its `episodes` new ones begin."""
        for name, value in state.items():
            if name == "episodes":
                self._remembered(len(value["real"]))
            getattr(self, name).load_state_dict(value)
