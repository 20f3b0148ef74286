"""The recorder of ROS's side: the stack's topics as they are serialised, without decoding them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Imu, JointState, Joy
from std_msgs.msg import String

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on PyPI: only where ROS 2 is installed
    TFMessage = None

from dbp_bringup.bags.definitions import ros
from dbp_bringup.bags.options import BagOptions
from dbp_policy.cli import parse
from dbp_policy.errors import run_main
from dbp_policy.stop_request import StopRequest

_STREAM = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)  # meets any publisher, holds up none
_LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def topics(stamped_cmd_vel: bool) -> list[tuple[str, type, QoSProfile]]:
    """What is recorded, by the names and types that the policy node uses."""
    named = [
        ("joint_states", JointState, _STREAM),
        ("imu/data", Imu, _STREAM),
        ("odom", Odometry, _STREAM),
        ("cmd_vel", TwistStamped if stamped_cmd_vel else Twist, _STREAM),
        ("cmd_vel_teleop", Twist, _STREAM),
        ("joy", Joy, _STREAM),
        ("command", TwistStamped, _STREAM),
        ("source", String, _LATCHED),
        ("mode", String, _LATCHED),
        ("/diagnostics", DiagnosticArray, _STREAM),
    ]
    return named + ([("tf", TFMessage, _STREAM)] if TFMessage else [])


@dataclass(frozen=True, kw_only=True)
class Args(BagOptions):
    """Records the stack's ROS topics into a bag."""

    stamped_cmd_vel: bool = False
    """cmd_vel carries TwistStamped."""


class RosRecorder(Node):
    """Subscribes to `topics` in its namespace.

    Raises:
        DbpError: The folder cannot be made.
    """

    def __init__(self, args: Args) -> None:
        super().__init__("ros_recorder")
        recorded = topics(args.stamped_cmd_vel)
        channels = {name: ros(self.resolve_topic_name(name), kind) for name, kind, _ in recorded}
        self.bag = args.open_bag(tuple(channels.values()))
        for name, kind, qos in recorded:
            self.create_subscription(kind, name, self._taker(channels[name].topic), qos, raw=True)

    def _taker(self, topic: str):
        return lambda data: self.bag.add(topic, time.time_ns(), data)


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "ros_recorder", remove_ros_args(sys.argv)[1:])
        stop = StopRequest().on_signals()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = RosRecorder(args)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.asked:
            executor.spin_once(timeout_sec=0.1)
        args.conclude(node.bag)
        node.destroy_node()
        rclpy.shutdown()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
