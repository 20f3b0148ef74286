"""The odometry message: frames, and covariances where a fusing node looks for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nav_msgs")

from builtin_interfaces.msg import Time  # noqa: E402

from dbp_policy import ros_messages  # noqa: E402
from dbp_policy.estimation.estimator import Estimator  # noqa: E402
from dbp_policy.types import RobotState  # noqa: E402


def test_odometry_carries_pose_velocity_and_their_covariances():
    linear = np.array([[4.0, 1.0, 2.0], [1.0, 5.0, 3.0], [2.0, 3.0, 6.0]])
    estimate = replace(
        Estimator().update(RobotState()),
        velocity_body=np.array([0.1, 0.2, 0.3]),
        velocity_cov=linear,
        position_odom=np.array([1.0, 2.0, 3.0]),
        position_cov=10.0 * linear,
        quat_wxyz=np.array([0.5, 0.1, 0.2, 0.3]),
        attitude_variance=np.array([0.01, 0.02, 0.03]),
    )
    message = ros_messages.odometry(estimate, Time(sec=3))
    assert (message.header.frame_id, message.child_frame_id, message.header.stamp.sec) == ("odom", "base_link", 3)
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    velocity = message.twist.twist.linear
    assert (position.x, position.y, position.z) == (1.0, 2.0, 3.0)
    assert (orientation.w, orientation.x, orientation.y, orientation.z) == (0.5, 0.1, 0.2, 0.3)
    assert (velocity.x, velocity.y, velocity.z) == (0.1, 0.2, 0.3)
    pose, twist = (np.array(m.covariance).reshape(6, 6) for m in (message.pose, message.twist))
    np.testing.assert_allclose(pose[:3, :3], 10.0 * linear)
    np.testing.assert_allclose(pose[3:, 3:], np.diag([0.01, 0.02, 0.03]))
    np.testing.assert_allclose(twist[:3, :3], linear)
    assert (np.diag(twist)[3:] > 0.0).all()
    assert not pose[:3, 3:].any() and not twist[3:, :3].any()
