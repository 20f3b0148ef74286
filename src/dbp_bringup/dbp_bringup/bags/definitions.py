"""Message definitions as a bag carries them (`ros2msg`), written from what already defines each message.

Unitree's come from the wire's one list of fields, ROS's from the installed message classes, the policy's is its own.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np

from dbp_policy import policy_tick
from dbp_policy.unitree import wire

_BEGIN_OF_PART = "=" * 80 + "\nMSG: "
_UNITREE_PARTS = {"imu_state": "IMUState"}
"""Where a part's name is not its field's in camel case."""
_ROS_NAMES = {"double": "float64", "float": "float32", "boolean": "bool", "octet": "byte"}
"""IDL's names of numbers, where a .msg file has others."""


@dataclass(frozen=True)
class Channel:
    """One topic of a bag."""

    topic: str
    type: str
    """Such as `sensor_msgs/msg/Imu`."""
    definition: str
    """Text of the .msg file, followed by those of its parts."""


def unitree(topic: str, name: str, struct: np.dtype) -> Channel:
    """A Unitree topic, as unitree_ros2 names and orders it: DDS's `rt/x` is the topic `/x` of ROS.

    Args:
        topic: DDS topic.
        name: Name of the message in `unitree_go`.
        struct: Its fields (`Layout.struct`).
    """
    parts: dict[str, str] = {}
    text = _fields(struct, parts)
    text += "".join(f"{_BEGIN_OF_PART}unitree_go/{part}\n{fields}" for part, fields in parts.items())
    return Channel(topic.removeprefix("rt"), f"unitree_go/msg/{name}", text)


def _fields(struct: np.dtype, parts: dict[str, str]) -> str:
    lines = []
    for name in struct.names:
        item, shape = struct[name].subdtype or (struct[name], ())
        if item.names:
            kind = _UNITREE_PARTS.get(name, name.title().replace("_", ""))
            parts[kind] = _fields(item, parts)
            kind = f"unitree_go/{kind}"
        else:
            kind = item.name  # numpy's names of numbers are ROS's
        lines.append(f"{kind}{f'[{shape[0]}]' if shape else ''} {name}\n")
    return "".join(lines)


LOWSTATE = unitree(wire.LOWSTATE_TOPIC, "LowState", wire.LOWSTATE.struct)
LOWCMD = unitree(wire.LOWCMD_TOPIC, "LowCmd", wire.LOWCMD.struct)
POLICY_TICK = Channel(policy_tick.TOPIC, policy_tick.MESSAGE_TYPE, policy_tick.DEFINITION)


def ros(topic: str, kind: type) -> Channel:
    """A ROS topic.

    Args:
        topic: Its full name.
        kind: The message's class.
    """
    package, name = kind.__module__.partition(".")[0], kind.__name__
    parts: dict[str, str] = {}
    text = _ros_fields(kind, parts)
    text += "".join(f"{_BEGIN_OF_PART}{part}\n{fields}" for part, fields in parts.items())
    return Channel(topic, f"{package}/msg/{name}", text)


def _ros_fields(kind: type, parts: dict[str, str]) -> str:
    lines = []
    for name, declared in kind.get_fields_and_field_types().items():
        if declared.startswith("sequence<"):
            item, _, bound = declared[len("sequence<") : -1].partition(", ")
            array = f"[<={bound}]" if bound else "[]"
        else:
            item, bracket, size = declared.partition("[")
            array = bracket + size
        if "/" in item and item not in parts:
            package, part = item.split("/")
            parts[item] = ""  # keeps its place before its own parts
            parts[item] = _ros_fields(getattr(importlib.import_module(f"{package}.msg"), part), parts)
        lines.append(f"{_ROS_NAMES.get(item, item)}{array} {name}\n")
    return "".join(lines)
