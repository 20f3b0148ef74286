"""The walking task: one reward in the environment and in the gradient, true derivatives, falls, what the clock asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dbp_policy import go2
from dbp_policy.observation import Observer, Signals
from dbp_training.env import Env, Memory
from dbp_training.tasks.go2_robot import GRAVITY, HEIGHT, VELOCITY, full_randomisation
from dbp_training.tasks.go2_walk import OBSERVATION, Go2Walk, Go2WalkConfig, Weights

torch.set_num_threads(1)


def _standing(num: int = 1) -> torch.Tensor:
    state = torch.zeros(num, Go2Walk.state_size)
    state[:, 8] = -1.0
    state[:, 9:21] = torch.tensor(go2.STAND_Q, dtype=torch.float32)
    state[:, HEIGHT] = 0.3
    return state


def _memory(num: int = 1, command: tuple[float, float, float] = (0.0, 0.0, 0.0), phase: float = 0.0) -> Memory:
    zero = torch.zeros(num, 12)
    return Memory(zero, zero, torch.tensor([command] * num), torch.full((num, 1), phase), torch.zeros(num, 1))


def test_the_reward_recomputed_from_states_is_the_environments():
    task = Go2Walk(Go2WalkConfig(randomisation=full_randomisation()))
    env = Env(task, 16, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        memory, action = env.memory, torch.tanh(torch.randn(16, 12, generator=generator))
        t = env.step(action)
        again = task.reward(t.reached, action, memory)
        assert torch.equal(again, t.reward)
        stacked = task.reward(
            torch.stack([t.reached, t.reached]),
            torch.stack([action, action]),
            memory.map(lambda x: torch.stack([x, x])),
        )
        torch.testing.assert_close(stacked[1], t.reward)


def test_the_rewards_gradient_is_its_finite_difference():
    task = Go2Walk()
    task._default_q, task._nominal_foot = task._default_q.double(), task._nominal_foot.double()
    generator = torch.Generator().manual_seed(3)
    state = (_standing(1) + 0.2 * torch.randn(1, 34, generator=generator)).double()
    action = torch.tanh(torch.randn(1, 12, generator=generator)).double()
    memory = Memory(
        *(torch.rand(1, 12, generator=generator).double() for _ in range(2)),
        torch.tensor([[0.3, -0.2, 0.5]]).double(),
        torch.tensor([[0.31]]).double(),
        torch.zeros(1, 1).double(),
    )
    assert torch.autograd.gradcheck(
        lambda s, a: task.reward(s, a, memory), (state.requires_grad_(), action.requires_grad_()), eps=1e-6, atol=1e-5
    )


def test_velocity_terms_are_one_at_the_command_and_fall_off_as_stated():
    only = Weights(*[0.0] * len(Weights.__dataclass_fields__))
    task = Go2Walk(Go2WalkConfig(weights=replace(only, velocity=1.0)))
    state = _standing()
    state[:, VELOCITY] = torch.tensor([0.5, 0.1, 0.3])
    action = torch.zeros(1, 12)
    assert task.reward(state, action, _memory(command=(0.5, 0.1, 0.0))).item() == 1.0
    assert task.reward(state, action, _memory(command=(0.0, 0.1, 0.0))).item() == pytest.approx(np.exp(-0.25 / 0.25))


def test_a_fall_is_a_low_or_a_tilted_trunk_and_nan_is_one_too():
    task, state = Go2Walk(), _standing(5)
    state[1, HEIGHT] = 0.1
    state[2, GRAVITY] = torch.tensor([0.0, 1.0, 0.0])
    state[3, GRAVITY] = torch.tensor([0.0, 0.0, 1.0])
    state[4, HEIGHT] = float("nan")
    assert task.terminated(state, _memory(5)).tolist() == [False, True, True, True, True]


def test_diagonal_legs_swing_together_and_every_foot_stands_half_the_time():
    task = Go2Walk()
    phase = torch.arange(1000)[:, None] / 1000.0
    stance, swing, stride = task._gait(phase)
    torch.testing.assert_close(stance[:, 0], stance[:, 3])
    torch.testing.assert_close(stance[:, 1], stance[:, 2])
    torch.testing.assert_close(stance[:, 0] + stance[:, 1], torch.ones(1000))
    torch.testing.assert_close((stance > 0.5).float().mean(0), torch.full((4,), 0.5), atol=0.002, rtol=0)
    assert swing[stance > 0.5].max() == 0.0 and swing.max() > 0.99
    assert stride.max() == pytest.approx(1.0, abs=1e-2) and stride.min() == pytest.approx(-1.0, abs=1e-2)


def test_foot_targets_sweep_back_by_the_commanded_travel_of_one_stance():
    task = Go2Walk()
    command = torch.tensor([[0.6, -0.3, 0.0]])
    ahead, behind = (task._foot_targets(command, torch.full((1, 4), s)) for s in (1.0, -1.0))
    stance_s = 0.5 / task.config.gait_hz
    torch.testing.assert_close(ahead - behind, (command[:, None, :2] * stance_s).expand(1, 4, 2))


def test_the_actor_sees_what_the_robot_has_and_what_the_runner_builds():
    task, state, memory = Go2Walk(), _standing(), _memory(command=(0.1, 0.2, 0.3), phase=0.2)
    state += 0.01 * torch.arange(34)
    blind = state.clone()
    blind[:, VELOCITY] = 7.0
    blind[:, HEIGHT] = 7.0
    observation = task.observe(state, memory)
    assert torch.equal(observation, task.observe(blind, memory))
    s = state[0].double().numpy()
    signals = Signals(
        gyro_body=s[3:6],
        gravity_body=s[6:9],
        command=np.array([0.1, 0.2, 0.3]),
        q_error=s[9:21] - go2.STAND_Q,
        dq=s[21:33],
        last_action=np.zeros(12),
        phase=np.array([0.2]),
        velocity_body=s[:3],
    )
    np.testing.assert_allclose(observation[0].numpy(), Observer(OBSERVATION).observe(signals), atol=1e-6)


def test_an_actor_that_reads_the_velocity_sees_it_last_with_the_noise_of_an_estimate():
    blind = Go2Walk(Go2WalkConfig(randomisation=full_randomisation()))
    task = Go2Walk(Go2WalkConfig(randomisation=full_randomisation(), observe_velocity=True))
    state, memory = _standing() + 0.01 * torch.arange(34), _memory(command=(0.1, 0.2, 0.3), phase=0.2)
    observation = task.observe(state, memory)
    assert torch.equal(observation[:, :-3], blind.observe(state, memory))
    assert torch.equal(observation[:, -3:], state[:, VELOCITY])
    assert task.observation_size == blind.observation_size + 3 == len(task.observation_noise)
    assert torch.equal(task.observation_noise[:-3], blind.observation_noise)
    assert task.observation_noise[-3:].tolist() == pytest.approx([0.05] * 3)


def test_episodes_end_at_their_time_limit_without_counting_as_falls():
    task = Go2Walk(Go2WalkConfig(episode_s=0.2, zero_command=1.0))
    env = Env(task, 4, seed=0, stagger=False)
    ends = [env.step(torch.zeros(4, 12)) for _ in range(10)]
    assert [bool(t.truncated.all()) for t in ends] == [False] * 9 + [True]
    assert not any(t.terminated.any() for t in ends)
    assert not torch.equal(ends[-1].reached, ends[-1].state)
    assert torch.equal(ends[-1].memory.last_action, torch.zeros(4, 12))
