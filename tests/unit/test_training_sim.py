"""The batched simulator is plain MuJoCo, its actuators are the one PD law, randomised fields act, seeds decide."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from dbp_policy import go2
from dbp_policy.pd import pd_torque
from dbp_training.env import Env
from dbp_training.go2_model import PhysicsConfig, training_model
from dbp_training.sim import MujocoBatch
from dbp_training.tasks.go2_robot import HEIGHT, Randomisation, full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig

torch.set_num_threads(1)
KP, KD = 25.0, 0.5


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return training_model(KP, KD, PhysicsConfig())


def _place(sim: MujocoBatch) -> None:
    sim.qpos[:, 2] = 0.33
    sim.qpos[:, 7:] = go2.STAND_Q


def test_the_batch_is_a_loop_over_plain_mujoco_bitwise(model):
    rng = np.random.default_rng(0)
    sim = MujocoBatch(model, 4, threads=2)
    _place(sim)
    plain = [mujoco.MjData(model) for _ in range(4)]
    for data in plain:
        data.qpos[2], data.qpos[7:] = 0.33, go2.STAND_Q
    for _ in range(25):
        controls = go2.STAND_Q + rng.normal(0.0, 0.3, (4, 4, 12))
        assert not sim.step(controls).any()
        for data, targets in zip(plain, controls, strict=True):
            for target in targets:
                data.ctrl[:] = target
                mujoco.mj_step(model, data)
    np.testing.assert_array_equal(sim.qpos, [data.qpos for data in plain])
    np.testing.assert_array_equal(sim.qvel, [data.qvel for data in plain])


def test_the_position_actuators_are_the_pd_law_within_the_motors_torque(model):
    rng, data, zero = np.random.default_rng(1), mujoco.MjData(model), np.zeros(12)
    saturated = 0
    for _ in range(50):
        data.qpos[2], data.qpos[3:7] = 2.0, (1.0, 0.0, 0.0, 0.0)
        data.qpos[7:] = rng.uniform(go2.Q_MIN, go2.Q_MAX)
        data.qvel[6:] = rng.normal(0.0, 8.0, 12)
        data.ctrl[:] = rng.uniform(go2.Q_MIN, go2.Q_MAX)
        mujoco.mj_forward(model, data)
        wanted = pd_torque(data.qpos[7:], data.qvel[6:], data.ctrl, zero, np.full(12, KP), np.full(12, KD), zero)
        saturated += (np.abs(wanted) > go2.TAU_MAX).sum()
        expected = np.clip(wanted, -go2.TAU_MAX, go2.TAU_MAX)
        np.testing.assert_allclose(data.qfrc_actuator[6:], expected, atol=1e-9)
    assert saturated > 20


def test_the_training_model_keeps_the_robots_mass_and_collides_with_feet_and_trunk_only(model):
    assert model.body_subtreemass[1] == pytest.approx(go2.MASS, abs=1e-3)
    colliding = {model.geom(i).name for i in range(model.ngeom) if model.geom_contype[i] or model.geom_conaffinity[i]}
    assert colliding == {"floor", "trunk", *(f"{leg}_foot" for leg in go2.LEGS)}


def test_an_unstable_simulation_is_reported_and_ends_its_episode():
    env = Env(Go2Walk(), 3, seed=0)
    env.sim.qvel[1] = 1e12
    t = env.step(torch.zeros(3, 12))
    assert t.valid.tolist() == [True, False, True]
    assert t.terminated.tolist() == [False, True, False]
    assert torch.isfinite(t.reached).all() and torch.isfinite(t.state).all()
    assert env.step(torch.zeros(3, 12)).valid.all()


def _full_env(seed: int, num: int = 32, **changes) -> Env:
    return Env(Go2Walk(Go2WalkConfig(randomisation=full_randomisation(), **changes)), num, seed)


def test_randomised_fields_differ_between_simulations_within_their_ranges():
    env, r = _full_env(0), full_randomisation()
    model, sim = env.task.model, env.sim
    base, feet = model.body("base").id, [model.geom(f"{leg}_foot").id for leg in go2.LEGS]
    fields = {
        "friction": (sim.field("geom_friction")[:, feet, 0], r.friction),
        "joint_friction": (sim.field("dof_frictionloss")[:, 6:], r.joint_friction),
        "joint_damping": (sim.field("dof_damping")[:, 6:], r.joint_damping),
        "armature": (sim.field("dof_armature")[:, 6:], r.armature),
        "payload": (sim.field("body_mass")[:, base] - model.body_mass[base], r.payload),
        "com": (sim.field("body_ipos")[:, base] - model.body_ipos[base], (-r.com, r.com)),
        "kp": (sim.field("actuator_gainprm")[:, :, 0], (25.0 * (1 - r.gain), 25.0 * (1 + r.gain))),
        "kd": (-sim.field("actuator_biasprm")[:, :, 2], (0.5 * (1 - r.gain), 0.5 * (1 + r.gain))),
    }
    for name, (values, (low, high)) in fields.items():
        assert values.min() >= low - 1e-9 and values.max() <= high + 1e-9, name
        assert np.ptp(values, axis=0).min() > 0.5 * (high - low), name
    np.testing.assert_array_equal(sim.field("actuator_gainprm")[:, :, 0], -sim.field("actuator_biasprm")[:, :, 1])
    assert set(env._delays.tolist()) == {0, 1, 2, 3, 4}


def test_a_heavier_simulation_sags_more():
    env = Env(Go2Walk(Go2WalkConfig(randomisation=Randomisation(payload=(-1.0, 2.0)))), 16, seed=0, stagger=False)
    for _ in range(10):
        t = env.step(torch.zeros(16, 12))
    mass = env.sim.field("body_mass")[:, env.task.model.body("base").id]
    assert np.corrcoef(mass, t.reached[:, HEIGHT].numpy())[0, 1] < -0.9


def test_a_delayed_action_acts_that_many_substeps_late():
    task = Go2Walk()
    env = Env(task, 5, seed=0)
    action = torch.ones(5, 12)
    controls = task.controls(env.state, env.memory, action, np.arange(5))
    for late in range(5):
        new = controls[late, :, 0] == go2.STAND_Q[0] + task.config.action_scale
        assert new.tolist() == [k >= late for k in range(4)]


def test_equal_seeds_give_equal_trajectories_at_any_thread_count_and_others_do_not():
    def trajectory(seed: int, threads: int) -> torch.Tensor:
        env = Env(Go2Walk(Go2WalkConfig(randomisation=full_randomisation(), episode_s=0.5)), 8, seed, threads)
        generator = torch.Generator().manual_seed(0)
        rows = []
        for _ in range(40):
            rows.append(env.observe(env.state, env.memory))
            env.step(torch.tanh(torch.randn(8, 12, generator=generator)))
        return torch.stack(rows)

    first = trajectory(0, 1)
    assert torch.equal(first, trajectory(0, 2))
    assert not torch.equal(first, trajectory(1, 1))


def test_a_restored_environment_goes_on_as_the_original():
    one, other = _full_env(0, 8, episode_s=0.5), _full_env(5, 8, episode_s=0.5)
    for _ in range(10):
        one.step(torch.full((8, 12), 0.3))
    other.load_state_dict(one.state_dict())
    for _ in range(30):
        a, b = (env.step(torch.full((8, 12), -0.3)) for env in (one, other))
        assert torch.equal(a.reached, b.reached) and torch.equal(a.state, b.state)
        assert torch.equal(a.memory.command, b.memory.command)
