"""Quaternions (w, x, y, z; body to world) and vectors, over any leading batch shape."""

from __future__ import annotations

import math

import numpy as np


def gravity_in_body(quat_wxyz):
    """Unit vector of gravity in the body frame, R(q)^T (0, 0, -1). Shape (..., 4) to (..., 3).

    Written with slices and products only, so that it serves numpy arrays and torch tensors alike; the caller stacks.

    Returns:
        The three components as a tuple of arrays of shape (..., 1).
    """
    w, x, y, z = (quat_wxyz[..., i : i + 1] for i in range(4))
    return (-2.0 * (x * z - w * y), -2.0 * (y * z + w * x), 2.0 * (x * x + y * y) - 1.0)


def gravity_body(quat_wxyz: np.ndarray) -> np.ndarray:
    """`gravity_in_body` as one numpy array of shape (..., 3)."""
    return np.concatenate(gravity_in_body(quat_wxyz), axis=-1)


def tilt(quat_wxyz: np.ndarray, nose_down: float = 0.0) -> float:
    """Angle between the body's z axis and the vertical [rad], NaN for a NaN quaternion.

    Args:
        quat_wxyz: Shape (4,).
        nose_down: Every attitude from level to pitched nose down by so much is upright, too [rad].
    """
    x, _, z = up_body(quat_wxyz)
    pitch = min(max(0.0, math.atan2(-x, z)), nose_down)
    cosine = z * math.cos(pitch) - x * math.sin(pitch)
    return math.acos(min(max(-1.0, cosine), 1.0)) if cosine == cosine else math.nan


def up_body(quat_wxyz: np.ndarray) -> tuple[float, float, float]:
    """Unit vector of the vertical in body axes, R(q)^T (0, 0, 1): `gravity_body` reversed, for one quaternion."""
    w, x, y, z = quat_wxyz.tolist()
    return 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


def rotation_matrix(quat_wxyz: np.ndarray) -> np.ndarray:
    """R with v_world = R v_body. Shape (4,) to (3, 3)."""
    w, x, y, z = quat_wxyz.tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            up_body(quat_wxyz),
        ]
    )


def yaw(quat_wxyz: np.ndarray) -> float:
    """Heading [rad], positive counter-clockwise, the z angle of the z-y-x convention."""
    w, x, y, z = quat_wxyz.tolist()
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def rpy(quat_wxyz: np.ndarray) -> np.ndarray:
    """Roll, pitch, yaw [rad] of the z-y-x convention, shape (3,)."""
    w, x, y, z = quat_wxyz.tolist()
    sine = 2.0 * (w * y - z * x)
    return np.array(
        [
            math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)),
            math.asin(max(-1.0, min(1.0, sine))) if sine == sine else math.nan,
            yaw(quat_wxyz),
        ]
    )


def turned(quat_wxyz: np.ndarray, angle_body: np.ndarray) -> np.ndarray:
    """The attitude after a small further turn by the rotation vector `angle_body`, shape (3,) [rad], in body axes."""
    w, x, y, z = quat_wxyz.tolist()
    a, b, c = (0.5 * angle_body).tolist()
    quat = np.array(
        [w - x * a - y * b - z * c, x + w * a + y * c - z * b, y + w * b + z * a - x * c, z + w * c + x * b - y * a]
    )
    return quat / np.sqrt(quat @ quat)
