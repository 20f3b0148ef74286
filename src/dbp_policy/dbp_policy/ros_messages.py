"""ROS adapter: our records as standard messages (REP-103 units and axes, quaternions x y z w), and back."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState

from dbp_policy import go2
from dbp_policy.estimation.estimator import Estimate
from dbp_policy.types import RobotState

BASE_FRAME, ODOM_FRAME, IMU_FRAME = "base_link", "odom", "imu_link"

_GYRO_VARIANCE = np.full(3, 0.02**2)
"""Of the IMU's angular velocity about each axis, assumed [rad²/s²]; zero would tell a fusing node that it is exact."""


def joint_state(state: RobotState, stamp) -> JointState:
    """Joint names, angles [rad], velocities [rad/s], torques [N·m]."""
    message = JointState(name=list(go2.JOINT_NAMES))
    message.header.stamp = stamp
    message.position, message.velocity, message.effort = (
        state.q_sdk.tolist(),
        state.dq_sdk.tolist(),
        state.tau_sdk.tolist(),
    )
    return message


def imu(state: RobotState, stamp) -> Imu:
    """Attitude, angular velocity and specific force in body axes."""
    message = Imu(orientation=_quaternion(state.quat_wxyz))
    message.header.stamp, message.header.frame_id = stamp, IMU_FRAME
    _set_xyz(message.angular_velocity, state.gyro_body)
    _set_xyz(message.linear_acceleration, state.acc_body)
    return message


def odometry(estimate: Estimate, stamp) -> Odometry:
    """Integrated pose in `odom`, velocity in `base_link`, with their covariances."""
    message = Odometry(child_frame_id=BASE_FRAME)
    message.header.stamp, message.header.frame_id = stamp, ODOM_FRAME
    _set_xyz(message.pose.pose.position, estimate.position_odom)
    message.pose.pose.orientation = _quaternion(estimate.quat_wxyz)
    _set_xyz(message.twist.twist.linear, estimate.velocity_body)
    _set_xyz(message.twist.twist.angular, estimate.gyro_body)
    message.twist.covariance = _covariance(estimate.velocity_cov, _GYRO_VARIANCE)
    message.pose.covariance = _covariance(estimate.position_cov, estimate.attitude_variance)
    return message


def velocity(twist: Twist) -> np.ndarray:
    """vx, vy, wz of a Twist, shape (3,) [m/s, m/s, rad/s]."""
    return np.array([twist.linear.x, twist.linear.y, twist.angular.z])


def seconds(stamp) -> float:
    """A message's stamp [s]."""
    return stamp.sec + 1e-9 * stamp.nanosec


def twist_stamped(velocity: np.ndarray, stamp) -> TwistStamped:
    """vx, vy, wz in body axes, shape (3,) [m/s, m/s, rad/s]."""
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = stamp, BASE_FRAME
    message.twist.linear.x, message.twist.linear.y, message.twist.angular.z = velocity.tolist()
    return message


def transform(estimate: Estimate, stamp) -> TransformStamped:
    """odom -> base_link, as in the odometry."""
    message = TransformStamped(child_frame_id=BASE_FRAME)
    message.header.stamp, message.header.frame_id = stamp, ODOM_FRAME
    _set_xyz(message.transform.translation, estimate.position_odom)
    message.transform.rotation = _quaternion(estimate.quat_wxyz)
    return message


def _quaternion(quat_wxyz: np.ndarray) -> Quaternion:
    w, x, y, z = quat_wxyz.tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def _set_xyz(vector, values: np.ndarray) -> None:
    vector.x, vector.y, vector.z = values.tolist()


def _covariance(linear: np.ndarray, angular_variances: np.ndarray) -> np.ndarray:
    """6 x 6 row-major covariance from the linear 3 x 3 block and the variances about x, y and z."""
    full = np.diag(np.concatenate([np.zeros(3), angular_variances]))
    full[:3, :3] = linear
    return full.ravel()
