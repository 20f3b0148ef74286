"""The first-order trainer: roll a window of the environments, differentiate the return through it, step the actor."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.critic import Critic
from dbp_training.entropy import Temperature
from dbp_training.env import Env, Memory
from dbp_training.first_order_config import FirstOrderConfig
from dbp_training.gradient import Analytic, Differentiable, GradientSource, carry, clip_adjoint
from dbp_training.gradient.finite_differences import difference_gradient, source_gradient
from dbp_training.gradient.quality import gradient_quality
from dbp_training.networks import Actor
from dbp_training.returns import returns_to_go, td_lambda, window_returns
from dbp_training.schedule import falling


@dataclass(frozen=True)
class Window:
    """One window; tensors (horizon, N, ...), attached to the actor's graph where they depend on it."""

    state: Tensor
    """At the start of each step, without its graph."""
    memory: Memory
    """At the start of each step."""
    observation: Tensor
    action: Tensor
    log_prob: Tensor
    """Of the action, (horizon, N); zero without an entropy bonus."""
    reached: Tensor
    """Before any reset."""
    reached_memory: Memory
    """Before any reset."""
    terminated: Tensor
    truncated: Tensor


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
        if config.measure_every and env.task.randomised:
            raise ValueError(f"measure_every: expected a task without randomisation, got {env.task.name} with it")
        task = env.task
        if config.measure_every and source.recurrent and not isinstance(task, Differentiable):
            raise ValueError("measure_every: expected a model without hidden state, got a recurrent one")
        self.actor = config.make_actor(task)
        self._hidden = self.actor.new_hidden(env.num_envs)
        """What a recurrent actor remembers of the episodes under way."""
        self._noise = torch.zeros(env.num_envs, task.action_size)
        """Of the last step."""
        self.averaged = copy.deepcopy(self.actor)
        """Running mean of the actor's weights: the policy that is evaluated and exported. A window sees few commands,
        so that the actor's own speed error sways from window to window."""
        self._windows = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.Adam(self.actor.parameters(), lr=config.lr, betas=config.betas)
        self.temperature = None if config.entropy is None else Temperature(config.entropy, task.action_size)
        self.critic = None
        if config.critic is not None:
            inputs = task.state_size + task.observation_size
            self.critic = Critic(config.critic, inputs, scale=1.0 / (1.0 - config.discount))

    @property
    def policy(self) -> Actor:
        """What is evaluated and exported."""
        return self.averaged

    @property
    def gradient_steps(self) -> int:
        """Steps of the actor's optimiser so far: one per window."""
        return self._windows

    def prepare(self) -> dict[str, float]:
        """What the gradient source needs before the first window."""
        return self.source.prepare(self.env, self._generator)

    def train_window(self, progress: float) -> dict[str, float]:
        """Improves the source, rolls one window, takes one actor step and trains the critic, if there is one.

        Args:
            progress: From 0 to 1 over the training; the learning rates follow it.

        Returns:
            Figures to log, means over the window.

        Raises:
            DbpError: A loss or gradient is not finite; the actor is left as it was.
        """
        figures = self.source.learn(self._generator, progress)
        every = self.config.measure_every
        exact = None
        if every and self._windows % every == 0:
            if isinstance(self.env.task, Differentiable):
                exact = self._exact_gradient()
            else:
                figures |= self._quality_by_differences()
        window = self.roll(self.source)
        reward, soft, loss = self._objective(window)
        gradient = self._actor_gradient(loss)
        if exact is not None:
            figures |= gradient_quality(gradient, exact)
        norm = self._step_actor(loss, gradient, progress)
        self.actor.normaliser.update(window.observation)
        self._average()
        if self.critic is not None:
            figures |= self._train_critic(window, soft.detach(), progress)
        if self.temperature is not None:
            figures |= self.temperature.learn(window.log_prob)
        with torch.no_grad():
            metrics = self.env.task.metrics(window.reached, window.memory)
        figures |= {name: value.mean().item() for name, value in metrics.items()}
        falls = window.terminated.float().mean().item()
        return figures | {"reward": reward.mean().item(), "falls_per_step": falls, "actor_grad_norm": norm}

    def roll(self, source: GradientSource) -> Window:
        """Rolls one window from where the environments are, through the derivatives of `source`."""
        env, state, memory, hidden = self.env, self.env.state, self.env.memory, self._hidden
        rows = []
        for k in range(self.config.horizon):
            if k % (self.config.segment or self.config.horizon) == 0:
                state, memory, hidden = state.detach(), memory.map(Tensor.detach), hidden.detach()
                source.cut()
            observation = env.observe(state, memory)
            action, log_prob, hidden = self._act(observation, self._new_noise(), hidden)
            reached, t = source.step(env, state, memory, action)
            if self.config.adjoint_clip is not None:  # the loss is a mean over all steps
                clip_adjoint(reached, self.config.adjoint_clip / (env.num_envs * self.config.horizon))
            end = replace(t.reached_memory, last_action=action, previous_action=memory.last_action)
            before = (state.detach(), memory, observation.detach(), action, log_prob)
            rows.append((*before, reached, end, t.terminated, t.truncated))
            state = carry(t.state, reached, t.done)
            memory = t.memory.map(lambda start, old, done=t.done: carry(start, old, done), end)
            if self.config.recurrent:
                hidden = torch.where(t.done[:, None], 0.0, hidden)
        self._hidden = hidden.detach()
        columns = zip(*rows, strict=True)
        return Window(*(_stack(column) for column in columns))

    def _new_noise(self) -> Tensor:
        """The exploration of a step, (N, action_size): AR(1) of unit variance, z' = m z + sqrt(1 - m²) e."""
        m, fresh = self.config.exploration_memory, torch.randn(self._noise.shape, generator=self._generator)
        self._noise = m * self._noise + (1.0 - m**2) ** 0.5 * fresh
        return self._noise

    def _act(self, observation: Tensor, noise: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Actions and their log-probability, by a standard normal `noise`, and the actor's next hidden state."""
        remembered = {}
        if self.config.recurrent:
            remembered["hidden"] = hidden = self.actor.remember(observation, hidden)
        if self.temperature is not None:
            return *self.actor.sample(observation, noise, **remembered), hidden
        action = self.actor(observation, self.config.exploration * noise, **remembered)
        return action, torch.zeros(len(noise)), hidden

    def _objective(self, window: Window) -> tuple[Tensor, Tensor, Tensor]:
        """Rewards of the window (H, N), the same with the bonus for entropy, and the actor's loss: minus the mean
        return per step of its segments."""
        c = self.config
        plain = reward = self.env.task.reward(window.reached, window.action, window.memory)
        if self.temperature is not None:
            reward = reward + self.temperature.bonus(window.log_prob)
        value = None
        if c.tail == "bootstrap":
            value = self.critic.value(self._critic_input(window.reached, window.reached_memory))
        elif c.tail == "monte-carlo":
            value = returns_to_go(reward.detach(), window.terminated | window.truncated, c.discount)
        length = c.segment or c.horizon
        returns = 0.0
        for start in range(0, c.horizon, length):
            part = slice(start, start + length)
            rows = (reward[part], window.terminated[part], window.truncated[part])
            returns = returns + window_returns(*rows, c.discount, None if value is None else value[part])
        return plain, reward, -returns.mean() / c.horizon

    def _critic_input(self, state: Tensor, memory: Memory) -> Tensor:
        """All the simulator knows, and the observation, which holds the command and the clock."""
        return torch.cat([state, self.env.task.observe(state, memory)], -1)

    @torch.no_grad()
    def _train_critic(self, window: Window, reward: Tensor, progress: float) -> dict[str, float]:
        reached = self._critic_input(window.reached, window.reached_memory)
        value = self.critic.cautious_value(reached, self._generator)
        ends = (window.terminated, window.truncated)
        target = td_lambda(reward, *ends, value, self.config.discount, self.config.critic.lam)
        inputs = self._critic_input(window.state, window.memory)
        with torch.enable_grad():
            return self.critic.learn(inputs.flatten(0, 1), target.flatten(), self._generator, progress)

    def _actor_gradient(self, loss: Tensor) -> tuple[Tensor, ...]:
        """Of the actor alone: neither source nor critic is trained by this loss."""
        return torch.autograd.grad(loss, list(self.actor.parameters()))

    def _exact_gradient(self) -> tuple[Tensor, ...]:
        """The actor's gradient over the coming window by the task's own derivatives; changes nothing."""
        env, generator = self.env.state_dict(), self._generator.get_state()
        hidden, noise = self._hidden, self._noise
        *_, loss = self._objective(self.roll(Analytic()))
        self.env.load_state_dict(env)
        self._hidden, self._noise = hidden, noise
        self._generator.set_state(generator)
        return self._actor_gradient(loss)

    def _quality_by_differences(self) -> dict[str, float]:
        """How good the gradient is over a window from one of the environments; changes nothing."""
        c, remembers = self.config, self.source.remembers
        noise = torch.randn(
            c.horizon, self.env.task.action_size, generator=torch.Generator().manual_seed(self._windows)
        )
        row = self._windows // c.measure_every % self.env.num_envs

        def actor(num: int) -> Callable[[Tensor, Tensor], Tensor]:
            hidden = self._hidden[row].expand(num, -1)

            def act(observation: Tensor, noise: Tensor) -> Tensor:
                nonlocal hidden
                action, _, hidden = self._act(observation, noise, hidden)
                return action

            return act

        self.source.remembers = False
        exact = difference_gradient(self.env, row, actor(2 * noise.numel()), noise, c.discount)
        estimate = source_gradient(self.env, row, self.source, actor(1), noise, c.discount)
        self.source.remembers = remembers
        return gradient_quality([estimate], [exact])

    def _step_actor(self, loss: Tensor, gradient: tuple[Tensor, ...], progress: float) -> float:
        parameters = list(self.actor.parameters())
        for parameter, part in zip(parameters, gradient, strict=True):
            parameter.grad = part
        parallel.average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.grad_clip).item()
        if not (torch.isfinite(loss) and norm < float("inf")):
            raise DbpError(f"actor: expected a finite loss and gradient, got loss {loss.item()}, gradient norm {norm}")
        self._optimiser.param_groups[0]["lr"] = falling(self.config.lr, self.config.lr_end, progress)
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
            "policy": self.averaged.state_dict(),
            "windows": self._windows,
            "optimiser": self._optimiser.state_dict(),
            "source": self.source.state_dict(),
            "critic": None if self.critic is None else self.critic.state_dict(),
            "temperature": None if self.temperature is None else self.temperature.state_dict(),
            "env": self.env.state_dict(),
            "hidden": self._hidden,
            "noise": self._noise,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self.actor.load_state_dict(state["actor"])
        self.averaged.load_state_dict(state["policy"])
        self._windows = state["windows"]
        self._optimiser.load_state_dict(state["optimiser"])
        self.source.load_state_dict(state["source"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
        if self.temperature is not None:
            self.temperature.load_state_dict(state["temperature"])
        self.env.load_state_dict(state["env"])
        self._hidden, self._noise = state["hidden"], state["noise"]
        self._generator.set_state(state["generator"])

    def begin_with(self, state: dict[str, Any]) -> None:
        """Takes over what an earlier run has learned, from its `state_dict`; the environment and the schedule are new.

        Replaces `prepare`.
        """
        self.actor.load_state_dict(state["actor"])
        self.averaged.load_state_dict(state["policy"])
        self.source.load_state_dict({name: part for name, part in state["source"].items() if name != "episodes"})
        for name in ("critic", "temperature"):
            part = getattr(self, name)
            if part is not None:
                part.load_state_dict(state[name])


def _stack(rows: tuple) -> Any:
    """Tensors or memories of each step as one with a leading axis of steps."""
    if isinstance(rows[0], Memory):
        return rows[0].map(lambda *parts: torch.stack(parts), *rows[1:])
    return torch.stack(rows)
