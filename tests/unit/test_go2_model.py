"""go2.xml against go2.py, against the public inertias, and against the ground."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from dbp_bringup.robot import model as robot_model
from dbp_policy import go2, kinematics
from dbp_policy.errors import DbpError
from dbp_policy.paths import models_dir

LINKS = [f"{leg}_{link}" for leg in go2.LEGS for link in go2.JOINTS_OF_LEG]


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return robot_model.load()


@pytest.fixture
def data(model) -> mujoco.MjData:
    return mujoco.MjData(model)


def contacts(model: mujoco.MjModel, data: mujoco.MjData) -> set[frozenset[str]]:
    """Pairs of geom names that touch."""
    return {frozenset((model.geom(pair[0]).name, model.geom(pair[1]).name)) for pair in data.contact.geom}


def at_pose(model: mujoco.MjModel, data: mujoco.MjData, q: np.ndarray, height: float = 2.0) -> None:
    data.qpos[:7] = (0, 0, height, 1, 0, 0, 0)
    data.qpos[7:] = q
    mujoco.mj_fwdPosition(model, data)


def random_q(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(go2.Q_MIN, go2.Q_MAX)


# The same numbers as go2.py ------------------------------------------------------------------------------------------


def test_the_whole_robot_weighs_what_a_go2_weighs(model):
    assert model.body_mass.sum() == pytest.approx(15.2, abs=0.02)
    assert model.body_mass.sum() == pytest.approx(go2.MASS, abs=0.001)


def test_joints_are_in_sdk_order_with_the_robots_limits(model):
    assert tuple(model.joint(i).name for i in range(1, model.njnt)) == go2.JOINT_NAMES
    np.testing.assert_array_equal(model.jnt_qposadr[1:], 7 + np.arange(12))
    np.testing.assert_allclose(model.jnt_range[1:, 0], go2.Q_MIN)
    np.testing.assert_allclose(model.jnt_range[1:, 1], go2.Q_MAX)
    assert model.jnt_limited[1:].all()


def test_motor_i_drives_joint_i_up_to_its_torque(model):
    assert [model.joint(j).name for j in model.actuator_trnid[:, 0]] == list(go2.JOINT_NAMES)
    np.testing.assert_allclose(model.actuator_ctrlrange, np.stack([-go2.TAU_MAX, go2.TAU_MAX], axis=1))
    np.testing.assert_allclose(model.jnt_actfrcrange[1:], np.stack([-go2.TAU_MAX, go2.TAU_MAX], axis=1))


def test_geometry_is_that_of_go2_py(model):
    for leg, origin, offset in zip(go2.LEGS, go2.HIP_ORIGIN, go2.HIP_OFFSET_Y, strict=True):
        np.testing.assert_allclose(model.body(f"{leg}_hip").pos, origin)
        np.testing.assert_allclose(model.body(f"{leg}_thigh").pos, (0.0, offset, 0.0))
        np.testing.assert_allclose(model.body(f"{leg}_calf").pos, (0.0, 0.0, -go2.THIGH_LENGTH))
        for foot in (model.geom(f"{leg}_foot"), model.site(f"{leg}_foot")):
            np.testing.assert_allclose(foot.pos, (go2.FOOT_OFFSET_X, 0.0, -go2.CALF_LENGTH))
        assert model.geom(f"{leg}_foot").size[0] == go2.FOOT_RADIUS
    np.testing.assert_allclose(model.site("imu").pos, go2.IMU_POSITION)
    np.testing.assert_allclose(model.site("imu").quat, (1.0, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(2.0 * model.geom("trunk").size, go2.TRUNK_SIZE)


@pytest.mark.parametrize(
    ("links", "moments"),
    [
        (["base"], (0.107027, 0.0980771, 0.0244531)),
        ([f"{leg}_hip" for leg in go2.LEGS], (0.00088403, 0.000596003, 0.000479967)),
        ([f"{leg}_thigh" for leg in go2.LEGS], (0.00594973, 0.00584149, 0.000878787)),
        ([f"{leg}_calf" for leg in go2.LEGS], (0.0014901, 0.00146356, 5.31397e-05)),
    ],
)
def test_principal_moments_are_those_of_unitree_mujoco(model, links, moments):
    """The file has the URDF's full tensors; unitree_mujoco publishes their principal moments [kg·m²]."""
    for link in links:
        np.testing.assert_allclose(model.body(link).inertia, moments, rtol=2e-3)


def test_left_and_right_mirror_each_other(model, data):
    """In a symmetric pose the mass matrix does not tell left from right, and the centre of mass lies in the middle."""
    mirror = np.array([-1.0, 1.0, 1.0])
    right = np.array([0.2, 0.9, -1.7, 0.1, 1.1, -1.4])
    q = np.zeros((4, 3))
    q[[0, 2]] = right.reshape(2, 3)
    q[[1, 3]] = right.reshape(2, 3) * mirror
    at_pose(model, data, q.ravel())
    assert data.subtree_com[model.body("base").id][1] == pytest.approx(0.0, abs=1e-9)
    inertia = np.zeros((18, 18))
    mujoco.mj_fullM(model, data, inertia)
    joints = inertia[6:, 6:]
    swap = go2.permutation(go2.JOINT_NAMES, [_other_side(name) for name in go2.JOINT_NAMES])
    sign = np.tile(mirror, 4)
    np.testing.assert_allclose(joints, (joints * np.outer(sign, sign))[np.ix_(swap, swap)], atol=1e-9)


def _other_side(joint: str) -> str:
    return joint[0] + {"R": "L", "L": "R"}[joint[1]] + joint[2:]


# Closed-form kinematics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_foot_and_knee_positions_and_jacobians_are_mujocos(model, data, seed):
    rng = np.random.default_rng(seed)
    data.qpos[:3] = rng.normal(size=3)
    data.qpos[3:7] = rng.normal(size=4)
    data.qpos[7:] = q = random_q(rng)
    mujoco.mj_fwdPosition(model, data)
    base = model.body("base").id
    to_base = data.xmat[base].reshape(3, 3).T
    feet, jacobians, knees = kinematics.foot_positions(q), kinematics.foot_jacobians(q), kinematics.knee_positions(q)
    for i, leg in enumerate(go2.LEGS):
        site = model.site(f"{leg}_foot").id
        np.testing.assert_allclose(feet[i], to_base @ (data.site_xpos[site] - data.xpos[base]), atol=1e-12)
        calf = model.body(f"{leg}_calf").id
        np.testing.assert_allclose(knees[i], to_base @ (data.xpos[calf] - data.xpos[base]), atol=1e-12)
        jac = np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jac, None, site)
        np.testing.assert_allclose(jacobians[i], to_base @ jac[:, 6 + 3 * i : 9 + 3 * i], atol=1e-12)


# Collisions ----------------------------------------------------------------------------------------------------------


def test_without_group_4_only_feet_and_trunk_collide_and_nothing_else_changes(model):
    """The rule by which training derives its cheap variant from the same file."""
    variant = robot_model.load()
    full_only = variant.geom_group == 4
    variant.geom_contype[full_only] = variant.geom_conaffinity[full_only] = 0
    colliding = {variant.geom(i).name for i in np.flatnonzero(variant.geom_contype | variant.geom_conaffinity)}
    assert colliding == {"floor", "trunk", *(f"{leg}_foot" for leg in go2.LEGS)}
    # No mass comes from a geom, so that a variant may as well delete them.
    bare = mujoco.MjSpec.from_file(str(models_dir() / "go2.xml"))
    for geom in [geom for geom in bare.geoms if geom.group in (2, 4)]:
        bare.delete(geom)
    bare = bare.compile()
    np.testing.assert_array_equal(bare.body_mass, model.body_mass)
    np.testing.assert_array_equal(bare.body_inertia, model.body_inertia)
    np.testing.assert_array_equal(bare.jnt_range, model.jnt_range)


def test_what_is_only_looked_at_never_collides(model):
    looked_at = model.geom_group == 2
    assert looked_at.any()
    assert not model.geom_contype[looked_at].any() and not model.geom_conaffinity[looked_at].any()


@pytest.mark.parametrize("q", [go2.STAND_Q, go2.CROUCH_Q, np.zeros(12) + go2.Q_MIN * np.tile([0, 0, 1], 4)])
def test_no_link_touches_another_in_an_ordinary_pose(model, data, q):
    at_pose(model, data, q)
    assert contacts(model, data) == set()


def test_legs_collide_with_each_other(model, data):
    q = go2.STAND_Q.copy()
    q[0], q[3] = 0.6, -0.6  # both front legs inwards
    at_pose(model, data, q)
    assert any({name[:2] for name in pair} == {"FR", "FL"} for pair in contacts(model, data))


def settle(model, data, seconds: float) -> None:
    while data.time < seconds:
        mujoco.mj_step(model, data)


@pytest.mark.parametrize("seed", range(6))
def test_however_it_falls_every_link_stays_above_the_ground(model, data, seed):
    """A limp robot dropped in any attitude and pose comes to lie on its own surfaces."""
    rng = np.random.default_rng(seed)
    data.qpos[:3] = (0.0, 0.0, 0.6)
    data.qpos[3:7] = rng.normal(size=4)
    data.qpos[7:] = random_q(rng)
    settle(model, data, 2.0)
    assert np.abs(data.qvel[:3]).max() < 0.2
    for link in ["base", *LINKS]:
        assert data.body(link).xpos[2] > 0.01, link
    assert data.site_xpos[[model.site(f"{leg}_foot").id for leg in go2.LEGS], 2].min() > go2.FOOT_RADIUS - 0.004
    assert data.contact.dist.min() > -0.004


def test_upside_down_it_lies_on_its_back(model, data):
    data.qpos[:7] = (0.0, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0)
    data.qpos[7:] = go2.STAND_Q
    settle(model, data, 2.0)
    assert data.body("base").xmat[8] < -0.9
    assert 0.05 < data.qpos[2] < 0.12
    assert any("floor" in pair and pair & {"trunk", "trunk_sides", "head"} for pair in contacts(model, data))


def test_everything_that_is_seen_is_backed_by_something_that_collides():
    """Centre and ends of every visible shape lie within 20 mm of a colliding shape of the robot."""
    spec = mujoco.MjSpec.from_file(str(models_dir() / "go2.xml"))
    probes = []
    for geom in [geom for geom in spec.geoms if geom.group == 2]:
        ends = np.reshape(geom.fromto, (2, 3))
        for point in [geom.pos] if np.isnan(ends).any() else [ends[0], ends.mean(axis=0), ends[1]]:
            probes.append(f"{geom.parent.name} at {np.round(point, 3)}, probe {len(probes)}")
            geom.parent.add_geom(name=probes[-1], size=(0.001, 0, 0), pos=point, group=2, contype=0, conaffinity=0)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_fwdPosition(model, data)
    backing = np.flatnonzero((model.geom_bodyid != 0) & (model.geom_contype != 0))
    for name in probes:
        probe = model.geom(name).id
        assert min(mujoco.mj_geomDistance(model, data, probe, int(geom), 1.0, None) for geom in backing) < 0.02, name


# Poses ---------------------------------------------------------------------------------------------------------------


def test_lying_is_at_rest_without_torque(model, data):
    mujoco.mj_resetDataKeyframe(model, data, model.key("lying").id)
    start = data.qpos.copy()
    settle(model, data, 1.0)
    assert np.abs(data.qpos[:3] - start[:3]).max() < 0.002
    assert np.abs(data.qpos[7:] - start[7:]).max() < 0.01
    assert np.abs(data.qvel).max() < 0.005
    assert data.contact.dist.min() > -0.002
    assert any("floor" in pair and "trunk" in pair for pair in contacts(model, data))


def test_home_is_held_at_the_known_height_with_the_known_knee_torque(model, data):
    """0.32 m and 5.4 N·m with kp 60, kd 5."""
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    np.testing.assert_allclose(data.qpos[7:], go2.STAND_Q)
    while data.time < 1.0:
        data.ctrl[:] = go2.STAND_KP * (go2.STAND_Q - data.qpos[7:]) - go2.STAND_KD * data.qvel[6:]
        mujoco.mj_step(model, data)
    assert data.qpos[2] == pytest.approx(0.32, abs=0.005)
    np.testing.assert_allclose(data.actuator_force[2::3], 5.4, atol=0.2)


# The robot's own variations ------------------------------------------------------------------------------------------


def test_a_payload_adds_its_mass_where_it_was_put():
    loaded = robot_model.load(payload_kg=3.0, payload_position=(0.05, 0.0, 0.1))
    assert loaded.body_mass.sum() == pytest.approx(go2.MASS + 3.0, abs=0.001)
    np.testing.assert_allclose(loaded.body("payload").pos, (0.05, 0.0, 0.1))
    assert loaded.joint("RL_calf_joint").qposadr[0] == 18


def test_friction_is_that_of_every_surface():
    slippery = robot_model.load(friction=0.2)
    assert set(slippery.geom_friction[slippery.geom_contype != 0, 0]) == {0.2}


@pytest.mark.parametrize("bad", [{"friction": np.nan}, {"friction": 0.0}, {"payload_kg": -1.0}, {"payload_kg": np.nan}])
def test_nonsense_is_refused_in_words(bad):
    with pytest.raises(DbpError, match="expected"):
        robot_model.load(**bad)
