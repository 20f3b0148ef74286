"""Closed-form leg kinematics of the Go2, over any leading batch shape.

The formulas use slices, sums and products only and take the array module as an argument, so that the robot (numpy) and
training (torch, differentiable) share one definition.
"""

from __future__ import annotations

import numpy as np

from dbp_policy import go2

_HIP = np.array(go2.HIP_ORIGIN)  # copies: torch warns of arrays that are not writable
_OFFSET_Y = np.array(go2.HIP_OFFSET_Y)
_L1, _L2, _FX = go2.THIGH_LENGTH, go2.CALF_LENGTH, go2.FOOT_OFFSET_X


def foot_positions(q, xp=np):
    """Centres of the four feet in the base frame [m].

    With hip angle a about x, thigh angle b and calf angle c about y, and lengths l1, l2, the foot in the leg plane is
        x = -l1 sin b - l2 sin(b + c) + f cos(b + c),   z = -l1 cos b - l2 cos(b + c) - f sin(b + c)
    and the hip turns the plane (offset d along y):  y' = d cos a - z sin a,  z' = d sin a + z cos a.

    Args:
        q: Joint angles in SDK order, shape (..., 12) [rad].
        xp: `numpy` or `torch`.

    Returns:
        Shape (..., 4, 3), legs in SDK order.
    """
    return _leg_points(q, _L2, _FX, xp)


def knee_positions(q, xp=np):
    """The four knees in the base frame: `foot_positions` without the calf, as the foot of a calf without length [m]."""
    return _leg_points(q, 0.0, 0.0, xp)


def _leg_points(q, calf_length: float, foot_offset: float, xp):
    legs = q.reshape((*q.shape[:-1], 4, 3))
    angles = xp.stack([legs[..., 0], legs[..., 1], legs[..., 1] + legs[..., 2]])  # a, b, b + c
    sines, cosines = xp.sin(angles), xp.cos(angles)
    sa, sb, sbc, ca, cb, cbc = sines[0], sines[1], sines[2], cosines[0], cosines[1], cosines[2]
    x = -_L1 * sb - calf_length * sbc + foot_offset * cbc
    z = -_L1 * cb - calf_length * cbc - foot_offset * sbc
    d, hip = (_OFFSET_Y, _HIP) if xp is np else (xp.asarray(_OFFSET_Y, dtype=q.dtype), xp.asarray(_HIP, dtype=q.dtype))
    y_base = d * ca - z * sa
    z_base = d * sa + z * ca
    return xp.stack([x, y_base, z_base], -1) + hip


def foot_jacobians(q: np.ndarray) -> np.ndarray:
    """d(foot position)/d(the leg's own three joints) in the base frame, shape (..., 12) to (..., 4, 3, 3) [m/rad]."""
    return foot_kinematics(q)[1]


def foot_kinematics(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`foot_positions` and `foot_jacobians` at once; they share all their sines."""
    legs = q.reshape((*q.shape[:-1], 4, 3))
    angles = legs.copy()
    angles[..., 2] += legs[..., 1]
    sines, cosines = np.sin(angles), np.cos(angles)
    sa, sb, sbc = sines[..., 0], sines[..., 1], sines[..., 2]
    ca, cb, cbc = cosines[..., 0], cosines[..., 1], cosines[..., 2]
    # In the leg's plane: what the calf adds, then what both links add, and their derivatives.
    x_calf, z_calf = _FX * cbc - _L2 * sbc, -_L2 * cbc - _FX * sbc
    x, z = x_calf - _L1 * sb, z_calf - _L1 * cb
    positions, jacobians = np.empty((*legs.shape[:-1], 3)), np.zeros((*legs.shape[:-1], 3, 3))
    positions[..., 0], positions[..., 1], positions[..., 2] = x, _OFFSET_Y * ca - z * sa, _OFFSET_Y * sa + z * ca
    jacobians[..., 0, 1], jacobians[..., 0, 2] = z, z_calf  # dx/db = z and dz/db = -x, likewise for c
    jacobians[..., 1, 0], jacobians[..., 2, 0] = -positions[..., 2], positions[..., 1]  # the hip turns y and z
    jacobians[..., 1, 1], jacobians[..., 1, 2] = x * sa, x_calf * sa
    jacobians[..., 2, 1], jacobians[..., 2, 2] = -x * ca, -x_calf * ca
    positions += _HIP
    return positions, jacobians


def foot_velocities(q: np.ndarray, dq: np.ndarray) -> np.ndarray:
    """Velocities of the feet relative to the base, in the base frame, shape (..., 4, 3) [m/s]."""
    return (foot_jacobians(q) @ dq.reshape((*dq.shape[:-1], 4, 3, 1)))[..., 0]
