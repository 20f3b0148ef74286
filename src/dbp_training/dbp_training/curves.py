"""Learning curves of runs: read from their TensorBoard events, summed up over seeds, and when they reach a goal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

AXES = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "minutes": "minutes of training"}
"""What a curve is drawn against, with its name for people."""

Curve = dict[str, list[float]]
"""Column to its values, one per window or evaluation; the columns of `AXES` among them."""

Goal = Sequence[tuple[str, str, float]]
"""Figure, "<=" or ">=", bound."""

_EVALUATION = "evaluation/"
_POINTS = 200


def read_curve(folder: Path, columns: Sequence[str]) -> Curve:
    """The curve of the run in `folder`, without what a killed run did after the checkpoint that it went on from.

    Args:
        folder: Of the run.
        columns: Names of figures beside `AXES`; those that the run did not log are left out.
    """
    scalars = _scalars(folder)
    series = {name: scalars[name] for name in (*AXES, *columns) if name in scalars}
    steps = sorted(set.intersection(*(set(values) for values in series.values()))) if series else []
    curve = {name: [values[step] for step in steps] for name, values in series.items()}
    return curve | {"env_steps": [float(step) for step in steps]}


def read_evaluations(folder: Path) -> dict[str, Curve]:
    """Figure to its curve over the run's evaluations; one that had no value at some of them has fewer points."""
    names = [name.removeprefix(_EVALUATION) for name in _scalars(folder) if name.startswith(_EVALUATION)]
    curves = {name: read_curve(folder, [_EVALUATION + name]) for name in sorted(names) if name not in _NO_FIGURES}
    return {name: {key.removeprefix(_EVALUATION): v for key, v in curve.items()} for name, curve in curves.items()}


_NO_FIGURES = ("env_steps", "minutes", "seed", "episodes", "episode_s")
"""What the evaluation after a training says besides."""


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    """All that the run logged, as step to value by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    return {name: _last_pass([(e.step, e.value) for e in events.Scalars(name)]) for name in events.Tags()["scalars"]}


def _last_pass(points: list[tuple[int, float]]) -> dict[int, float]:
    """Step to value; where the steps jump back, what had lain beyond is forgotten."""
    kept: list[tuple[int, float]] = []
    for step, value in points:
        while kept and kept[-1][0] >= step:
            kept.pop()
        kept.append((step, value))
    return dict(kept)


def first_reached(evaluations: dict[str, Curve], goal: Goal) -> dict[str, float] | None:
    """The values of `AXES` at the first evaluation in which all figures are within their bounds; None if in none."""
    places: dict[float, dict[str, float]] = {}
    met: list[set[float]] = []
    for name, sign, bound in goal:
        curve = evaluations.get(name, {"env_steps": []})
        good = [_is_within(value, sign, bound) for value in curve.get(name, [])]
        met.append({step for step, is_good in zip(curve["env_steps"], good, strict=True) if is_good})
        for i, step in enumerate(curve["env_steps"]):
            places[step] = {axis: curve[axis][i] for axis in AXES}
    both = set.intersection(*met)
    return places[min(both)] if both else None


def is_reached(figures: dict[str, float], goal: Goal) -> bool:
    """Whether one evaluation has every figure of the goal within its bound; NaN is not."""
    return all(name in figures and _is_within(figures[name], sign, bound) for name, sign, bound in goal)


def _is_within(value: float, sign: str, bound: float) -> bool:
    return value <= bound if sign == "<=" else value >= bound


def over_seeds(curves: Sequence[Curve], axis: str, column: str) -> dict[str, list[float]]:
    """Median, least and greatest of a column over runs, at places of `axis` that every run has reached.

    Returns:
        `x`, `median`, `low`, `high` of one length; all empty if the runs share no stretch of the axis.
    """
    curves = [curve for curve in curves if curve.get(axis) and curve.get(column)]
    start = max((curve[axis][0] for curve in curves), default=0.0)
    end = min((curve[axis][-1] for curve in curves), default=-1.0)
    x = np.linspace(start, end, _POINTS) if end >= start else np.empty(0)
    rows = np.array([np.interp(x, curve[axis], curve[column]) for curve in curves]).reshape(len(curves), len(x))
    if not len(x):
        return {name: [] for name in ("x", "median", "low", "high")}
    return {
        "x": x.tolist(),
        "median": np.median(rows, 0).tolist(),
        "low": rows.min(0).tolist(),
        "high": rows.max(0).tolist(),
    }
