"""The policy node's ROS parameters: one table with description and bounds, and refusals in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from dbp_policy import go2, paths
from dbp_policy.command import SOURCES
from dbp_policy.errors import DbpError
from dbp_policy.sticks import GamepadMap

_TIMEOUT = next(s.timeout for s in SOURCES if s.name == "autonomy")
_PAD = GamepadMap()
_MOST = 31
"""Index of a gamepad's last button or axis: no gamepad has more."""


@dataclass(frozen=True)
class Declared:
    """One parameter; its kind is its default's."""

    name: str
    default: str | bool | int | float
    description: str
    low: float | None = None
    high: float | None = None
    fixed: bool = True
    """Cannot be set while the node runs."""

    def expectation(self) -> str:
        """What is accepted, in words."""
        kind = {str: "a text", bool: "true or false", int: "a whole number", float: "a number with a decimal point"}
        bounds = "" if self.low is None else f" from {self.low:g} to {self.high:g}"
        return kind[type(self.default)] + bounds

    def descriptor(self) -> ParameterDescriptor:
        """For tools such as `ros2 param describe`."""
        descriptor = ParameterDescriptor(description=self.description, read_only=self.fixed)
        if self.low is not None and isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
        elif self.low is not None:
            descriptor.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)]
        return descriptor


def table() -> tuple[Declared, ...]:
    """All parameters."""
    walk = str(paths.models_dir() / "go2_walk.onnx")
    return (
        Declared("policy", walk, "ONNX policy file; setting it makes a walking robot stand first", fixed=False),
        Declared("posture", "four_legs", f"how the policy may hold the trunk: {' or '.join(go2.POSTURES)}"),
        Declared("runtime_dir", str(paths.runtime_dir()), "folder of the sockets shared with the guard"),
        Declared("autostart", True, "configure and activate at the start, without a lifecycle manager"),
        Declared("stamped_cmd_vel", False, "cmd_vel carries TwistStamped instead of Twist; too old a stamp is dropped"),
        Declared("cmd_vel_timeout", _TIMEOUT, "silence on cmd_vel after which autonomy counts as gone [s]", 0.1, 1.0),
        Declared("joy.enable_button", _PAD.enable_button, "gamepad button held to drive", 0, _MOST),
        Declared("joy.stop_button", _PAD.stop_button, "gamepad button that presses the e-stop; -1 for none", -1, _MOST),
        Declared("joy.axis_linear.x", _PAD.axis_x, "gamepad axis of walking forward", 0, _MOST),
        Declared("joy.axis_linear.y", _PAD.axis_y, "gamepad axis of walking to the left", 0, _MOST),
        Declared("joy.axis_angular.yaw", _PAD.axis_yaw, "gamepad axis of turning to the left", 0, _MOST),
    )


def declare(node: Node) -> dict[str, str | bool | int | float]:
    """Declares the parameters; their values.

    Raises:
        DbpError: A value does not fit, or a parameter is given that does not exist.
    """
    values = {}
    for parameter in table():
        try:
            values[parameter.name] = node.declare_parameter(
                parameter.name, parameter.default, parameter.descriptor()
            ).value
        except (InvalidParameterTypeException, InvalidParameterValueException):
            given = node._parameter_overrides[parameter.name].value
            message = f"parameter {parameter.name}: expected {parameter.expectation()}, got {given!r}"
            raise DbpError(message) from None
    unknown = [name for name in node._parameter_overrides if not node.has_parameter(name)]
    if unknown:
        raise DbpError(f"parameters: expected some of {', '.join(values)}, got {', '.join(sorted(unknown))}")
    return values


def gamepad_map(values: dict) -> GamepadMap:
    """The gamepad's buttons and axes out of the parameters' values."""
    return GamepadMap(
        enable_button=values["joy.enable_button"],
        stop_button=values["joy.stop_button"],
        axis_x=values["joy.axis_linear.x"],
        axis_y=values["joy.axis_linear.y"],
        axis_yaw=values["joy.axis_angular.yaw"],
    )
