"""What the policy node does at a rate goes by a clock that nobody sets; what it stamps goes by ROS's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import domains
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from dbp_bringup.stack import local_discovery
from dbp_policy.policy_node import PolicyNode

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def ros(tmp_path, monkeypatch) -> Iterator[None]:
    for name, value in {**local_discovery(os.environ.get("ROS_DISTRO")), "DBP_RUNTIME_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    rclpy.init(domain_id=domains.fresh())
    yield
    rclpy.shutdown()


def test_its_timers_are_steady():
    node = PolicyNode()
    try:
        assert [timer.clock.clock_type for timer in node.timers] == [ClockType.STEADY_TIME] * 2
    finally:
        node.destroy_node()


def test_under_use_sim_time_it_stamps_by_the_simulations_clock():
    node = PolicyNode(parameter_overrides=[Parameter("use_sim_time", value=True)])
    other = rclpy.create_node("simulation")
    executor = SingleThreadedExecutor()
    try:
        stamps: list[tuple[int, int]] = []
        other.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: stamps.append((m.header.stamp.sec, m.header.stamp.nanosec)), 5
        )
        clock = other.create_publisher(Clock, "/clock", 1)
        message = Clock()
        message.clock.sec, message.clock.nanosec = 1234, 500_000_000
        executor.add_node(node)
        executor.add_node(other)
        end = time.monotonic() + PATIENCE
        while (1234, 500_000_000) not in stamps:
            assert time.monotonic() < end, f"got {stamps}"
            clock.publish(message)
            executor.spin_once(timeout_sec=0.1)
    finally:
        other.destroy_node()
        node.destroy_node()
