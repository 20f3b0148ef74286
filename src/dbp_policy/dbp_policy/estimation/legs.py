"""What the estimator asks of each leg: where it touches the ground, how that point moves, what force it carries.

The law is that of kinematics.py, for the point of the foot's sphere that touches the ground, in plain floats: for four
legs, 500 times a second, half the time of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin

import numpy as np

from dbp_policy import go2

_HIPS = np.column_stack((go2.HIP_ORIGIN, go2.HIP_OFFSET_Y)).tolist()
_L1, _L2, _FX, _R = go2.THIGH_LENGTH, go2.CALF_LENGTH, go2.FOOT_OFFSET_X, go2.FOOT_RADIUS
_ARM = 0.01
"""Lever arms are damped by this, so that a leg stretched out gives no infinite force; half a percent in any walking
pose [m]."""


@dataclass(frozen=True)
class Legs:
    """The four legs in body axes, SDK leg order."""

    contact_points: Sequence[tuple[float, float, float]]
    """The lowest point of each foot's sphere from the base's origin [m]."""
    velocities: Sequence[tuple[float, float, float]]
    """Of the calf's point there, relative to the base [m/s]; a rolling foot's point is at rest."""
    vertical_forces: Sequence[float]
    """Upward force of the ground on each foot if the legs had no mass [N]."""


def measure(q_sdk: np.ndarray, dq_sdk: np.ndarray, tau_sdk: np.ndarray, up_body: np.ndarray) -> Legs:
    """The legs at one instant.

    Args:
        q_sdk: Joint angles, shape (12,) [rad].
        dq_sdk: Joint velocities, shape (12,) [rad/s].
        tau_sdk: Joint torques, shape (12,) [N·m].
        up_body: Unit vector against gravity in the body frame, shape (3,).
    """
    q, dq, tau, up = q_sdk.tolist(), dq_sdk.tolist(), tau_sdk.tolist(), up_body.tolist()
    each_leg = [
        _leg(*q[i : i + 3], *dq[i : i + 3], *tau[i : i + 3], *up, *hip)
        for i, hip in zip((0, 3, 6, 9), _HIPS, strict=True)
    ]
    return Legs(*zip(*each_leg, strict=True))


def _leg(
    a: float, b: float, c: float, da: float, db: float, dc: float,
    tau_a: float, tau_b: float, tau_c: float, up_x: float, up_y: float, up_z: float,
    hip_x: float, hip_y: float, hip_z: float, offset: float,
) -> tuple[tuple[float, float, float], tuple[float, float, float], float]:  # fmt: skip
    """Contact point, its velocity, and the force, of one leg; x, y, z and so on from the hip in the leg's plane, that
    is, in base axes turned by the hip angle about x.

    The columns of the contact point's Jacobian there are (0, -z, y), (z, 0, -x) and, from the knee on, (z_calf, 0,
    -x_calf). A massless leg is in balance, tau + J^T f = 0, hence f·up = -tau·l with J l = up.
    """
    sin_a, cos_a = sin(a), cos(a)
    sin_bc, cos_bc = sin(b + c), cos(b + c)
    lean_y, lean_z = up_y * cos_a + up_z * sin_a, up_z * cos_a - up_y * sin_a
    x_calf = _FX * cos_bc - _L2 * sin_bc - _R * up_x
    z_calf = -_L2 * cos_bc - _FX * sin_bc - _R * lean_z
    x, y, z = x_calf - _L1 * sin(b), offset - _R * lean_y, z_calf - _L1 * cos(b)

    vx, vy, vz = z * db + z_calf * dc, -z * da, y * da - x * db - x_calf * dc

    lever_a = -lean_y * z / (z * z + _ARM * _ARM)
    rest = lean_z - y * lever_a
    area = z_calf * x - z * x_calf  # what is left to solve is two by two, with this determinant
    scale = area / (area * area + (_ARM * _L1) ** 2)
    lever_b, lever_c = -scale * (up_x * x_calf + z_calf * rest), scale * (up_x * x + z * rest)
    force = -(tau_a * lever_a + tau_b * lever_b + tau_c * lever_c)
    point = hip_x + x, hip_y + y * cos_a - z * sin_a, hip_z + y * sin_a + z * cos_a
    return point, (vx, vy * cos_a - vz * sin_a, vy * sin_a + vz * cos_a), force
