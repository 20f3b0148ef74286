"""Contact from joint torque and from foot sensors whose counts mean nothing until learned."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.estimation.contact import ContactDetector

SWING, STANCE = np.full(4, 2.0), np.full(4, 60.0)
DT = 0.002


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
