"""Watching a policy: every step of an episode is shown, and what cannot be shown is said in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training.algorithms import dmo, shac
from dbp_training.env import Env
from dbp_training.evaluate import episodes_of
from dbp_training.play import Play, play
from dbp_training.run_folder import RunConfig, RunFolder
from dbp_training.tasks.analytic import AnalyticTask
from dbp_training.tasks.arm_reach import HOME, ArmReach, arm_points, flange_position
from dbp_training.tasks.go2_walk import Go2WalkConfig
from dbp_training.tasks.registry import TASKS

torch.set_num_threads(1)
ANALYTIC = [name for name, entry in TASKS.items() if entry.differentiable]


def _run(folder, task: str, algorithm, task_config=None) -> None:
    """A run folder with an untrained policy."""
    config = RunConfig(task, algorithm, task_config or TASKS[task].config(), seed=0, threads=1, minutes=None, steps=1)
    RunFolder(folder).create(config)
    torch.manual_seed(0)
    trainer = algorithm.make_trainer(Env(TASKS[task].make(config.task_config), algorithm.num_envs, 0), 0)
    RunFolder(folder).save_checkpoint(trainer.state_dict())


@pytest.mark.parametrize("name", ANALYTIC)
def test_what_is_drawn_lies_in_the_picture(name):
    task: AnalyticTask = TASKS[name].make(TASKS[name].config())
    rng = np.random.default_rng(0)
    left, right, bottom, top = task.window
    for state, command in zip(task.new_states(50, rng), task.new_targets(50, rng), strict=True):
        lines = task.lines(torch.from_numpy(state), torch.from_numpy(command))
        assert "target" in lines
        for points in lines.values():
            assert points.ndim == 2 and points.shape[1] == 2
            assert (points >= (left, bottom)).all() and (points <= (right, top)).all()


def test_an_arm_is_drawn_from_its_base_to_its_flange():
    points = arm_points(torch.tensor(HOME, dtype=torch.float64))
    torch.testing.assert_close(points[-1], flange_position(torch.tensor(HOME, dtype=torch.float64)))
    lengths = (points[1:] - points[:-1]).norm(dim=-1).tolist()
    # Base to shoulder, upper arm, elbow's offset, forearm with its offset, wrist, flange (Franka's DH table).
    expected = [0.333, 0.0, 0.316, 0.0825, np.hypot(0.0825, 0.384), 0.0, 0.088, 0.107]
    np.testing.assert_allclose(lengths, expected, atol=1e-9)
    assert ArmReach().lines(torch.zeros(14, dtype=torch.float64), torch.zeros(3)).keys() == {"target", "arm"}


def test_every_step_up_to_a_failure_is_given():
    task = TASKS["navigation"].make(TASKS["navigation"].config())
    into_the_middle = torch.tensor([1.0, 0.0])
    states = [state for _, state in episodes_of(task, lambda _: torch.tensor([[1.0, 0.0]]), into_the_middle)]
    assert 5 < len(states) < task.episode_steps and not any(task.failed(state) for state in states)
    after, _ = Env(task, 1, 1).state[0], None
    assert after.shape == states[-1].shape
    still = [state for _, state in episodes_of(task, lambda _: torch.zeros(1, 2), into_the_middle)]
    assert len(still) == task.episode_steps


def test_a_video_of_an_analytic_task(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    _run(tmp_path / "run", "point_mass", shac("point_mass"))
    assert play(Play(tmp_path / "run", episodes=1, command=(0.5,), video=tmp_path / "seen.mp4")) == 0
    assert (tmp_path / "seen.mp4").read_bytes()[4:8] == b"ftyp" and "5.0 s" in capsys.readouterr().out


def test_a_video_of_the_robot_if_this_machine_can_render(tmp_path):
    algorithm = dmo("go2_walk")
    small = replace(algorithm.first_order, num_envs=2)
    _run(tmp_path / "run", "go2_walk", replace(algorithm, first_order=small), Go2WalkConfig(episode_s=0.2))
    video = tmp_path / "seen.mp4"
    # MuJoCo chooses its OpenGL when it is imported, so in a process of its own.
    command = [
        sys.executable,
        "-m",
        "dbp_training.play",
        str(tmp_path / "run"),
        "--episodes",
        "1",
        "--video",
        str(video),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        assert done.stderr.startswith("error: video: expected off-screen OpenGL") and not video.exists(), done.stderr
        pytest.skip(done.stderr)
    assert video.read_bytes()[4:8] == b"ftyp" and "0.2 s" in done.stdout


def test_what_cannot_be_shown_is_said(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DbpError, match="a window needs a screen .DISPLAY., found none: --video"):
        play(Play(tmp_path))
    video = tmp_path / "x.mp4"
    with pytest.raises(DbpError, match="expected a training run, found no config.json"):
        play(Play(tmp_path / "none", video=video))
    with pytest.raises(DbpError, match="--episodes: expected at least 1, got 0"):
        play(Play(tmp_path, episodes=0, video=video))
    _run(tmp_path / "run", "navigation", shac("navigation"))
    with pytest.raises(DbpError, match="--command: expected 2 numbers for navigation, got 3"):
        play(Play(tmp_path / "run", command=(1.0, 2.0, 3.0), video=video))
    assert not video.exists()
