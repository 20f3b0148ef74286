"""`./dbp compare` from end to end, tiny."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial

import pytest

from dbp_policy.errors import DbpError
from dbp_training import compare as compare_module
from dbp_training import train_arguments
from dbp_training.algorithms import ALGORITHMS
from dbp_training.compare import Compare, compare
from dbp_training.comparison import page, write_comparison
from dbp_training.curves import _last_pass, first_reached, is_reached, over_seeds
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.gradient.decoupled import Decoupled


def _small(make, task: str, randomised: bool):
    full = make(task, randomised)
    if full.ppo:
        return replace(full, ppo=replace(full.ppo, num_envs=8, horizon=8, minibatches=2, hidden=(16,)))
    if full.sac:
        small = dict(num_envs=8, horizon=8, updates=2, prefill=64, capacity=1024, batch=16, hidden=(16,))
        return replace(full, sac=replace(full.sac, **small))
    dynamics = full.dynamics and replace(full.dynamics, hidden=(16,), prefill=400, initial_updates=5, updates=1)
    loop = replace(full.first_order, num_envs=8, horizon=8, hidden=(16,), measure_every=0)
    return replace(full, first_order=loop, dynamics=dynamics)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(train_arguments, "ALGORITHMS", {n: partial(_small, make) for n, make in ALGORITHMS.items()})
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _args(folder, **changes) -> Compare:
    given = {"seeds": 2, "steps": 800, "threads": 1, "evaluations": 4}
    given |= {"runs": folder / "runs", "out": folder / "results/point_mass"}
    return Compare(**{"task": "point_mass", "algorithms": "dmo,shac", **given, **changes})


def test_a_comparison_draws_all_runs_and_repeats_none(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    assert compare(_args(tmp_path)) == 0
    result = json.loads((tmp_path / "results/point_mass.json").read_text())
    assert [(r["algorithm"], r["seed"]) for r in result["runs"]] == [("dmo", 0), ("shac", 0), ("dmo", 1), ("shac", 1)]
    for run in result["runs"]:
        windows = len(run["reward"]["reward"])
        assert run["final"] and run["reward"]["gradient_steps"] == list(range(1, windows + 1))
        curve, final = run["evaluations"]["success"], run["final"]
        asked = 4 if run["algorithm"] == "shac" else 3  # half of dmo's steps fill its replay before the first window
        assert len(curve["success"]) == asked and curve["success"][-1] == pytest.approx(final["success"])
        assert curve["env_steps"][-1] == final["env_steps"] and curve["minutes"] == sorted(curve["minutes"])
    assert (tmp_path / "results/point_mass.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "results/point_mass.md").read_text()
    assert "First evaluation with success >= 0.9:" in page and "| `dmo` | 2 of 2 |" in page

    monkeypatch.setattr(compare_module, "train", lambda run: pytest.fail(f"{run.out} was repeated"))
    assert compare(_args(tmp_path)) == 0
    with pytest.raises(DbpError, match="same conditions"):
        compare(_args(tmp_path, steps=900))


def test_segments_are_compared_as_algorithms_are_and_the_page_gives_the_ratio(tmp_path):
    pytest.importorskip("matplotlib")
    args = _args(tmp_path, algorithms="dmo,ppo", seeds=1, segments=(), model_hidden=(8,))
    assert compare(args) == 0
    assert "--model-hidden 8" in (tmp_path / "results/point_mass.md").read_text()
    segments = _args(tmp_path, algorithms="shac", seeds=1, segments=(2, 8), out=tmp_path / "results/segments")
    assert compare(segments) == 0
    result = json.loads((tmp_path / "results/segments.json").read_text())
    assert [run["algorithm"] for run in result["runs"]] == ["shac, segment 2", "shac, segment 8"]
    assert "--segments 2 8" in result["command"] and result["command"].endswith(
        f"--out {tmp_path / 'results/segments'}"
    )


def test_a_goal_is_reached_with_every_figure_at_its_bound():
    goal = [("error", "<=", 0.15), ("survival", ">=", 0.9)]
    assert is_reached({"error": 0.15, "survival": 0.9, "other": 7.0}, goal)
    for wrong in ({"error": 0.151}, {"survival": 0.899}, {"error": float("nan")}):
        assert not is_reached({"error": 0.1, "survival": 1.0, **wrong}, goal)
    assert not is_reached({"error": 0.1}, goal)


def test_the_ratio_is_of_the_medians():
    def run(algorithm: str, steps: list[float]) -> list[dict]:
        rows = {axis: [s, 2 * s] for axis in ("gradient_steps", "minutes") for s in [1.0]}
        return [
            {
                "algorithm": algorithm,
                "evaluations": {"success": {"env_steps": [s, 2 * s], "success": [0.5, 0.9], **rows}},
                "final": {},
                "error": None,
            }
            for s in steps
        ]

    runs = run("dmo", [10.0, 20.0, 60.0]) + run("ppo", [100.0, 150.0, 500.0])
    text = page("x", {"task": "t", "command": "c", "git_hash": "g", "goal": [("success", ">=", 0.9)], "runs": runs})
    assert "| `dmo` | 3 of 3 | 40 (20 to 120) |" in text
    assert "| `ppo` | 3 of 3 | 300 (200 to 1,000), 7.5 × |" in text


def test_returns_are_compared_after_equal_numbers_of_steps():
    """Up to where every run has been; between evaluations by interpolation, before the first one not at all."""

    def run(algorithm: str, steps: list[float], returns: list[float]) -> dict:
        curve = {"env_steps": steps, "return": returns}
        return {"algorithm": algorithm, "evaluations": {"return": curve}, "final": {}, "error": None}

    def table(runs: list[dict]) -> str:
        return page("x", {"task": "t", "command": "c", "git_hash": "g", "goal": (), "runs": runs})

    dmo = [run("dmo", [200.0, 500.0], [2.0, 5.0]), run("dmo", [200.0, 500.0], [4.0, 4.0])]
    sac = run("sac", [210.0, 410.0, 610.0], [0.0, 2.0, 6.0])
    text = table([*dmo, sac])
    assert "| algorithm | 200 | 300 | 400 | 500 |" in text
    assert "| `dmo` | 3 (2 to 4) | 3.5 (3 to 4) | 4 (4 to 4) | 4.5 (4 to 5) |" in text
    assert "| `sac` | 0 (0 to 0) | 0.9 (0.9 to 0.9) | 1.9 (1.9 to 1.9) | 3.8 (3.8 to 3.8) |" in text
    unfinished = sac | {"evaluations": {}}
    assert "equal numbers" not in table([*dmo, unfinished]) and "equal numbers" not in table([])


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": "dmo,magic"},
        {"algorithms": "dmo,dmo"},
        {"seeds": 0},
        {"steps": -1},
        {"evaluations": 0},
        {"segments": (4, 4)},
        {"segments": (5,)},
        {"algorithms": "shac,magic", "model_hidden": (8,)},
    ],
)
def test_wrong_arguments_are_refused_before_the_first_run(tmp_path, wrong):
    with pytest.raises(DbpError):
        compare(_args(tmp_path, **wrong))
    assert not (tmp_path / "runs").exists()


def test_a_stopped_comparison_goes_on_with_the_run_it_was_stopped_in(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    assert compare(_args(tmp_path / "whole", seeds=1)) == 0
    window, stopped = FirstOrderTrainer.train_window, []

    def stop_once(trainer, progress):
        if progress > 0.5 and not stopped:
            stopped.append(signal.raise_signal(signal.SIGINT))
        return window(trainer, progress)

    monkeypatch.setattr(FirstOrderTrainer, "train_window", stop_once)
    assert compare(_args(tmp_path / "cut", seeds=1)) == 130
    cut = json.loads((tmp_path / "cut/results/point_mass.json").read_text())
    assert [run["algorithm"] for run in cut["runs"]] == ["dmo"] and not cut["runs"][0]["final"]
    assert compare(_args(tmp_path / "cut", seeds=1)) == 0
    whole, cut = (json.loads((tmp_path / f"{name}/results/point_mass.json").read_text()) for name in ("whole", "cut"))
    for one, other in zip(whole["runs"], cut["runs"], strict=True):
        assert one["reward"]["reward"] == other["reward"]["reward"]
        assert one["evaluations"]["success"]["success"] == other["evaluations"]["success"]["success"]


def test_a_run_that_breaks_down_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    window = FirstOrderTrainer.train_window

    def broken(trainer, progress):
        if isinstance(trainer.source, Decoupled):
            raise RuntimeError("expected finite gradients, got NaN")
        return window(trainer, progress)

    monkeypatch.setattr(FirstOrderTrainer, "train_window", broken)
    assert compare(_args(tmp_path, seeds=1)) == 0
    page = (tmp_path / "results/point_mass.md").read_text()
    assert "| `shac` | 1 of 1 |" in page and "| `dmo` | 0 of 1 |" in page
    assert "- `dmo`, seed 0: training stopped after" in page and "got NaN" in page


def test_a_figure_without_a_value_is_null(tmp_path):
    pytest.importorskip("matplotlib")
    axes = {"env_steps": [1.0, 2.0], "gradient_steps": [1.0, 2.0], "minutes": [0.1, 0.2]}
    curve = {**axes, "reward": [float("nan"), 1.0]}
    run = {"algorithm": "dmo", "seed": 0, "reward": curve, "evaluations": {}, "final": {}, "error": None}
    goal = [["success", ">=", 0.9]]
    write_comparison(tmp_path / "x", {"task": "t", "command": "c", "git_hash": "g", "goal": goal, "runs": [run]})
    assert json.loads((tmp_path / "x.json").read_text())["runs"][0]["reward"]["reward"] == [None, 1.0]


def _evaluated(**figures) -> dict:
    axes = {"env_steps": [10.0, 20.0, 30.0], "gradient_steps": [1.0, 2.0, 3.0], "minutes": [0.1, 0.2, 0.3]}
    return {name: {**axes, name: values} for name, values in figures.items()}


def test_a_goal_is_reached_where_all_its_figures_are():
    goal = (("error", "<=", 0.15), ("survival", ">=", 0.9))
    reached = first_reached(_evaluated(error=[0.1, 0.15, 0.1], survival=[0.5, 0.9, 1.0]), goal)
    assert reached == {"env_steps": 20.0, "gradient_steps": 2.0, "minutes": 0.2}
    assert first_reached(_evaluated(error=[0.1, 0.16, 0.2], survival=[0.5, 0.9, 1.0]), goal) is None
    assert first_reached(_evaluated(survival=[0.5, 0.9, 1.0]), goal) is None
    assert first_reached({}, goal) is None


def test_what_a_killed_run_did_after_its_checkpoint_does_not_count():
    assert _last_pass([(1, 0.1), (2, 0.2), (3, 0.3), (2, 0.9)]) == {1: 0.1, 2: 0.9}


def test_seeds_are_summed_up_where_all_of_them_have_been():
    curves = [{"minutes": [0.0, 4.0], "reward": [0.0, 4.0]}, {"minutes": [1.0, 2.0], "reward": [3.0, 3.0]}]
    band = over_seeds(curves, "minutes", "reward")
    assert (band["x"][0], band["x"][-1]) == (1.0, 2.0)
    assert (band["low"][0], band["median"][0], band["high"][0]) == (1.0, 2.0, 3.0)
