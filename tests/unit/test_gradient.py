"""Swapped states, windows of gradients and returns, against hand-made numbers and chained Jacobians."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training.dynamics import DynamicsConfig
from dbp_training.env import Env, Memory, Transition
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.first_order_config import FirstOrderConfig
from dbp_training.gradient import Analytic, Decoupled, GradientSource, Imagined, carry, clip_adjoint, swap
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


def test_a_clipped_adjoint_keeps_its_direction_row_by_row_and_hides_nothing_that_is_not_finite():
    leaf = torch.zeros(5, 2, requires_grad=True)
    reached = leaf * 1.0
    clip_adjoint(reached, limit=5.0)
    reached.backward(torch.tensor([[3.0, 4.0], [6.0, -8.0], [0.0, 0.0], [torch.nan, 1.0], [torch.inf, 1.0]]))
    torch.testing.assert_close(leaf.grad[:3], torch.tensor([[3.0, 4.0], [3.0, -4.0], [0.0, 0.0]]))
    assert not torch.isfinite(leaf.grad[3:]).all(-1).any()
    clip_adjoint(torch.zeros(1, 1), limit=5.0)  # nothing flows back through what has no graph


# A linear system in place of the environment: s' = A s + B a; the learned model is another one, so that it matters at
# which states a source takes which system's derivative ---------------------------------------------------------------

A, B = torch.tensor([[0.9, 0.2], [-0.1, 0.8]]), torch.tensor([[0.5], [1.0]])
MODEL_A, MODEL_B = torch.tensor([[0.8, 0.3], [0.0, 0.7]]), torch.tensor([[0.7], [0.9]])
GAIN = np.array([[-0.3, 0.1]])


class LinearTask:
    """Reward -|s'|² - a²/10, actor input = state; ends where told."""

    name, state_size, action_size, observation_size = "linear", 2, 1, 2
    observation_noise = torch.zeros(2)
    switch = None

    def dynamics(self, state, action):
        return state @ A.T + action @ B.T

    def observe(self, state, memory):
        return state

    def reward(self, reached, action, memory):
        return -(reached**2).sum(-1) - 0.1 * (action**2).sum(-1)

    def terminated(self, reached, memory):
        return torch.zeros(len(reached), dtype=torch.bool)

    def metrics(self, reached, memory):
        return {}


class LinearEnv:
    """Two environments; environment 1 ends after its step `end_at` and starts again at `RESTART`."""

    RESTART = torch.tensor([3.0, -1.0])

    def __init__(self, end_at: int | None = None, truncates: bool = False) -> None:
        self.task, self.num_envs, self.end_at, self.truncates, self.count = LinearTask(), 2, end_at, truncates, 0
        self.state = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
        self.memory = Memory(
            torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, 0), torch.zeros(2, 1), torch.zeros(2, 1)
        )

    def observe(self, state, memory):
        return state

    @torch.no_grad()
    def step(self, action):
        reached = self.task.dynamics(self.state, action)
        ends = torch.tensor([False, self.count == self.end_at])
        self.count += 1
        self.state = torch.where(ends[:, None], self.RESTART, reached)
        keep, rest = (~ends[:, None]).float(), (self.memory.command, self.memory.phase, self.memory.age)
        reached_memory = Memory(action, self.memory.last_action, *rest)
        self.memory = Memory(action * keep, self.memory.last_action * keep, *rest)
        terminated, truncated = (NONE, ends) if self.truncates else (ends, NONE)
        rewarded = partial(self.task.reward, reached, action, self.memory)
        return Transition(reached, reached_memory, terminated, truncated, ~NONE, self.state, self.memory, rewarded)


def _learned(kind: type, a: torch.Tensor = MODEL_A, b: torch.Tensor = MODEL_B) -> GradientSource:
    """A source whose model is one linear layer that computes s' = a s + b u."""
    source = kind(DynamicsConfig(hidden=(), capacity=100), 2, 1)
    layer, model = source.model.mlp[0], source.model
    with torch.no_grad():
        model.state_normaliser.var.fill_(1.0 - 1e-5)
        model.target_normaliser.var.fill_(1.0 - 1e-5)
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[:2, :2], layer.weight[:2, 3:] = a - torch.eye(2), b
    model.update_normalisers = lambda state, reached: None
    return source


def _window(env: LinearEnv, source: GradientSource, horizon: int, **config) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the sum of all returns with respect to the actor's gain, and the states reached."""
    settings = FirstOrderConfig(num_envs=2, horizon=horizon, hidden=(4,), discount=1.0, exploration=0.0, **config)
    trainer = FirstOrderTrainer(env, source, settings, seed=0)
    gain = torch.tensor(GAIN, dtype=torch.float32, requires_grad=True)
    trainer.actor = lambda observation, noise=0.0: observation @ gain.T
    window = trainer.roll(source)
    *_, loss = trainer._objective(window)
    return -2 * horizon * torch.autograd.grad(loss, gain)[0][0], window.reached.detach()


def _hand_chained(start: list[float], steps: int, real=(A, B), slope=(A, B)) -> np.ndarray:
    """d(sum of rewards)/d(gain) of one environment by the chain rule: states of `real`, slopes of `slope`."""
    (a, b), (da_ds, da_du) = ([part.double().numpy() for part in system] for system in (real, slope))
    s, ds = np.array(start), np.zeros((2, 2))  # ds[i, j] = d s_i / d k_j
    total = np.zeros(2)
    for _ in range(steps):
        u, du = GAIN @ s, s + (GAIN @ ds)[0]  # u = k s:  du/dk_j = s_j + k ds/dk_j
        s, ds = a @ s + b @ u, da_ds @ ds + np.outer(da_du[:, 0], du)
        total += -2.0 * s @ ds - 0.2 * u * du
    return total


MODEL = (MODEL_A, MODEL_B)
SOURCES = {
    "analytic": (Analytic, {}),
    "decoupled": (lambda: _learned(Decoupled), {"slope": MODEL}),
    "imagined": (lambda: _learned(Imagined), {"real": MODEL, "slope": MODEL}),
}


@pytest.mark.parametrize("source, systems", SOURCES.values(), ids=SOURCES)
def test_a_windows_gradient_is_the_chain_of_jacobians(source, systems):
    gradient, _ = _window(LinearEnv(), source(), horizon=6)
    expected = _hand_chained([1.0, 2.0], 6, **systems) + _hand_chained([0.5, -1.0], 6, **systems)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize("source, systems", SOURCES.values(), ids=SOURCES)
def test_no_gradient_crosses_the_end_of_an_episode(source, systems, truncates):
    gradient, reached = _window(LinearEnv(end_at=1, truncates=truncates), source(), horizon=6)
    expected = _hand_chained([1.0, 2.0], 6, **systems)
    expected += _hand_chained([0.5, -1.0], 2, **systems) + _hand_chained([3.0, -1.0], 4, **systems)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)
    assert not torch.equal(reached[1, 1], LinearEnv.RESTART)  # what was reached, not what it was reset to


def test_no_gradient_crosses_the_border_of_segments():
    gradient, reached = _window(LinearEnv(), Analytic(), horizon=6, segment=2)
    starts = torch.cat([torch.tensor([[[1.0, 2.0], [0.5, -1.0]]]), reached[[1, 3]]])
    expected = sum(_hand_chained(start, 2) for start in starts.flatten(0, 1).tolist())
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("source, systems", SOURCES.values(), ids=SOURCES)
def test_an_adjoint_is_clipped_to_a_slope_of_an_environments_own_return(source, systems):
    """Both environments' two steps by hand: of the first state's slope no more than the limit goes on to the gain."""
    limit, expected = 1.5, np.zeros(2)
    (a, b), (da_ds, da_du) = (
        [part.double().numpy() for part in system]
        for system in (systems.get("real", (A, B)), systems.get("slope", (A, B)))
    )
    for start in ([1.0, 2.0], [0.5, -1.0]):
        s0 = np.array(start)
        u0 = GAIN @ s0
        s1 = a @ s0 + b @ u0
        u1 = GAIN @ s1
        s2 = a @ s1 + b @ u1

        def clipped(slope: np.ndarray) -> np.ndarray:
            return slope * min(1.0, limit / np.linalg.norm(slope))

        at_s2 = clipped(-2.0 * s2)  # reward -|s'|² - u²/10
        at_u1 = at_s2 @ da_du[:, 0] - 0.2 * u1[0]
        at_s1 = clipped(-2.0 * s1 + at_s2 @ da_ds + at_u1 * GAIN[0])
        at_u0 = at_s1 @ da_du[:, 0] - 0.2 * u0[0]
        expected += at_u1 * s1 + at_u0 * s0
        assert np.linalg.norm(-2.0 * s2) > limit
    gradient, _ = _window(LinearEnv(), source(), horizon=2, adjoint_clip=limit)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)


def test_the_states_are_the_simulators_for_two_sources_and_the_models_for_the_third():
    states = {name: _window(LinearEnv(), source(), horizon=5)[1] for name, (source, _) in SOURCES.items()}
    assert torch.equal(states["analytic"], states["decoupled"])
    assert not torch.allclose(states["analytic"], states["imagined"])
    s = torch.tensor([1.0, 2.0])
    for k in range(5):
        s = MODEL_A @ s + MODEL_B[:, 0] * (torch.tensor(GAIN[0], dtype=torch.float32) @ s)
        torch.testing.assert_close(states["imagined"][k, 0], s)


def test_on_a_linear_quadratic_problem_analytic_and_a_perfect_model_give_the_known_gradient():
    """The policy gradient of finite-horizon LQR, dJ/dK = 2 sum_k (R K + B' P_{k+1} (A + B K)) s_k s_k', where P solves
    the Lyapunov recursion P_k = (A + B K)' (Q + P_{k+1}) (A + B K) + K' R K (here Q weighs the state reached)."""
    a, b, q, r = A.double().numpy(), B.double().numpy(), np.eye(2), np.array([[0.1]])
    closed, steps = a + b @ GAIN, 8
    cost_to_go = [np.zeros((2, 2))]
    for _ in range(steps):
        cost_to_go.append(closed.T @ (q + cost_to_go[-1]) @ closed + GAIN.T @ r @ GAIN)
    known = np.zeros((1, 2))
    for start in ([1.0, 2.0], [0.5, -1.0]):
        s = np.array(start)
        for k in range(steps):
            p = q + cost_to_go[steps - 1 - k]
            known += 2.0 * (r @ GAIN + b.T @ p @ closed) @ np.outer(s, s)
            s = closed @ s
    for source in (Analytic(), _learned(Decoupled, A, B), _learned(Imagined, A, B)):
        gradient, _ = _window(LinearEnv(), source, steps)
        np.testing.assert_allclose(gradient.numpy(), -known[0], rtol=1e-4)


def test_an_imagined_failure_goes_on_from_the_simulator_and_a_real_end_is_no_imagined_failure():
    env, source = LinearEnv(end_at=0), _learned(Imagined)
    env.task.terminated = lambda reached, memory: torch.tensor([True, False])
    state, action = env.state, torch.zeros(2, 1)
    imagined, t = source.step(env, state, env.memory, action)
    torch.testing.assert_close(imagined, state @ MODEL_A.T)
    assert t.terminated.tolist() == [True, False] and t.truncated.tolist() == [False, True]
    assert torch.equal(t.state, env.state)
    assert torch.equal(t.reward, env.task.reward(imagined, action, env.memory).detach())
    kept = source.replay.sample(20, torch.Generator())
    assert set(map(tuple, kept["reached"].tolist())) == set(map(tuple, (state @ A.T).tolist()))  # real ones alone


# The real thing ------------------------------------------------------------------------------------------------------


def _small_trainer(seed: int = 0) -> FirstOrderTrainer:
    torch.manual_seed(seed)
    task = Go2Walk()
    dynamics = DynamicsConfig(hidden=(32,), prefill=64, initial_updates=2, updates=1, batch=16, capacity=1000)
    source = Decoupled(dynamics, task.state_size, task.action_size)
    return FirstOrderTrainer(Env(task, 8, seed), source, FirstOrderConfig(num_envs=8, horizon=4, hidden=(16,)), seed)


def test_dmo_on_the_robot_is_what_it_was_before_the_trainer_knew_other_algorithms():
    """Figures of the trainer that had nothing but `Decoupled` and no critic; bit for bit the same on one machine, and
    on another one up to what few contacts amplify."""
    trainer = _small_trainer()
    trainer.prepare()
    rows = [trainer.train_window(k / 5) for k in range(4)]
    reward = [-0.19966432, -0.57794249, -0.46327272, -0.75974709]
    norm = [0.19771227, 0.17119078, 0.15661265, 0.18854761]
    assert [row["reward"] for row in rows] == pytest.approx(reward, rel=1e-4)
    assert [row["actor_grad_norm"] for row in rows] == pytest.approx(norm, rel=1e-3)
    assert sum(p.abs().sum().item() for p in trainer.actor.parameters()) == pytest.approx(72.942928, rel=1e-5)


def test_the_states_of_a_window_are_the_simulators_bitwise():
    trainer, twin = _small_trainer(), _small_trainer()
    for t in (trainer, twin):
        t.prepare()
    window = trainer.roll(trainer.source)
    for k in range(len(window.action)):
        t = twin.env.step(window.action[k])
        assert torch.equal(t.reached, window.reached[k].detach())
        assert torch.equal(t.terminated, window.terminated[k])


def test_exploration_that_lasts_is_as_wide_and_as_alike_as_told():
    trainer = _small_trainer()
    trainer.config = replace(trainer.config, exploration_memory=0.8)
    noise = torch.stack([trainer._new_noise() for _ in range(5000)])[50:]
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    for lag in (1, 2, 3):
        assert (noise[lag:] * noise[:-lag]).mean().item() == pytest.approx(0.8**lag, abs=0.03)


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
    for trainer in (one, other):
        trainer.config = replace(trainer.config, exploration_memory=0.8, adjoint_clip=1.0)
    one.prepare()
    one.train_window(0.1)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    figures = [[t.train_window(0.2), t.train_window(0.3)] for t in (one, other)]
    assert figures[0] == figures[1]
