"""PPO as a baseline: the algorithm of rsl-rl-lib on our environments, with the face of our trainer."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.models import MLPModel
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict
from torch import Tensor, nn

from dbp_policy.errors import DbpError
from dbp_training.env import Env, Task
from dbp_training.ppo_config import PpoConfig

_GROUPS = {"actor": ["actor"], "critic": ["critic"]}


class PpoPolicy(nn.Module):
    """The library's actor as a deterministic policy: its mean action, within the range of actions.

    Args:
        task: Gives the sizes.
        config: The network's numbers.
    """

    def __init__(self, task: Task, config: PpoConfig) -> None:
        super().__init__()
        example = TensorDict({"actor": torch.zeros(1, task.observation_size)}, batch_size=[1])
        spread = {"class_name": "GaussianDistribution", "init_std": config.init_std, "std_type": "log"}
        self.model = MLPModel(
            example, _GROUPS, "actor", task.action_size, config.hidden, "elu", True, distribution_cfg=spread
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Actions in [-1, 1] of observations (..., observation_size)."""
        return self.model.mlp(self.model.obs_normalizer(observation)).clamp(-1.0, 1.0)


class PpoTrainer:
    """A window is a rollout of all environments and the epochs of updates on it.

    The critic is given the whole state, as that of the first-order algorithms is. Time limits go on with the critic's
    value of the state before the last step, as the library does it.

    Args:
        env: The environments.
        config: The algorithm's numbers.
    """

    def __init__(self, env: Env, config: PpoConfig) -> None:
        self.env, self.config = env, config
        self.policy = PpoPolicy(env.task, config)
        observation = self._observe()
        self._ppo = PPO(
            self.policy.model,
            MLPModel(observation, _GROUPS, "critic", 1, config.hidden, "elu", True),
            RolloutStorage("rl", env.num_envs, config.horizon, observation, [env.task.action_size]),
            num_learning_epochs=config.epochs,
            num_mini_batches=config.minibatches,
            clip_param=config.clip,
            gamma=config.discount,
            lam=config.lam,
            entropy_coef=config.entropy,
            learning_rate=config.lr,
            desired_kl=config.desired_kl,
        )
        self._windows = 0

    @property
    def gradient_steps(self) -> int:
        """Steps of the optimiser so far."""
        return self._windows * self.config.epochs * self.config.minibatches

    def prepare(self) -> dict[str, float]:
        """Nothing comes before the first window."""
        return {}

    def train_window(self, progress: float) -> dict[str, float]:
        """Rolls the environments and updates the policy.

        Returns:
            Mean reward, task metrics and losses of the window.

        Raises:
            DbpError: A loss is not finite.
        """
        self._ppo.train_mode()
        with torch.no_grad():
            figures = self._roll()
        losses = self._ppo.update()
        if not all(torch.isfinite(torch.tensor(list(losses.values())))):
            raise DbpError(f"ppo: expected finite losses, got {losses}")
        self._windows += 1
        losses = {f"ppo_{name}": value for name, value in losses.items()}
        return figures | losses | {"ppo_learning_rate": self._ppo.learning_rate}

    def _roll(self) -> dict[str, float]:
        env, rows = self.env, []
        observation = self._observe()
        for _ in range(self.config.horizon):
            memory = env.memory
            transition = env.step(self._ppo.act(observation).clamp(-1.0, 1.0))
            observation = self._observe()
            ends = {"time_outs": transition.truncated.float()}
            self._ppo.process_env_step(observation, transition.reward, transition.done, ends)
            metrics = env.task.metrics(transition.reached, memory)
            rows.append({"reward": transition.reward, "falls_per_step": transition.terminated.float(), **metrics})
        self._ppo.compute_returns(observation)
        return {name: torch.stack([row[name] for row in rows]).float().mean().item() for name in rows[0]}

    def _observe(self) -> TensorDict:
        """What actor and critic are given now; the critic all that the simulator knows, and no noise."""
        state, memory = self.env.state, self.env.memory
        groups = {
            "actor": self.env.observe(state, memory),
            "critic": torch.cat([state, self.env.task.observe(state, memory)], -1),
        }
        return TensorDict(groups, batch_size=[self.env.num_envs])

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to continue on the same curve; the library draws from torch's own generator."""
        return {
            "policy": self.policy.state_dict(),
            "ppo": self._ppo.save(),
            "windows": self._windows,
            "env": self.env.state_dict(),
            "generator": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self._ppo.load(state["ppo"], None, strict=True)
        self._windows = state["windows"]
        self.env.load_state_dict(state["env"])
        torch.set_rng_state(state["generator"])
