"""The first-order trainer: roll a window of the environments, differentiate the return through it, step the actor."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training.env import Env, Memory
from dbp_training.gradient import GradientSource, carry
from dbp_training.networks import Actor


@dataclass(frozen=True)
class FirstOrderConfig:
    """The loop's numbers."""

    num_envs: int = 64
    horizon: int = 32
    """Steps of a window."""
    discount: float = 0.99
    hidden: tuple[int, ...] = (256, 128, 64)
    """Hidden layers of the actor."""
    lr: float = 1e-3
    lr_end: float = 0.03
    """Learning rate at the end of training, as a share of `lr`; the rate falls linearly."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Decays of Adam's moments."""
    exploration: float = 0.2
    """Standard deviation of the noise on the actor's output before the tanh."""
    grad_clip: float = 1.0
    averaging: float = 15.0
    """Decay of the averaged actor: it is about the mean over the newest 1/averaging of all windows."""


@dataclass(frozen=True)
class Window:
    """One window; tensors (horizon, N, ...), attached to the actor's graph where they depend on it."""

    observation: Tensor
    action: Tensor
    reached: Tensor
    memory: Memory
    """At the start of each step."""
    terminated: Tensor
    truncated: Tensor


def window_returns(
    reward: Tensor, terminated: Tensor, truncated: Tensor, discount: float, value: Tensor | None = None
) -> Tensor:
    """Discounted return of a window, each episode in it discounted from its own start.

    An episode cut by its time limit or by the window's end goes on with `value`; one that failed does not.

    Args:
        reward: (H, N)
        terminated: (H, N) bool
        truncated: (H, N) bool
        discount: Per step.
        value: Value of each reached state (before any reset), (H, N); None counts as zero.

    Returns:
        Sum over the window, (N,).
    """
    total = torch.zeros_like(reward[0])
    weight = torch.ones_like(reward[0])
    for k in range(len(reward)):
        total = total + weight * reward[k]
        done = terminated[k] | truncated[k]
        if value is not None:
            cut = done if k < len(reward) - 1 else torch.ones_like(done)
            total = total + torch.where(cut & ~terminated[k], discount * weight * value[k], torch.zeros_like(total))
        weight = torch.where(done, torch.ones_like(weight), discount * weight)
    return total


class FirstOrderTrainer:
    """One loop for every first-order algorithm; they differ in the gradient source and in the configuration.

    Args:
        env: The environments.
        source: Where the dynamics' derivative comes from.
        config: The loop's numbers.
        seed: Of the actor's exploration and the model's batches. Seed torch itself before building networks.
    """

    def __init__(self, env: Env, source: GradientSource, config: FirstOrderConfig, seed: int) -> None:
        self.env, self.source, self.config = env, source, config
        self.actor = Actor(env.task.observation_size, env.task.action_size, config.hidden)
        self.averaged = copy.deepcopy(self.actor)
        """Running mean of the actor's weights: the policy that is evaluated and exported. A window sees few commands,
        so that the actor's own speed error sways from window to window."""
        self._windows = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.Adam(self.actor.parameters(), lr=config.lr, betas=config.betas)

    def prepare(self) -> dict[str, float]:
        """What the gradient source needs before the first window."""
        return self.source.prepare(self.env, self._generator)

    def train_window(self, progress: float) -> dict[str, float]:
        """Improves the source, rolls one window and takes one actor step.

        Args:
            progress: From 0 to 1 over the training; the learning rates follow it.

        Returns:
            Figures to log, means over the window.

        Raises:
            DbpError: The loss or its gradient is not finite; the actor is left as it was.
        """
        figures = self.source.learn(self._generator, progress)
        window = self.roll()
        reward = self.env.task.reward(window.reached, window.action, window.memory)
        returns = window_returns(reward, window.terminated, window.truncated, self.config.discount)
        loss = -returns.mean() / self.config.horizon
        norm = self._step_actor(loss, progress)
        self.actor.normaliser.update(window.observation)
        self._average()
        with torch.no_grad():
            metrics = self.env.task.metrics(window.reached, window.memory)
        figures |= {name: value.mean().item() for name, value in metrics.items()}
        falls = window.terminated.float().mean().item()
        return figures | {"reward": reward.mean().item(), "falls_per_step": falls, "actor_grad_norm": norm}

    def roll(self) -> Window:
        """Rolls one window from where the environments are."""
        env, state, memory = self.env, self.env.state, self.env.memory
        rows = []
        for _ in range(self.config.horizon):
            observation = env.observe(state, memory)
            noise = torch.randn(env.num_envs, env.task.action_size, generator=self._generator)
            action = self.actor(observation, self.config.exploration * noise)
            reached, t = self.source.step(env, state, memory, action)
            rows.append((observation.detach(), action, reached, memory, t.terminated, t.truncated))
            exact = Memory(action, memory.last_action, t.memory.command, t.memory.phase)
            state = carry(t.state, reached, t.done)
            memory = t.memory.map(lambda start, end, done=t.done: carry(start, end, done), exact)
        observation, action, reached, memories, terminated, truncated = zip(*rows, strict=True)
        return Window(
            observation=torch.stack(observation),
            action=torch.stack(action),
            reached=torch.stack(reached),
            memory=memories[0].map(lambda *parts: torch.stack(parts), *memories[1:]),
            terminated=torch.stack(terminated),
            truncated=torch.stack(truncated),
        )

    def _step_actor(self, loss: Tensor, progress: float) -> float:
        parameters = list(self.actor.parameters())
        gradients = torch.autograd.grad(loss, parameters)  # of the actor alone: the source is not trained by this loss
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.grad_clip).item()
        if not (torch.isfinite(loss) and norm < float("inf")):
            raise DbpError(f"actor: expected a finite loss and gradient, got loss {loss.item()}, gradient norm {norm}")
        self._optimiser.param_groups[0]["lr"] = self.config.lr * (1.0 + (self.config.lr_end - 1.0) * progress)
        self._optimiser.step()
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        """Polynomial-decay averaging (Shamir and Zhang, 2013)."""
        self._windows += 1
        share = (self.config.averaging + 1.0) / (self.config.averaging + self._windows)
        new = self.actor.state_dict()
        for name, value in self.averaged.state_dict().items():
            value.lerp_(new[name], share)

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to continue on the same curve."""
        return {
            "actor": self.actor.state_dict(),
            "averaged": self.averaged.state_dict(),
            "windows": self._windows,
            "optimiser": self._optimiser.state_dict(),
            "source": self.source.state_dict(),
            "env": self.env.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self.actor.load_state_dict(state["actor"])
        self.averaged.load_state_dict(state["averaged"])
        self._windows = state["windows"]
        self._optimiser.load_state_dict(state["optimiser"])
        self.source.load_state_dict(state["source"])
        self.env.load_state_dict(state["env"])
        self._generator.set_state(state["generator"])
