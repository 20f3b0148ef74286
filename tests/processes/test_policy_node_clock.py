"""What the policy node does at a rate goes by a clock that nobody sets."""

from __future__ import annotations

import rclpy
from rclpy.clock import ClockType

from dbp_policy.policy_node import PolicyNode


def test_its_timers_are_steady(tmp_path, monkeypatch):
    monkeypatch.setenv("DBP_RUNTIME_DIR", str(tmp_path))
    rclpy.init()
    try:
        node = PolicyNode()
        try:
            assert [timer.clock.clock_type for timer in node.timers] == [ClockType.STEADY_TIME] * 2
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown()
