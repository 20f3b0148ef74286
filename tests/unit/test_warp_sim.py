"""MuJoCo Warp, on its CPU device, beside MuJoCo itself: the same robot moves the same way, within 32 bits."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_training.env import Env
from dbp_training.go2_model import PhysicsConfig, training_model
from dbp_training.sim import MujocoBatch
from dbp_training.tasks.go2_robot import full_randomisation, no_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.train_arguments import Train, new_config
from dbp_training.warp_sim import WarpBatch, find_device

pytest.importorskip("mujoco_warp", reason="MuJoCo Warp needs Python 3.11")
NUM = 4


@pytest.fixture(scope="module")
def pair() -> tuple[MujocoBatch, WarpBatch]:
    model = training_model(25.0, 0.5, PhysicsConfig())
    return MujocoBatch(model, NUM, threads=1), WarpBatch(model, NUM, "cpu")


def _place(sim, height: float = 0.33) -> None:
    sim.reset(np.arange(NUM))
    sim.qpos[:, 2], sim.qpos[:, 7:] = height, go2.STAND_Q


def _targets(steps: int, seed: int = 0) -> np.ndarray:
    return go2.STAND_Q + np.random.default_rng(seed).normal(0.0, 0.2, (steps, NUM, 4, 12))


@pytest.mark.parametrize("height", [1.0, 0.33], ids=["in the air", "on the ground"])
def test_it_moves_as_mujoco_does(pair, height):
    for sim in pair:
        _place(sim, height)
    for controls in _targets(5):
        for sim in pair:
            assert not sim.step(controls).any()
    exact, warp = pair
    assert np.abs(exact.qvel).max() > 1.0, "it moves"
    np.testing.assert_allclose(warp.qpos, exact.qpos, atol=1e-3)
    np.testing.assert_allclose(warp.qvel, exact.qvel, atol=5e-2)


def test_a_reset_touches_no_other_simulation(pair):
    _, sim = pair
    _place(sim)
    sim.step(_targets(1)[0])
    before = sim.qpos.copy()
    sim.reset(np.array([1]))
    np.testing.assert_array_equal(sim.qpos[1], sim.model.qpos0)
    assert not sim.qvel[1].any()
    np.testing.assert_array_equal(sim.qpos[[0, 2, 3]], before[[0, 2, 3]])


def test_an_unstable_simulation_is_reported_and_lives_again_after_a_reset(pair):
    _, sim = pair
    _place(sim)
    sim.qvel[2] = np.nan
    assert sim.step(_targets(1)[0]).tolist() == [False, False, True, False]
    sim.reset(np.array([2]))
    sim.qpos[2, 2] = 0.5
    assert not sim.step(_targets(1)[0]).any()


def _envs(config: Go2WalkConfig, num: int = 6) -> list[Env]:
    return [Env(Go2Walk(Go2WalkConfig(**vars(config) | {"physics": PhysicsConfig(device=d)})), num, 0) for d in DEVICES]


DEVICES = ("cpu", "warp-cpu")


def test_randomised_fields_are_each_simulations_own():
    exact, warp = _envs(Go2WalkConfig(randomisation=full_randomisation()))
    nominal = Env(Go2Walk(Go2WalkConfig(randomisation=no_randomisation())), 6, 0)
    for name in ("geom_friction", "dof_damping", "body_mass", "body_ipos", "actuator_gainprm"):
        np.testing.assert_allclose(warp.sim.field(name), exact.sim.field(name), rtol=1e-5, atol=1e-7)
    nominal.sim.qpos[:], nominal.sim.qvel[:] = exact.sim.qpos, exact.sim.qvel
    action = torch.zeros(6, 12)
    states = [env.step(action).reached for env in (exact, warp, nominal)]
    torch.testing.assert_close(states[1], states[0], atol=2e-2, rtol=0.0)
    assert (states[2] - states[0]).abs().max() > 0.1, "the fields make a difference"


def test_it_goes_on_where_it_was_saved():
    _, env = _envs(Go2WalkConfig(randomisation=full_randomisation()))
    actions = torch.randn(6, 6, 12, generator=torch.Generator().manual_seed(0)).clamp(-1.0, 1.0)
    for action in actions[:3]:
        env.step(action)
    state = env.state_dict()
    _, other = _envs(Go2WalkConfig(randomisation=full_randomisation()))
    other.load_state_dict(state)
    for action in actions[3:]:
        torch.testing.assert_close(other.step(action).state, env.step(action).state, atol=1e-4, rtol=0.0)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(DbpError, match="--device: expected a device that Warp finds, got 'cuda:7'"):
        WarpBatch(training_model(25.0, 0.5, PhysicsConfig()), 2, "cuda:7")


def test_without_mujoco_warp_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    with pytest.raises(DbpError, match="./dbp setup gpu"):
        find_device("cpu")


def test_the_device_is_part_of_a_run_and_only_of_tasks_that_know_it():
    assert new_config(Train("go2_walk", device="warp-cpu")).task_config.physics.device == "warp-cpu"
    with pytest.raises(DbpError, match="--device: expected a device that Warp finds, got 'nonsense'"):
        new_config(Train("go2_walk", device="nonsense"))
    with pytest.raises(DbpError, match="point_mass: expected --device cpu"):
        new_config(Train("point_mass", device="cuda"))
