"""A policy's figures can be had again, from its file alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner
from dbp_training.algorithms import dmo
from dbp_training.evaluate import evaluate
from dbp_training.evaluate_policy import Evaluate, OnnxActor, evaluate_policy, load
from dbp_training.export import export_actor, make_contract
from dbp_training.networks import Actor
from dbp_training.run_folder import RunConfig
from dbp_training.tasks.go2_robot import full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.train import train
from dbp_training.train_arguments import Train

torch.set_num_threads(1)
MODELS = Path(__file__).resolve().parents[2] / "models"
SHORT = Go2WalkConfig(episode_s=1.0, randomisation=full_randomisation())
CONFIG = RunConfig("go2_walk", dmo("go2_walk"), SHORT, seed=7, threads=1, minutes=None, steps=1000)


@pytest.fixture(scope="module")
def actor() -> Actor:
    torch.manual_seed(0)
    return Actor(Go2Walk().observation_size, Go2Walk.action_size, (64, 64)).eval()


@pytest.fixture(scope="module")
def exported(actor, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "policy.onnx"
    export_actor(actor, make_contract(CONFIG, {"survival": 0.25}), path)
    return path


def test_the_file_acts_as_the_actor_it_came_from(actor, exported):
    observation = torch.randn(20, Go2Walk().observation_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = actor(observation)
    assert torch.allclose(OnnxActor(load_runner(exported))(observation), wanted, atol=1e-5)


def test_the_file_brings_the_task_that_it_was_trained_on(exported):
    task, _, told = load(exported)
    assert task.config == SHORT
    assert told == {"survival": 0.25}


def test_what_it_finds_is_printed_and_written_beside_what_the_file_tells(exported, tmp_path, capsys):
    assert evaluate_policy(Evaluate(exported, json=tmp_path / "figures.json", threads=1)) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["told"] == {"survival": 0.25}
    assert {"survival", "planar_velocity_error", "randomised_survival"} <= set(written["here"])
    row = next(line for line in capsys.readouterr().out.splitlines() if " survival " in line)
    assert f"{written['here']['survival']:.4g}" in row and "0.25" in row


def test_the_shipped_policy_does_what_its_card_says():
    """On the nominal robot; the rest takes as long again."""
    task, actor, told = load(MODELS / "go2_walk.onnx")
    found = evaluate(task.nominal(), actor, task.evaluation_commands(), threads=2)
    assert found["survival"] == told["survival"] == 1.0
    for name in ("planar_velocity_error", "yaw_rate_error", "trot_agreement"):
        assert found[name] == pytest.approx(told[name], rel=0.02), name


def test_a_runs_folder_gives_the_figures_of_its_training(tmp_path):
    run = tmp_path / "run"
    assert train(Train(task="point_mass", steps=4000, threads=1, out=run)) == 0
    assert evaluate_policy(Evaluate(run, json=tmp_path / "figures.json", threads=1)) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["here"].items() <= written["told"].items()


def test_what_cannot_be_evaluated_is_refused(exported, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for policy, expected in (
        (tmp_path / "none.onnx", "found none"),
        (tmp_path / "bad.onnx", "expected a valid ONNX model"),
        (tmp_path, "found no config.json"),
    ):
        with pytest.raises(DbpError, match=expected):
            evaluate_policy(Evaluate(policy))
    with pytest.raises(DbpError, match="--json"):
        evaluate_policy(Evaluate(exported, json=tmp_path / "no" / "figures.json"))
    with pytest.raises(DbpError, match="--threads"):
        evaluate_policy(Evaluate(exported, threads=0))


def test_the_command_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "dbp_training.evaluate_policy", str(tmp_path / "none.onnx")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "config", [None, {}, {"task": "juggle"}, {"task": "go2_walk"}, {"task": "go2_walk", "task_config": "fast"}]
)
def test_a_file_that_does_not_say_what_it_was_trained_on_is_refused(actor, tmp_path, config):
    path = tmp_path / "policy.onnx"
    export_actor(actor, replace(make_contract(CONFIG, {}), provenance={"config": config}), path)
    with pytest.raises(DbpError, match="expected a file of ./dbp export"):
        load(path)
