"""`./dbp faults`: every fault in every mode, on all cores, and what the guard made of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dbp_bringup import terminal
from dbp_bringup.faults import settle
from dbp_bringup.faults.catalogue import injections
from dbp_bringup.faults.processes import report as process_report
from dbp_bringup.faults.processes import run as processes
from dbp_bringup.faults.report import markdown, report, rich_table
from dbp_bringup.faults.restarts import Restart, Restarts
from dbp_bringup.faults.start_states import StartStates
from dbp_bringup.faults.workers import prepare, restart_guards, run_cell, spread, stop_both_ways
from dbp_policy import clock, paths
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json, written_whole

CHUNK = 25
"""Restarts of the guard in one task of a worker."""


@dataclass(frozen=True)
class Args:
    """Inject every fault in every mode and judge the guard's reaction by the bytes on the wire.

    Runs guard, policy loop, wire codec and the MuJoCo robot in lockstep with injected time, from saved states. Exit
    code 0 if no run was unsafe or late, 1 if one was.
    """

    seeds: int = 20
    """Runs of each fault in each mode; each starts at another instant of the mode."""
    restarts: int = 1000
    """Restarts of the guard after an e-stop."""
    json: Path | None = None
    """Write all results there."""
    markdown: Path | None = None
    """Write the table there."""
    replay: str = ""
    """Play only this run again, a key from the JSON's `failures`."""
    settle: bool = False
    """Instead of faults: compare settling with plain damping, from a walk at 1 m/s at most."""
    phases: int = 200
    """Of the gait, for --settle."""
    processes: bool = False
    """Instead of faults in lockstep: kill, stop and disturb the real processes, under load, and measure on the wire."""
    scale: float = 1.0
    """Of the number of injections, for --processes."""
    policy: Path = paths.models_dir() / "go2_walk.onnx"
    """The policy that walks."""
    workers: int = len(os.sched_getaffinity(0))
    """Processes to spread the runs over."""


def matrix(args: Args, console: Console) -> bool:
    """Runs the matrix, prints and writes it; whether nothing was unsafe or late."""
    begin = time.monotonic()
    every = injections()
    cells = [(x.key, mode, range(args.seeds)) for x in every for mode in x.modes]
    done = spread(StartStates, args.policy, args.workers, run_cell, cells, console, "faults")
    runs = [r for cell in done for r in cell]
    order = {x.key: i for i, x in enumerate(every)}
    runs.sort(key=lambda r: order[r.fault])
    restarts = [r for chunk in _restart(args, console) for r in chunk]
    result = report(every, runs, restarts, time.monotonic() - begin)
    console.print(rich_table(result))
    for failure in result["failures"][:20]:
        console.print(f"[red]{failure['reason']}[/]: --replay '{failure['replay']}'")
    console.print(
        f"{result['runs']} runs, {result['unsafe']} unsafe, {result['late']} late, in {result['wall_seconds']:.0f} s; "
        f"{result['restarts']['restarts']} restarts after an e-stop, {result['restarts']['moved']} moved "
        f"(at most {result['restarts']['motion_rad_max']:.4f} rad)"
    )
    if args.json is not None:
        write_json(args.json, result)
    if args.markdown is not None:
        with written_whole(args.markdown) as file:
            file.write_text(markdown(result))
    return not (result["failures"] or result["restarts"]["moved"])


def _restart(args: Args, console: Console) -> Iterator[list[Restart]]:
    chunks = [(range(first, min(first + CHUNK, args.restarts)),) for first in range(0, args.restarts, CHUNK)]
    return spread(Restarts, args.policy, args.workers, restart_guards, chunks, console, "restarts")


def replay(args: Args, console: Console) -> bool:
    """Plays one run again; whether it was neither unsafe nor late."""
    key, _, rest = args.replay.partition("/")
    mode, _, seed = rest.rpartition("/")
    injection = next((x for x in injections() if x.key == key and mode in x.modes), None)
    if injection is None or not seed.isdigit():
        raise DbpError(f"replay: expected FAULT/MODE/SEED as the JSON's failures have it, got {args.replay!r}")
    prepare(StartStates, args.policy)
    (result,) = run_cell(key, mode, range(int(seed), int(seed) + 1))
    console.print(result)
    return not (result.unsafe or result.late)


def compare_stops(args: Args, console: Console) -> bool:
    """Settling against damping; whether settling is gentle in 95 % of the phases."""
    if not args.phases >= 1:
        raise DbpError(f"phases: expected at least 1, got {args.phases}")
    tasks = [(phase,) for phase in range(args.phases)]
    walks = partial(settle.Walks, phases=args.phases)
    pairs = spread(walks, args.policy, args.workers, stop_both_ways, tasks, console, "stops")
    stops = [stop for pair in pairs for stop in pair]
    result = settle.summary(stops)
    speed = "{mean:.2f} m/s ({min:.2f} to {max:.2f})".format(**result["speed"])
    title = f"stops from {speed} at {result['phases']} random gait phases: median / 95 % / greatest"
    table = Table(title=title)
    for name in ("", "impact, weights", "tilt, degrees", "rest, s", "distance, m", "gentle"):
        table.add_column(name)
    for reaction in settle.REACTIONS:
        row = result[reaction]
        cells = (row[name] for name in ("impact_weights", "tilt_degrees", "rest_seconds", "distance_m"))
        spreads = (f"{x['median']:.2f} / {x['p95']:.2f} / {x['max']:.2f}" for x in cells)
        table.add_row(reaction, *spreads, f"{100.0 * row['gentle_share']:.0f} %")
    console.print(table)
    if args.json is not None:
        write_json(args.json, result)
    return result["settle"]["gentle_share"] >= 0.95


def break_processes(args: Args, console: Console) -> bool:
    """Injects faults of the real processes, prints and writes what was measured; whether that passes."""
    if not 0.0 < args.scale <= 10.0:
        raise DbpError(f"scale: expected more than 0, at most 10, got {args.scale}")
    if clock.real_time_factor() != 1.0:
        raise DbpError(f"--processes measures in real time: expected no {clock.VARIABLE} in the environment")
    result = processes.run(console, args.scale)
    console.print(process_report.rich_table(result))
    for failure in result["failures"][:20]:
        console.print(f"[red]{failure['fault']}[/]: {failure['reason']}")
    for line in process_report.summary(result):
        console.print(line)
    if args.json is not None:
        write_json(args.json, result)
    if args.markdown is not None:
        with written_whole(args.markdown) as file:
            file.write_text(process_report.markdown(result))
    return result["passed"]


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp faults")
        for option in ("seeds", "restarts", "workers"):
            if not getattr(args, option) >= 1:
                raise DbpError(f"{option}: expected at least 1, got {getattr(args, option)}")
        for option in ("json", "markdown"):
            if getattr(args, option) is not None:
                check_folder_of(getattr(args, option), option)
        work = matrix
        for chosen, other in ((args.replay, replay), (args.settle, compare_stops), (args.processes, break_processes)):
            work = other if chosen else work
        return 0 if work(args, terminal.console()) else 1

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
