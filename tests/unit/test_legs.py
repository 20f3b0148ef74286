"""The legs as the estimator sees them, against the general kinematics, finite differences and a force by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.estimation import legs
from dbp_policy.kinematics import foot_jacobians, foot_positions

UP = np.array([0.0, 0.0, 1.0])


def poses(count: int = 30):
    """Poses and directions of up, of any tilt."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        up = np.array([0.2, -0.1, 1.0]) * rng.uniform(0.5, 1.0, 3)
        yield go2.STAND_Q + rng.uniform(-0.3, 0.3, 12), up / np.linalg.norm(up), rng


def turn(axis: int, angle: float) -> np.ndarray:
    """Rotation matrix about a coordinate axis."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def test_contact_points_are_the_lowest_of_the_foot_spheres():
    for q, up, _ in poses():
        points = legs.measure(q, np.zeros(12), np.zeros(12), up).contact_points
        assert points == pytest.approx(foot_positions(q) - go2.FOOT_RADIUS * up)


def test_velocity_is_that_of_the_calfs_point_by_finite_differences():
    for q, up, rng in poses():
        dq, h = rng.normal(size=12), 1e-6

        def points(angles, q=q, up=up):
            """Of the material points of the calves that touch the ground at q, with the joints at `angles`."""
            below = []
            for leg in range(4):
                was, now = q[3 * leg : 3 * leg + 3], angles[3 * leg : 3 * leg + 3]
                in_calf = (turn(0, was[0]) @ turn(1, was[1] + was[2])).T @ (-go2.FOOT_RADIUS * up)
                below.append(turn(0, now[0]) @ turn(1, now[1] + now[2]) @ in_calf)
            return foot_positions(angles) + np.array(below)

        expected = (points(q + h * dq) - points(q - h * dq)) / (2.0 * h)
        assert legs.measure(q, dq, np.zeros(12), up).velocities == pytest.approx(expected, abs=1e-6)


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
    assert legs.measure(q, np.zeros(12), tau, UP).vertical_forces == pytest.approx(force, rel=0.02)


def test_force_is_recovered_from_any_pose_and_tilt():
    for q, up, rng in poses(50):
        force = rng.uniform(-80.0, 80.0, (4, 3))
        radius = np.cross(-go2.FOOT_RADIUS * up, force)  # the force acts below the foot's centre
        axes = [[turn(0, a) @ e for e in np.eye(3)[[0, 1, 1]]] for a in q[0::3]]
        tau = -(np.einsum("fij,fi->fj", foot_jacobians(q), force) + np.einsum("fji,fi->fj", axes, radius)).ravel()
        assert legs.measure(q, np.zeros(12), tau, up).vertical_forces == pytest.approx(force @ up, abs=1.0)


@pytest.mark.parametrize("q", [np.zeros(12), np.tile([0.0, 0.0, -np.pi], 4)], ids=["stretched out", "folded"])
def test_force_stays_finite_with_a_leg_that_is_singular(q):
    force = legs.measure(q, np.zeros(12), np.full(12, 5.0), UP).vertical_forces
    assert np.abs(force).max() < 5000.0
