"""The PD law and the motor's limits, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy import go2
from dbp_policy.pd import clip_to_reach, clip_to_speed, limit_torque, pd_torque

unit = st.lists(st.floats(-1.0, 1.0), min_size=12, max_size=12).map(np.array)


def limited(tau: float, dq: float) -> float:
    """Of a motor with 20 N·m and 10 rad/s."""
    return float(limit_torque(np.array([tau]), np.array([dq]), np.array([20.0]), np.array([10.0]))[0])


def test_pd_by_hand():
    # 20 (0.5 - 0.2) + 2 (1 - 3) + 0.7 = 6 - 4 + 0.7
    assert pd_torque(0.2, 3.0, 0.5, 1.0, 20.0, 2.0, 0.7) == pytest.approx(2.7)


@pytest.mark.parametrize(
    "tau, dq, given",
    [
        (15.0, 0.0, 15.0),
        (50.0, 0.0, 20.0),
        (-50.0, 0.0, -20.0),
        (50.0, 5.0, 20.0),  # the corner, at half the no-load speed
        (50.0, 7.5, 10.0),  # half way down from it
        (50.0, 10.0, 0.0),
        (50.0, 12.0, 0.0),
        (-50.0, 12.0, -20.0),  # braking has the full torque at any speed
        (-50.0, -7.5, -10.0),
        (50.0, -7.5, 20.0),
        (3.0, 7.5, 3.0),
    ],
)
def test_torque_and_speed_limit_by_hand(tau, dq, given):
    assert limited(tau, dq) == pytest.approx(given)


def test_limits_do_not_hide_a_nan():
    assert np.isnan(limited(np.nan, 1.0)) and np.isnan(limited(5.0, np.nan))


@given(unit, unit, unit, st.floats(1.0, 100.0), st.floats(0.0, 5.0))
def test_what_is_clipped_to_reach_asks_for_no_more_than_the_motor_has(wanted, q_share, dq, kp, kd):
    q = 0.5 * (go2.Q_MIN + go2.Q_MAX) + 0.5 * q_share * (go2.Q_MAX - go2.Q_MIN)
    dq, kp, kd = 4.0 * dq, np.full(12, kp), np.full(12, kd)
    target = clip_to_reach(go2.STAND_Q + 6.0 * wanted, q, dq, kp, kd)
    assert (target >= go2.Q_MIN).all() and (target <= go2.Q_MAX).all()
    asked = np.abs(pd_torque(q, dq, target, 0.0, kp, kd, 0.0))
    at_limit = (target == go2.Q_MIN) | (target == go2.Q_MAX)
    assert (at_limit | (asked <= go2.TAU_MAX * (1.0 + 1e-9))).all()


@given(unit)
def test_a_reachable_target_is_left_alone(offset):
    wanted = go2.STAND_Q + 0.2 * offset
    got = clip_to_reach(wanted, go2.STAND_Q, np.zeros(12), np.full(12, 25.0), np.full(12, 0.5))
    np.testing.assert_array_equal(got, wanted)


def test_a_target_goes_as_far_towards_the_wanted_one_as_a_joint_does():
    last = np.array([0.5, -0.5, 0.0])
    got = clip_to_speed(np.array([2.0, -2.0, 0.3]), last, dt=0.01)
    np.testing.assert_allclose(got, [0.801, -0.801, 0.3])  # 30.1 rad/s for 10 ms
    assert np.isnan(clip_to_speed(np.array([np.nan] * 3), last, 0.01)).all()


def test_without_stiffness_only_the_joint_limits_bind():
    zero = np.zeros(12)
    assert (clip_to_reach(np.full(12, 9.0), go2.STAND_Q, zero, zero, zero) == go2.Q_MAX).all()
