"""The SAC baseline: the library's algorithm on our environments, as a run like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from dbp_policy.onnx_policy import load_runner  # noqa: E402
from dbp_training.algorithms import sac  # noqa: E402
from dbp_training.env import Env  # noqa: E402
from dbp_training.evaluate import evaluate  # noqa: E402
from dbp_training.export import export  # noqa: E402
from dbp_training.run_folder import RunConfig, RunFolder  # noqa: E402
from dbp_training.sac import SacTrainer  # noqa: E402
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig  # noqa: E402
from dbp_training.tasks.point_mass import PointMass  # noqa: E402

torch.set_num_threads(1)


def _trainer(task, seed: int = 0, **changes) -> SacTrainer:
    torch.manual_seed(seed)
    small = {"num_envs": 16, "hidden": (32, 32), "prefill": 512, "capacity": 8192, "updates": 32, "lr": 1e-3}
    config = replace(sac(task.name).sac, **{**small, **changes})
    return SacTrainer(Env(task, config.num_envs, seed), config, seed)


def test_it_learns_to_reach_a_point():
    task = PointMass()
    trainer = _trainer(task, batch=128)
    before = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    trainer.prepare()
    for _ in range(60):
        trainer.train_window(0.0)
    after = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    assert after["final_distance"] < 0.5 * before["final_distance"]
    assert trainer.gradient_steps == 60 * 32 and trainer.env.total_steps == 512 + 60 * 8 * 16


def test_it_goes_on_along_the_same_curve_from_its_state(tmp_path):
    task, folder = PointMass(), RunFolder(tmp_path)
    whole = _trainer(task, updates=4)
    whole.prepare()
    for _ in range(2):
        whole.train_window(0.0)
    folder.save_checkpoint(whole.state_dict())
    expected = [whole.train_window(0.0) for _ in range(3)]
    other = _trainer(task, seed=5, updates=4)
    other.load_state_dict(folder.load_checkpoint())
    assert [other.train_window(0.0) for _ in range(3)] == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.policy.parameters(), other.policy.parameters(), strict=True))


def test_the_replay_holds_what_was_reached_before_a_reset_and_a_time_limit_is_no_end():
    task = Go2Walk(Go2WalkConfig(episode_s=0.2))
    trainer = _trainer(task, num_envs=4, horizon=12, updates=1, prefill=48, capacity=400)
    seen = []
    step = trainer.env.step

    def note(action):
        before = trainer.env.memory
        transition = step(action)
        seen.append((transition, before))
        return transition

    trainer.env.step = note
    trainer.prepare()
    replay = trainer._sac.replay_buffer
    assert replay.pos == len(seen) == 12 and any(t.truncated.any() for t, _ in seen)
    for k, (transition, _) in enumerate(seen):
        reached = task.observe(transition.reached, transition.reached_memory)
        np.testing.assert_array_equal(replay.next_observations[k], reached.numpy())
        np.testing.assert_array_equal(replay.dones[k], transition.terminated.numpy())
        if k + 1 < len(seen):
            np.testing.assert_array_equal(
                replay.observations[k + 1], task.observe(transition.state, transition.memory).numpy()
            )


def test_its_policy_becomes_a_policy_file(tmp_path):
    algorithm = sac("go2_walk")
    small = replace(algorithm.sac, num_envs=4, horizon=4, updates=1, prefill=16, capacity=64, batch=8, hidden=(16,))
    algorithm = replace(algorithm, sac=small)
    config = RunConfig("go2_walk", algorithm, Go2WalkConfig(), seed=0, threads=1, minutes=None, steps=16)
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    assert folder.read_config() == config
    torch.manual_seed(0)
    trainer = algorithm.make_trainer(Env(Go2Walk(), 4, seed=0), seed=0)
    trainer.prepare()
    trainer.train_window(0.0)
    folder.save_checkpoint(trainer.state_dict())
    folder.write_evaluation({"survival": 0.0})
    export(tmp_path / "run", tmp_path / "sac.onnx")
    observation = torch.randn(1, Go2Walk().observation_size)
    action, _ = load_runner(tmp_path / "sac.onnx").network(observation[0].numpy(), np.zeros(0, np.float32))
    np.testing.assert_allclose(action, trainer.policy.eval()(observation)[0].detach().numpy(), atol=1e-5)
