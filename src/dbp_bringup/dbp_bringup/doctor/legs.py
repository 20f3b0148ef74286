"""What a robot at rest tells of the order and signs of its joints. Pure.

Orders that mix joint types (Isaac Lab's, for one) break the joints' ranges, which the guard watches. Legs that changed
places do not: the poses at rest are nearly the same on all four. What is left are the hips, which spread outwards on a
robot that lies, and the ground, which is flat. Everything else takes a hand: see `guided`.
"""

from __future__ import annotations

import numpy as np

from dbp_bringup.doctor.finding import Finding, ok, warning
from dbp_policy import go2
from dbp_policy.guard.checks.lowstate import is_lying, is_valid
from dbp_policy.kinematics import foot_positions
from dbp_policy.rotations import gravity_body
from dbp_policy.types import RobotState

INWARD = 0.06
"""Hips of a lying robot turned inwards by more than this in the mean [rad] look like left and right exchanged."""
UNEVEN = 0.05
"""Feet on one floor differ in height by less [m]."""

_OUTWARD = np.sign(go2.HIP_OFFSET_Y)
_MEND = "are joint order and signs right? ./dbp doctor --joints finds out"


def check_legs(state: RobotState, still: bool) -> list[Finding]:
    """One finding about order and signs, none if the robot moves or its numbers are not finite."""
    if not still or not is_valid(state):
        return []
    spread, uneven = hip_spread(state.q_sdk), foot_unevenness(state.q_sdk, state.quat_wxyz)
    text = f"hips {spread:+.2f} rad outwards, feet level to {1e3 * uneven:.0f} mm"
    if is_lying(state) and not spread >= -INWARD:
        return [warning("legs", f"{text}: as if left and right were exchanged", _MEND)]
    if not uneven <= UNEVEN:
        return [warning("legs", f"{text}: more than a floor is", f"is it on flat ground? Then: {_MEND}")]
    return [ok("legs", text)]


def hip_spread(q_sdk: np.ndarray) -> float:
    """Mean hip angle outwards, negative inwards [rad]."""
    return float(np.mean(q_sdk[0::3] * _OUTWARD))


def foot_unevenness(q_sdk: np.ndarray, quat_wxyz: np.ndarray) -> float:
    """Height of the highest foot over the lowest [m]."""
    return float(np.ptp(foot_positions(q_sdk) @ gravity_body(quat_wxyz)))
