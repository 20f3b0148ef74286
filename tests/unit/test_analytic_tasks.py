"""Tasks with a differentiable simulator: true slopes, one reward, one simulator, and the physics they claim."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dbp_training.algorithms import ALGORITHMS, dmo
from dbp_training.env import Env, Memory
from dbp_training.evaluate import evaluate, roll_episodes
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.first_order_config import FirstOrderConfig
from dbp_training.gradient import Analytic, Decoupled
from dbp_training.tasks.arm_reach import DDQ_MAX, DQ, DQ_MAX, HOME, Q_MAX, Q_MIN, ArmReach, Q, flange_position
from dbp_training.tasks.navigation import Navigation
from dbp_training.tasks.point_mass import PointMass
from dbp_training.tasks.push_t import _BOXES, ANGLE, BLOCK, PUSHER, PushT
from dbp_training.tasks.registry import TASKS

torch.set_num_threads(1)
NAMES = [name for name, entry in TASKS.items() if entry.differentiable]


def _task(name: str):
    return TASKS[name].make(TASKS[name].config())


def _visited(task, steps: int, num: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Memory]:
    """States, actions and memories of a random rollout's last step, in float64."""
    env, generator = Env(task, num, seed), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        env.step(torch.tanh(torch.randn(num, task.action_size, generator=generator)))
    action = torch.tanh(torch.randn(num, task.action_size, generator=generator))
    return env.state.double(), action.double(), env.memory.map(torch.Tensor.double)


def test_the_differentiable_tasks_are_the_four():
    assert NAMES == ["point_mass", "navigation", "push_t", "arm_reach"]


@pytest.mark.parametrize("name", NAMES)
def test_the_slopes_of_dynamics_reward_and_observation_are_finite_differences(name):
    task = _task(name)
    state, action, memory = _visited(task, steps=15)
    if name == "push_t":  # in touch with the block, and away from it
        state[:2, PUSHER] = state[:2, BLOCK] + torch.tensor([[0.03, 0.078], [0.052, -0.06]])
    inputs = (state.requires_grad_(), action.requires_grad_())
    assert torch.autograd.gradcheck(task.dynamics, inputs, eps=1e-7, atol=1e-5)
    assert torch.autograd.gradcheck(lambda s, a: task.reward(s, a, memory), inputs, eps=1e-7, atol=1e-5)
    assert torch.autograd.gradcheck(lambda s: task.observe(s, memory), inputs[:1], eps=1e-7, atol=1e-5)


def _window_return(task, state: torch.Tensor, actions: torch.Tensor, memory: Memory) -> torch.Tensor:
    total = 0.0
    for action in actions:
        state = task.dynamics(state, action)
        total = total + task.reward(state, action, memory).sum()
        memory = replace(memory, last_action=action, previous_action=memory.last_action)
    return total


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_a_whole_window_is_its_finite_difference(name):
    task = _task(name)
    state, _, memory = _visited(task, steps=3, num=2, seed=1)
    generator = torch.Generator().manual_seed(2)
    actions = torch.tanh(torch.randn(12, 2, task.action_size, generator=generator)).double().requires_grad_()
    gradient = torch.autograd.grad(_window_return(task, state, actions, memory), actions)[0]
    direction = torch.randn(actions.shape, generator=generator).double()
    with torch.no_grad():
        ahead, behind = (_window_return(task, state, actions + e * direction, memory) for e in (1e-5, -1e-5))
    assert ((ahead - behind) / 2e-5).item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_is_the_dynamics_and_its_reward_the_recomputed_one_bitwise(name):
    task = _task(name)
    env, generator = Env(task, 8, seed=0), torch.Generator().manual_seed(0)
    for _ in range(30):
        state, memory = env.state, env.memory
        action = torch.tanh(torch.randn(8, task.action_size, generator=generator))
        t = env.step(action)
        assert torch.equal(t.reached, task.dynamics(state, action))
        assert torch.equal(t.reward, task.reward(t.reached, action, memory))
        assert torch.equal(t.state[~t.done], t.reached[~t.done])
        assert torch.equal(t.reached_memory.last_action, action)


@pytest.mark.parametrize("name", NAMES)
def test_a_window_has_the_simulators_states_bitwise_whatever_the_source(name):
    task = _task(name)
    dynamics = replace(dmo(name).dynamics, prefill=64, initial_updates=2, hidden=(16,), capacity=1000)
    for source in (Analytic(), Decoupled(dynamics, task.state_size, task.action_size)):
        torch.manual_seed(0)
        config = FirstOrderConfig(num_envs=4, horizon=10, hidden=(16,))
        trainer = FirstOrderTrainer(Env(task, 4, 0), source, config, 0)
        trainer.prepare()
        twin = Env(task, 4, 1)
        twin.load_state_dict(trainer.env.state_dict())
        window = trainer.roll(source)
        assert window.reached.requires_grad
        for k in range(10):
            assert torch.equal(twin.step(window.action[k].detach()).reached, window.reached[k].detach())


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_are_equal_and_a_restored_environment_goes_on(name):
    task = replace_episode(name, 8)
    envs = [Env(task, 4, seed) for seed in (0, 0, 1)]
    action = torch.full((4, task.action_size), 0.3)
    for _ in range(5):
        one, other, third = (env.step(action).state for env in envs)
    assert torch.equal(one, other) and not torch.equal(one, third)
    envs[2].load_state_dict(envs[0].state_dict())
    for _ in range(20):
        a, b = envs[0].step(action), envs[2].step(action)
        assert torch.equal(a.state, b.state) and torch.equal(a.memory.command, b.memory.command)


def replace_episode(name: str, steps: int):
    return TASKS[name].make(replace(TASKS[name].config(), episode_steps=steps))


@pytest.mark.parametrize("name", NAMES)
def test_targets_of_the_evaluation_are_fixed_and_doing_nothing_is_scored(name):
    task = replace_episode(name, 5)
    commands = task.evaluation_commands()
    assert torch.equal(commands, task.evaluation_commands()) and len(commands) == 64
    result = evaluate(task, lambda observation: torch.zeros(len(observation), task.action_size), commands)
    assert result.keys() >= {"survival", "distance", "success", "final_distance"}
    assert result["survival"] == 1.0 and result["success"] < 0.5
    assert result == evaluate(task, lambda observation: torch.zeros(len(observation), task.action_size), commands)


def test_an_unstable_analytic_simulation_ends_its_episode():
    env = Env(PointMass(), 3, seed=0)
    env.sim.state[1] = float("inf")
    t = env.step(torch.zeros(3, 1))
    assert t.valid.tolist() == [True, False, True] and t.terminated.tolist() == [False, True, False]
    assert torch.isfinite(t.reached).all() and torch.isfinite(t.state).all()


# Each task's own physics ---------------------------------------------------------------------------------------------


def test_a_point_mass_under_constant_push_by_hand():
    task = PointMass()  # v' = v + 0.05 (4 a - 0.5 v), x' = x + 0.05 v'
    state = torch.tensor([[0.2, 1.0]])
    torch.testing.assert_close(task.dynamics(state, torch.tensor([[0.5]])), torch.tensor([[0.25375, 1.075]]))


def test_an_obstacle_is_a_failure_inside_and_a_price_outside():
    task = Navigation()
    x, y, radius = task.config.obstacles[0]
    state = torch.tensor([[x - radius * f, y, 0.0, 0.0] for f in (0.0, 0.9, 1.1, 3.0)])
    assert task.terminated(state, None).tolist() == [True, True, False, False]
    state.requires_grad_()
    zero, none = torch.zeros(4, 2), torch.zeros(4, 0)
    memory = Memory(zero, zero, state.detach()[:, :2], none, none)  # at the target
    slope = torch.autograd.grad(task.reward(state, torch.zeros(4, 2), memory).sum(), state)[0]
    assert slope[2, 0] < -1.0 and abs(slope[2, 1]) < 0.05  # away from it
    assert task.reward(state, torch.zeros(4, 2), memory)[3] > 0.0


def test_a_pushed_block_moves_with_the_pusher_and_turns_the_way_it_is_hit():
    task = PushT()
    state = torch.zeros(3, 10)
    state[:, PUSHER] = torch.tensor([[0.0, 0.09], [0.08, 0.09], [-0.08, 0.09]])  # above the bar: middle, right, left
    action = torch.tensor([[0.0, -0.5]]).expand(3, 2)
    for _ in range(10):
        state = task.dynamics(state, action)
    assert (state[:, 3] < -0.02).all()
    angle = state[:, ANGLE].flatten()
    assert abs(angle[0]) < 1e-4 and angle[1] < -0.1 and angle[2] > 0.1
    torch.testing.assert_close(angle[1], -angle[2], atol=1e-4, rtol=0)
    box, radius = _BOXES[0], task.config.radius
    above = state[0, 1] - state[0, 3] - (box[1] + box[3])
    assert 0.5 * radius < above < 1.5 * radius  # it does not sink in


def test_an_untouched_block_rests_and_the_scene_looks_the_same_from_every_side():
    task = PushT()
    state = torch.zeros(1, 10).double()
    state[:, PUSHER] = torch.tensor([0.3, 0.0])
    still = task.dynamics(state, torch.zeros(1, 2).double())
    torch.testing.assert_close(still[:, BLOCK], torch.zeros(1, 2).double(), atol=1e-9, rtol=0)
    turn = math.pi / 3
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]).double()
    state[:, PUSHER] = torch.tensor([0.05, 0.08]).double()
    action = torch.tensor([[0.2, -0.6]]).double()
    turned = torch.cat([state[:, :2] @ rotation.T, state[:, 2:4], state[:, 4:5] + turn, state[:, 5:]], -1)
    for _ in range(8):
        state, turned = task.dynamics(state, action), task.dynamics(turned, action @ rotation.T)
    torch.testing.assert_close(turned[:, BLOCK], state[:, BLOCK] @ rotation.T)
    torch.testing.assert_close(turned[:, ANGLE], state[:, ANGLE] + turn)


def test_the_flange_is_where_franka_says():
    zero, home = torch.zeros(7).double(), torch.tensor(HOME).double()
    # straight up: 0.333 + 0.316 + 0.384 - 0.107 high, 0.088 ahead
    torch.testing.assert_close(flange_position(zero), torch.tensor([0.088, 0.0, 0.926]).double())
    # ready pose: the arm's well-known tool position (0.3069, 0, 0.4869) less the hand's 0.1034 m downwards
    torch.testing.assert_close(flange_position(home), torch.tensor([0.3069, 0.0, 0.5903]).double(), atol=1e-4, rtol=0)
    turned = zero.clone()
    turned[0] = math.pi / 2
    torch.testing.assert_close(flange_position(turned), torch.tensor([0.0, 0.088, 0.926]).double())


def test_the_arm_keeps_its_limits_whatever_it_is_told():
    task, rng = ArmReach(), np.random.default_rng(0)
    state = torch.from_numpy(task.new_states(64, rng))
    low, high, fast = (torch.tensor(v).double() for v in (Q_MIN, Q_MAX, DQ_MAX))
    action = torch.ones(64, 7).double()
    for k in range(400):
        if k % 25 == 0:
            action = torch.from_numpy(rng.choice([-1.0, 1.0], (64, 7)))
        before, state = state, task.dynamics(state, action)
        assert (state[:, Q] > low - 1e-3).all() and (state[:, Q] < high + 1e-3).all()
        assert (state[:, DQ].abs() <= fast).all()
        assert ((state[:, DQ] - before[:, DQ]).abs() <= task.dt * DDQ_MAX + 1e-9).all()


def test_every_target_is_within_reach_and_every_algorithm_names_itself():
    task = ArmReach()
    targets = task.evaluation_commands()
    assert (targets.norm(dim=-1) < 1.2).all()
    assert all(ALGORITHMS[name]("point_mass", False).name == name for name in ALGORITHMS)


# Learning ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["shac", "apg-mc", "dmo", "imagined"])
def test_a_point_mass_learns_to_reach(algorithm):
    torch.manual_seed(0)
    task, chosen = PointMass(), ALGORITHMS[algorithm]("point_mass", False)
    loop = replace(chosen.first_order, num_envs=16, hidden=(32,), lr=5e-3, measure_every=0)
    if chosen.dynamics is not None:
        loop = replace(loop, measure_every=24)
        chosen = replace(chosen, dynamics=replace(chosen.dynamics, hidden=(32,), prefill=3200, initial_updates=200))
    trainer = FirstOrderTrainer(Env(task, 16, 0), chosen.gradient_source(task), loop, 0)
    trainer.prepare()
    figures: dict[str, float] = {}
    windows = 25 if loop.segment is None else 12
    for k in range(windows):
        figures |= trainer.train_window(k / windows)
    last = roll_episodes(task, trainer.averaged, task.evaluation_commands())
    assert task.judge(last)["final_distance"] < 0.1  # a tenth of the way, on average; doing nothing leaves 0.65
    if chosen.dynamics is not None:
        assert figures["gradient_cosine"] > 0.8
