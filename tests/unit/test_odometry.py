"""Odometry: where it is, and how its covariance grows, by hand-computed numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.estimation.odometry import Odometry, OdometryParameters


def test_covariance_grows_only():
    odometry = Odometry()
    last = 0.0
    for _ in range(100):
        odometry.advance(np.array([0.5, 0.0, 0.0]), 1e-4 * np.eye(3), 0.01)
        assert odometry.covariance[0, 0] > last
        last = odometry.covariance[0, 0]
    assert odometry.position == pytest.approx([0.5, 0.0, 0.0])
    # 1 s: 2 * 0.5 s * 1e-4 for the noise and 2 * 10 s * (0.02 * 0.5)² for the drift
    assert last == pytest.approx(1e-4 + 2e-3)


def test_covariance_is_in_odom_axes_and_height_is_drawn_to_the_feet():
    p = OdometryParameters(correlation_time=0.5, drift=0.0, height_time=0.1, height_sigma=0.02)
    odometry = Odometry(p)
    cov = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]) * 1e-4
    odometry.advance(np.array([0.0, 0.0, 1.0]), cov, 0.01)
    assert odometry.covariance == pytest.approx(0.01 * cov)  # 2 * 0.01 s * 0.5 s
    heights, weights = np.array([0.3, 0.4, 0.0, 0.0]), np.array([1.0, 0.5, 0.0, 0.0])
    odometry.correct_height(heights, weights, 0.01)  # the first time all the way: (0.3 + 0.2) / 1.5
    assert odometry.position[2] == pytest.approx(1.0 / 3.0)
    odometry.correct_height(heights + 0.1, weights, 0.01)  # a tenth of the way
    assert odometry.position[2] == pytest.approx(1.0 / 3.0 + 0.01)
    assert odometry.covariance[2, 2] == pytest.approx(0.02**2)
    odometry.correct_height(np.zeros(4), np.zeros(4), 0.01)
    assert odometry.position[2] == pytest.approx(1.0 / 3.0 + 0.01), "no foot, no say"
