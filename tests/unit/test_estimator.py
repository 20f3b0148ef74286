"""The estimator by hand-computed numbers: legs and IMU of a robot whose motion is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.estimation.estimator import Estimate, Estimator, TickClock
from dbp_policy.kinematics import foot_jacobians, foot_positions
from dbp_policy.types import RobotState

UP = np.array([0.0, 0.0, 1.0])
AT_REST = np.array([0.0, 0.0, go2.GRAVITY])


def rolling_jacobians(q: np.ndarray) -> np.ndarray:
    """d(calf's point at the bottom of the foot sphere)/dq by finite differences for hips at zero, shape (4, 3, 3).

    The point is fixed to the calf: it lies FOOT_RADIUS below the foot's centre at `q` and turns with the calf.
    """
    radius = np.array([0.0, 0.0, -go2.FOOT_RADIUS])

    def points(angles: np.ndarray) -> np.ndarray:
        turned = []
        for leg in range(4):
            hip, bend = angles[3 * leg], (angles - q)[3 * leg + 1 : 3 * leg + 3].sum()
            about_y = [[np.cos(bend), 0, np.sin(bend)], [0, 1, 0], [-np.sin(bend), 0, np.cos(bend)]]
            about_x = [[1, 0, 0], [0, np.cos(hip), -np.sin(hip)], [0, np.sin(hip), np.cos(hip)]]
            turned.append(np.array(about_x) @ np.array(about_y) @ radius)
        return foot_positions(angles) + np.array(turned)

    assert not q[0::3].any()
    columns, h = np.zeros((4, 3, 3)), 1e-6
    for leg in range(4):
        for joint in range(3):
            step = np.zeros(12)
            step[3 * leg + joint] = h
            columns[leg, :, joint] = (points(q + step) - points(q - step))[leg] / (2.0 * h)
    return columns


CONTACT_POINTS = foot_positions(go2.STAND_Q) - go2.FOOT_RADIUS * UP
ROLLING_JACOBIANS = rolling_jacobians(go2.STAND_Q)


def standing(
    tick_ms: int = 0,
    velocity: np.ndarray | None = None,
    gyro: np.ndarray | None = None,
    loaded: tuple[bool, ...] = (True,) * 4,
    acc: np.ndarray = AT_REST,
) -> RobotState:
    """One instant of a base that moves at `velocity` while the points of its feet that touch the ground hold still."""
    velocity = np.zeros(3) if velocity is None else velocity
    gyro = np.zeros(3) if gyro is None else gyro
    relative = -(velocity + np.cross(gyro, CONTACT_POINTS))
    dq = np.linalg.solve(ROLLING_JACOBIANS, relative[..., None])[..., 0]
    load = np.where(loaded, go2.MASS * go2.GRAVITY / max(1, sum(loaded)), 0.0)
    tau = -(foot_jacobians(go2.STAND_Q)[:, 2, :] * load[:, None])  # tau = -J^T (0, 0, load)
    return RobotState(
        tick_ms=tick_ms,
        stamp=tick_ms / 1000.0,
        q_sdk=go2.STAND_Q,
        dq_sdk=dq.ravel(),
        tau_sdk=tau.ravel(),
        gyro_body=gyro,
        acc_body=acc,
    )


def run(estimator: Estimator, steps: int, first_ms: int = 0, **kwargs) -> Estimate:
    for i in range(steps):
        estimate = estimator.update(standing(first_ms + 2 * i, **kwargs))
    return estimate


# At rest and in steady motion ----------------------------------------------------------------------------------------


def test_nothing_is_claimed_before_the_first_lowstate():
    estimator = Estimator()
    floating = replace(standing(loaded=(False,) * 4), acc_body=np.zeros(3))
    assert not estimator.update(floating).valid  # free fall: nothing to hold on to


def test_at_rest_velocity_is_zero_and_the_height_is_that_over_the_feet():
    estimate = run(Estimator(), 500)
    assert estimate.valid and estimate.contact.all()
    assert estimate.velocity_body == pytest.approx(np.zeros(3), abs=1e-6)
    height = go2.FOOT_RADIUS - foot_positions(go2.STAND_Q)[0, 2]  # 0.213 (cos 0.8 + cos 0.7) + 0.0013 + 0.022
    assert height == pytest.approx(0.3346, abs=1e-4)
    assert estimate.position_odom == pytest.approx([0.0, 0.0, height], abs=1e-6)
    assert np.all(np.linalg.eigvalsh(estimate.velocity_cov) > 0.0)


@pytest.mark.parametrize("loaded", [(True,) * 4, (True, False, False, True), (False, False, True, False)])
def test_velocity_by_the_legs_at_constant_speed(loaded):
    velocity = np.array([0.4, -0.2, 0.05])
    estimate = run(Estimator(), 1000, velocity=velocity, loaded=loaded)
    assert estimate.contact.tolist() == list(loaded)
    assert estimate.velocity_body == pytest.approx(velocity, abs=0.003)
    assert estimate.position_odom[:2] == pytest.approx(2.0 * velocity[:2], abs=0.02)


def test_turning_about_the_trunk_is_no_velocity_of_the_base():
    # Feet, IMU and the accelerometer's centripetal part all move; the base's origin does not.
    gyro = np.array([0.0, 0.0, 1.5])
    acc = AT_REST + np.cross(gyro, np.cross(gyro, go2.IMU_POSITION))
    estimate = run(Estimator(), 1000, gyro=gyro, acc=acc)
    assert estimate.velocity_body == pytest.approx(np.zeros(3), abs=0.003)


def test_odometry_follows_the_yaw_of_the_imu():
    heading_left = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    estimator = Estimator()
    for i in range(1000):
        estimate = estimator.update(
            replace(standing(2 * i, velocity=np.array([0.5, 0.0, 0.0])), quat_wxyz=heading_left)
        )
    assert estimate.position_odom[:2] == pytest.approx([0.0, 1.0], abs=0.02)
    assert np.array_equal(estimate.quat_wxyz, heading_left)


def test_the_accelerometer_carries_the_velocity_while_all_feet_are_in_the_air():
    estimator = Estimator()
    run(estimator, 500)
    # 100 ms of flight at 1 m/s² forward: 0.1 m/s
    estimate = run(estimator, 50, first_ms=1000, loaded=(False,) * 4, acc=AT_REST + [1.0, 0.0, 0.0])
    assert not estimate.contact.any()
    assert estimate.velocity_body == pytest.approx([0.1, 0.0, 0.0], abs=0.005)


def test_the_bias_of_the_accelerometer_is_found_and_removed():
    bias = np.array([0.2, -0.15, 0.1])
    estimator = Estimator()
    estimate = run(estimator, 5000, acc=AT_REST + bias)
    assert estimate.acc_bias_body == pytest.approx(bias, abs=0.02)
    assert estimate.velocity_body == pytest.approx(np.zeros(3), abs=0.002)
    flight = run(estimator, 50, first_ms=10000, acc=AT_REST + bias, loaded=(False,) * 4)
    assert flight.velocity_body == pytest.approx(np.zeros(3), abs=0.005)


def test_lying_still_with_no_foot_loaded_stays_at_zero():
    estimate = run(Estimator(), 2000, loaded=(False,) * 4, acc=AT_REST + [0.05, 0.0, 0.0])
    assert estimate.valid
    assert estimate.velocity_body == pytest.approx(np.zeros(3), abs=0.02)


def test_a_swing_with_quiet_legs_is_not_taken_for_lying_still():
    estimator = Estimator()
    velocity = np.array([0.5, 0.0, 0.0])
    run(estimator, 500, velocity=velocity)
    still_legs = replace(standing(loaded=(False,) * 4), dq_sdk=np.zeros(12))
    for i in range(75):  # 150 ms
        estimate = estimator.update(replace(still_legs, tick_ms=1000 + 2 * i))
    assert estimate.velocity_body == pytest.approx(velocity, abs=0.01)


def test_one_slipping_foot_hardly_matters():
    estimator = Estimator()
    velocity = np.array([0.3, 0.0, 0.0])
    run(estimator, 500, velocity=velocity)
    slipping_dq = standing(velocity=velocity + [0.6, 0.0, 0.0]).dq_sdk[:3]  # FR slides backwards at 0.6 m/s
    worst = 0.0
    for i in range(150):
        state = standing(1000 + 2 * i, velocity=velocity)
        state = replace(state, dq_sdk=np.concatenate([slipping_dq, state.dq_sdk[3:]]))
        worst = max(worst, float(np.abs(estimator.update(state).velocity_body - velocity).max()))
    assert worst < 0.05  # a plain mean of the four feet would be off by 0.15 m/s


def test_a_blow_that_saturates_the_accelerometer_is_believed_by_the_legs():
    estimator = Estimator()
    run(estimator, 500)
    estimate = run(estimator, 50, first_ms=1000, velocity=np.array([0.0, 0.8, 0.0]))  # 100 ms, unseen by the IMU
    assert estimate.velocity_body == pytest.approx([0.0, 0.8, 0.0], abs=0.1)


# Time ----------------------------------------------------------------------------------------------------------------


def test_tick_clock_table():
    clock = TickClock(restart_after=3)
    # (tick, elapsed): first, period, duplicate, gap, straggler, straggler's end, restart after three from the past
    for tick, elapsed in [
        (1000, None), (1002, 0.002), (1002, 0.0), (1012, 0.010), (1008, 0.0), (1014, 0.002),
        (4, 0.0), (6, 0.0), (8, None), (10, 0.002),
    ]:  # fmt: skip
        assert clock.advance(tick) == elapsed, tick
    wrapping = TickClock(restart_after=3)
    wrapping.advance(2**32 - 1)
    assert wrapping.advance(1) == 0.002


def test_a_duplicate_or_late_lowstate_changes_nothing():
    estimator = Estimator()
    before = run(estimator, 100, velocity=np.array([0.3, 0.0, 0.0]))
    assert estimator.update(standing(198)) is before
    assert estimator.update(standing(150, velocity=np.array([-2.0, 0.0, 0.0]))) is before


@pytest.mark.parametrize("gap_ms", [4, 10, 40, 90])
def test_a_short_gap_is_bridged_with_less_certainty(gap_ms):
    velocity = np.array([0.4, 0.0, 0.0])
    estimator = Estimator()
    before = run(estimator, 500, velocity=velocity)
    after = estimator.update(standing(998 + gap_ms, velocity=velocity, loaded=(False,) * 4))
    assert after.valid
    assert after.velocity_body == pytest.approx(velocity, abs=0.01)
    assert after.position_odom[0] - before.position_odom[0] == pytest.approx(0.4 * gap_ms / 1000.0, abs=0.001)
    assert np.trace(after.velocity_cov) > np.trace(before.velocity_cov)


@pytest.mark.parametrize("next_tick", [998 + 500, 4], ids=["half a second of silence", "the robot restarted"])
def test_a_long_gap_or_restart_starts_the_velocity_anew_but_not_the_position(next_tick):
    estimator = Estimator()
    before = run(estimator, 500, velocity=np.array([0.5, 0.0, 0.0]))
    estimate = run(estimator, 200, first_ms=next_tick, velocity=np.array([-0.3, 0.1, 0.0]))
    assert estimate.valid
    assert estimate.velocity_body == pytest.approx([-0.3, 0.1, 0.0], abs=0.01)
    moved = estimate.position_odom - before.position_odom
    assert moved[:2] == pytest.approx([-0.3 * 0.4, 0.1 * 0.4], abs=0.03)


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["q_sdk", "dq_sdk", "quat_wxyz", "gyro_body", "acc_body"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_holds_the_estimate_and_poisons_nothing(field, value):
    velocity = np.array([0.4, 0.0, 0.0])
    estimator = Estimator()
    before = run(estimator, 500, velocity=velocity)
    for i in range(5):
        bad = standing(1000 + 2 * i)
        values = getattr(bad, field).copy()
        values[-1] = value
        held = estimator.update(replace(bad, **{field: values}))
        assert not held.valid and held.stamp == bad.stamp
        assert np.array_equal(held.velocity_body, before.velocity_body)
    after = run(estimator, 50, first_ms=1010, velocity=velocity)
    assert after.valid
    assert after.velocity_body == pytest.approx(velocity, abs=0.01)


@pytest.mark.parametrize("quat", [np.zeros(4), np.array([2.0, 0.0, 0.0, 0.0])])
def test_a_quaternion_without_unit_length_is_no_lowstate(quat):
    assert not Estimator().update(replace(standing(), quat_wxyz=quat)).valid


@pytest.mark.parametrize("field", ["tau_sdk", "foot_force"])
def test_nan_in_a_contact_sensor_costs_contact_only(field):
    estimator = Estimator()
    run(estimator, 500)
    state = standing(1000)
    estimate = estimator.update(replace(state, **{field: np.full_like(getattr(state, field), np.nan)}))
    assert estimate.valid
    assert np.isfinite(estimate.velocity_body).all()


def test_a_diverged_velocity_starts_anew():
    estimator = Estimator()
    run(estimator, 100)
    invalid = 0
    for i in range(200):  # 60 m/s² for 0.4 s in the air is 24 m/s: no Go2 does that
        state = standing(200 + 2 * i, loaded=(False,) * 4, acc=AT_REST + [60.0, 0.0, 0.0])
        estimate = estimator.update(state)
        assert not (estimate.valid and np.abs(estimate.velocity_body).max() > 4.5)
        invalid += not estimate.valid
    assert invalid > 0
    assert run(estimator, 200, first_ms=600).velocity_body == pytest.approx(np.zeros(3), abs=0.01)


def test_reset_starts_at_the_origin_and_gives_the_same_again():
    estimator = Estimator()
    first = run(estimator, 300, velocity=np.array([0.3, 0.1, 0.0]))
    estimator.reset()
    again = run(estimator, 300, velocity=np.array([0.3, 0.1, 0.0]))
    assert np.array_equal(first.position_odom, again.position_odom)
    assert np.array_equal(first.velocity_cov, again.velocity_cov)


# How sure it is -------------------------------------------------------------------------------------------------------


def test_yaw_is_less_and_less_sure():
    first, last = run(Estimator(), 1), run(Estimator(), 501)
    # 500 steps of 2 ms: 1 s of a random walk of 0.003 rad/√s
    assert last.attitude_variance[2] - first.attitude_variance[2] == pytest.approx(9e-6)
    assert last.attitude_variance[:2] == pytest.approx(first.attitude_variance[:2])


def test_feet_that_all_slip_make_the_velocity_less_sure():
    rng = np.random.default_rng(0)
    firm, slippery = Estimator(), Estimator()
    for i in range(500):
        sure = firm.update(standing(2 * i))
        # All four slip back and forth at 0.8 m/s, 50 ms each way; the body stays where it is.
        dq = standing(velocity=np.array([0.8 * (-1.0) ** (i // 25), 0.0, 0.0])).dq_sdk
        unsure = slippery.update(replace(standing(2 * i), dq_sdk=dq + 0.1 * rng.standard_normal(12)))
    assert np.trace(unsure.velocity_cov) > 3.0 * np.trace(sure.velocity_cov)


def sinking(estimator: Estimator, foot_force: np.ndarray) -> float:
    """Mean vertical velocity of a base that keeps its height over feet in a trot that sink in within 20 ms of their
    touchdown, at 0.5 m/s, and rise again in the 100 ms left of the stance, at 0.1 m/s."""
    total = 0.0
    for i in range(6000):
        phase = i % 60
        pair = np.array([True, False, False, True]) ^ (i // 60 % 2 == 1)
        dq = standing(velocity=np.array([0.0, 0.0, 0.5 if phase < 10 else -0.1])).dq_sdk
        state = replace(standing(2 * i, loaded=tuple(pair)), dq_sdk=dq, foot_force=foot_force * pair)
        total += float(estimator.update(state).velocity_body[2]) * (i >= 3000)
    return total / 3000.0


def test_a_foot_that_sinks_in_and_rises_again_is_no_velocity_of_the_base():
    assert sinking(Estimator(), np.full(4, 60.0)) == pytest.approx(0.0, abs=0.01)


def test_without_sensors_the_beginning_of_a_stance_counts_less():
    assert sinking(Estimator(), np.zeros(4)) < -0.02  # it settles first, and then feet only rise
