"""Contact from joint torque and from foot sensors whose counts mean nothing until learned."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.estimation.contact import ContactDetector, vertical_foot_force
from dbp_policy.kinematics import foot_jacobians

UP = np.array([0.0, 0.0, 1.0])
SWING, STANCE = np.full(4, 2.0), np.full(4, 60.0)
DT = 0.002


def test_force_of_a_leg_pushed_straight_up_by_hand():
    # Hip 0, thigh b, calf -2b: the foot is right under the thigh joint but for its 2 mm offset; an upward force F on it
    # has the lever x about the thigh, and x_knee about the calf; tau = -J^T f.
    q = np.tile([0.0, 0.8, -1.6], 4)
    knee = -go2.THIGH_LENGTH * np.sin(0.8)
    foot = knee - go2.CALF_LENGTH * np.sin(-0.8) + go2.FOOT_OFFSET_X * np.cos(-0.8)
    force = np.array([10.0, 20.0, 30.0, 40.0])
    # a force (0, 0, F) at (x, y, z) has the moment y F about x and -x F about y
    hip_tau = -go2.HIP_OFFSET_Y * force
    tau = np.stack([hip_tau, foot * force, (foot - knee) * force], axis=-1).ravel()
    assert vertical_foot_force(foot_jacobians(q), tau, UP) == pytest.approx(force, rel=0.02)


def test_force_is_recovered_from_any_pose_and_tilt():
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = go2.STAND_Q + rng.uniform(-0.3, 0.3, 12)
        up = np.array([0.2, -0.1, 1.0]) * rng.uniform(0.5, 1.0, 3)
        up /= np.linalg.norm(up)
        force = rng.uniform(-80.0, 80.0, (4, 3))
        tau = -np.einsum("fij,fi->fj", foot_jacobians(q), force).ravel()
        assert vertical_foot_force(foot_jacobians(q), tau, up) == pytest.approx(force @ up, abs=4.0)


def test_force_stays_finite_with_a_leg_stretched_out_singular():
    q = np.zeros(12)  # straight legs, beyond the calf's range
    force = vertical_foot_force(foot_jacobians(q), np.full(12, 5.0), UP)
    assert np.isfinite(force).all()


def trot(detector: ContactDetector, sensor, steps: int = 1000) -> None:
    """Two diagonal pairs in turn, 100 ms each; `sensor` maps stance (4,) bool to counts."""
    for i in range(steps):
        stance = np.array([True, False, False, True]) ^ (i // 50 % 2 == 1)
        detector.update(np.where(stance, STANCE, SWING), sensor(stance), DT)


def test_torque_alone_decides_while_the_sensors_are_silent():
    detector = ContactDetector()
    trot(detector, lambda stance: np.zeros(4))
    assert not detector.sensors_believed.any()
    probability = detector.update(np.array([60.0, 2.0, 60.0, 2.0]), np.zeros(4), DT)
    assert detector.stance.tolist() == [True, False, True, False]
    assert np.all(probability[[0, 2]] > 0.95) and np.all(probability[[1, 3]] < 0.05)


def test_hysteresis_holds_the_verdict_around_the_threshold():
    detector = ContactDetector()
    middle = np.full(4, 22.0)
    detector.update(SWING, np.zeros(4), DT)
    detector.update(middle, np.zeros(4), DT)
    assert not detector.stance.any()
    detector.update(STANCE, np.zeros(4), DT)
    detector.update(middle, np.zeros(4), DT)
    assert detector.stance.all()


def test_offset_and_scale_of_each_sensor_are_learned():
    detector = ContactDetector()
    offset, scale = np.array([15.0, -30.0, 0.0, 200.0]), np.array([20.0, 60.0, 300.0, 40.0])
    trot(detector, lambda stance: offset + scale * stance)
    assert detector.sensors_believed.all()
    doubt = np.full(4, 22.0)
    assert np.all(detector.update(doubt, offset + scale, DT) > 0.95)
    assert np.all(detector.update(doubt, offset, DT) < 0.05)


@pytest.mark.parametrize("value", [0.0, 500.0, np.nan, np.inf])
def test_a_stuck_or_broken_sensor_never_gets_a_say(value):
    broken, healthy = ContactDetector(), ContactDetector()
    trot(broken, lambda stance: np.full(4, value))
    trot(healthy, lambda stance: np.zeros(4))
    assert not broken.sensors_believed.any()
    force = np.array([60.0, 30.0, 15.0, 2.0])
    assert np.array_equal(broken.update(force, np.full(4, value), DT), healthy.update(force, np.zeros(4), DT))


def test_a_sensor_that_breaks_later_loses_its_say():
    detector = ContactDetector()
    trot(detector, lambda stance: 50.0 * stance)
    assert detector.sensors_believed.all()
    trot(detector, lambda stance: np.full(4, 10.0), steps=1500)
    assert not detector.sensors_believed.any()


def test_torque_that_is_nan_leaves_it_to_the_sensors():
    detector = ContactDetector()
    trot(detector, lambda stance: 50.0 * stance)
    probability = detector.update(np.full(4, np.nan), np.array([50.0, 0.0, 50.0, 0.0]), DT)
    assert np.isfinite(probability).all()
    assert detector.stance.tolist() == [True, False, True, False]


def test_reset_forgets():
    detector = ContactDetector()
    trot(detector, lambda stance: 50.0 * stance)
    detector.reset()
    assert not detector.stance.any() and not detector.sensors_believed.any()
