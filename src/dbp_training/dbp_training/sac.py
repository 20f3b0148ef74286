"""SAC as a baseline: the algorithm of stable-baselines3 on our environments, with the face of our trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import Tensor, nn

from dbp_policy.errors import DbpError
from dbp_training.env import Env, Task
from dbp_training.sac_config import SacConfig

_REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones")


class SacPolicy(nn.Module):
    """The library's actor as a deterministic policy: its squashed mean action.

    Args:
        task: Gives the sizes.
        config: The network's numbers.
        actor: A trained one; a fresh one if None.
    """

    def __init__(self, task: Task, config: SacConfig, actor: Actor | None = None) -> None:
        super().__init__()
        self.actor = actor or SACPolicy(*_spaces(task), lambda _: config.lr, net_arch=list(config.hidden)).actor

    def forward(self, observation: Tensor) -> Tensor:
        """Actions in [-1, 1] of observations (..., observation_size)."""
        return torch.tanh(self.actor.mu(self.actor.latent_pi(observation)))


class SacTrainer:
    """A window is a few steps of all environments and the updates on the replay.

    Actor and critics see what the policy will see. Time limits are no ends: the replay holds the state reached.

    Args:
        env: The environments.
        config: The algorithm's numbers.
        seed: Of exploration and replay.
    """

    def __init__(self, env: Env, config: SacConfig, seed: int) -> None:
        self.env, self.config = env, config
        self._sac = SAC(
            "MlpPolicy",
            None,
            learning_rate=config.lr,
            buffer_size=config.capacity,
            batch_size=config.batch,
            tau=config.tau,
            gamma=config.discount,
            replay_buffer_kwargs={"handle_timeout_termination": False},
            target_entropy=-float(env.task.action_size),
            policy_kwargs={"net_arch": list(config.hidden)},
            device="cpu",
            seed=seed,
            _init_setup_model=False,
        )
        # What the library would take from an environment of its own kind.
        self._sac.observation_space, self._sac.action_space = _spaces(env.task)
        self._sac.n_envs = env.num_envs
        self._sac._setup_model()
        self._logger = Logger(None, [])
        self._sac.set_logger(self._logger)
        self.policy = SacPolicy(env.task, config, self._sac.actor)
        self._observation = env.observe(env.state, env.memory)

    @property
    def gradient_steps(self) -> int:
        """Steps of the optimisers so far."""
        return self._sac._n_updates

    def prepare(self) -> dict[str, float]:
        """Fills the replay with random actions."""
        figures: dict[str, float] = {}
        while self.env.total_steps < self.config.prefill:
            figures = self._roll(explore=True)
        return figures

    def train_window(self, progress: float) -> dict[str, float]:
        """Rolls the environments and updates actor and critics.

        Returns:
            Mean reward, task metrics and losses of the window.

        Raises:
            DbpError: A loss is not finite.
        """
        figures = self._roll(explore=False)
        self._sac.train(self.config.updates, self.config.batch)
        told = {name: float(value) for name, value in self._logger.name_to_value.items()}
        losses = {f"sac_{name.removeprefix('train/')}": value for name, value in told.items()}
        if not np.isfinite(list(losses.values())).all():
            raise DbpError(f"sac: expected finite losses, got {losses}")
        return figures | losses

    @torch.no_grad()
    def _roll(self, explore: bool) -> dict[str, float]:
        env, rows = self.env, []
        self._sac.policy.set_training_mode(False)
        for _ in range(self.config.horizon):
            before, memory = self._observation, env.memory
            action = 2.0 * torch.rand(env.num_envs, env.task.action_size) - 1.0 if explore else self._sac.actor(before)
            transition = env.step(action)
            reached = env.observe(transition.reached, transition.reached_memory)
            step = (before, reached, action, transition.reward, transition.terminated)
            self._sac.replay_buffer.add(*(value.numpy() for value in step), [])
            self._observation = reached
            if transition.done.any():
                fresh = env.observe(env.state, env.memory)
                self._observation = torch.where(transition.done[:, None], fresh, reached)
            metrics = env.task.metrics(transition.reached, memory)
            rows.append({"reward": transition.reward, "falls_per_step": transition.terminated.float(), **metrics})
        return {name: torch.stack([row[name] for row in rows]).float().mean().item() for name in rows[0]}

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to continue on the same curve; the library draws from numpy's and torch's own
        generators."""
        replay = self._sac.replay_buffer
        kept = replay.buffer_size if replay.full else replay.pos
        algorithm, keys, *rest = np.random.get_state()
        return {
            "policy": self.policy.state_dict(),
            "sac": self._sac.get_parameters(),
            "log_entropy_coefficient": self._sac.log_ent_coef.detach(),
            "gradient_steps": self.gradient_steps,
            "replay": {name: torch.from_numpy(getattr(replay, name)[:kept]) for name in _REPLAYED},
            "replay_position": (replay.pos, replay.full),
            "observation": self._observation,
            "env": self.env.state_dict(),
            "generator": torch.get_rng_state(),
            "numpy_generator": (algorithm, torch.from_numpy(keys.astype(np.int64)), *rest),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self._sac.set_parameters(state["sac"], exact_match=True, device="cpu")
        self._sac.log_ent_coef.data.copy_(state["log_entropy_coefficient"])
        self._sac._n_updates = state["gradient_steps"]
        replay = self._sac.replay_buffer
        replay.pos, replay.full = state["replay_position"]
        for name, values in state["replay"].items():
            getattr(replay, name)[: len(values)] = values.numpy()
        self._observation = state["observation"]
        self.env.load_state_dict(state["env"])
        torch.set_rng_state(state["generator"])
        algorithm, keys, *rest = state["numpy_generator"]
        np.random.set_state((algorithm, keys.numpy().astype(np.uint32), *rest))


def _spaces(task: Task) -> tuple[Box, Box]:
    """Of observations and actions."""
    return Box(-np.inf, np.inf, (task.observation_size,), np.float32), Box(-1.0, 1.0, (task.action_size,), np.float32)
