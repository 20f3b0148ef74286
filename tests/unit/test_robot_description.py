"""The URDF against go2.py, and as MuJoCo itself reads it against go2.xml."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np
import pytest

from dbp_bringup.robot import model as robot_model
from dbp_policy import go2, kinematics
from dbp_policy.robot_description import AXES, urdf


@pytest.fixture(scope="module")
def tree() -> ElementTree.Element:
    return ElementTree.fromstring(urdf())


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    """The URDF in MuJoCo's own reader: its base held, its fixed links kept apart, a link without inertial massless."""
    keep = '<mujoco><compiler fusestatic="false" inertiafromgeom="false"/></mujoco></robot>'
    return mujoco.MjModel.from_xml_string(urdf().replace("</robot>", keep))


def vector(element: ElementTree.Element, key: str) -> list[float]:
    return [float(x) for x in element.get(key).split()]


def test_it_is_one_tree_below_base_link(tree):
    links = [link.get("name") for link in tree.iter("link")]
    children = {joint.find("child").get("link"): joint.find("parent").get("link") for joint in tree.iter("joint")}
    assert len(links) == len(set(links)) and set(children) == set(links) - {"base_link"}
    for link in links:
        for _ in links:
            link = children.get(link, link)
        assert link == "base_link"
    assert tree.find("link[@name='base_link']/inertial") is None


def test_joints_are_go2s_in_its_order(tree):
    hinges = [joint for joint in tree.iter("joint") if joint.get("type") == "revolute"]
    assert [joint.get("name") for joint in hinges] == list(go2.JOINT_NAMES)
    for i, joint in enumerate(hinges):
        limit = {key: float(value) for key, value in joint.find("limit").attrib.items()}
        assert limit == {
            "lower": go2.Q_MIN[i],
            "upper": go2.Q_MAX[i],
            "effort": go2.TAU_MAX[i],
            "velocity": go2.DQ_MAX[i],
        }
        assert vector(joint.find("axis"), "xyz") == list(AXES[joint.get("name").split("_")[1]])


def test_joints_and_masses_are_those_of_the_mujoco_robot(model):
    robot = robot_model.load()
    assert model.body_mass.sum() == pytest.approx(robot.body_mass.sum(), abs=1e-9) == pytest.approx(go2.MASS, abs=1e-3)
    for name in go2.JOINT_NAMES:
        ours, theirs = model.joint(name), robot.joint(name)
        np.testing.assert_allclose(ours.axis, theirs.axis)
        np.testing.assert_allclose(ours.range, theirs.range)
        np.testing.assert_allclose(ours.pos, theirs.pos)
    for link in ("trunk", *(name.removesuffix("_joint") for name in go2.JOINT_NAMES)):
        ours, theirs = model.body(link), robot.body("base" if link == "trunk" else link)
        np.testing.assert_allclose(ours.mass, theirs.mass)
        np.testing.assert_allclose(ours.ipos, theirs.ipos, atol=1e-9)
        np.testing.assert_allclose(ours.inertia, theirs.inertia, rtol=1e-6)
        if link != "trunk":
            np.testing.assert_allclose(ours.pos, theirs.pos, atol=1e-9)


def test_feet_and_imu_are_where_the_kinematics_and_the_mujoco_robot_have_them(model):
    robot, rng = robot_model.load(), np.random.default_rng(0)
    ours, theirs = mujoco.MjData(model), mujoco.MjData(robot)
    for _ in range(20):
        q = rng.uniform(go2.Q_MIN, go2.Q_MAX)
        for name, angle in zip(go2.JOINT_NAMES, q, strict=True):
            ours.joint(name).qpos = theirs.joint(name).qpos = angle
        theirs.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
        mujoco.mj_kinematics(model, ours)
        mujoco.mj_kinematics(robot, theirs)
        for leg, foot in zip(go2.LEGS, kinematics.foot_positions(q), strict=True):
            np.testing.assert_allclose(ours.body(f"{leg}_foot").xpos, foot, atol=1e-9)
            np.testing.assert_allclose(ours.body(f"{leg}_foot").xpos, theirs.geom(f"{leg}_foot").xpos, atol=1e-9)
        np.testing.assert_allclose(ours.body("imu_link").xpos, theirs.site("imu").xpos, atol=1e-9)
