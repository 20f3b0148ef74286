"""Two shipped policies take turns in one walk: the node's parameter `policy`, as `ros2 param set` sets it."""

from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from running_stack import RunningStack, repeat_if_stalled

from dbp_policy.clock import now
from dbp_policy.paths import models_dir

PATIENCE = 20.0
WALK, HANDSTAND = (models_dir() / f"go2_{name}.onnx" for name in ("walk", "handstand"))
FORWARD, UP, ZERO = np.array([0.4, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]), np.zeros(3)


def set_policy(file: Path) -> str:
    """Why the node did not take it, empty if it did."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node, executor = Node("somebody", context=context), SingleThreadedExecutor(context=context)
        executor.add_node(node)
        client = AsyncParameterClient(node, "policy_node")
        assert client.wait_for_services(PATIENCE)
        future = client.set_parameters([Parameter("policy", value=str(file))])
        executor.spin_until_future_complete(future, PATIENCE)
        (result,) = future.result().results
        return result.reason if not result.successful else ""
    finally:
        rclpy.try_shutdown(context=context)


@repeat_if_stalled
def test_a_walk_a_handstand_and_a_walk_again_with_one_robot_that_never_lies_in_between():
    with RunningStack(policy=str(WALK), posture="front_legs") as stack:
        session = stack.session
        stack.walk()
        up = now()
        session.walk(FORWARD, 2.0)
        assert set_policy(HANDSTAND) == ""
        session.spin_until(lambda: session.mode == "standing", PATIENCE, "a stand to change the policy")
        session.demand("start", "policy")
        session.walk(UP, 5.0)
        on_front_legs = now()
        session.walk(ZERO, 2.5)
        assert session.mode == "policy", session.faults
        assert set_policy(WALK) == ""
        session.demand("start", "policy")
        session.walk(FORWARD, 2.0)
        end = now()
        session.demand("sit_down", "damping")
        truth = stack.recorded().truth

    def window(since: float, until: float) -> np.ndarray:
        return truth[(truth[:, 0] >= since) & (truth[:, 0] <= until)]

    assert window(on_front_legs - 2.0, on_front_legs)[:, 8].max() < 0.6, "the trunk hangs nose down"
    assert window(end - 1.0, end)[:, 8].min() > 0.9, "and is level again"
    assert window(up, end)[:, 3].min() > 0.15
