"""Closed-form leg kinematics: finite differences, symmetry, and its torch twin. (MuJoCo's: test_go2_model.py.)"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy import go2
from dbp_policy.kinematics import foot_jacobians, foot_positions, foot_velocities

shares = st.lists(st.floats(0.0, 1.0), min_size=12, max_size=12).map(np.array)


def pose(share: np.ndarray) -> np.ndarray:
    return go2.Q_MIN + share * (go2.Q_MAX - go2.Q_MIN)


def test_a_straight_leg_by_hand():
    # All angles zero: the foot hangs l1 + l2 under the hip, f behind it.
    feet = foot_positions(np.zeros(12))
    assert feet[0] == pytest.approx([0.1934 - 0.002, -0.0465 - 0.0955, -0.426])


@given(shares)
def test_jacobians_are_the_derivatives_of_the_positions(share):
    q, h = pose(share), 1e-6
    jacobians = foot_jacobians(q)
    for joint in range(12):
        step = h * (np.arange(12) == joint)
        slope = (foot_positions(q + step) - foot_positions(q - step)) / (2.0 * h)
        leg, column = divmod(joint, 3)
        expected = np.zeros((4, 3))
        expected[leg] = jacobians[leg, :, column]
        np.testing.assert_allclose(slope, expected, atol=1e-8)


@given(shares, shares)
def test_foot_velocities(share, speed):
    q, dq, h = pose(share), 10.0 * (speed - 0.5), 1e-6
    slope = (foot_positions(q + h * dq) - foot_positions(q - h * dq)) / (2.0 * h)
    np.testing.assert_allclose(foot_velocities(q, dq), slope, atol=1e-7)


@given(shares)
def test_left_is_the_mirror_image_of_right(share):
    q = pose(share)
    mirrored = q.reshape(4, 3)[[1, 0, 3, 2]] * [-1.0, 1.0, 1.0]
    expected = foot_positions(q)[[1, 0, 3, 2]] * [1.0, -1.0, 1.0]
    np.testing.assert_allclose(foot_positions(mirrored.ravel()), expected, atol=1e-12)


def test_any_leading_shape():
    q = pose(np.random.default_rng(0).uniform(size=(2, 5, 12)))
    np.testing.assert_allclose(foot_positions(q)[1, 3], foot_positions(q[1, 3]), atol=1e-15)
    np.testing.assert_allclose(foot_jacobians(q)[1, 3], foot_jacobians(q[1, 3]), atol=1e-15)


def test_the_torch_twin_agrees_and_its_gradient_is_the_jacobian():
    torch = pytest.importorskip("torch")
    q = pose(np.random.default_rng(1).uniform(size=12))
    q_torch = torch.tensor(q, requires_grad=True)
    feet = foot_positions(q_torch, torch)
    np.testing.assert_allclose(feet.detach().numpy(), foot_positions(q), atol=1e-12)
    jacobians = foot_jacobians(q)
    for leg in range(4):
        for axis in range(3):
            (gradient,) = torch.autograd.grad(feet[leg, axis], q_torch, retain_graph=True)
            np.testing.assert_allclose(gradient.numpy()[3 * leg : 3 * leg + 3], jacobians[leg, axis], atol=1e-12)
