"""Swapped states, windows of gradients and returns, against hand-made numbers and chained Jacobians."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training.dynamics import DynamicsConfig
from dbp_training.env import Env, Memory, Transition
from dbp_training.first_order import FirstOrderConfig, FirstOrderTrainer, window_returns
from dbp_training.gradient import Decoupled, carry, swap
from dbp_training.tasks.go2_walk import Go2Walk

torch.set_num_threads(1)
NONE = torch.zeros(2, dtype=torch.bool)


def test_swap_is_the_simulator_bitwise_forwards_and_the_model_backwards():
    simulated = torch.randn(5, 3) * 1e6
    predicted = torch.randn(5, 3, requires_grad=True)
    simulated_leaf = simulated.clone().requires_grad_()
    swapped = swap(simulated_leaf, predicted)
    assert torch.equal(swapped, simulated)
    (swapped * torch.arange(15.0).reshape(5, 3)).sum().backward()
    assert torch.equal(predicted.grad, torch.arange(15.0).reshape(5, 3))
    assert simulated_leaf.grad is None


def test_carry_takes_the_new_start_and_cuts_the_graph_where_done():
    reached = torch.ones(2, 1, requires_grad=True)
    start = torch.tensor([[1.5], [9.0]])
    result = carry(start, reached * 2.0, torch.tensor([False, True]))
    assert torch.equal(result, start)
    result.sum().backward()
    assert reached.grad.flatten().tolist() == [2.0, 0.0]


# A linear system in place of the environment and the model: s' = A s + B a, learned exactly ---------------------------

A = torch.tensor([[0.9, 0.2], [-0.1, 0.8]])
B = torch.tensor([[0.5], [1.0]])


class LinearTask:
    """Reward -|s'|², actor input = state; ends where told."""

    state_size, action_size, observation_size = 2, 1, 2
    observation_noise = torch.zeros(2)

    def observe(self, state, memory):
        return state

    def reward(self, reached, action, memory):
        return -(reached**2).sum(-1)

    def metrics(self, reached, memory):
        return {}


class LinearEnv:
    """Two environments; environment 1 ends after its step `end_at` and starts again at `RESTART`."""

    RESTART = torch.tensor([3.0, -1.0])

    def __init__(self, end_at: int | None = None, truncates: bool = False) -> None:
        self.task, self.num_envs, self.end_at, self.truncates, self.count = LinearTask(), 2, end_at, truncates, 0
        self.state = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
        self.memory = Memory(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, 0), torch.zeros(2, 1))

    def observe(self, state, memory):
        return state

    def step(self, action):
        with torch.no_grad():
            reached = self.state @ A.T + action @ B.T
            ends = torch.tensor([False, self.count == self.end_at])
            self.count += 1
            self.state = torch.where(ends[:, None], self.RESTART, reached)
            keep = (~ends[:, None]).float()
            self.memory = Memory(action.detach() * keep, self.memory.last_action * keep, *self._rest())
            terminated, truncated = (NONE, ends) if self.truncates else (ends, NONE)
            reward = self.task.reward(reached, action, self.memory)
        return Transition(reached, reward, terminated, truncated, ~NONE, self.state, self.memory)

    def _rest(self):
        return self.memory.command, self.memory.phase


class ExactModel:
    """A gradient source whose model is the true linear system."""

    def step(self, env, state, memory, action):
        t = env.step(action)
        return swap(t.reached, state @ A.T + action @ B.T), t


def _linear_actor(trainer: FirstOrderTrainer, gain: torch.Tensor) -> None:
    trainer.actor = lambda observation, noise=0.0: observation @ gain.T


def _window_gradient(env: LinearEnv, horizon: int, discount: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    trainer = FirstOrderTrainer(env, ExactModel(), FirstOrderConfig(num_envs=2, horizon=horizon, hidden=(4,)), seed=0)
    gain = torch.tensor([[-0.3, 0.1]], requires_grad=True)
    _linear_actor(trainer, gain)
    window = trainer.roll()
    reward = env.task.reward(window.reached, window.action, window.memory)
    returns = window_returns(reward, window.terminated, window.truncated, discount)
    return torch.autograd.grad(returns.sum(), gain)[0], window.reached.detach()


def _hand_chained(start: np.ndarray, steps: int) -> np.ndarray:
    """d(sum of rewards)/d(gain) of one environment by the chain rule in closed form, in float64."""
    a, b, k = A.double().numpy(), B.double().numpy(), np.array([[-0.3, 0.1]])
    s, ds = start.astype(float), np.zeros((2, 2))  # ds[i, j] = d s_i / d k_j
    total = np.zeros(2)
    for _ in range(steps):
        da = s + (k @ ds)[0]  # a = k s:  da/dk_j = s_j + k ds/dk_j
        s, ds = a @ s + b[:, 0] * (k @ s), a @ ds + np.outer(b[:, 0], da)
        total += -2.0 * s @ ds
    return total


def test_a_windows_gradient_is_the_chain_of_jacobians_on_a_linear_system():
    gradient, _ = _window_gradient(LinearEnv(), horizon=6)
    expected = _hand_chained(np.array([1.0, 2.0]), 6) + _hand_chained(np.array([0.5, -1.0]), 6)
    np.testing.assert_allclose(gradient[0].numpy(), expected, rtol=1e-4)


def test_no_gradient_crosses_the_end_of_an_episode():
    for truncates in (False, True):
        gradient, reached = _window_gradient(LinearEnv(end_at=1, truncates=truncates), horizon=6)
        expected = _hand_chained(np.array([1.0, 2.0]), 6)
        expected += _hand_chained(np.array([0.5, -1.0]), 2) + _hand_chained(np.array([3.0, -1.0]), 4)
        np.testing.assert_allclose(gradient[0].numpy(), expected, rtol=1e-4)
        assert not torch.equal(reached[1, 1], LinearEnv.RESTART)  # what was reached, not what it was reset to


# Returns by hand -----------------------------------------------------------------------------------------------------


def _returns(terminated: list[int], truncated: list[int], value: list[float] | None = None) -> float:
    """Of one environment with rewards 1, 2, 3, 4 and discount 0.5."""
    column = [torch.tensor(x)[:, None] for x in ([1.0, 2.0, 3.0, 4.0], terminated, truncated)]
    value = None if value is None else torch.tensor(value)[:, None]
    return window_returns(column[0], column[1].bool(), column[2].bool(), 0.5, value).item()


def test_discounting_starts_anew_with_each_episode():
    assert _returns([0, 0, 0, 0], [0, 0, 0, 0]) == 1 + 2 / 2 + 3 / 4 + 4 / 8
    assert _returns([0, 1, 0, 0], [0, 0, 0, 0]) == (1 + 2 / 2) + (3 + 4 / 2)
    assert _returns([0, 0, 0, 0], [0, 1, 0, 0]) == (1 + 2 / 2) + (3 + 4 / 2)


def test_a_time_limit_goes_on_with_the_value_and_a_failure_does_not():
    value = [10.0, 20.0, 40.0, 80.0]
    assert _returns([0, 0, 0, 0], [0, 0, 0, 0], value) == 1 + 2 / 2 + 3 / 4 + 4 / 8 + 80 / 16
    assert _returns([0, 0, 0, 0], [0, 1, 0, 0], value) == (1 + 2 / 2 + 20 / 4) + (3 + 4 / 2 + 80 / 4)
    assert _returns([0, 1, 0, 0], [0, 0, 0, 0], value) == (1 + 2 / 2) + (3 + 4 / 2 + 80 / 4)
    assert _returns([0, 0, 0, 1], [0, 0, 0, 0], value) == 1 + 2 / 2 + 3 / 4 + 4 / 8


# The real thing ------------------------------------------------------------------------------------------------------


def _small_trainer(seed: int = 0) -> FirstOrderTrainer:
    torch.manual_seed(seed)
    task = Go2Walk()
    dynamics = DynamicsConfig(hidden=(32,), prefill=64, initial_updates=2, updates=1, batch=16, capacity=1000)
    source = Decoupled(dynamics, task.state_size, task.action_size)
    return FirstOrderTrainer(
        Env(task, 8, seed), source, FirstOrderConfig(num_envs=8, horizon=4, hidden=(16,)), seed
    )


def test_the_states_of_a_window_are_the_simulators_bitwise():
    trainer, twin = _small_trainer(), _small_trainer()
    for t in (trainer, twin):
        t.prepare()
    window = trainer.roll()
    for k in range(len(window.action)):
        t = twin.env.step(window.action[k])
        assert torch.equal(t.reached, window.reached[k].detach())
        assert torch.equal(t.terminated, window.terminated[k])


def test_the_actors_loss_leaves_the_model_alone_and_reaches_every_actor_parameter():
    trainer = _small_trainer()
    trainer.prepare()
    before = [p.clone() for p in trainer.actor.parameters()]
    trainer.source.learn(trainer._generator, 0.0)
    trainer.source._optimiser.zero_grad(set_to_none=True)
    trainer.source.learn = lambda generator, progress: {}
    trainer.train_window(0.0)
    assert all(p.grad is None for p in trainer.source.model.parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.actor.parameters(), strict=True))


def test_the_averaged_actor_is_the_running_mean_of_the_actor():
    trainer = _small_trainer()
    trainer.prepare()
    expected = {name: torch.zeros_like(value) for name, value in trainer.averaged.state_dict().items()}
    for share in (16 / 16, 16 / 17, 16 / 18):
        trainer.train_window(0.0)
        for name, value in trainer.actor.state_dict().items():
            expected[name] = (1.0 - share) * expected[name] + share * value
    for name, value in trainer.averaged.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_a_loss_that_is_not_finite_stops_before_the_actor_changes():
    trainer = _small_trainer()
    trainer.prepare()
    reward = trainer.env.task.reward
    trainer.env.task = SimpleNamespace(
        **{n: getattr(trainer.env.task, n) for n in dir(trainer.env.task) if not n.startswith("__")}
    )
    trainer.env.task.reward = lambda *args: reward(*args) * float("nan")
    before = [p.clone() for p in trainer.actor.parameters()]
    with pytest.raises(DbpError, match="expected a finite loss"):
        trainer.train_window(0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.actor.parameters(), strict=True))


def test_a_restored_trainer_goes_on_along_the_same_curve():
    one, other = _small_trainer(0), _small_trainer(1)
    one.prepare()
    one.train_window(0.1)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    figures = [[t.train_window(0.2), t.train_window(0.3)] for t in (one, other)]
    assert figures[0] == figures[1]
