"""`./dbp train` and `./dbp export` from end to end, tiny."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner
from dbp_training import train_arguments
from dbp_training import training as training_module
from dbp_training.algorithms import ALGORITHMS, Algorithm
from dbp_training.export import card, export
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.run_folder import RunFolder
from dbp_training.tasks.go2_walk import Go2WalkConfig
from dbp_training.tasks.registry import TASKS, TaskEntry
from dbp_training.train import train
from dbp_training.train_arguments import Train, checked, new_config

FIELDS = {"planar_velocity_error", "yaw_rate_error", "survival", "trot_agreement", "env_steps", "minutes"}


def _small(make, task: str, randomised: bool) -> Algorithm:
    full = make(task, randomised)
    if full.ppo:
        return replace(full, ppo=replace(full.ppo, num_envs=8, horizon=8, minibatches=2, hidden=(16,)))
    if full.sac:
        small = dict(num_envs=8, horizon=8, updates=2, prefill=64, capacity=1024, batch=16, hidden=(16,))
        return replace(full, sac=replace(full.sac, **small))
    numbers = dict(num_envs=8, horizon=8, hidden=(16,), measure_every=2 * TASKS[task].differentiable)
    loop = replace(full.first_order, segment=full.first_order.segment and 4, **numbers)
    model = dict(hidden=(16,), prefill=400, initial_updates=5, updates=1, batch=32)
    return replace(full, first_order=loop, dynamics=full.dynamics and replace(full.dynamics, **model))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """An algorithm and an evaluation of a few seconds; Ctrl-C as it was before."""
    small = {name: partial(_small, make) for name, make in ALGORITHMS.items()}
    monkeypatch.setattr(train_arguments, "ALGORITHMS", small)
    original = TaskEntry.configure

    def short(self: TaskEntry, *options):
        length = {"episode_s": 2.0} if self.make.name.startswith("go2_") else {"episode_steps": 20}
        return replace(original(self, *options), **length)

    monkeypatch.setattr(TaskEntry, "configure", short)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _train(out, **changes) -> int:
    return train(checked(Train(**{"task": "go2_walk", "out": out, "threads": 1, "steps": 1000, **changes})))


def _curve(out) -> dict[str, torch.Tensor]:
    return RunFolder(out).load_checkpoint()["actor"]


def test_a_run_trains_evaluates_and_exports(tmp_path, capsys):
    assert _train(tmp_path / "run", randomise="full", seed=3) == 0
    evaluation = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert evaluation.keys() >= FIELDS
    assert all(math.isfinite(evaluation[name]) for name in FIELDS)
    assert evaluation["env_steps"] >= 1000 and 0.0 < evaluation["minutes"] < 2.0
    assert 0.0 <= evaluation["survival"] <= 1.0 and 0.0 <= evaluation["trot_agreement"] <= 1.0
    assert any(p.name.startswith("events") for p in (tmp_path / "run").iterdir())
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["seed"] == 3 and config["task_config"]["randomisation"]["delay"] == 0.02 and config["git_hash"]
    out = capsys.readouterr().out
    assert "velocity error" in out and "trot" in out and "planar_velocity_error" in out

    export(tmp_path / "run", tmp_path / "models/walk.onnx")
    contract = load_runner(tmp_path / "models/walk.onnx").contract
    assert contract.provenance["evaluation"] == evaluation
    assert contract.command_max == (0.6, 0.6, 1.0)
    again = "--seed 3 --steps 1000 --randomise full --model-hidden 16 --out"
    assert again in (tmp_path / "models/walk.md").read_text()


def test_the_range_of_commands_is_an_option_that_stays_with_the_run(tmp_path):
    assert _train(tmp_path / "run", command_max=(1.0, 0.5, 0.8)) == 0
    config = RunFolder(tmp_path / "run").read_config()
    assert config.task_config == replace(Go2WalkConfig(episode_s=2.0), command_max=(1.0, 0.5, 0.8))
    export(tmp_path / "run", tmp_path / "walk.onnx")
    contract = load_runner(tmp_path / "walk.onnx").contract
    assert contract.command_max == (1.0, 0.5, 0.8) and contract.command_min == (-1.0, -0.5, -0.8)
    card = (tmp_path / "walk.md").read_text()
    assert "--randomise none --command-max 1 0.5 0.8 --model-hidden 16 --out" in card and "(1.0, 0.5, 0.8) m/s" in card


def test_a_policy_may_read_the_estimated_velocity(tmp_path):
    assert _train(tmp_path / "run", observe_velocity=True, randomise="full") == 0
    export(tmp_path / "run", tmp_path / "walk.onnx")
    contract = load_runner(tmp_path / "walk.onnx").contract
    assert contract.reads_velocity and contract.observation[-1].name == "velocity_body"
    card = (tmp_path / "walk.md").read_text()
    assert "--randomise full --observe-velocity --model-hidden 16 --out" in card and "clock, velocity_body." in card


def test_a_policy_that_only_falls_is_evaluated_and_exported_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dbp_training.tasks.go2_walk.Go2Walk.terminated", lambda self, reached, memory: reached[..., 0] < 1e9
    )
    assert _train(tmp_path / "run", steps=500) == 0
    evaluation = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert evaluation["survival"] == 0.0 and evaluation["planar_velocity_error"] is None
    export(tmp_path / "run", tmp_path / "walk.onnx")
    assert load_runner(tmp_path / "walk.onnx").contract.provenance["evaluation"] == evaluation


def test_evaluations_on_the_way_change_nothing_in_the_training(tmp_path, monkeypatch):
    logged: list[int] = []
    monkeypatch.setattr(training_module, "log_evaluation", lambda log, figures, step: logged.append(step))
    assert _train(tmp_path / "without") == 0
    assert len(logged) == 1
    assert _train(tmp_path / "with", evaluations=3) == 0
    assert len(logged) == 4 and logged[1:] == sorted(logged[1:])
    without, with_them = _curve(tmp_path / "without"), _curve(tmp_path / "with")
    assert all(torch.equal(without[name], with_them[name]) for name in without)


@pytest.mark.parametrize("task", ["go2_walk", "navigation"])
def test_an_interrupted_run_goes_on_along_the_same_curve(task, tmp_path, capsys, monkeypatch):
    assert _train(tmp_path / "whole", task=task) == 0
    windows, original = [], FirstOrderTrainer.train_window

    def interrupted(self, progress):
        windows.append(progress)
        if len(windows) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, progress)

    monkeypatch.setattr(FirstOrderTrainer, "train_window", interrupted)
    assert _train(tmp_path / "cut", task=task) == 130
    assert len(windows) == 4 and not (tmp_path / "cut/evaluation.json").exists()
    assert f"--out {tmp_path / 'cut'} --resume" in capsys.readouterr().out
    assert train(Train(task=task, out=tmp_path / "cut", resume=True)) == 0
    whole, cut = _curve(tmp_path / "whole"), _curve(tmp_path / "cut")
    for name in whole:
        torch.testing.assert_close(whole[name], cut[name], rtol=1e-4, atol=1e-6)


def test_a_breakdown_is_one_line_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(training_module, "_CHECKPOINT_S", 0.0)
    windows, original = [], FirstOrderTrainer._step_actor

    def broken(self, loss, gradient, progress):
        windows.append(loss)
        return original(self, loss * float("nan") if len(windows) == 3 else loss, gradient, progress)

    monkeypatch.setattr(FirstOrderTrainer, "_step_actor", broken)
    with pytest.raises(DbpError, match="training stopped after .* expected a finite loss .*last good checkpoint: .*pt"):
        _train(tmp_path / "run")
    kept = _curve(tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in kept.values())

    monkeypatch.setattr(FirstOrderTrainer, "_step_actor", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(DbpError, match="out of memory"):
        _train(tmp_path / "other")


@pytest.mark.parametrize(
    "task, algorithm",
    [
        ("point_mass", "dmo"),
        ("point_mass", "apg-bootstrap"),
        ("point_mass", "dmo-no-value"),
        ("navigation", "shac"),
        ("push_t", "apg-mc"),
        ("push_t", "dmo-no-residual"),
        ("arm_reach", "imagined"),
        ("arm_reach", "dmo-sapo"),
        ("point_mass", "dmo-recurrent"),
        ("go2_walk", "imagined"),
        ("go2_handstand", "dmo"),
        ("navigation", "ppo"),
        ("hopper", "sac"),
        ("hopper", "dmo"),
        ("half_cheetah", "imagined"),
        ("ant", "dmo-no-value"),
        ("humanoid", "dmo"),
    ],
)
def test_every_algorithm_and_every_task_trains_and_evaluates(task, algorithm, tmp_path, capsys):
    assert _train(tmp_path / "run", task=task, algorithm=algorithm, steps=600) == 0
    evaluation = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert evaluation.keys() >= {"survival", "env_steps", "minutes", "episodes"}
    if not task.startswith("go2_"):
        reaches = TASKS[task].differentiable
        assert evaluation.keys() >= ({"distance", "success", "final_distance"} if reaches else {"return"})
        assert "export with" not in capsys.readouterr().out
        with pytest.raises(
            DbpError, match=f"expected a run of go2_walk or go2_balance or go2_handstand, .* got {task}"
        ):
            export(tmp_path / "run", tmp_path / "policy.onnx")
    config = RunFolder(tmp_path / "run").read_config()
    assert config.algorithm.name == algorithm and isinstance(config.task_config, TASKS[task].config)


@pytest.mark.parametrize(
    "task, algorithm, message",
    [
        ("go2_walk", "shac", "shac on go2_walk: expected a task with a differentiable simulator .*point_mass"),
        ("go2_walk", "apg-mc", "apg-mc on go2_walk: expected a task with a differentiable simulator"),
        ("go2_walk", "apg-bootstrap", "apg-bootstrap on go2_walk"),
        ("go2_walk", "dmo-no-value", "dmo-no-value on go2_walk: expected a task where dmo has a critic"),
    ],
)
def test_an_algorithm_that_a_task_cannot_serve_is_refused(task, algorithm, message, tmp_path):
    with pytest.raises(DbpError, match=message):
        _train(tmp_path / "run", task=task, algorithm=algorithm)
    assert not (tmp_path / "run").exists()


def test_a_task_without_randomisation_says_so(tmp_path):
    with pytest.raises(DbpError, match="push_t: expected --randomise none"):
        _train(tmp_path / "run", task="push_t", randomise="full")
    with pytest.raises(DbpError, match="push_t: expected no --command-max"):
        _train(tmp_path / "run", task="push_t", command_max=(1.0, 0.6, 1.0))
    with pytest.raises(DbpError, match="push_t: expected no --observe-velocity"):
        _train(tmp_path / "run", task="push_t", observe_velocity=True)


def test_a_run_ends_at_the_first_evaluation_that_reaches_the_goal(tmp_path, monkeypatch):
    asked = []

    def second(figures: dict, goal) -> bool:
        asked.append(figures)
        assert goal == TASKS["point_mass"].goal and "success" in figures
        return len(asked) == 2

    monkeypatch.setattr(training_module, "is_reached", second)
    options = {"task": "point_mass", "steps": 4000, "evaluations": 8}
    assert _train(tmp_path / "run", until_goal=True, **options) == 0
    evaluation = RunFolder(tmp_path / "run").read_evaluation()
    assert len(asked) == 2 and 800 < evaluation["env_steps"] < 2500
    assert _train(tmp_path / "whole", **options) == 0
    assert len(asked) == 2 and RunFolder(tmp_path / "whole").read_evaluation()["env_steps"] >= 4000


def test_a_run_begins_with_what_another_has_learned(tmp_path):
    _train(tmp_path / "first", algorithm="dmo-sapo")
    kept = RunFolder(tmp_path / "first").load_checkpoint()
    args = Train("go2_walk", "dmo-sapo", out=tmp_path / "second", steps=1000, threads=1, begin_with=tmp_path / "first")
    training = training_module.Training(RunFolder(args.out), new_config(args))
    training.begin_with(RunFolder(args.begin_with))
    begun = training.trainer.state_dict()
    for part, networks in (("actor", ...), ("policy", ...), ("critic", "network"), ("source", "model")):
        own, others = (s[part] if networks is ... else s[part][networks] for s in (begun, kept))
        torch.testing.assert_close(own, others, rtol=0.0, atol=0.0)
    assert begun["windows"] == 0 and training.env_steps == 0 and training.prepared
    assert train(args) == 0
    assert RunFolder(args.out).read_config().began_with == RunFolder(args.begin_with).read_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "ppo"}, "--begin-with: expected an algorithm with windows"),
        (
            {"algorithm": "imagined"},
            "--begin-with: expected a run of go2_walk with imagined, found one of go2_walk with dmo",
        ),
        ({"begin_with": Path("nowhere")}, "nowhere: expected a training run"),
        ({"resume": True}, "expected --resume or --begin-with, got both"),
    ],
)
def test_a_run_that_cannot_begin_with_another_says_why(changes, message, tmp_path):
    RunFolder(tmp_path / "first").create(new_config(Train("go2_walk", steps=10)))
    with pytest.raises(DbpError, match=message):
        _train(tmp_path / "second", **{"begin_with": tmp_path / "first", **changes})
    assert not (tmp_path / "second").exists()


def test_segment_and_model_are_options_where_there_are_any():
    config = new_config(Train("go2_walk", segment=4, model_hidden=(32, 16)))
    assert config.algorithm.first_order.segment == 4 and config.algorithm.dynamics.hidden == (32, 16)
    for algorithm, changes, message in (
        ("dmo", {"segment": 5}, "--segment: expected a divisor of the window's 8 steps, got 5"),
        ("ppo", {"segment": 4}, "--segment: expected an algorithm with windows"),
        ("ppo", {"lr": 1e-4}, "--lr: expected an algorithm with windows, got ppo"),
        ("ppo", {"model_hidden": (8,)}, "--model-hidden: expected an algorithm with a learned model, got ppo"),
    ):
        with pytest.raises(DbpError, match=message):
            new_config(Train("go2_walk", algorithm, **changes))


def test_actor_and_model_may_have_a_hidden_state(tmp_path):
    assert _train(tmp_path / "run", recurrent=6, model_recurrent=5) == 0
    config = RunFolder(tmp_path / "run").read_config()
    assert config.algorithm.recurrent == 6 and config.algorithm.dynamics.recurrent == 5
    export(tmp_path / "run", tmp_path / "walk.onnx")
    assert load_runner(tmp_path / "walk.onnx").contract.hidden_size == 6
    assert "--model-hidden 16 --recurrent 6 --model-recurrent 5 --out" in (tmp_path / "walk.md").read_text()
    named = card(new_config(Train("go2_walk", "dmo-recurrent", model_recurrent=32)), {}, "walk.onnx")
    assert "--algorithm dmo-recurrent --model-hidden 16 --model-recurrent 32 --out" in named
    for algorithm, changes, message in (
        ("ppo", {"recurrent": 8}, "--recurrent: expected an algorithm with windows, got ppo"),
        ("ppo", {"model_recurrent": 8}, "--model-recurrent: expected an algorithm with a learned model, got ppo"),
        ("dmo-recurrent", {"measure_gradient": 5}, "--measure-gradient: expected a model without"),
        ("dmo", {"model_recurrent": 8, "measure_gradient": 5}, "--measure-gradient: expected a model without"),
    ):
        with pytest.raises(DbpError, match=message):
            new_config(Train("go2_walk", algorithm, **changes))


def test_arguments_that_make_no_sense_are_refused(tmp_path):
    for changes, message in (
        ({"resume": True, "out": None, "steps": None}, "expected --out"),
        ({"minutes": 1.0, "steps": 5}, "got both"),
        ({"minutes": float("nan"), "steps": None}, "expected a positive number, got nan"),
        ({"steps": -1}, "expected a positive number"),
        ({"threads": 0}, "--threads"),
        ({"until_goal": True}, "--until-goal: expected --evaluations"),
        ({"task": "hopper", "until_goal": True, "evaluations": 3}, "--until-goal: expected a task with a goal"),
        ({"segment": 0}, "--segment: expected a positive number"),
        ({"lr": float("nan")}, "--lr: expected a positive number, got nan"),
        ({"recurrent": -1}, "--recurrent: expected a width from 0 to 4096, got -1"),
        ({"model_recurrent": 5000}, "--model-recurrent: expected a width from 0 to 4096, got 5000"),
        ({"model_hidden": (64, 0)}, "--model-hidden: expected a positive number"),
        ({"command_max": (1.0, -0.6, 1.0)}, "--command-max: expected"),
        ({"command_max": (float("nan"), 0.6, 1.0)}, "--command-max: expected"),
    ):
        with pytest.raises(DbpError, match=message):
            checked(Train(**{"task": "go2_walk", **changes}))
    with pytest.raises(DbpError, match="found no config.json"):
        train(Train(task="go2_walk", out=tmp_path, resume=True))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["go2_walk", "--minutes", "0"], ["go2_walk", "--command-max", "1"], ["go2_fly"]]
)
def test_the_command_line_answers_without_a_traceback(arguments, tmp_path):
    command = [sys.executable, "-m", "dbp_training.train", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert "Traceback" not in done.stderr
    if arguments == ["--help"]:
        assert done.returncode == 0
        for word in ("--seed", "--minutes", "--steps", "--resume", "--randomise", "tensorboard"):
            assert word in done.stdout
        for name in [*TASKS, *ALGORITHMS]:
            assert any(line.split()[:1] == [name] for line in done.stdout.splitlines()), name
    else:
        assert done.returncode == 2
    assert not (tmp_path / "runs").exists()
