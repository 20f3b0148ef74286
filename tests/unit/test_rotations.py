"""Quaternions against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dbp_policy import rotations

components = st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).map(np.array)
quaternions = components.filter(lambda q: np.linalg.norm(q) > 0.1).map(lambda q: q / np.linalg.norm(q))


def scipy_of(quat_wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(quat_wxyz, -1))


@given(quaternions)
def test_matrix_gravity_and_tilt(quat):
    oracle = scipy_of(quat)
    np.testing.assert_allclose(rotations.rotation_matrix(quat), oracle.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotations.gravity_body(quat), oracle.inv().apply([0.0, 0.0, -1.0]), atol=1e-12)
    up = oracle.apply([0.0, 0.0, 1.0])
    assert rotations.tilt(quat) == pytest.approx(np.arctan2(np.hypot(up[0], up[1]), up[2]), abs=2e-6)


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_roll_pitch_yaw(roll, pitch, yaw):
    quat = np.roll(Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_quat(), 1)
    np.testing.assert_allclose(rotations.rpy(quat), [roll, pitch, yaw], atol=1e-6)
    assert rotations.yaw(quat) == pytest.approx(yaw, abs=1e-6)


@given(quaternions)
def test_a_quaternion_and_its_negative_are_the_same_attitude(quat):
    for function in (rotations.rotation_matrix, rotations.gravity_body, rotations.tilt):
        np.testing.assert_allclose(function(quat), function(-quat), atol=1e-12)


def test_by_hand():
    half = np.sqrt(0.5)
    left_side_down = np.array([half, -half, 0.0, 0.0])  # rolled by -90 degrees: the left of the body points down
    assert rotations.gravity_body(left_side_down) == pytest.approx([0.0, 1.0, 0.0])
    assert rotations.tilt(left_side_down, 1.374) == pytest.approx(np.pi / 2)
    assert rotations.tilt(left_side_down) == pytest.approx(np.pi / 2)
    assert rotations.tilt(np.array([0.0, 1.0, 0.0, 0.0])) == pytest.approx(np.pi)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_does_not_look_upright(bad):
    for index in (1, 2):
        quat = np.array([1.0, 0.0, 0.0, 0.0])
        quat[index] = bad
        assert not rotations.tilt(quat) <= 1.0


def test_gravity_over_a_batch():
    quats = np.random.default_rng(0).standard_normal((3, 5, 4))
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    np.testing.assert_array_equal(rotations.gravity_body(quats)[1, 2], rotations.gravity_body(quats[1, 2]))


@given(quaternions, st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=3).map(np.array))
def test_a_small_turn_in_body_axes(quat, angle):
    expected = scipy_of(quat) * Rotation.from_rotvec(angle)
    turned = rotations.rotation_matrix(rotations.turned(quat, angle))
    np.testing.assert_allclose(turned, expected.as_matrix(), atol=1e-5)
