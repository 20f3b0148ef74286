"""The velocity filter against the textbook's Kalman filter, by hand-computed numbers and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.estimation.velocity_filter import FilterParameters, VelocityFilter, skew


def test_skew_is_the_cross_product():
    a, b = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])
    assert skew(a) @ b == pytest.approx(np.cross(a, b))


def test_update_is_the_textbook_kalman_gain_on_each_axis():
    f = VelocityFilter(FilterParameters(velocity_sigma=1.0, foot_sigma=(0.5, 0.5, 1.0)))
    # P = 1. x, y: R = 0.25 / 2 feet = 0.125, K = 1 / 1.125, mean of the two = 0.3, posterior variance P R / (P + R).
    # z: R = 1 / (1 + 0.5), K = 0.6, weighted mean = (0.6 + 0.5 * 0.3) / 1.5 = 0.5, posterior variance 0.4.
    f.update(np.array([[0.2, 0.0, 0.6], [0.4, 0.0, 0.3]]), np.ones(2), np.array([1.0, 0.5]))
    assert f.velocity == pytest.approx([0.3 / 1.125, 0.0, 0.6 * 0.5])
    assert np.diag(f.covariance)[:3] == pytest.approx([1.0 / 9.0, 1.0 / 9.0, 0.4])


def test_with_correlated_axes_is_the_kalman_update_in_matrices():
    f = VelocityFilter(FilterParameters(foot_sigma=(0.5, 0.5, 1.0)))
    for _ in range(200):
        f.predict(np.array([0.3, -0.2, 0.5]), np.array([0.5, -0.4, 2.0]), 0.01)
    f.covariance[:3, :3] += 0.2 * np.ones((3, 3))
    state, covariance = np.concatenate([f.velocity, f.bias]), f.covariance.copy()
    h, noise = np.eye(3, 6), np.diag([0.25, 0.25, 1.0])
    gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + noise)
    measured = state[:3] + [0.1, -0.05, 0.2]
    f.update(measured[None], np.ones(1), np.ones(1))
    assert np.concatenate([f.velocity, f.bias]) == pytest.approx(state + gain @ (measured - state[:3]))
    assert f.covariance == pytest.approx(covariance - gain @ h @ covariance)


def test_inflates_an_implausible_measurement_instead_of_dropping_it():
    f = VelocityFilter(FilterParameters(velocity_sigma=0.1, foot_sigma=(0.1, 0.1, 0.1), gate=16.0))
    # distance² = 0.8² / (0.01 + 0.01) = 32, inflation (32 / 16)² = 4: R = 0.04, K = 0.01 / 0.05
    assert f.update(np.array([[0.8, 0.0, 0.0]]), np.ones(1), np.ones(1)) == pytest.approx([32.0])
    assert f.velocity == pytest.approx([0.8 / 5.0, 0.0, 0.0])


def test_gates_what_slips_but_not_what_sinks():
    f = VelocityFilter(FilterParameters(velocity_sigma=0.1, foot_sigma=(0.1, 0.1, 0.1), gate=4.0))
    # z: K = 0.01 / (0.01 + 0.01), however far off
    assert f.update(np.array([[0.0, 0.0, -1.4]]), np.ones(1), np.ones(1)) == pytest.approx([0.0])
    assert f.velocity == pytest.approx([0.0, 0.0, -0.7])


def test_doubts_the_prediction_only_if_trusted_measurements_agree():
    agreeing, alone, scattered = np.full((2, 3), 0.9), np.full((1, 3), 0.9), np.array([[0.9] * 3, [-0.9] * 3])
    growth = []
    for measured in (agreeing, alone, scattered):
        f = VelocityFilter(FilterParameters(velocity_sigma=0.01, surprise=0.5, foot_sigma=(0.1, 0.1, 0.1)))
        f.update(measured, np.ones(len(measured)), np.ones(len(measured)))
        growth.append(f.covariance[0, 0] > 1e-3)
    assert growth == [True, False, False]


def test_prediction_is_the_derivative_of_its_motion():
    """F P F^T with F by finite differences of the state's own motion."""
    acceleration, gyro, dt = np.array([0.5, -1.0, 0.3]), np.array([0.4, -0.7, 1.1]), 0.002

    def moved(state: np.ndarray) -> np.ndarray:
        f = VelocityFilter()
        f.velocity[:], f.bias[:] = state[:3], state[3:]
        f.predict(acceleration, gyro, dt)
        return np.concatenate([f.velocity, f.bias])

    start, h = np.array([0.3, 0.1, -0.2, 0.05, -0.02, 0.1]), 1e-5
    jacobian = np.stack([(moved(start + h * e) - moved(start - h * e)) / (2.0 * h) for e in np.eye(6)], axis=1)
    quiet = VelocityFilter(FilterParameters(acceleration_noise=0.0, bias_walk=0.0))
    quiet.velocity[:], before = start[:3], quiet.covariance.copy()
    quiet.predict(acceleration, gyro, dt)
    assert quiet.covariance == pytest.approx(jacobian @ before @ jacobian.T, abs=1e-5)  # to first order in dt


def test_turns_the_body_velocity_against_the_rotation():
    f = VelocityFilter()
    f.velocity[:] = [1.0, 0.0, 0.0]
    for _ in range(500):
        f.predict(np.zeros(3), np.array([0.0, 0.0, np.pi / 2.0]), 0.002)  # a quarter turn left in one second
    assert f.velocity == pytest.approx([0.0, -1.0, 0.0], abs=1e-5)
    assert f.covariance == pytest.approx(f.covariance.T)
