"""What the matrix proved, as plain data and as tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from rich.table import Table

from dbp_bringup.faults.fault_list import FAULT_LIST
from dbp_bringup.faults.injections import Injection
from dbp_bringup.faults.matrix import Run
from dbp_bringup.faults.restarts import Restart, summary
from dbp_policy.guard.faults import Severity


def report(
    injections: Sequence[Injection], runs: Sequence[Run], restarts: Sequence[Restart], wall_seconds: float
) -> dict:
    """All of it as data for JSON."""
    by_fault: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_fault[run.fault].append(run)
    return {
        "runs": len(runs),
        "unsafe": sum(bool(run.unsafe) for run in runs),
        "late": sum(run.late for run in runs),
        "unsafe_share_bound_95": 3.0 / len(runs) if runs and not any(run.unsafe for run in runs) else None,
        "wall_seconds": wall_seconds,
        "cpu_seconds": sum(run.cpu_seconds for run in runs),
        "failures": [
            {"replay": run.key, "reason": run.unsafe or f"reaction after {1e3 * run.reaction_time:.0f} ms"}
            for run in runs
            if run.unsafe or run.late
        ],
        "faults": [_row(injection, by_fault[injection.key]) for injection in injections if by_fault[injection.key]],
        "restarts": summary(restarts),
        "fault_list": [{"fault": listed.fault, "shown_by": listed.shown_by} for listed in FAULT_LIST],
    }


def _row(injection: Injection, runs: Sequence[Run]) -> dict:
    times = [run.reaction_time for run in runs if not math.isnan(run.reaction_time)]
    modes: dict[str, dict[str, int]] = {}
    for run in runs:
        cell = modes.setdefault(run.mode, {"runs": 0, "unsafe": 0, "late": 0})
        cell["runs"] += 1
        cell["unsafe"] += bool(run.unsafe)
        cell["late"] += run.late
    return {
        "fault": injection.key,
        "reaction": injection.reaction.name.lower(),
        "bound_ms": round(1e3 * injection.bound, 3) if injection.reaction != Severity.NONE else None,
        "reaction_ms_max": round(1e3 * max(times), 3) if times else None,
        "damped_instead_of_settled": sum(run.graver for run in runs),
        "modes": modes,
    }


def rich_table(result: dict) -> Table:
    """One row per fault for the terminal."""
    table = Table(caption="reaction: slowest of all runs that moved; bounds are met in simulated time")
    for name in ("fault", "reaction"):
        table.add_column(name)
    for name in ("bound\nms", "slowest\nms", "modes", "runs", "unsafe", "late"):
        table.add_column(name, justify="right")
    for row in result["faults"]:
        cells = _cells(row)
        bad = row_failed(row)
        table.add_row(*cells, style="red" if bad else None)
    return table


def markdown(result: dict) -> str:
    """The same as a Markdown document."""
    lines = [
        f"{result['runs']} runs, {result['unsafe']} unsafe, {result['late']} late.",
        "",
        "| fault | reaction | bound [ms] | slowest [ms] | modes | runs | unsafe | late |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(_cells(row))} |" for row in result["faults"]),
        "",
        f"{result['restarts']['restarts']} restarts of the guard after an e-stop: {result['restarts']['moved']} moved.",
        "",
        f"All {len(result['fault_list'])} faults, and what shows each:",
        "",
        *(f"{i}. {row['fault']}: {'; '.join(row['shown_by'])}" for i, row in enumerate(result["fault_list"], 1)),
    ]
    return "\n".join(lines) + "\n"


def row_failed(row: dict) -> bool:
    """Whether a row holds an unsafe or a late run."""
    return any(cell["unsafe"] or cell["late"] for cell in row["modes"].values())


def _cells(row: dict) -> tuple[str, ...]:
    cells = row["modes"].values()
    sums = (str(sum(cell[name] for cell in cells)) for name in ("runs", "unsafe", "late"))
    times = (_number(row["bound_ms"]), _number(row["reaction_ms_max"]))
    return (row["fault"], row["reaction"], *times, str(len(cells)), *sums)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
