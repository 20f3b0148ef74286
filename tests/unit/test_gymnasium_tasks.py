"""Hopper, HalfCheetah, Ant and Humanoid are gymnasium's own: observation, reward and end, step by step."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

from dbp_training.algorithms import ALGORITHMS, dmo
from dbp_training.env import Env
from dbp_training.evaluate import evaluate
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.tasks.ant import Ant, AntConfig
from dbp_training.tasks.half_cheetah import HalfCheetah
from dbp_training.tasks.hopper import ANGLE, HEIGHT, Hopper, HopperConfig
from dbp_training.tasks.humanoid import Humanoid, HumanoidConfig

torch.set_num_threads(1)

NO_DERIVED = {f"include_{name}_in_observation": False for name in ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")}
CASES = {
    "hopper": (Hopper, "Hopper-v5", {}),
    "half_cheetah": (HalfCheetah, "HalfCheetah-v5", {}),
    "ant": (Ant, "Ant-v5", {"include_cfrc_ext_in_observation": False}),
    "ant, all observed": (lambda: Ant(AntConfig(observe_contacts=True)), "Ant-v5", {}),
    "humanoid": (Humanoid, "Humanoid-v5", NO_DERIVED),
    "humanoid, all observed": (lambda: Humanoid(HumanoidConfig(observe_derived=True)), "Humanoid-v5", {}),
}
TASKS = [Hopper, HalfCheetah, Ant, Humanoid]


def _actions(task, steps: int, num: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.tanh(torch.randn(steps, num, task.action_size, generator=generator))


@pytest.mark.parametrize("case", CASES)
def test_observation_reward_and_end_are_gymnasiums(case):
    make, name, options = CASES[case]
    task, num = make(), 3
    env = Env(task, num, seed=0, stagger=False)
    theirs = [gymnasium.make(name, **options).unwrapped for _ in range(num)]

    def place(i: int) -> None:
        theirs[i].reset()
        theirs[i].set_state(env.sim.qpos[i].copy(), env.sim.qvel[i].copy())

    assert task.dt == pytest.approx(theirs[0].dt) and (task.observation_size,) == theirs[0].observation_space.shape
    for i in range(num):
        place(i)
        np.testing.assert_allclose(task.observe(env.state, env.memory)[i], theirs[i]._get_obs(), rtol=1e-6, atol=1e-6)
    ended = 0
    for action in _actions(task, 150, num):
        t = env.step(action)
        observation = task.observe(t.reached, t.reached_memory)
        for i, other in enumerate(theirs):
            seen, reward, end, *_ = other.step(task.action_scale * action[i].double().numpy())
            np.testing.assert_allclose(observation[i], seen, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(t.reward[i], reward, rtol=1e-6, atol=1e-6)
            assert bool(t.terminated[i]) == end
            if t.done[i]:
                ended += 1
                place(i)
    assert ended >= 3 or task.name in ("half_cheetah", "ant")


@pytest.mark.parametrize("make", TASKS)
def test_the_recomputed_reward_is_the_environments(make):
    task = make()
    env = Env(task, 4, seed=1)
    for action in _actions(task, 20, 4):
        memory = env.memory
        t = env.step(action)
        assert torch.equal(t.reward, task.reward(t.reached, action, memory))


@pytest.mark.parametrize("make", TASKS)
def test_the_slopes_of_reward_and_observation_are_finite_differences(make):
    task = make()
    env = Env(task, 4, seed=1)
    for action in _actions(task, 20, 4):
        env.step(action)
    state, memory = env.state.double().requires_grad_(), env.memory.map(torch.Tensor.double)
    action = action.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s, a: task.reward(s, a, memory), (state, action))
    assert torch.autograd.gradcheck(lambda s: task.observe(s, memory), (state,))
    slope = torch.autograd.grad(task.reward(state, action, memory).sum(), state)[0]
    assert (slope[:, task.observation_size] == task.forward_weight).all()


@pytest.mark.parametrize("make", [Hopper, Ant])
def test_equal_seeds_give_equal_trajectories_and_a_restored_environment_goes_on(make):
    task = make()
    one, same, other = (Env(task, 4, seed) for seed in (0, 0, 5))
    for action in _actions(task, 30, 4):
        assert torch.equal(one.step(action).state, same.step(action).state)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.state, other.state)
    for action in _actions(task, 30, 4):
        assert torch.equal(one.step(action).reached, other.step(action).reached)


def test_a_hopper_that_lies_down_or_flies_apart_has_failed():
    task = Hopper()
    state = Env(task, 5, seed=0).state
    assert not task.terminated(state, None).any()
    state[1, HEIGHT] = 0.69
    state[2, ANGLE] = -0.21
    state[3, 8] = 101.0
    state[4, 3] = float("nan")
    assert task.terminated(state, None).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("make, low, high", [(Ant, 0.2, 1.0), (Humanoid, 1.0, 2.0)])
def test_a_torso_outside_its_heights_has_failed(make, low, high):
    task = make()
    state = Env(task, 5, seed=0).state
    state[:, 0] = torch.tensor([low - 0.01, low + 0.01, high - 0.01, high + 0.01, float("nan")])
    assert task.terminated(state, None).tolist() == [True, False, False, True, True]
    assert (task.reward(state, torch.zeros(5, task.action_size), None)[[0, 3]] < 0.1).all()


def test_an_evaluation_gives_the_return_that_benchmarks_quote():
    task = Hopper(HopperConfig(episode_steps=400, evaluation_episodes=3))
    figures = evaluate(task, lambda observation: torch.zeros(len(observation), 3), task.evaluation_commands())
    assert figures["survival"] == 0.0
    # alive pays 1 but for the last step, and a limp leg goes nowhere fast
    assert figures["return"] == pytest.approx(figures["episode_steps"] - 1.0, rel=0.5)


@pytest.mark.parametrize("make", TASKS)
def test_the_algorithms_find_numbers_for_the_task(make):
    for name in ("dmo", "imagined"):
        assert ALGORITHMS[name](make.name, False).first_order.measure_every == 0


def test_a_hopper_trains_through_a_window():
    task, chosen = Hopper(), dmo("hopper")
    dynamics = replace(chosen.dynamics, hidden=(16,), prefill=640, initial_updates=5, updates=2, batch=32)
    loop, source = replace(chosen.first_order, num_envs=16), replace(chosen, dynamics=dynamics).gradient_source(task)
    trainer = FirstOrderTrainer(Env(task, 16, seed=0), source, loop, seed=0)
    trainer.prepare()
    figures = [trainer.train_window(k / 2) for k in range(2)]
    assert all(np.isfinite(list(f.values())).all() and f["actor_grad_norm"] > 0.0 for f in figures)
