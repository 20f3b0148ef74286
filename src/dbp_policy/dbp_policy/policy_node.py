"""The policy node: ROS as the face of the control thread.

Nothing that keeps the robot from falling waits for ROS: callbacks and the loop exchange only snapshots.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Imu, JointState, Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dbp_policy import paths, realtime, ros_messages
from dbp_policy.clock import now
from dbp_policy.command import CommandLimits, CommandMux
from dbp_policy.control_thread import PRIORITY, ControlThread
from dbp_policy.errors import DbpError, run_main
from dbp_policy.onnx_policy import load_runner
from dbp_policy.operator import ask_guard
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.types import GuardStatus, Request, RobotState

SERVICES = {
    "stand_up": Request.STAND_UP,
    "start": Request.START,
    "sit_down": Request.SIT_DOWN,
    "estop": Request.ESTOP,
    "reset": Request.RESET,
}

STALL = 0.5
"""A node that was stopped for longer refuses what waited meanwhile: whoever asked may expect it no more [s]."""
GUARD_TIMEOUT = 0.3
"""A guard that has said nothing for longer is reported as silent [s]; it speaks every 2 ms, at least every 50 ms."""
_DISCOVERY = 1.0
"""What ROS needs to find the nodes that are there already [s]."""
_PUBLISH_PERIOD = 0.02
_DIAGNOSTICS_PERIOD = 0.5
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class PolicyNode(Node):
    """Topics, services and diagnostics around the control thread.

    Raises:
        DbpError: The policy file does not fit this robot.
    """

    def __init__(self) -> None:
        super().__init__("policy_node")
        policy = self.declare_parameter("policy", str(paths.models_dir() / "go2_walk.onnx")).value
        folder = Path(self.declare_parameter("runtime_dir", str(paths.runtime_dir())).value)
        runner = load_runner(policy)
        contract = runner.contract
        self._maximum = np.array(contract.command_max)
        self._mux = CommandMux(CommandLimits(contract.command_min, contract.command_max))
        self._folder = folder
        self._counts = (0, 0, now())
        self._rates = (0.0, 0.0)
        self._published = self._awake_at = now()
        self._states_published = 0
        self._said: tuple | None = None
        """Mode, faults and latch as last published; a change is published at once."""
        self.control = ControlThread(PolicyLoop(runner, self._mux.command), folder)
        self._make_topics()
        self._refuse_a_twin()
        self.get_logger().info(f"policy {policy}: ready")

    def _refuse_a_twin(self) -> None:
        """Two nodes of one name would both obey one request: a simulation's could make a real robot walk."""
        end = now() + _DISCOVERY
        while now() < end:
            time.sleep(0.05)
            names = self.get_node_names_and_namespaces()
            if names.count((self.get_name(), self.get_namespace())) > 1:
                raise DbpError(
                    f"another {self.get_fully_qualified_name()} is running in this ROS domain: "
                    "end it, or separate them by ROS_DOMAIN_ID or a namespace"
                )

    def _make_topics(self) -> None:
        self._joint_states = self.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self._imu = self.create_publisher(Imu, "imu/data", qos_profile_sensor_data)
        self._odom = self.create_publisher(Odometry, "odom", 5)
        self._mode = self.create_publisher(String, "mode", _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self.create_subscription(Twist, "cmd_vel", self._on_cmd_vel, 1)
        self.create_subscription(Twist, "cmd_vel_teleop", self._on_teleop, 1)
        self.create_subscription(Joy, "joy", self._on_joy, qos_profile_sensor_data)
        for name, request in SERVICES.items():
            self.create_service(Trigger, name, lambda _, answer, r=request: self._ask(r, answer))
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a wall clock set back would silence all topics
        self.create_timer(_PUBLISH_PERIOD, self._publish, clock=steady)
        self.create_timer(_DIAGNOSTICS_PERIOD, self._diagnose, clock=steady)

    def _on_cmd_vel(self, twist: Twist) -> None:
        self._mux.update("autonomy", ros_messages.velocity(twist), now())

    def _on_teleop(self, twist: Twist) -> None:
        self._mux.update("teleop", ros_messages.velocity(twist), now())

    def _on_joy(self, joy: Joy) -> None:
        wanted = ros_messages.joy_velocity(joy, self._maximum)
        if wanted is not None:
            self._mux.update("teleop", wanted, now())

    def _ask(self, request: Request, answer: Trigger.Response) -> Trigger.Response:
        if now() < self._awake_at + STALL and request != Request.ESTOP:
            answer.message = "refused: this node was stopped while the request waited; ask again"
            return answer
        try:
            status = ask_guard(self._folder, request)
            answer.success, answer.message = not status.refusal, status.refusal or status.mode.name.lower()
        except DbpError as error:
            answer.success, answer.message = False, str(error)
        return answer

    def _publish(self) -> None:
        if self.control.error is not None:
            raise DbpError(f"control loop: {self.control.error}") from self.control.error
        if now() - self._published > STALL:
            self._awake_at = now()
        self._published = now()
        if self.control.snapshot is None:
            return
        state, status = self.control.snapshot
        if self.control.states != self._states_published:
            self._states_published = self.control.states
            self._publish_sensors(state)
        said = (self._mode_name(status), status.faults, status.latched)
        if said != self._said:
            self._said = said
            self._mode.publish(String(data=said[0]))
            self._publish_diagnostics(state, status)

    def _publish_sensors(self, state: RobotState) -> None:
        """What somebody listens to: a message costs as much to make where nobody takes it."""
        stamp = self.get_clock().now().to_msg()
        if self._joint_states.get_subscription_count():
            self._joint_states.publish(ros_messages.joint_state(state, stamp))
        if self._imu.get_subscription_count():
            self._imu.publish(ros_messages.imu(state, stamp))
        if self._odom.get_subscription_count():
            self._odom.publish(ros_messages.odometry(self.control.loop.estimate, stamp))

    def _mode_name(self, status: GuardStatus) -> str:
        """The guard's mode, or that the guard says nothing."""
        return status.mode.name.lower() if now() - self.control.heard < GUARD_TIMEOUT else "guard_silent"

    def _diagnose(self) -> None:
        if self.control.snapshot is None:
            return
        states, ticks, before = self._counts
        self._counts = (self.control.states, self.control.loop.ticks, now())
        elapsed = self._counts[2] - before
        self._rates = ((self._counts[0] - states) / elapsed, (self._counts[1] - ticks) / elapsed)
        self._publish_diagnostics(*self.control.snapshot)

    def _publish_diagnostics(self, state: RobotState, status: GuardStatus) -> None:
        loop = self.control.loop
        values = {
            "mode": self._mode_name(status),
            "in_control": status.in_control,
            "latched": status.latched,
            "faults": ",".join(status.faults),
            "refusal": status.refusal,
            "lowstate_hz": round(self._rates[0], 1),
            "policy_hz": round(self._rates[1], 1),
            "policy_ticks": loop.ticks,
            "policy_problem": loop.problem,
            "late_ticks": loop.late_ticks,
            "guard_overruns": status.overruns,
            "command": " ".join(f"{v:.3f}" for v in loop.command),
            "source": loop.source,
            "source_reason": self._mux.reason,
            "battery_soc": state.battery_soc,
            "motor_temperature_max": state.temperature_sdk.max(),
        }
        name = f"{self.get_fully_qualified_name()}: guard"
        row = ros_messages.diagnostic(name, status, values)
        if values["mode"] == "guard_silent":
            row.level, row.message = DiagnosticStatus.ERROR, "the guard says nothing: has it ended?"
        message = DiagnosticArray(status=[row])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> int:
    """Console entry point."""

    def body() -> int:
        # Our own handlers: rclpy's end the context under a spinning executor, which then raises now and then.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        node = None
        try:
            node = PolicyNode()
            # Callbacks hold the interpreter that the loop needs; a dead node is missed once its last thread has ended.
            realtime.take_priority(PRIORITY - 10)
            node.control.start()
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while not stopping.is_set():
                executor.spin_once(timeout_sec=0.1)
        finally:
            if node is not None:
                node.control.stop()
                node.destroy_node()
            rclpy.shutdown()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
