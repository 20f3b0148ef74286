"""The policy node: the control loop in its own thread, and ROS as its face.

Nothing that keeps the robot from falling waits for ROS: callbacks and the loop exchange only snapshots.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Imu, JointState, Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dbp_policy import local_link, paths, ros_messages
from dbp_policy.clock import now, prepare_realtime
from dbp_policy.command import CommandLimits, CommandMux
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

_PRIORITY = 50
_SWITCH_INTERVAL = 0.0005
"""How long ROS callbacks may keep the interpreter to themselves [s]; Python's 5 ms would hold up the answers."""
_PUBLISH_PERIOD = 0.02
_DIAGNOSTICS_PERIOD = 0.5
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ControlThread(threading.Thread):
    """Answers every lowstate of the guard; owns the policy loop.

    Args:
        loop: The policy loop.
        folder: Folder of the stack's sockets.
    """

    def __init__(self, loop: PolicyLoop, folder: Path) -> None:
        super().__init__(name="control", daemon=True)
        self.loop = loop
        self.snapshot: tuple[RobotState, GuardStatus] | None = None
        self.error: Exception | None = None
        self.states = 0
        self._link = local_link.Link(folder, local_link.POLICY_SOCKET)
        self._stopping = False

    def run(self) -> None:
        prepare_realtime(_PRIORITY, collect_garbage=True)
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            while not self._stopping:
                if self._link.wait(0.1):
                    self._answer()
        except Exception as error:  # whatever it is, the node has to end: the guard then sees the silence
            self.error = error

    def _answer(self) -> None:
        for message, status, _ in self._link.receive():
            if isinstance(message, RobotState):
                target = self.loop.on_state(message, status, now())
                self._link.send(local_link.encode(target), local_link.GUARD_SOCKET)
                self.states += 1
                self.snapshot = (message, status)

    def stop(self) -> None:
        """Ends the thread and closes its socket."""
        self._stopping = True
        self.join(1.0)
        self._link.close()


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
        self._said: tuple | None = None
        """Mode, faults and latch as last published; a change is published at once."""
        self.control = ControlThread(PolicyLoop(runner, self._mux.command), folder)
        self._make_topics()
        self.get_logger().info(f"policy {policy}: ready")

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
        self.create_timer(_PUBLISH_PERIOD, self._publish)
        self.create_timer(_DIAGNOSTICS_PERIOD, self._diagnose)

    def _on_cmd_vel(self, twist: Twist) -> None:
        self._mux.update("autonomy", ros_messages.velocity(twist), now())

    def _on_teleop(self, twist: Twist) -> None:
        self._mux.update("teleop", ros_messages.velocity(twist), now())

    def _on_joy(self, joy: Joy) -> None:
        wanted = ros_messages.joy_velocity(joy, self._maximum)
        if wanted is not None:
            self._mux.update("teleop", wanted, now())

    def _ask(self, request: Request, answer: Trigger.Response) -> Trigger.Response:
        try:
            status = ask_guard(self._folder, request)
            answer.success, answer.message = not status.refusal, status.refusal or status.mode.name.lower()
        except DbpError as error:
            answer.success, answer.message = False, str(error)
        return answer

    def _publish(self) -> None:
        if self.control.error is not None:
            raise DbpError(f"control loop: {self.control.error}") from self.control.error
        if self.control.snapshot is None:
            return
        state, status = self.control.snapshot
        stamp = self.get_clock().now().to_msg()
        self._joint_states.publish(ros_messages.joint_state(state, stamp))
        self._imu.publish(ros_messages.imu(state, stamp))
        self._odom.publish(ros_messages.odometry(self.control.loop.estimate, stamp))
        if (status.mode, status.faults, status.latched) != self._said:
            self._said = (status.mode, status.faults, status.latched)
            self._mode.publish(String(data=status.mode.name.lower()))
            self._publish_diagnostics(state, status)

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
            "mode": status.mode.name.lower(),
            "in_control": status.in_control,
            "latched": status.latched,
            "faults": ",".join(status.faults),
            "refusal": status.refusal,
            "lowstate_hz": round(self._rates[0], 1),
            "policy_hz": round(self._rates[1], 1),
            "policy_ticks": loop.ticks,
            "late_ticks": loop.late_ticks,
            "guard_overruns": status.overruns,
            "command": " ".join(f"{v:.3f}" for v in loop.command),
            "source": loop.source,
            "source_reason": self._mux.reason,
            "battery_soc": state.battery_soc,
            "motor_temperature_max": state.temperature_sdk.max(),
        }
        name = f"{self.get_fully_qualified_name()}: guard"
        message = DiagnosticArray(status=[ros_messages.diagnostic(name, status, values)])
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
        node = PolicyNode()
        try:
            node.control.start()
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while not stopping.is_set():
                executor.spin_once(timeout_sec=0.1)
        finally:
            node.control.stop()
            node.destroy_node()
            rclpy.shutdown()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
