"""The policy node's life cycle, parameters and topics, before a guard that this test plays: no robot is needed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import domains
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import State
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from std_msgs.msg import String

from dbp_bringup import stack
from dbp_policy import go2, local_link
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.policy_node import PolicyNode
from dbp_policy.types import GuardStatus, JointTarget, Mode, OperatorRequest, Request, RobotState

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PlayedGuard(threading.Thread):
    """Sends a lowstate every 4 ms and grants every request."""

    GRANTS = {
        Request.STAND_UP: Mode.STANDING,
        Request.START: Mode.POLICY,
        Request.SIT_DOWN: Mode.SITTING_DOWN,
        Request.ESTOP: Mode.SETTLING,
    }

    def __init__(self, folder: Path, refuses: frozenset[Request] = frozenset()) -> None:
        super().__init__(daemon=True)
        self.mode = Mode.STANDING
        self.refuses = refuses
        self.asked: list[Request] = []
        self.answers: list[tuple[Mode, JointTarget]] = []
        """The node's answers, and the mode in which each came."""
        self._link = local_link.Link(folder, local_link.GUARD_SOCKET)
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        tick = 1000
        while not self._ended.wait(0.004):
            for message, _, sender in self._link.receive():
                if isinstance(message, OperatorRequest):
                    self._answer(message.request, sender)
                elif isinstance(message, JointTarget):
                    self.answers.append((self.mode, message))
            tick += 4
            state = RobotState(tick_ms=tick, stamp=now(), q_sdk=go2.STAND_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
            status = GuardStatus(mode=self.mode, in_control=True)
            self._link.send(local_link.encode(state, status), local_link.POLICY_SOCKET)

    def _answer(self, request: Request, sender) -> None:
        self.asked.append(request)
        refusal = "not now" if request in self.refuses else ""
        if not refusal:
            self.mode = self.GRANTS[request]
        self._link.send(local_link.encode(GuardStatus(mode=self.mode, refusal=refusal)), sender)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._link.close()


class Stage:
    """A ROS domain of its own with policy nodes in it, each before a guard of its own."""

    def __init__(self) -> None:
        os.environ.update(stack.local_discovery(None), ROS_DOMAIN_ID=str(domains.fresh()))
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self._undo = contextlib.ExitStack()
        self._undo.callback(rclpy.try_shutdown, context=self.context)

    def folder(self) -> Path:
        return Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="dbp-")))

    def guard(self, folder: Path, **options) -> PlayedGuard:
        guard = PlayedGuard(folder, **options)
        self._undo.callback(guard.stop)
        return guard

    def node(self, folder: Path, *, namespace: str = "", **parameters) -> PolicyNode:
        given = [text for name, value in parameters.items() for text in ("-p", f"{name.replace('__', '.')}:={value}")]
        arguments = ["--ros-args", "-p", f"runtime_dir:={folder}", *given]
        node = PolicyNode(context=self.context, namespace=namespace, cli_args=arguments, use_global_arguments=False)
        self.executor.add_node(node)
        self._undo.callback(node.destroy_node)
        self._undo.callback(node.stop)
        return node

    def plain(self) -> Node:
        node = Node("listener", context=self.context)
        self.executor.add_node(node)
        self._undo.callback(node.destroy_node)
        return node

    def spin_until(self, reached, timeout: float = 20.0) -> None:
        end = now() + timeout
        while not reached():
            assert now() < end, "not in time"
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self._undo.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def state_of(node: PolicyNode) -> int:
    return node._state_machine.current_state[0]


def answered(guard: PlayedGuard, seconds: float = 0.3) -> list[JointTarget]:
    """What the node answers in a time from now on."""
    begin = len(guard.answers)
    time.sleep(seconds)
    return [target for _, target in guard.answers[begin:]]


def test_it_answers_only_while_active(stage, stub_policy_path):
    folder = stage.folder()
    guard, node = stage.guard(folder), stage.node(folder, policy=stub_policy_path)
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED and not answered(guard)
    assert node.trigger_configure() == SUCCESS
    assert state_of(node) == State.PRIMARY_STATE_INACTIVE and not answered(guard)
    assert node.trigger_activate() == SUCCESS
    assert state_of(node) == State.PRIMARY_STATE_ACTIVE and answered(guard)
    assert node.trigger_deactivate() == SUCCESS
    time.sleep(0.05)
    assert not answered(guard) and not guard.asked, "a robot that stands is left alone"
    assert node.trigger_cleanup() == SUCCESS
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.trigger_configure() == SUCCESS, "and round again"


def test_deactivate_makes_a_walking_robot_stand_before_it_falls_silent(stage, stub_policy_path):
    folder = stage.folder()
    guard, node = stage.guard(folder), stage.node(folder, policy=stub_policy_path)
    node.start()
    guard.mode = Mode.POLICY
    assert answered(guard)
    assert node.trigger_deactivate() == SUCCESS
    assert guard.mode == Mode.STANDING and guard.asked == [Request.STAND_UP]
    assert not answered(guard)[1:]


@pytest.mark.parametrize(
    "refuses, result, mode",
    [({Request.STAND_UP}, SUCCESS, Mode.SITTING_DOWN), ({Request.STAND_UP, Request.SIT_DOWN}, FAILURE, Mode.POLICY)],
)
def test_a_robot_that_may_not_stand_sits_and_one_that_goes_on_walking_keeps_its_answers(
    stage, stub_policy_path, refuses, result, mode
):
    folder = stage.folder()
    guard, node = stage.guard(folder, refuses=frozenset(refuses)), stage.node(folder, policy=stub_policy_path)
    node.start()
    guard.mode = Mode.POLICY
    assert answered(guard)
    assert node.trigger_deactivate() == result
    assert guard.mode == mode
    assert bool(answered(guard)[1:]) == (result == FAILURE)


def test_a_policy_that_does_not_fit_is_refused_by_configure(stage, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    folder = stage.folder()
    guard, node = stage.guard(folder), stage.node(folder, policy=bad, autostart="false")
    assert node.trigger_configure() == FAILURE
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED and not answered(guard)
    with pytest.raises(DbpError, match="bad.onnx.*expected a valid ONNX model"):
        node.start()


def test_another_policy_is_taken_standing_and_needs_a_new_start(stage, make_policy):
    first, second = make_policy(kp=(25.0,) * 12), make_policy(kp=(40.0,) * 12)
    folder = stage.folder()
    guard, node = stage.guard(folder), stage.node(folder, policy=first)
    node.start()
    guard.mode = Mode.POLICY
    assert answered(guard)[-1].kp_sdk[0] == 25.0
    (result,) = node.set_parameters([Parameter("policy", value=str(second))])
    assert result.successful
    assert guard.mode == Mode.STANDING and guard.asked == [Request.STAND_UP]
    assert answered(guard)[-1].kp_sdk[0] == 40.0
    assert not [t for mode, t in guard.answers if mode == Mode.POLICY and t.kp_sdk[0] != 25.0]
    guard.mode = Mode.POLICY
    assert answered(guard)[-1].kp_sdk[0] == 40.0


@pytest.mark.parametrize("make", [lambda tmp: tmp / "none.onnx", lambda tmp: tmp / "bad.onnx"])
def test_a_policy_that_does_not_fit_leaves_the_present_one_in_use(stage, stub_policy_path, tmp_path, make):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    folder = stage.folder()
    guard, node = stage.guard(folder), stage.node(folder, policy=stub_policy_path)
    node.start()
    file = make(tmp_path)
    (result,) = node.set_parameters([Parameter("policy", value=str(file))])
    assert not result.successful and str(file) in result.reason
    assert node.get_parameter("policy").value == str(stub_policy_path)
    assert answered(guard)


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({"joy__stop_button": 77}, "parameter joy.stop_button: expected a whole number from -1 to 31, got 77"),
        ({"joy__enable_button": -1}, "parameter joy.enable_button: expected a whole number from 0 to 31, got -1"),
        ({"cmd_vel_timeout": 5.0}, "cmd_vel_timeout: expected a number with a decimal point from 0.1 to 1, got 5.0"),
        ({"cmd_vel_timeout": ".nan"}, "cmd_vel_timeout: .* from 0.1 to 1, got nan"),
        ({"stamped_cmd_vel": 3}, "parameter stamped_cmd_vel: expected true or false, got 3"),
        ({"polcy": "x"}, "parameters: expected some of policy, .*, got polcy"),
    ],
)
def test_parameters_are_refused_by_name_value_and_bound(stage, parameters, says):
    with pytest.raises(DbpError, match=says):
        stage.node(stage.folder(), **parameters)


def test_every_parameter_is_described_and_only_the_policy_can_be_set(stage, stub_policy_path):
    node = stage.node(stage.folder(), policy=stub_policy_path)
    for name in node._values:
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 10
        assert descriptor.read_only == (name != "policy")
    results = node.set_parameters([Parameter("cmd_vel_timeout", value=0.2)])
    assert not results[0].successful and "cmd_vel_timeout" in results[0].reason


def test_two_robots_side_by_side_in_one_ros_domain(stage, stub_policy_path):
    folders = {name: stage.folder() for name in ("left", "right")}
    guards = {name: stage.guard(folder) for name, folder in folders.items()}
    nodes = {n: stage.node(f, namespace=n, policy=stub_policy_path) for n, f in folders.items()}
    for node in nodes.values():
        node.start()
    guards["right"].mode = Mode.POLICY
    listener, modes, rows = stage.plain(), {}, {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        rows.update({row.name: row for row in message.status})

    latched = rclpy.qos.QoSProfile(depth=1, durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)
    for name in nodes:
        listener.create_subscription(String, f"{name}/mode", lambda m, n=name: modes.update({n: m.data}), latched)
    listener.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 20)
    stage.spin_until(lambda: modes == {"left": "standing", "right": "policy"})
    subsystems = ("guard", "robot", "policy", "estimator", "command")
    expected = {f"/{name}/policy_node: {subsystem}" for name in nodes for subsystem in subsystems}
    stage.spin_until(lambda: expected <= set(rows))

    def diagnosed(name: str) -> str:
        return {pair.key: pair.value for pair in rows[f"/{name}/policy_node: guard"].values}["mode"]

    stage.spin_until(lambda: {name: diagnosed(name) for name in nodes} == {"left": "standing", "right": "policy"})
    absolute = {topic for topic, _ in listener.get_topic_names_and_types() if topic.count("/") == 1}
    assert absolute <= {"/diagnostics", "/parameter_events", "/rosout", "/clock"}


def test_a_twin_in_the_same_namespace_is_refused(stage, stub_policy_path):
    stage.node(stage.folder(), namespace="left", policy=stub_policy_path)
    with pytest.raises(DbpError, match="another /left/policy_node is running"):
        stage.node(stage.folder(), namespace="left", policy=stub_policy_path)


def test_stamped_commands_drive_while_their_stamps_are_fresh(stage, stub_policy_path):
    folder = stage.folder()
    stage.guard(folder)
    node, plain = stage.node(folder, policy=stub_policy_path, stamped_cmd_vel="true"), stage.plain()
    node.start()
    publisher = plain.create_publisher(TwistStamped, "cmd_vel", 1)
    said = {}
    plain.create_subscription(String, "source", lambda message: said.update(source=message.data), 10)

    def send_until(shift: float, reached) -> None:
        message = TwistStamped()
        message.twist.linear.x = 0.4

        def sent() -> bool:
            message.header.stamp = Time(nanoseconds=time.time_ns() + int(1e9 * shift)).to_msg()
            publisher.publish(message)
            return reached()

        stage.spin_until(sent)

    mux = node._mux
    for shift in (-0.5, 0.5):
        send_until(0.0, lambda: said.get("source") == "autonomy")
        dropped = mux.dropped["autonomy"]
        send_until(shift, lambda: said["source"] == "nobody")
        assert mux.dropped["autonomy"] > dropped and "stamp" in mux.problem
