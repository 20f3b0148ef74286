"""The policy node: ROS as the face of the control thread, with a life cycle.

Nothing that keeps the robot from falling waits for ROS: callbacks and the loop exchange only snapshots.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Imu, JointState, Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dbp_policy import clock, diagnostics, realtime, ros_messages, ros_parameters
from dbp_policy.clock import now
from dbp_policy.command import SOURCES, CommandLimits, CommandMux
from dbp_policy.control_thread import PRIORITY, ControlThread
from dbp_policy.errors import DbpError, run_main
from dbp_policy.onnx_policy import load_runner
from dbp_policy.operator import ask_guard
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.robot_description import urdf
from dbp_policy.runner import Runner
from dbp_policy.sticks import Gamepad, RemoteSticks
from dbp_policy.stop_request import StopRequest
from dbp_policy.types import GuardStatus, Mode, Request, RobotState

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on PyPI: only where ROS 2 is installed
    TFMessage = None

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
LEAVE_TIMEOUT = 0.5
"""The guard leaves its policy mode within a tick of being asked; for so long the node looks whether it has [s]."""
_DISCOVERY = 1.0
"""What ROS needs to find the nodes that are there already [s]."""
_PUBLISH_PERIOD = 0.02
_DIAGNOSTICS_PERIOD = 0.5
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_DONE, _REFUSED = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PolicyNode(LifecycleNode):
    """Topics, services and diagnostics around the control thread.

    `configure` loads and checks the policy and begins to listen to the guard, `activate` lets it answer, `deactivate`
    makes a walking robot stand first, `cleanup` forgets the policy. The services serve in every state.

    Args:
        options: Of an rclpy node, such as `namespace` and `cli_args`.

    Raises:
        DbpError: A parameter does not fit, or another node of this name runs.
    """

    def __init__(self, **options) -> None:
        super().__init__("policy_node", **options)
        try:
            self._values = ros_parameters.declare(self)
            self._refuse_a_twin()
        except DbpError:
            self.destroy_node()
            raise
        self._folder = Path(self._values["runtime_dir"])
        timeout = self._values["cmd_vel_timeout"]
        self._mux = CommandMux(sources=[replace(s, timeout=timeout) if s.name == "autonomy" else s for s in SOURCES])
        self._sticks = RemoteSticks(self._mux)
        self._gamepad = Gamepad(self._mux, ros_parameters.gamepad_map(self._values))
        self._control: ControlThread | None = None
        self._life = "unconfigured"
        self._refusal = ""
        """Why the last transition was refused."""
        self._counts = (0, 0, now())
        self._rates = (0.0, 0.0)
        self._published = self._awake_at = now()
        self._states_published = 0
        self._said: tuple | None = None
        """Mode, faults, latch and who drives as last published; a change is published at once."""
        self._make_topics()
        self.add_on_set_parameters_callback(self._on_parameters)

    def _refuse_a_twin(self) -> None:
        """Two nodes of one name would both obey one request: a simulation's could make a real robot walk."""
        end = now() + _DISCOVERY
        while now() < end:
            clock.sleep(0.05)
            names = self.get_node_names_and_namespaces()
            if names.count((self.get_name(), self.get_namespace())) > 1:
                raise DbpError(
                    f"another {self.get_fully_qualified_name()} is running in this ROS domain: "
                    "end it, or separate them by ROS_DOMAIN_ID or a namespace"
                )

    def _make_topics(self) -> None:
        self._joint_states = self.create_publisher(JointState, "joint_states", 10)
        self._imu = self.create_publisher(Imu, "imu/data", qos_profile_sensor_data)
        self._odom = self.create_publisher(Odometry, "odom", 5)
        self._tf = self.create_publisher(TFMessage, "tf", 100) if TFMessage else None
        self._command = self.create_publisher(TwistStamped, "command", 5)
        self._mode = self.create_publisher(String, "mode", _LATCHED)
        self._source = self.create_publisher(String, "source", _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self._description = self.create_publisher(String, "robot_description", _LATCHED)
        self._description.publish(String(data=urdf()))
        if self._values["stamped_cmd_vel"]:
            self.create_subscription(TwistStamped, "cmd_vel", self._on_stamped_cmd_vel, 1)
        else:
            self.create_subscription(Twist, "cmd_vel", self._on_cmd_vel, 1)
        self.create_subscription(Twist, "cmd_vel_teleop", self._on_teleop, 1)
        self.create_subscription(Joy, "joy", self._on_joy, qos_profile_sensor_data)
        for name, request in SERVICES.items():
            self.create_service(Trigger, name, lambda _, answer, r=request: self._ask(r, answer))
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a wall clock set back would silence all topics
        self.create_timer(clock.real(_PUBLISH_PERIOD), self._publish, clock=steady)
        self.create_timer(clock.real(_DIAGNOSTICS_PERIOD), self._diagnose, clock=steady)

    # Life cycle -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Configures and activates, as a lifecycle manager would.

        Raises:
            DbpError: Either is refused.
        """
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != _DONE:
                raise DbpError(self._refusal or "the policy node could not be started")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads and checks the policy; listens to the guard from now on."""
        try:
            runner = self._load(self._policy_file())
            control = ControlThread(PolicyLoop(runner, self._mux.command), self._folder, self._sticks)
            control.start()
        except DbpError as error:
            return self._refuse(str(error))
        self._control = control
        self._adapt(runner)
        self._counts = (0, 0, now())
        self.get_logger().info(f"policy {self._policy_file()}: ready")
        return self._reached("inactive")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answers the guard from now on; the robot moves only when an operator asks."""
        super().on_activate(state)
        self._control.answering = True
        return self._reached("active")

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Makes a walking robot stand, then falls silent."""
        problem = self._leave_policy()
        if problem:
            return self._refuse(problem)
        super().on_deactivate(state)
        self._control.answering = False
        return self._reached("inactive")

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forgets the policy and the guard."""
        self.stop()
        return self._reached("unconfigured")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivate and cleanup; what cannot be brought to a stand is the guard's from then on."""
        self._leave_policy()
        self.stop()
        return self._reached("finalized")

    def stop(self) -> None:
        """Ends the control thread."""
        control, self._control = self._control, None
        if control is not None:
            control.stop()

    def _reached(self, state: str) -> TransitionCallbackReturn:
        self._life, self._said = state, None
        return _DONE

    def _refuse(self, why: str) -> TransitionCallbackReturn:
        self._refusal = why
        if self._life != "unconfigured" or not self._values["autostart"]:  # else the process ends and says it
            self.get_logger().error(why)
        return _REFUSED

    def _load(self, file: str | Path) -> Runner:
        runner = load_runner(file)
        try:
            runner.contract.check_posture(self._values["posture"])
        except DbpError as error:
            raise DbpError(f"policy {file}: {error}") from None
        return runner

    def _policy_file(self) -> str:
        return self.get_parameter("policy").value

    def _adapt(self, runner: Runner) -> None:
        self._mux.limits = CommandLimits(runner.contract.command_min, runner.contract.command_max)

    def _leave_policy(self) -> str:
        """Makes a robot that follows the policy stand, or lie if it cannot stand; why not, empty if it does not."""
        for request in (Request.STAND_UP, Request.SIT_DOWN):
            if not self._in_policy():
                return ""
            try:
                refusal = ask_guard(self._folder, request).refusal
            except DbpError as error:
                return str(error)
            end = now() + LEAVE_TIMEOUT
            while not refusal and self._in_policy() and now() < end:
                clock.sleep(0.005)
        if not self._in_policy():
            return ""
        return f"expected the guard to leave its policy mode, got: {refusal or 'no change'}"

    def _in_policy(self) -> bool:
        """A silent guard's mode does not count: it has ended, or nobody can ask it."""
        control = self._control
        if control is None or control.snapshot is None or now() - control.heard > GUARD_TIMEOUT:
            return False
        return control.answering and control.snapshot[1].mode == Mode.POLICY

    def _on_parameters(self, parameters) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "policy" and self._control is not None:
                try:
                    self._change_policy(Path(parameter.value))
                except DbpError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_policy(self, file: Path) -> None:
        """To another policy. A walking robot stands first, since loading holds up the answers; `start` goes on.

        Raises:
            DbpError: The file does not fit, or the robot could not be brought to a stand.
        """
        if not file.is_file():
            raise DbpError(f"parameter policy: expected an ONNX file, found none at {file}")
        problem = self._leave_policy()
        if problem:
            raise DbpError(problem)
        runner = self._load(file)
        self._control.use(runner)
        self._adapt(runner)
        self.get_logger().info(f"policy {file}: in use")

    # Commands and requests --------------------------------------------------------------------------------------------

    def _on_cmd_vel(self, twist: Twist) -> None:
        self._mux.update("autonomy", ros_messages.velocity(twist), now())

    def _on_stamped_cmd_vel(self, message: TwistStamped) -> None:
        age = 1e-9 * self.get_clock().now().nanoseconds - ros_messages.seconds(message.header.stamp)
        self._mux.update("autonomy", ros_messages.velocity(message.twist), now(), age)

    def _on_teleop(self, twist: Twist) -> None:
        self._mux.update("teleop", ros_messages.velocity(twist), now())

    def _on_joy(self, joy: Joy) -> None:
        if self._gamepad.update(joy.axes, joy.buttons, now()):
            try:
                ask_guard(self._folder, Request.ESTOP)
            except DbpError as error:
                self.get_logger().error(f"stop button: {error}")

    def _ask(self, request: Request, answer: Trigger.Response) -> Trigger.Response:
        if now() < self._awake_at + STALL and request != Request.ESTOP:
            answer.message = "refused: this node was stopped while the request waited; ask again"
            return answer
        try:
            status = ask_guard(self._folder, request)
            answer.success, answer.message = not status.refusal, status.refusal or status.mode_name
        except DbpError as error:
            answer.success, answer.message = False, str(error)
        return answer

    # What the node says -----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        control = self._control
        if control is not None and control.error is not None:
            raise DbpError(f"control loop: {control.error}") from control.error
        if now() - self._published > STALL:
            self._awake_at = now()
        self._published = now()
        if control is None or control.snapshot is None:
            return
        state, status = control.snapshot
        driven = control.loop.driven
        if control.states != self._states_published:
            self._states_published = control.states
            self._publish_sensors(control, state)
        said = (self._mode_name(control, status), status.faults, status.latched, driven.source, driven.command.any())
        if said != self._said:
            self._said = said
            self._mode.publish(String(data=said[0]))
            self._source.publish(String(data=driven.source))
            self._publish_diagnostics()

    def _publish_sensors(self, control: ControlThread, state: RobotState) -> None:
        """What somebody listens to: a message costs as much to make where nobody takes it."""
        stamp, estimate = self.get_clock().now().to_msg(), control.loop.estimate
        if self._joint_states.get_subscription_count():
            self._joint_states.publish(ros_messages.joint_state(state, stamp))
        if self._imu.get_subscription_count():
            self._imu.publish(ros_messages.imu(state, stamp))
        if self._odom.get_subscription_count():
            self._odom.publish(ros_messages.odometry(estimate, stamp))
        if self._command.get_subscription_count():
            self._command.publish(ros_messages.twist_stamped(control.loop.driven.command, stamp))
        if self._tf is not None and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=[ros_messages.transform(estimate, stamp)]))

    def _mode_name(self, control: ControlThread, status: GuardStatus) -> str:
        """The guard's mode, or that the guard says nothing."""
        return status.mode_name if now() - control.heard < GUARD_TIMEOUT else "guard_silent"

    def _diagnose(self) -> None:
        control = self._control
        if control is not None:
            states, ticks, before = self._counts
            self._counts = (control.states, control.loop.ticks, now())
            elapsed = self._counts[2] - before
            self._rates = ((self._counts[0] - states) / elapsed, (self._counts[1] - ticks) / elapsed)
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        node, control = self.get_fully_qualified_name(), self._control
        lowstate_hz, policy_hz = self._rates
        state, status = (control.snapshot if control else None) or (None, None)
        faults = status.faults if status else ()
        loop = control.loop if control else None
        rows = [diagnostics.policy(node, loop, self._life, self._policy_file(), faults, policy_hz)]
        if state is not None:
            rows += [
                diagnostics.guard(node, status, self._mode_name(control, status)),
                diagnostics.robot(node, state, faults, lowstate_hz, now() - state.stamp),
                diagnostics.estimator(node, loop.estimate, faults),
                diagnostics.command(node, loop, self._mux),
            ]
        message = DiagnosticArray(status=rows)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> int:
    """Console entry point."""

    def body() -> int:
        # Our own handlers: rclpy's end the context under a spinning executor, which then raises now and then.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stop = StopRequest().on_signals()
        node = None
        try:
            node = PolicyNode()
            # Callbacks hold the interpreter that the loop needs; a dead node is missed once its last thread has ended.
            realtime.take_priority(PRIORITY - 10)
            if node.get_parameter("autostart").value:
                node.start()
            realtime.lock_memory()  # where that is not permitted the guard says so
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while not stop.asked:
                executor.spin_once(timeout_sec=0.1)
        finally:
            if node is not None:
                node.stop()
                node.destroy_node()
            rclpy.shutdown()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
