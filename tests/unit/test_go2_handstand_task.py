"""The handstand task: where it balances, one reward in environment and gradient, falls, starts, what counts as done."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from dbp_policy import go2
from dbp_policy.kinematics import foot_positions
from dbp_training.env import Env, Episodes, Memory
from dbp_training.evaluate import evaluate
from dbp_training.go2_model import picture_model
from dbp_training.tasks.go2_balance import Go2Balance, Go2BalanceConfig
from dbp_training.tasks.go2_handstand import (
    PITCH,
    UP_Q,
    Go2Handstand,
    Go2HandstandConfig,
    Weights,
    handstand_randomisation,
    wanted_up,
)
from dbp_training.tasks.go2_handstand import UP as UP_FROM
from dbp_training.tasks.go2_robot import DQ, GRAVITY, GYRO, HEIGHT, Q, Randomisation

torch.set_num_threads(1)

UP, DOWN = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)


def _state(pitch: float, q: np.ndarray, height: float, num: int = 1) -> torch.Tensor:
    """At rest, nose down by `pitch`."""
    state = torch.zeros(num, Go2Handstand.state_size)
    state[:, GRAVITY] = torch.tensor([math.sin(pitch), 0.0, -math.cos(pitch)])
    state[:, Q] = torch.tensor(q, dtype=torch.float32)
    state[:, HEIGHT] = height
    return state


def _memory(command=UP, num: int = 1, age: float = 0.0) -> Memory:
    zero = torch.zeros(num, 12)
    return Memory(zero, zero, torch.tensor([command] * num), torch.zeros(num, 1), torch.full((num, 1), age))


def _balancing(num: int = 1) -> torch.Tensor:
    return _state(PITCH, UP_Q, 0.547, num)


def _standing(num: int = 1) -> torch.Tensor:
    return _state(0.0, go2.STAND_Q, 0.3, num)


def test_the_pose_on_the_front_legs_has_its_centre_of_mass_over_the_feet_and_the_rear_feet_high():
    model = picture_model()
    data = mujoco.MjData(model)
    data.qpos[3:7] = math.cos(PITCH / 2), 0.0, math.sin(PITCH / 2), 0.0
    data.qpos[7:] = UP_Q
    mujoco.mj_forward(model, data)
    feet = foot_positions(UP_Q) @ data.xmat[model.body("base").id].reshape(3, 3).T
    assert data.subtree_com[model.body("base").id][0] == pytest.approx(feet[0, 0], abs=2e-3)
    assert go2.FOOT_RADIUS - feet[0, 2] == pytest.approx(0.547, abs=0.005)
    assert (feet[2:, 2] - feet[0, 2] > 0.6).all()


def test_the_reward_recomputed_from_states_is_the_environments():
    task = Go2Handstand(Go2HandstandConfig(randomisation=handstand_randomisation()))
    env = Env(task, 16, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        memory, action = env.memory, torch.tanh(torch.randn(16, 12, generator=generator))
        t = env.step(action)
        assert torch.equal(task.reward(t.reached, action, memory), t.reward)


def test_the_rewards_gradient_is_its_finite_difference():
    task = Go2Handstand()
    for name in ("_default_q", "_stand_q", "_gravity_up", "_gravity_down", "_full_torque", "_q_min", "_q_max"):
        setattr(task, name, getattr(task, name).double())
    generator = torch.Generator().manual_seed(0)
    state = (_balancing(3) + 0.1 * torch.randn(3, 34, generator=generator)).double().requires_grad_()
    action = torch.rand(3, 12, generator=generator).double().requires_grad_()
    memory = Memory(*(torch.rand(3, n, generator=generator).double() for n in (12, 12, 3, 1, 1)))
    assert torch.autograd.gradcheck(lambda s, a: task.reward(s, a, memory), (state, action), eps=1e-6, atol=1e-5)


def test_the_command_decides_whether_balancing_or_standing_pays():
    task, action = Go2Handstand(), torch.zeros(1, 12)
    for command, asked, other in ((UP, _balancing(), _standing()), (DOWN, _standing(), _balancing())):
        assert task.reward(asked, action, _memory(command)) > task.reward(other, action, _memory(command)) + 0.5
        assert task.metrics(asked, _memory(command))["as_asked"].item() == 1.0
        assert task.metrics(other, _memory(command))["as_asked"].item() == 0.0


def test_coming_down_pays_more_than_a_fall_all_the_way():
    task, shares = Go2Handstand(), torch.linspace(0.0, 1.0, 11).tolist()
    paid = []
    for share in shares:
        q = go2.STAND_Q + share * (UP_Q - go2.STAND_Q)
        foot = foot_positions(q)[:2].mean(axis=0)
        pitch = share * PITCH
        height = go2.FOOT_RADIUS - (math.cos(pitch) * foot[2] - math.sin(pitch) * foot[0])
        paid.append(task.reward(_state(pitch, q, height), torch.zeros(1, 12), _memory(DOWN)).item())
    assert min(paid) > 0.0 and paid == sorted(paid, reverse=True)


def test_turning_is_about_the_vertical_however_the_trunk_is_held():
    task = Go2Handstand()
    for state in (_standing(), _balancing()):
        state[:, 3:6] = -0.3 * state[:, GRAVITY]
        assert task.metrics(state, _memory((1.0, 0.0, 0.3)))["yaw_rate_error"].item() == pytest.approx(0.0, abs=1e-6)


def test_a_fall_is_onto_the_nose_a_side_or_the_back_and_nan_is_one_too():
    task, state = Go2Handstand(), torch.cat([_standing(), _balancing(6)])
    state[2, HEIGHT] = 0.35
    state[3, GRAVITY] = torch.tensor([0.6, 0.8, 0.0])
    state[4, GRAVITY] = torch.tensor([0.8, 0.0, 0.6])
    state[5, HEIGHT] = math.nan
    state[6] = _state(0.0, go2.STAND_Q, 0.1)
    assert task.terminated(state, _memory(UP, 7)).tolist() == [False, False, True, True, True, True, True]


def test_a_knee_on_the_ground_is_a_fall():
    task, bent = Go2Handstand(), np.tile([0.0, 0.2, -1.0], 4)
    knee = 0.213 * math.cos(0.2)  # below the hip
    for height, falls in ((knee + 0.021, False), (knee + 0.019, True)):
        assert task.terminated(_state(0.0, bent, height), _memory(DOWN)).item() is falls


def test_whoever_is_asked_up_has_its_time_to_lift_the_rear_feet_and_who_is_asked_down_to_be_level():
    task = Go2Handstand()
    for command, state, age, falls in (
        (UP, _standing(), 74.0, False),
        (UP, _standing(), 75.0, True),
        (UP, _balancing(), 400.0, False),
        (DOWN, _balancing(), 74.0, False),
        (DOWN, _balancing(), 75.0, True),
        (DOWN, _standing(), 400.0, False),
    ):
        assert task.terminated(state, _memory(command, age=age)).item() is falls


def test_an_episode_begins_anew_where_the_robot_is_asked_up_or_down():
    task, rng = Go2Handstand(Go2HandstandConfig(command_interval=0.1, down=0.5)), np.random.default_rng(0)
    memory, since = task.new_memory(1000, rng), torch.zeros(1000)
    for _ in range(20):
        was_up = memory.command[:, 0] >= UP_FROM
        memory = task.advance(memory, torch.zeros(1000, 12), rng)
        is_up = memory.command[:, 0] >= UP_FROM
        since = torch.where(is_up != was_up, 0.0, since + 1.0)
    assert torch.equal(memory.age[:, 0], since) and 0.2 < (since < 20.0).float().mean().item() < 0.9


def test_an_evaluation_has_its_time_once_whatever_commands_are_drawn_and_not_asked():
    task = Go2Handstand(Go2HandstandConfig(command_interval=0.02, patience_up=10.0))
    env = Env(task, 8, seed=0, commands=torch.tensor([UP]).repeat(8, 1), stagger=False)
    for _ in range(3):
        env.step(torch.zeros(8, 12))
    assert (env.memory.age == 3.0).all() and (env.memory.command == torch.tensor(UP)).all()


def test_joints_that_are_too_fast_for_full_torque_cost():
    free = replace(Weights(), joint_velocity=0.0, torque=0.0)
    task, reward = Go2Handstand(Go2HandstandConfig(weights=free)), {}
    for speed in (0.0, 7.8, 8.85):  # a calf has all of its torque up to 7.85 rad/s
        fast = _balancing()
        fast[:, DQ] = torch.tensor([0.0, 0.0, speed] * 4)
        reward[speed] = task.reward(fast, torch.zeros(1, 12), _memory()).item()
    assert reward[7.8] == pytest.approx(reward[0.0], abs=1e-5)
    assert reward[0.0] - reward[8.85] == pytest.approx(4 * free.overspeed, rel=1e-3)


def test_targets_that_jump_cost_by_how_far_they_jump_too_far():
    free = replace(Weights(), action_rate=0.0, torque=0.0, slew=3.0)
    task, reward = Go2Handstand(Go2HandstandConfig(weights=free)), {}
    for jump in (0.0, 0.599, 0.8):  # at 50 Hz 30 rad/s are 0.6 rad
        action = torch.zeros(1, 12)
        action[0, :2] = torch.tensor([jump, -jump])
        reward[jump] = task.reward(_balancing(), action, _memory()).item()
    assert reward[0.599] == pytest.approx(reward[0.0], abs=1e-6)
    assert reward[0.0] - reward[0.8] == pytest.approx(3.0 * 2 * 0.2**2, rel=1e-3)


def test_training_episodes_start_all_along_the_way_up_and_those_of_an_evaluation_on_all_four():
    task = Go2Handstand(Go2HandstandConfig(start_up=0.6, start_balancing=0.5, randomisation=Randomisation(start=1.0)))
    env = Env(task, 400, seed=0, stagger=False)
    started = env.state
    way = started[:, GRAVITY][:, 0]
    assert 0.52 < (way > 0.15).float().mean().item() < 0.68
    assert all(((way > low) & (way < low + 0.2)).float().mean() > 0.02 for low in (0.2, 0.4, 0.6, 0.8))
    steady = (way > math.sin(PITCH - 0.16)) & (started[:, GYRO].norm(dim=-1) < 0.6)
    assert steady.float().mean().item() > 0.2, "and half of them balance at first"
    assert not task.terminated(started, env.memory).any()
    assert not (Env(task.nominal(), 8, seed=0).state[:, GRAVITY][:, 0] > 0.1).any()


@pytest.mark.parametrize("task", [Go2Balance(), Go2Balance().nominal()])
def test_an_episode_of_balancing_begins_on_the_front_legs_and_ends_with_a_rear_foot_on_the_ground(task):
    env = Env(task, 1000, seed=0, stagger=False)
    assert (env.state[:, GRAVITY][:, 0] > 0.1).all()
    assert (env.state[:, GRAVITY][:, 0] > math.sin(PITCH - 0.16)).float().mean() > 0.65
    swing = env.state[:, GYRO][:, 1]
    assert swing.min() < -2.0 and swing.max() > 2.0, "some swing up, some fall back"
    assert 0.87 < (env.memory.command[:, 0] >= UP_FROM).float().mean() < 0.93
    assert task.terminated(_standing(), _memory()).item() and not task.terminated(_balancing(), _memory()).item()


def test_who_balances_or_comes_down_is_asked_for_nothing_else_but_turning():
    task, rng = Go2Balance(Go2BalanceConfig(command_interval=0.1)), np.random.default_rng(0)
    begun = memory = task.new_memory(1000, rng)
    for _ in range(20):
        memory = task.advance(memory, torch.zeros(1000, 12), rng)
    up = begun.command[:, 0] >= UP_FROM
    assert torch.equal(memory.command[:, 0], begun.command[:, 0]) and (memory.age == 20.0).all()
    assert (memory.command[up, 2] != begun.command[up, 2]).float().mean() > 0.9
    assert not memory.command[~up, 2].any() and memory.command[:, 2].abs().max() <= 0.3


def test_coming_down_soon_ends_in_training_and_an_evaluation_lasts_as_long_as_that_of_a_handstand():
    assert Go2Balance().episode_steps == 150
    assert Go2Balance().nominal().episode_steps == Go2Handstand().episode_steps == 500


def test_up_and_down_are_the_skills_of_two_networks():
    task, command = Go2Handstand(), (torch.rand(50, 3) - 0.2)
    memory = replace(_memory(UP, 50), command=command)
    seen = task.observe(_balancing(50), memory)[:, task.switch.index]
    assert torch.equal(seen >= task.switch.threshold, command[:, 0] >= UP_FROM)
    assert not torch.equal(wanted_up(memory), torch.ones(50))
    assert torch.equal(wanted_up(memory) > 0.5, seen >= task.switch.threshold)


def test_half_of_the_commands_a_tenth_of_the_first_ask_to_stand_and_only_who_is_up_turns():
    task, rng = Go2Handstand(), np.random.default_rng(0)
    first = task.new_memory(2000, rng).command[:, 0]
    assert 0.88 < (first >= UP_FROM).float().mean().item() < 0.92
    command = task.new_commands(2000, rng)
    stick, turn = command[:, 0], command[:, 2]
    up = (stick >= UP_FROM).float()
    assert 0.0 <= stick.min() and stick.max() <= 1.0 and ((stick - UP_FROM).abs() > 0.04).all()
    assert 0.46 < up.mean().item() < 0.54
    assert not turn[up == 0.0].any() and 0.29 < turn.abs().max().item() <= 0.3 and not command[:, 1].any()
    evaluated = Go2Handstand().evaluation_commands()
    assert evaluated.shape == (64, 3) and (evaluated[:, 0] == 1.0).all()
    assert evaluated[[0, -1], 2].tolist() == pytest.approx([-0.3, 0.3])


def test_seconds_of_balance_are_counted_up_to_a_fall():
    task = Go2Handstand(replace(Go2HandstandConfig(), randomisation=Randomisation()))
    steps, late = task.episode_steps, 450
    reached = _balancing(2).repeat(steps, 1, 1)
    reached[:40] = _standing(2)  # on the way up
    alive = torch.ones(steps, 2, dtype=torch.bool)
    alive[late - 100 :, 1] = False
    zero = torch.zeros(steps, 2, 12)
    memory = _memory(UP, 2).map(lambda x: x.repeat(steps, 1, 1))
    figures = task.judge(Episodes(reached, memory, zero, reached, alive))
    assert figures["balanced_8_s"] == 0.5
    assert figures["balanced_s"] == pytest.approx(min((steps - 40) / 50, (late - 140) / 50))


def test_an_evaluation_in_which_all_fall_at_once_has_figures():
    task = Go2Handstand(Go2HandstandConfig(episode_s=0.4, min_height=1.0))
    figures = evaluate(task.nominal(), lambda observation: torch.zeros(len(observation), 12), torch.tensor([UP, DOWN]))
    assert (figures["survival"], figures["balanced_s"], figures["balanced_8_s"]) == (0.0, 0.0, 0.0)
