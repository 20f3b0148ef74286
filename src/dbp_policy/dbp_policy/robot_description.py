"""The Go2 as a URDF: joints and sizes from go2.py, inertials from go2.xml, shapes of primitives. For RViz and tf.

Links are named as in Unitree's own URDF, below `base_link` (REP-105), which has no inertia: KDL wants none at a root.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dbp_policy import go2, paths

TRUNK, BASE, IMU = "trunk", "base_link", "imu_link"
AXES = {"hip": (1, 0, 0), "thigh": (0, 1, 0), "calf": (0, 1, 0)}
_PARENT = {"thigh": "hip", "calf": "thigh", "foot": "calf"}
_DARK, _SILVER = "0.13 0.14 0.16 1", "0.74 0.76 0.78 1"


def urdf(model: Path | None = None) -> str:
    """The robot's URDF.

    Args:
        model: The MJCF file with the inertials; go2.xml by default.
    """
    bodies = {b.get("name"): b for b in ElementTree.parse(model or paths.models_dir() / "go2.xml").iter("body")}
    robot = ElementTree.Element("robot", name="go2")
    ElementTree.SubElement(robot, "link", name=BASE)
    _link(robot, TRUNK, _box(go2.TRUNK_SIZE), (0.0, 0.0, 0.0), _DARK, bodies["base"].find("inertial"))
    _joint(robot, "trunk_joint", BASE, TRUNK, (0.0, 0.0, 0.0))
    ElementTree.SubElement(robot, "link", name=IMU)
    _joint(robot, "imu_joint", BASE, IMU, go2.IMU_POSITION)
    for i, name in enumerate(go2.JOINT_NAMES):
        leg, kind, _ = name.split("_")
        link = f"{leg}_{kind}"
        shape, centre, colour = _shape(kind, go2.LEGS.index(leg))
        _link(robot, link, shape, centre, colour, bodies[link].find("inertial"))
        parent = f"{leg}_{_PARENT[kind]}" if kind in _PARENT else BASE
        joint = _joint(robot, name, parent, link, _origin(kind, go2.LEGS.index(leg)), AXES[kind])
        limit = {"lower": go2.Q_MIN[i], "upper": go2.Q_MAX[i], "effort": go2.TAU_MAX[i], "velocity": go2.DQ_MAX[i]}
        ElementTree.SubElement(joint, "limit", {key: f"{value:.10g}" for key, value in limit.items()})
    for leg in go2.LEGS:
        _link(robot, f"{leg}_foot", _sphere(go2.FOOT_RADIUS), (0.0, 0.0, 0.0), _DARK)
        _joint(robot, f"{leg}_foot_joint", f"{leg}_calf", f"{leg}_foot", (go2.FOOT_OFFSET_X, 0.0, -go2.CALF_LENGTH))
    ElementTree.indent(robot)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(robot, encoding="unicode") + "\n"


def _origin(kind: str, leg: int) -> np.ndarray:
    """Of a joint in its parent's frame [m]."""
    if kind == "hip":
        return go2.HIP_ORIGIN[leg]
    return np.array([0.0, go2.HIP_OFFSET_Y[leg], 0.0] if kind == "thigh" else [0.0, 0.0, -go2.THIGH_LENGTH])


def _shape(kind: str, leg: int) -> tuple[ElementTree.Element, Sequence[float], str]:
    """What a link looks like, and the middle of it in the link's frame [m]."""
    if kind == "hip":
        return _box((0.09, 0.07, 0.09)), (0.0, 0.5 * go2.HIP_OFFSET_Y[leg], 0.0), _DARK
    if kind == "thigh":
        return _box((0.045, 0.035, go2.THIGH_LENGTH)), (-0.005, 0.0, -0.5 * go2.THIGH_LENGTH), _SILVER
    return _cylinder(0.0115, go2.CALF_LENGTH), (0.004, 0.0, -0.5 * go2.CALF_LENGTH), _DARK


def _link(robot, name: str, shape, centre: Sequence[float], colour: str, inertial=None) -> None:
    link = ElementTree.SubElement(robot, "link", name=name)
    if inertial is not None:
        _add_inertial(link, inertial)
    for role in ("visual", "collision"):
        part = ElementTree.SubElement(link, role)
        ElementTree.SubElement(part, "origin", xyz=_numbers(centre), rpy="0 0 0")
        ElementTree.SubElement(part, "geometry").append(shape)
        if role == "visual":
            material = ElementTree.SubElement(part, "material", name="dark" if colour == _DARK else "silver")
            ElementTree.SubElement(material, "color", rgba=colour)


def _add_inertial(link, inertial) -> None:
    """MuJoCo's fullinertia is xx yy zz xy xz yz, about the centre of mass in the body's axes, as URDF's."""
    part = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(part, "origin", xyz=" ".join(inertial.get("pos").split()), rpy="0 0 0")
    ElementTree.SubElement(part, "mass", value=inertial.get("mass"))
    names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    ElementTree.SubElement(part, "inertia", dict(zip(names, inertial.get("fullinertia").split(), strict=True)))


def _joint(robot, name: str, parent: str, child: str, xyz: Sequence[float], axis: Sequence[int] | None = None):
    """A hinge about `axis`, or a fixed joint."""
    joint = ElementTree.SubElement(robot, "joint", name=name, type="fixed" if axis is None else "revolute")
    ElementTree.SubElement(joint, "parent", link=parent)
    ElementTree.SubElement(joint, "child", link=child)
    ElementTree.SubElement(joint, "origin", xyz=_numbers(xyz), rpy="0 0 0")
    if axis is not None:
        ElementTree.SubElement(joint, "axis", xyz=_numbers(axis))
    return joint


def _box(size: Sequence[float]):
    return ElementTree.Element("box", size=_numbers(size))


def _sphere(radius: float):
    return ElementTree.Element("sphere", radius=f"{radius:g}")


def _cylinder(radius: float, length: float):
    return ElementTree.Element("cylinder", radius=f"{radius:g}", length=f"{length:g}")


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)
