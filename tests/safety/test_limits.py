"""The last check of every command: nothing outside the bounds passes, everything well inside does."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy import go2
from dbp_policy.guard import limits
from dbp_policy.guard.limits import STEP_MAX, target_fault
from dbp_policy.types import JointTarget, MotorCommand, RobotState, damping_command

STATE = RobotState(q_sdk=go2.STAND_Q)
ZERO = np.zeros(12)
HOLD = MotorCommand(q=go2.STAND_Q, dq=ZERO, kp=np.full(12, 60.0), kd=np.full(12, 5.0), tau=ZERO)
NAMES = [f.name for f in fields(MotorCommand)]

joints = st.integers(0, 11)
bad_numbers = st.sampled_from([np.nan, np.inf, -np.inf])
unit = st.lists(st.floats(0.0, 1.0), min_size=12, max_size=12).map(np.array)


def command_allowed(command: MotorCommand, state: RobotState) -> bool:
    """Whatever its step: the previous command had no stiffness."""
    return limits.command_allowed(command, state, damping_command())


def at(array: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


@given(st.sampled_from(NAMES), joints, bad_numbers)
def test_one_number_that_is_not_finite_is_enough(name, joint, bad):
    assert not command_allowed(replace(HOLD, **{name: at(getattr(HOLD, name), joint, bad)}), STATE)


@given(joints, bad_numbers)
def test_a_state_that_is_not_finite_allows_no_stiffness(joint, bad):
    assert not command_allowed(HOLD, replace(STATE, q_sdk=at(go2.STAND_Q, joint, bad)))
    assert not command_allowed(HOLD, replace(STATE, dq_sdk=at(ZERO, joint, bad)))


@given(unit, unit, unit, unit)
def test_whatever_lies_inside_is_allowed(q_share, reach_share, kp_share, kd_share):
    q = go2.Q_MIN + q_share * (go2.Q_MAX - go2.Q_MIN)
    kp, kd = kp_share * go2.KP_MAX, kd_share * go2.KD_MAX
    offset = (2.0 * reach_share - 1.0) * limits.TORQUE_REACH * go2.TAU_MAX / np.maximum(kp, 1e-3) * 0.999
    target = np.clip(q + offset, go2.Q_MIN, go2.Q_MAX)
    assert command_allowed(MotorCommand(target, ZERO, kp, kd, ZERO), replace(STATE, q_sdk=q))


@given(joints, st.floats(1e-6, 10.0), st.booleans())
def test_positions_outside_are_not(joint, beyond, above):
    margin = limits.POSITION_MARGIN + beyond
    q = go2.Q_MAX[joint] + margin if above else go2.Q_MIN[joint] - margin
    soft = replace(HOLD, kp=np.full(12, 0.01), q=at(go2.STAND_Q, joint, q))
    assert not command_allowed(soft, STATE)
    limp = replace(soft, kp=at(soft.kp, joint, 0.0))
    assert command_allowed(limp, STATE), "without stiffness a motor follows no position"


@pytest.mark.parametrize("joint", range(12))
def test_the_very_bounds_are_inside(joint):
    soft = replace(HOLD, kp=np.full(12, 0.01))
    for q in (go2.Q_MIN[joint] - 0.02, go2.Q_MAX[joint] + 0.02):
        assert command_allowed(replace(soft, q=at(go2.STAND_Q, joint, q)), STATE)
    for kp, kd in ((0.0, 0.0), (100.0, 10.0)):
        assert command_allowed(replace(HOLD, kp=at(HOLD.kp, joint, kp), kd=at(HOLD.kd, joint, kd)), STATE)
    for sign in (-1.5, 1.5):
        assert command_allowed(replace(HOLD, tau=at(ZERO, joint, sign * go2.TAU_MAX[joint])), STATE)


@given(st.sampled_from(["kp", "kd"]), joints, st.floats(1e-6, 1e6), st.booleans())
def test_gains_outside_are_not(name, joint, beyond, above):
    top = {"kp": go2.KP_MAX, "kd": go2.KD_MAX}[name]
    value = top + beyond if above else -beyond
    assert not command_allowed(replace(HOLD, **{name: at(getattr(HOLD, name), joint, value)}), STATE)


@given(joints, st.floats(1e-3, 100.0), st.sampled_from([-1.0, 1.0]))
def test_torque_outside_is_not_however_it_is_asked_for(joint, beyond, sign):
    tau = sign * (limits.TORQUE_REACH * go2.TAU_MAX[joint] + beyond)
    assert not command_allowed(replace(HOLD, tau=at(ZERO, joint, tau)), STATE)
    assert not command_allowed(replace(HOLD, dq=at(ZERO, joint, tau / 5.0)), STATE)
    kicked = replace(STATE, dq_sdk=at(ZERO, joint, -tau / 5.0))
    assert not command_allowed(HOLD, kicked)


def test_damping_is_always_allowed_at_speeds_a_joint_can_have():
    for speed in (-30.0, 0.0, 11.8, 30.0):
        dq = np.minimum(np.full(12, speed), limits.TORQUE_REACH * go2.TAU_MAX / go2.DAMPING_KD)
        assert command_allowed(damping_command(), replace(STATE, dq_sdk=np.maximum(dq, -11.8)))


@given(joints, st.floats(-2.0, 2.0))
def test_between_stiff_commands_an_angle_moves_a_little_at_a_time(joint, step):
    previous = replace(HOLD, kp=np.full(12, 0.01))
    command = replace(previous, q=at(go2.STAND_Q, joint, go2.STAND_Q[joint] + step))
    inside = go2.Q_MIN[joint] <= command.q[joint] <= go2.Q_MAX[joint]
    allowed = limits.command_allowed(command, STATE, previous)
    assert not allowed or abs(step) <= STEP_MAX
    assert allowed or abs(step) > STEP_MAX or not inside
    limp = replace(command, kp=at(command.kp, joint, 0.0))
    assert limits.command_allowed(limp, STATE, previous), "without stiffness a motor follows no position"


def test_the_very_step_that_is_allowed():
    previous = replace(HOLD, kp=np.full(12, 0.01))
    assert STEP_MAX == pytest.approx(0.88), "a tenth more than 40 rad/s for 20 ms"
    for step, allowed in ((STEP_MAX, True), (-STEP_MAX, True), (0.881, False), (-0.881, False)):
        command = replace(previous, q=at(go2.STAND_Q, 0, step))
        assert limits.command_allowed(command, STATE, previous) == allowed
        for free in (replace(previous, kp=ZERO), replace(previous, kp=at(previous.kp, 0, 0.0))):
            assert limits.command_allowed(command, STATE, free), "without stiffness before, it held no position"


def target(**changes) -> JointTarget:
    good = JointTarget(1, 0.0, 0, go2.STAND_Q, np.full(12, 25.0), np.full(12, 0.5))
    return replace(good, **changes)


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({}, None),
        ({"q_sdk": at(go2.STAND_Q, 4, np.nan)}, "policy_invalid"),
        ({"kp_sdk": at(np.full(12, 25.0), 0, np.inf)}, "policy_invalid"),
        ({"kd_sdk": np.full(12, -0.1)}, "policy_invalid"),
        ({"kp_sdk": np.full(12, 101.0)}, "policy_invalid"),
        ({"q_sdk": at(go2.STAND_Q, 2, -0.7)}, "policy_reach"),
        ({"q_sdk": at(go2.STAND_Q, 1, 0.8 + 1.43)}, "policy_reach"),  # 25 * 1.43 = 35.75 > 1.5 * 23.7 = 35.55 N·m
        ({"q_sdk": at(go2.STAND_Q, 1, 0.8 + 1.41)}, None),  # 35.25 N·m
    ],
)
def test_faults_of_a_policy_target(changes, fault):
    assert target_fault(target(**changes), STATE) == fault
