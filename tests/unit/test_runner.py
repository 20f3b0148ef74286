"""The runner with networks written in Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.contract import Contract
from dbp_policy.errors import DbpError
from dbp_policy.observation import term
from dbp_policy.runner import Runner
from dbp_policy.types import RobotState

STATE = RobotState(tick_ms=40, q_sdk=go2.STAND_Q)
REVERSED = tuple(reversed(go2.JOINT_NAMES))
ZERO3 = np.zeros(3)


class Spy:
    """A network that keeps what it saw and answers what it is told."""

    def __init__(self, action=None, hidden_step: float = 0.0) -> None:
        self.action = np.zeros(12, np.float32) if action is None else action
        self.hidden_step = hidden_step
        self.seen: list[np.ndarray] = []
        self.hidden: list[np.ndarray] = []

    def __call__(self, observation, hidden):
        self.seen.append(observation)
        self.hidden.append(hidden)
        return self.action, hidden + np.float32(self.hidden_step)


def runner(network: Spy, names=("joint_position",), **changes) -> Runner:
    fields = dict(
        joint_names=go2.JOINT_NAMES,
        default_q=tuple(go2.STAND_Q.tolist()),
        action_scale=(0.5,) * 12,
        kp=(25.0,) * 12,
        kd=(0.5,) * 12,
        rate_hz=50.0,
        observation=tuple(term(name) for name in names),
        command_min=(-0.5, -0.5, -1.0),
        command_max=(0.5, 0.5, 1.0),
        gait_hz=2.0,
    )
    return Runner(network, Contract(**{**fields, **changes}))


def test_zero_action_is_the_default_pose_and_the_target_answers_its_state():
    target = runner(Spy()).step(STATE, ZERO3, ZERO3, 7.0)
    np.testing.assert_array_equal(target.q_sdk, go2.STAND_Q)
    assert (target.sequence, target.stamp, target.state_tick_ms) == (1, 7.0, 40)
    assert (target.kp_sdk == 25.0).all() and (target.kd_sdk == 0.5).all()


def test_an_action_is_scaled_and_clipped():
    action = np.zeros(12, np.float32)
    action[:3] = 0.5, -0.25, 9.0
    target = runner(Spy(action)).step(STATE, ZERO3, ZERO3, 0.0)
    assert target.q_sdk[:3] - go2.STAND_Q[:3] == pytest.approx([0.25, -0.125, 0.5])


def test_targets_stay_inside_joint_range_and_torque_reach():
    action = np.ones(12, np.float32)
    target = runner(Spy(action), action_scale=(3.0,) * 12).step(STATE, ZERO3, ZERO3, 0.0)
    assert (target.q_sdk <= go2.Q_MAX).all()
    assert (25.0 * (target.q_sdk - go2.STAND_Q) <= go2.TAU_MAX + 1e-9).all()


def test_targets_move_no_faster_than_a_joint_and_at_first_from_where_the_joints_are():
    spy = Spy(np.array([1.0, -1.0, 0.05] + [0.0] * 9, np.float32))
    policy = runner(spy, action_scale=(2.0,) * 12, kp=(5.0,) * 12)  # so soft that the motors reach farther
    first = policy.step(STATE, ZERO3, ZERO3, 0.0).q_sdk - go2.STAND_Q
    assert first[:3] == pytest.approx([0.602, -0.602, 0.1])  # 30.1 rad/s in 20 ms
    second = policy.step(STATE, ZERO3, ZERO3, 0.02).q_sdk - go2.STAND_Q
    assert second[0] == pytest.approx(min(1.204, go2.Q_MAX[0]))
    policy.reset()
    np.testing.assert_array_equal(policy.step(STATE, ZERO3, ZERO3, 0.04).q_sdk, first + go2.STAND_Q)
    policy.reset()
    free = policy.answer(STATE, ZERO3, ZERO3, 0.04).q_sdk - go2.STAND_Q
    assert free[1] == pytest.approx(-2.0), "as in training: however far"


def test_what_the_motors_reach_goes_before_how_fast_a_target_moves():
    policy = runner(Spy(), kp=(50.0,) * 12)
    far = replace(STATE, q_sdk=go2.STAND_Q + np.r_[0.0, 1.5, np.zeros(10)])  # struck out of its place
    policy.step(STATE, ZERO3, ZERO3, 0.0)
    target = policy.step(far, ZERO3, ZERO3, 0.02)
    asked = 50.0 * (target.q_sdk - far.q_sdk)
    assert abs(asked[1]) == pytest.approx(go2.TAU_MAX[1]) and target.q_sdk[1] - go2.STAND_Q[1] > 0.602


def test_another_joint_order_is_permuted_by_name_both_ways():
    state = RobotState(q_sdk=go2.STAND_Q + 0.01 * np.arange(12), dq_sdk=np.arange(12.0))
    spy = Spy(np.linspace(-0.5, 0.5, 12, dtype=np.float32))
    target = runner(
        spy,
        ("joint_position", "joint_velocity"),
        joint_names=REVERSED,
        default_q=tuple(go2.STAND_Q[::-1].tolist()),
        kp=tuple(range(20, 32)),
    ).step(state, ZERO3, ZERO3, 0.0)
    np.testing.assert_allclose(spy.seen[0][:12], 0.01 * np.arange(12)[::-1], atol=1e-6)
    np.testing.assert_allclose(spy.seen[0][12:], np.arange(12.0)[::-1])
    np.testing.assert_allclose(target.q_sdk, go2.STAND_Q + 0.5 * spy.action[::-1], atol=1e-6)
    np.testing.assert_array_equal(target.kp_sdk, np.arange(31, 19, -1))


def test_it_sees_gravity_the_clipped_command_and_the_estimated_velocity():
    spy = Spy()
    velocity = np.array([0.1, 0.2, 0.3])
    runner(spy, ("gravity_body", "command", "velocity_body")).step(STATE, np.array([9.0, -9.0, 0.25]), velocity, 0.0)
    np.testing.assert_allclose(spy.seen[0], [0, 0, -1, 0.5, -0.5, 0.25, 0.1, 0.2, 0.3], atol=1e-7)


def test_last_action_and_phase_go_on_from_step_to_step_and_reset_starts_anew():
    spy = Spy(np.full(12, 2.0, np.float32), hidden_step=1.0)
    policy = runner(spy, ("last_action", "clock"), hidden_size=3)
    for _ in range(2):
        for _ in range(3):
            policy.step(STATE, ZERO3, ZERO3, 0.0)
        policy.reset()
    first, again = np.array(spy.seen[:3]), np.array(spy.seen[3:])
    np.testing.assert_array_equal(first, again)
    assert first[:, 0].tolist() == [0.0, 1.0, 1.0], "as it was executed: clipped"
    angle = 2.0 * np.pi * 2.0 / 50.0 * np.arange(3)
    np.testing.assert_allclose(first[:, 12:], np.stack([np.sin(angle), np.cos(angle)], 1), atol=1e-6)
    assert [h[0] for h in spy.hidden] == [0.0, 1.0, 2.0] * 2


@pytest.mark.parametrize(
    "action", [np.full(12, np.nan), np.r_[np.zeros(11), np.inf], np.zeros(11), np.zeros((1, 12)), None]
)
def test_an_output_that_is_not_twelve_finite_numbers_is_an_error(action):
    spy = Spy()
    spy.action = action
    with pytest.raises(DbpError, match="expected 12 finite numbers"):
        runner(spy).step(STATE, ZERO3, ZERO3, 0.0)
