"""The gradient by finite differences: exact where it can be checked, and a measurement that changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training.algorithms import dmo
from dbp_training.env import Env
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.gradient import Analytic
from dbp_training.gradient.finite_differences import difference_gradient, source_gradient
from dbp_training.networks import Actor
from dbp_training.tasks.go2_robot import full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.tasks.hopper import Hopper
from dbp_training.tasks.navigation import Navigation
from dbp_training.tasks.point_mass import PointMass
from dbp_training.train_arguments import Train, checked, new_config

torch.set_num_threads(1)


def _trainer(task, **changes) -> FirstOrderTrainer:
    torch.manual_seed(0)
    algorithm = dmo(task.name)
    loop = replace(algorithm.first_order, num_envs=4, horizon=4, **changes)
    model = replace(algorithm.dynamics, hidden=(32,), prefill=400, initial_updates=20, batch=64)
    algorithm = replace(algorithm, first_order=loop, dynamics=model)
    return algorithm.make_trainer(Env(task, 4, 0), 0)


@pytest.mark.parametrize("task", [PointMass(), Navigation()], ids=lambda task: task.name)
def test_it_is_the_exact_gradient_of_a_differentiable_simulator(task):
    torch.manual_seed(0)
    env, network = Env(task, 3, 0), Actor(task.observation_size, task.action_size, (16,))
    noise = 0.3 * torch.randn(12, task.action_size)
    for row in range(3):
        by_hand = difference_gradient(env, row, network, noise, 0.95)
        exact = source_gradient(env, row, Analytic(), network, noise, 0.95)
        assert exact.abs().max() > 1e-3
        torch.testing.assert_close(by_hand, exact, atol=2e-3, rtol=2e-2)


def test_by_hand_on_a_line():
    # x' = x + v', v' = v + a with dt = 1, force 1, no drag: a first push counts in both rewards, the second in one.
    task = PointMass(replace(PointMass().config, dt=1.0, acceleration=1.0, drag=0.0, effort=0.0))
    env = Env(task, 1, 0, commands=torch.zeros(1, 1))
    env.sim.state[0] = torch.tensor([0.25, 0.0])
    env.state = task.read_state(env.sim)
    gradient = difference_gradient(env, 0, lambda observation, noise: 0.0 * noise, torch.zeros(2, 1), 0.5)
    # r = 1 - x^2 - 0.1 v^2 at x = 0.25, v = 0: dr1/da1 = -2 x = -0.5; dr2/da1 = -2 x 2 = -1; dr2/da2 = -0.5
    torch.testing.assert_close(gradient[:, 0], torch.tensor([-0.5 + 0.5 * -1.0, 0.5 * -0.5]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "task", [Go2Walk(Go2WalkConfig(randomisation=full_randomisation())), Hopper()], ids=lambda t: t.name
)
def test_a_fork_goes_on_as_its_environment(task):
    env = Env(task, 4, 3)
    for _ in range(3):
        env.step(0.3 * torch.randn(4, task.action_size))
    before = env.state_dict()
    fork = env.fork(np.array([2, 2, 1]))
    torch.testing.assert_close(fork.state, env.state[[2, 2, 1]], rtol=0, atol=0)
    action = 0.3 * torch.randn(4, task.action_size)
    reached = fork.step(action[[2, 2, 1]]).reached
    assert torch.equal(fork.memory.command, before["memory"]["command"][[2, 2, 1]])
    assert all(torch.equal(getattr(env.memory, n), v) for n, v in before["memory"].items()), "left alone"
    torch.testing.assert_close(reached, env.step(action).reached[[2, 2, 1]], rtol=0, atol=0)


def test_an_end_stops_the_return():
    class Failing(PointMass):
        def failed(self, state):
            return state[..., 0] > 0.5

    task = Failing()
    env = Env(task, 1, 0, commands=torch.zeros(1, 1))
    env.sim.state[0] = torch.tensor([0.45, 2.0])  # the first step leads beyond
    env.state = task.read_state(env.sim)
    gradient = difference_gradient(env, 0, lambda observation, noise: 0.0 * noise, torch.zeros(3, 1), 1.0)
    assert gradient[0].abs() > 0.0 and gradient[1:].abs().max() == 0.0


def test_measuring_changes_nothing():
    measured, plain = _trainer(Go2Walk(), measure_every=2), _trainer(Go2Walk())
    for trainer in (measured, plain):
        trainer.prepare()
    for k in range(3):
        found, expected = measured.train_window(k / 3), plain.train_window(k / 3)
        quality = {name: found.pop(name) for name in ("gradient_cosine", "gradient_relative_error") if name in found}
        assert found == expected and len(quality) == (0 if k == 1 else 2)
        assert all(np.isfinite(value) for value in quality.values())


def test_where_it_cannot_be_measured_it_is_refused():
    with pytest.raises(ValueError, match="measure_every: expected a task without randomisation"):
        _trainer(Go2Walk(Go2WalkConfig(randomisation=full_randomisation())), measure_every=1)
    for changes in ({"algorithm": "ppo"}, {"randomise": "full"}):
        with pytest.raises(DbpError, match="--measure-gradient: expected a learned gradient and --randomise none"):
            new_config(Train("go2_walk", measure_gradient=5, **changes))
    with pytest.raises(DbpError, match="--measure-gradient: expected a number that is not negative, got -1"):
        checked(Train("go2_walk", measure_gradient=-1))
    config = new_config(Train("go2_walk", measure_gradient=5))
    assert config.algorithm.first_order.measure_every == 5
