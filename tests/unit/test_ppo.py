"""The PPO baseline: the library's algorithm on our environments, as a run like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rsl_rl")

from dbp_policy.onnx_policy import load_runner  # noqa: E402
from dbp_training.algorithms import ALGORITHMS, ppo  # noqa: E402
from dbp_training.env import Env  # noqa: E402
from dbp_training.evaluate import evaluate  # noqa: E402
from dbp_training.export import export  # noqa: E402
from dbp_training.ppo import PpoTrainer  # noqa: E402
from dbp_training.run_folder import RunConfig, RunFolder  # noqa: E402
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig  # noqa: E402
from dbp_training.tasks.point_mass import PointMass  # noqa: E402
from dbp_training.tasks.registry import TASKS  # noqa: E402

torch.set_num_threads(1)


def _trainer(task, seed: int = 0, **changes) -> PpoTrainer:
    torch.manual_seed(seed)
    config = replace(ppo(task.name).ppo, **{"num_envs": 32, "hidden": (32, 32), **changes})
    return PpoTrainer(Env(task, config.num_envs, seed), config)


def test_it_learns_to_reach_a_point():
    task = PointMass()
    trainer = _trainer(task)
    before = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    figures = [trainer.train_window(0.0) for _ in range(60)]
    after = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    assert after["final_distance"] < 0.5 * before["final_distance"]
    assert figures[-1]["reward"] > figures[0]["reward"] and trainer.gradient_steps == 60 * 5 * 4
    assert trainer.env.total_steps == 60 * 24 * 32


@pytest.mark.parametrize("task", TASKS)
def test_its_networks_are_as_large_as_those_it_is_compared_with(task):
    assert ALGORITHMS["ppo"](task, False).ppo.hidden == ALGORITHMS["dmo"](task, False).first_order.hidden


def test_it_goes_on_along_the_same_curve_from_its_state(tmp_path):
    task, folder = PointMass(), RunFolder(tmp_path)
    whole = _trainer(task)
    for _ in range(3):
        whole.train_window(0.0)
    folder.save_checkpoint(whole.state_dict())
    expected = [whole.train_window(0.0)["reward"] for _ in range(3)]
    other = _trainer(task, seed=5)
    other.load_state_dict(folder.load_checkpoint())
    assert [other.train_window(0.0)["reward"] for _ in range(3)] == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.policy.parameters(), other.policy.parameters(), strict=True))


def test_a_time_limit_is_told_to_the_library_and_a_failure_is_not(monkeypatch):
    task = Go2Walk(Go2WalkConfig(episode_s=0.2))
    trainer = _trainer(task, num_envs=4, horizon=12, minibatches=1)
    told: list[tuple[torch.Tensor, torch.Tensor]] = []
    original = trainer._ppo.process_env_step

    def note(observation, rewards, dones, extras):
        told.append((dones.clone(), extras["time_outs"].clone()))
        original(observation, rewards, dones, extras)

    monkeypatch.setattr(trainer._ppo, "process_env_step", note)
    trainer.train_window(0.0)
    ends = [bool(dones.any()) for dones, _ in told]
    assert any(ends) and all(torch.equal(dones.float(), time_outs) for dones, time_outs in told), "nobody falls so soon"


def test_evaluating_on_the_way_does_not_stop_the_normalisation():
    trainer = _trainer(PointMass())
    trainer.train_window(0.0)
    before = trainer.policy.model.obs_normalizer.count.item()
    trainer.policy.eval()
    trainer.train_window(0.0)
    assert trainer.policy.model.obs_normalizer.count.item() == before + 24 * 32


def test_its_policy_becomes_a_policy_file(tmp_path):
    algorithm = ppo("go2_walk")
    algorithm = replace(algorithm, ppo=replace(algorithm.ppo, num_envs=4, horizon=4, minibatches=1, hidden=(16,)))
    config = RunConfig("go2_walk", algorithm, Go2WalkConfig(), seed=0, threads=1, minutes=None, steps=16)
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    assert folder.read_config() == config
    torch.manual_seed(0)
    trainer = algorithm.make_trainer(Env(Go2Walk(), 4, seed=0), seed=0)
    trainer.train_window(0.0)
    folder.save_checkpoint(trainer.state_dict())
    folder.write_evaluation({"survival": 0.0})
    export(tmp_path / "run", tmp_path / "ppo.onnx")
    observation = torch.randn(1, Go2Walk().observation_size)
    action, _ = load_runner(tmp_path / "ppo.onnx").network(observation[0].numpy(), np.zeros(0, np.float32))
    np.testing.assert_allclose(action, trainer.policy.eval()(observation)[0].detach().numpy(), atol=1e-5)
