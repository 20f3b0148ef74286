"""The named poses put the feet where their docstrings say."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.kinematics import foot_positions


def test_the_low_stand_has_its_feet_17_cm_below_the_hips_and_under_them():
    feet = foot_positions(go2.LOW_STAND_Q)
    below = go2.HIP_ORIGIN + np.stack([np.zeros(4), go2.HIP_OFFSET_Y, np.full(4, -0.17)], axis=1)
    assert feet == pytest.approx(below, abs=0.005)


@pytest.mark.parametrize("pose", ["STAND_Q", "LOW_STAND_Q", "CROUCH_Q"])
def test_every_pose_is_within_the_joints_range(pose):
    q = getattr(go2, pose)
    assert (q > go2.Q_MIN).all() and (q < go2.Q_MAX).all()
