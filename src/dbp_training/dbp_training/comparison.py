"""What a comparison leaves behind: JSON with all curves, a figure and a Markdown page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dbp_policy.files import write_json, written_whole
from dbp_training.curves import AXES, first_reached, over_seeds

_EQUAL_STEPS = 5
"""Columns of the table of returns after equal numbers of steps."""
_NEAR = 0.95
"""A column this much before the first evaluation still shows that: whole windows end a little late."""


def write_comparison(out: Path, comparison: dict[str, Any]) -> None:
    """Writes `out`.json, `out`.png and `out`.md.

    Args:
        out: Path without suffix.
        comparison: `task`, `command`, `git_hash`, `goal` and `runs`: dicts of `algorithm`, `seed`, `reward` (a curve),
            `evaluations` (curves), `final` (the evaluation after the training, empty if unfinished) and `error` (None
            unless it broke down).
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.with_name(out.name + ".json"), _finite(comparison))
    _draw(out.with_name(out.name + ".png"), comparison)
    with written_whole(out.with_name(out.name + ".md")) as temporary:
        temporary.write_text(page(out.name, comparison))


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def page(name: str, comparison: dict[str, Any]) -> str:
    """The Markdown page; `name` is that of the figure without its suffix."""
    runs = comparison["runs"]
    lines = [f"# {comparison['task']}: " + ", ".join(_algorithms(runs)), "", f"`{comparison['command']}`, at"]
    lines += [f"{comparison['git_hash']}. One run after another on one machine, the same environment.", ""]
    lines += [f"![learning curves]({name}.png)", ""]
    lines += ["Reward while training, with exploration; evaluations without it and without randomisation. Median, and"]
    lines += ["least to greatest over the seeds. The time of evaluations does not count.", ""]
    lines += _reached_table(comparison)
    lines += _equal_steps_table(runs)
    lines += ["After the training: median (least to greatest).", ""]
    lines += _final_table(runs)
    broken = [f"- `{run['algorithm']}`, seed {run['seed']}: {run['error']}" for run in runs if run["error"]]
    return "\n".join(lines + ["", *(["Broke down:", "", *broken] if broken else [])]).rstrip() + "\n"


def _reached_table(comparison: dict[str, Any]) -> list[str]:
    """When each algorithm's evaluations first reached the task's goal; nothing for a task without one."""
    runs, goal = comparison["runs"], comparison["goal"]
    if not goal:
        return []
    wanted = " and ".join(f"{name} {sign} {bound:g}" for name, sign, bound in goal)
    lines = [f"First evaluation with {wanted}:", ""]
    lines += ["| algorithm | reached | " + " | ".join(AXES.values()) + " |", "|---" * (len(AXES) + 2) + "|"]
    first: dict[str, float] = {}
    for algorithm in _algorithms(runs):
        own = [first_reached(run["evaluations"], goal) for run in runs if run["algorithm"] == algorithm]
        reached = [place for place in own if place is not None]
        values = {axis: [place[axis] for place in reached] for axis in AXES}
        cells = [_cell(values[axis]) + _ratio(values[axis], first.get(axis)) for axis in AXES]
        lines.append(f"| `{algorithm}` | {len(reached)} of {len(own)} | " + " | ".join(cells) + " |")
        first = first or {axis: float(np.median(values[axis])) for axis in AXES if values[axis]}
    return [*lines, "", "×: the median beside that of the first line that reached it.", ""]


def _ratio(values: list[float], first: float | None) -> str:
    return f", {_short(np.median(values) / first)} ×" if values and first else ""


def _equal_steps_table(runs: list[dict[str, Any]]) -> list[str]:
    """The evaluations' return after equal numbers of environment steps, between two evaluations by interpolation;
    nothing for a task without a return."""
    curves = [run["evaluations"].get("return") or {"env_steps": []} for run in runs]
    if not curves or not all(curve["env_steps"] for curve in curves):
        return []
    begin, end = (pick(curve["env_steps"][i] for curve in curves) for pick, i in ((max, 0), (min, -1)))
    places = [place for place in np.linspace(0.0, end, _EQUAL_STEPS + 1)[1:] if place >= _NEAR * begin]
    lines = ["Return after equal numbers of environment steps: median (least to greatest).", ""]
    lines += ["| algorithm | " + " | ".join(map(_short, places)) + " |", "|---" * (len(places) + 1) + "|"]
    for algorithm in _algorithms(runs):
        own = [curve for run, curve in zip(runs, curves, strict=True) if run["algorithm"] == algorithm]
        rows = [np.interp(places, curve["env_steps"], curve["return"]) for curve in own]
        lines.append(
            f"| `{algorithm}` | " + " | ".join(_cell(list(column)) for column in zip(*rows, strict=True)) + " |"
        )
    return [*lines, ""]


def _final_table(runs: list[dict[str, Any]]) -> list[str]:
    figures = sorted({key for run in runs for key in run["final"]} - {"seed", "episodes", "episode_s"})
    lines = ["| algorithm | finished | " + " | ".join(figures) + " |", "|---" * (len(figures) + 2) + "|"]
    for algorithm in _algorithms(runs):
        own = [run for run in runs if run["algorithm"] == algorithm]
        done = [run["final"] for run in own if run["final"]]
        cells = [_cell([e[key] for e in done if e.get(key) is not None]) for key in figures]
        lines.append(f"| `{algorithm}` | {len(done)} of {len(own)} | " + " | ".join(cells) + " |")
    return lines


def _cell(values: list[float]) -> str:
    return f"{_short(np.median(values))} ({_short(min(values))} to {_short(max(values))})" if values else "none"


def _short(value: float) -> str:
    """Three digits, and thousands written out: 400,896."""
    return f"{value:.3g}" if abs(value) < 1000.0 else f"{value:,.0f}"


def _algorithms(runs: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(run["algorithm"] for run in runs))


def _draw(path: Path, comparison: dict[str, Any]) -> None:
    import matplotlib  # slow to import; no pyplot, which would ask for a display
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    runs = comparison["runs"]
    evaluated = sorted({name for run in runs for name in run["evaluations"]})
    rows = [("reward", lambda run: run["reward"])]
    rows += [(name, lambda run, name=name: run["evaluations"].get(name, {})) for name in evaluated]
    algorithms = _algorithms(runs)
    colors = matplotlib.colormaps["tab10" if len(algorithms) <= 10 else "tab20"](range(len(algorithms)))
    figure = Figure(figsize=(4.2 * len(AXES), 2.8 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(AXES), squeeze=False)
    for plots, (column, curve_of) in zip(grid, rows, strict=True):
        for plot, (axis, label) in zip(plots, AXES.items(), strict=True):
            for algorithm, color in zip(algorithms, colors, strict=True):
                band = over_seeds([curve_of(run) for run in runs if run["algorithm"] == algorithm], axis, column)
                plot.plot(band["x"], band["median"], label=algorithm, color=color)
                plot.fill_between(band["x"], band["low"], band["high"], color=color, alpha=0.2, lw=0)
            plot.set(xlabel=label, ylabel=column.replace("_", " "))
            if axis != "minutes":
                plot.xaxis.set_major_formatter(EngFormatter(sep=""))  # 400k
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
