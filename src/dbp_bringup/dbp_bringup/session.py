"""A ROS client of a running stack: what an operator at a terminal or a script does through topics and services."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.guard.faults import FAULTS, Severity, worst

COMMAND_PERIOD = 0.05
SERVICE_TIMEOUT = 3.0
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Session:
    """Services, mode and diagnostics of one stack, and a velocity command.

    Args:
        topic: Where the velocity is published: `cmd_vel` as autonomy, `cmd_vel_teleop` as a human.
        watch: Called while waiting, to raise if the stack has died.
        namespace: The stack's ROS namespace.
    """

    def __init__(
        self, topic: str = "cmd_vel", watch: Callable[[], None] = lambda: None, namespace: str | None = None
    ) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = Node("operator", context=self._context, namespace=namespace)
        self._rows = f"{self._node.get_namespace().rstrip('/')}/policy_node: "
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._watch = watch
        self._velocity = self._node.create_publisher(Twist, topic, 1)
        self.mode = ""
        """The guard's mode, empty before it was heard."""
        self.diagnostics: dict[str, str] = {}
        """The newest values of all of the stack's rows of /diagnostics."""
        self.faults: set[str] = set()
        """Names of all faults seen since `forget_faults`."""
        self._node.create_subscription(String, "mode", self._on_mode, _LATCHED)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 20)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(Exception):  # a context that Ctrl-C has shut down already
            self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _on_mode(self, message: String) -> None:
        self.mode = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._rows):
                values = {pair.key: pair.value for pair in status.values}
                self.diagnostics |= values
                self.faults |= set(filter(None, values.get("faults", "").split(",")))

    def subscribe(self, kind: type, topic: str, callback: Callable) -> None:
        """Hears a further topic, as sensor data."""
        self._node.create_subscription(kind, topic, callback, qos_profile_sensor_data)

    def publisher(self, kind: type, topic: str):
        """Publishes on a further topic."""
        return self._node.create_publisher(kind, topic, 1)

    def count_publishers(self, topic: str) -> int:
        """How many publish on a topic, as far as ROS has found out."""
        return self._node.count_publishers(topic)

    def forget_faults(self) -> None:
        """Starts counting faults anew."""
        self.faults = set()

    def drive(self, velocity: np.ndarray) -> None:
        """Publishes vx, vy, wz once."""
        message = Twist()
        message.linear.x, message.linear.y, message.angular.z = (float(v) for v in velocity)
        self._velocity.publish(message)

    def spin(self, seconds: float) -> None:
        """Handles what arrives for a time."""
        end = now() + seconds
        while (left := end - now()) > 0.0:
            self._executor.spin_once(timeout_sec=min(clock.real(left), 0.05))

    def spin_until(self, reached: Callable[[], bool], timeout: float, what: str) -> None:
        """Handles what arrives until `reached`.

        Raises:
            DbpError: It is not reached in time.
        """
        end = now() + timeout
        while not reached():
            self._watch()
            if now() > end:
                found = f"mode {self.mode or 'unknown'!r} {self._why()}"
                raise DbpError(f"expected {what} within {timeout:.0f} s, got {found}")
            self._executor.spin_once(timeout_sec=0.05)

    def _why(self) -> str:
        known = {key: self.diagnostics.get(key) for key in ("faults", "refusal")}
        return ", ".join(f"{key}: {value}" for key, value in known.items() if value)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Waits until guard and policy node run and nothing forbids to stand up."""
        self.spin_until(self._ready, timeout, "a running stack without grave faults")

    def _ready(self) -> bool:
        if not self.mode or "faults" not in self.diagnostics:
            return False
        names = self.diagnostics["faults"].split(",")
        return worst(n for n in names if n in FAULTS) < Severity.SETTLE

    def ask(self, service: str, give_up: Callable[[], bool] = lambda: False) -> tuple[bool, str]:
        """Calls one of the node's Trigger services; whether it was granted, and the mode or the reason against it.

        Args:
            service: Its name.
            give_up: Whether to wait no longer; asked again and again.

        Raises:
            DbpError: Nobody answers, or it was given up.
        """
        client = self._node.create_client(Trigger, service)
        try:
            self._wait_for(client.service_is_ready, give_up, f"the service {service}")
            future = client.call_async(Trigger.Request())
            self._wait_for(future.done, give_up, f"an answer of {service}")
        finally:
            # Else ROS goes on delivering a request that nobody waits for: over a link that was gone, seconds later.
            self._node.destroy_client(client)
        return future.result().success, future.result().message

    def _wait_for(self, reached: Callable[[], bool], give_up: Callable[[], bool], what: str) -> None:
        given_up = False

        def over() -> bool:
            nonlocal given_up
            given_up = given_up or give_up()
            return given_up or reached()

        self.spin_until(over, SERVICE_TIMEOUT, what)
        if given_up and not reached():
            raise DbpError(f"did not wait for {what}")

    def demand(self, service: str, mode: str, timeout: float = 8.0) -> None:
        """Asks for something and waits for the mode it leads to.

        Raises:
            DbpError: It was refused, or the mode was not reached.
        """
        granted, message = self.ask(service)
        if not granted:
            raise DbpError(f"{service}: {message}")
        self.spin_until(lambda: self.mode == mode, timeout, f"mode {mode!r} after {service}")

    def walk(self, velocity: np.ndarray, seconds: float) -> None:
        """Publishes a velocity for a time."""
        end = now() + seconds
        while now() < end:
            self._watch()
            self.drive(velocity)
            self.spin(COMMAND_PERIOD)
