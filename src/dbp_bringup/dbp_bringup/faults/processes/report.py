"""What a campaign measured, as plain data and as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from dbp_bringup.faults.processes.campaign import Campaign, Result
from dbp_bringup.faults.processes.judge import spread
from dbp_bringup.faults.processes.plan import TWENTY_MS
from dbp_bringup.faults.processes.restarts import MOTION_MAX, Restart

HOW = """\
Times in ms. reaction: from the time just before the signal is sent, or before the targets go on where they were the
only ones to react, to the arrival of the first command of the reaction at an independent recorder: its own process and
DDS participant, CLOCK_MONOTONIC. For a damping that is the first of the damping commands that the record then stays
with, for a settling the first changed gains; damped: to the damping that a settling ends in. control: lateness of a
bare 2 ms timer of the guard's priority, in a process of its own, through all the measured time. stall: by how much that
timer was late, at worst, between injection and reaction. excess = reaction - stall; the raw reactions stand beside it.
""".replace("\n", " ").strip()
REACTION_HISTOGRAM = tuple(range(0, 42, 2))
"""Edges of the distribution's bins [ms]; what is later counts in the last."""


def report(
    results: Sequence[Result],
    done: Sequence[Restart],
    campaigns: Sequence[Campaign],
    seconds: float,
    load: str,
    not_measured: Sequence[str] = (),
) -> dict:
    """All of it as data for JSON.

    Args:
        results: Of all injections.
        done: The restarts of the guard.
        campaigns: In which that was measured.
        seconds: What it took.
        load: Of the machine, for people.
        not_measured: Injections for which the stack was never there, and why.
    """
    pooled = [r for r in results if r.pooled and math.isfinite(r.verdict.reaction)]
    excess = spread([r.excess for r in pooled])
    ticks = [tick for campaign in campaigns for tick in campaign.ticks]
    late = [r for r in results if r.late and not r.pooled]
    result = {
        "how": HOW,
        "load": load,
        "injections": sum(r.injected for r in results),
        "runs": len(results),
        "unsafe": sum(bool(r.verdict.unsafe) for r in results),
        "late": len(late),
        "bound_ms": 1e3 * TWENTY_MS,
        "reaction_ms": spread([r.verdict.reaction for r in pooled]),
        "reaction_histogram_ms": histogram([r.verdict.reaction for r in pooled]),
        "excess_ms": excess,
        "control_ms": spread([came - due for due, came in ticks]),
        "kinds": [kind_row([r for r in results if r.key == key]) for key in dict.fromkeys(r.key for r in results)],
        "restarts": restarts_block(done),
        "ended_by_themselves": [x for campaign in campaigns for x in campaign.stack.ended_by_themselves],
        "tripped_before_injection": [x for campaign in campaigns for x in campaign.stack.tripped],
        "spoiled_by_the_machine": [x for campaign in campaigns for x in campaign.spoiled],
        "robot_started_anew": [x for campaign in campaigns for x in campaign.stack.started_anew],
        "ready_seconds_median": _median([x for campaign in campaigns for x in campaign.ready_seconds]),
        "wall_seconds": round(seconds, 1),
        "failures": [
            {"fault": r.key, "reason": r.verdict.unsafe or f"reaction after {1e3 * r.verdict.reaction:.1f} ms"}
            for r in results
            if r.verdict.unsafe or r in late
        ],
        "not_measured": list(not_measured),
    }
    result["passed"] = passed(result)
    return result


def passed(result: dict) -> bool:
    """Nothing unsafe happened, and nothing late."""
    excess, again = result["excess_ms"], result["restarts"]
    return not (
        result["failures"]
        or result["not_measured"]
        or result["ended_by_themselves"]
        or excess is not None
        and not excess["p99"] <= result["bound_ms"]
        or again is not None
        and (again["unsafe"] or not max(again["joint_motion_rad_max"], again["beyond_creep_rad_sum"]) < MOTION_MAX)
    )


def kind_row(results: Sequence[Result]) -> dict:
    """One kind of injection."""
    reacted = [r for r in results if math.isfinite(r.verdict.reaction)]
    return {
        "fault": results[0].key,
        "bound_ms": round(1e3 * results[0].bound, 1) if reacted else None,
        "pooled": results[0].pooled,
        "runs": len(results),
        "unsafe": sum(bool(r.verdict.unsafe) for r in results),
        "late": sum(r.late for r in results),
        "reaction_ms": spread([r.verdict.reaction for r in reacted]),
        "damped_ms": spread([r.verdict.damped for r in results if math.isfinite(r.verdict.damped)]),
        "stall_ms": spread([r.stall for r in results]),
        "excess_ms": spread([r.excess for r in reacted]),
        "damped_by": sorted({r.by for r in results if r.by}),
        "each": [
            {"reaction_ms": _ms(r.verdict.reaction), "damped_ms": _ms(r.verdict.damped), "stall_ms": _ms(r.stall)}
            for r in results
        ],
    }


def restarts_block(done: Sequence[Restart]) -> dict | None:
    """The restarts after an e-stop, None if there were none."""
    if not done:
        return None
    return {
        "restarts": len(done),
        "unsafe": sum(bool(r.unsafe) for r in done),
        "reasons": sorted({r.unsafe for r in done if r.unsafe}),
        "joint_motion_bound_rad": MOTION_MAX,
        "joint_motion_rad_max": round(max(r.motion for r in done), 6),
        "joint_motion_rad_sum": round(sum(r.motion for r in done), 6),
        "creep_rad_sum": round(sum(r.creep for r in done), 6),
        "beyond_creep_rad_sum": round(sum(r.motion - r.creep for r in done), 6),
        "seconds_sum": round(sum(r.seconds for r in done), 1),
        "ready_seconds_median": _median([r.ready for r in done]),
    }


def histogram(seconds: Sequence[float]) -> dict[str, int]:
    """How many reactions fell into each 2 ms."""
    ms = np.clip(1e3 * np.asarray(seconds, dtype=float), 0.0, REACTION_HISTOGRAM[-1] - 1e-9)
    counts, edges = np.histogram(ms, REACTION_HISTOGRAM)
    return {f"{low:g}-{low + 2:g}": int(n) for low, n in zip(edges, counts, strict=False) if n}


def rich_table(result: dict) -> Table:
    """One row per kind for the terminal."""
    table = Table(caption="median / p99 / max [ms]; excess: p99, less the machine's own stall meanwhile")
    table.add_column("fault")
    for name in ("bound", "reaction", "damped", "excess", "runs", "bad"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in result["kinds"]:
        excess = "" if row["excess_ms"] is None else f"{row['excess_ms']['p99']:.1f}"
        bad = row["unsafe"] + row["late"]
        damped = "" if row["damped_ms"] == row["reaction_ms"] else _three(row["damped_ms"])
        cells = (_bound(row), _three(row["reaction_ms"]), damped, excess, str(row["runs"]), str(bad))
        table.add_row(row["fault"], *cells, style="red" if bad else None)
    return table


def summary(result: dict) -> list[str]:
    """The figures that the verdict rests on, a line each."""
    lines = [
        f"{result['injections']} processes killed or stopped in {result['runs']} runs ({result['load']}), "
        f"{result['unsafe']} unsafe, {result['late']} late, in {result['wall_seconds']:.0f} s",
        f"damping, bound 20 ms: reaction {_three(result['reaction_ms'])} ms, excess {_three(result['excess_ms'])} ms, "
        f"control {_three(result['control_ms'])} ms (median / p99 / max)",
        f"distribution: {', '.join(f'{bin} ms: {n}' for bin, n in result['reaction_histogram_ms'].items())}",
    ]
    if again := result["restarts"]:
        lines.append(
            f"{again['restarts']} restarts of the guard after an e-stop: {again['unsafe']} unsafe, no joint moved "
            f"more than {again['joint_motion_rad_max']:.4f} rad in one; in the {again['seconds_sum']:.0f} s of all, "
            f"{again['joint_motion_rad_sum']:.3f} rad, where damped legs creep {again['creep_rad_sum']:.3f} rad by "
            f"themselves (bound on one, and on what all add to that: {again['joint_motion_bound_rad']:g} rad)"
        )
    lines += [f"ended by itself: {name}" for name in result["ended_by_themselves"]]
    lines += [f"not measured: {reason}" for reason in result["not_measured"]]
    lines += [f"repeated: {reason}" for reason in result["spoiled_by_the_machine"]]
    return lines


def markdown(result: dict) -> str:
    """The same as a Markdown document."""
    names = ("fault", "damped by", "bound", "reaction", "damped", "excess", "runs", "unsafe", "late")
    return "\n".join(
        [
            *(f"- {line}" for line in summary(result)),
            "",
            "Times in ms: median / p99 / max.",
            "",
            f"| {' | '.join(names)} |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|",
            *(f"| {' | '.join(_cells(row))} |" for row in result["kinds"]),
            "",
        ]
    )


def _cells(row: dict) -> tuple[str, ...]:
    times = (_three(row[name]) for name in ("reaction_ms", "damped_ms", "excess_ms"))
    counts = (str(row[name]) for name in ("runs", "unsafe", "late"))
    return (row["fault"], ", ".join(row["damped_by"]), _bound(row), *times, *counts)


def _bound(row: dict) -> str:
    return "" if row["bound_ms"] is None else f"{row['bound_ms']:g}"


def _three(x: dict | None) -> str:
    return "" if x is None else f"{x['median']:.1f} / {x['p99']:.1f} / {x['max']:.1f}"


def _ms(seconds: float) -> float | None:
    return round(1e3 * seconds, 3) if math.isfinite(seconds) else None


def _median(values: Sequence[float]) -> float | None:
    return round(float(np.median(values)), 3) if len(values) else None
