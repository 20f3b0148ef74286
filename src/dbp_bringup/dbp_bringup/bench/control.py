"""How fast the control loop is: lowstate to lowcmd beside a loop on the SDK, load of the processes, policy tick."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from dbp_bringup import terminal
from dbp_bringup.bench import cpu, latency, stages
from dbp_policy import clock
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.unitree.network import SIMULATION_DOMAIN

WANTED = 2.0
"""The guard's median and 99th percentile are to be at most half of the SDK loop's."""
_LABELS = {"guard": "guard", "sdk": "SDK loop", "sdk_fast_crc": "SDK loop, CRC in C"}


@dataclass(frozen=True)
class Args:
    """Measures the control loop on this machine; figures for people, and as JSON.

    The guard and a plain loop on Unitree's SDK take turns at a mock robot of 500 Hz; then the simulated stack walks for
    the load of its processes; then a recorded walk is replayed for the stages of a policy tick.
    """

    json: Path | None = None
    """Write the figures there."""
    rounds: int = 5
    """Turns of each controller."""
    seconds: float = 4.0
    """Of each turn."""
    walk: float = 10.0
    """How long the simulated stack walks [s]."""
    domain: int = SIMULATION_DOMAIN
    """DDS domain, on loopback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints tables and writes JSON; whatever the figures are, the exit code is 0."""
    args = parse(Args, "dbp bench control", argv)
    if not (args.rounds >= 1 and args.seconds >= 1.0 and args.walk >= 1.0):
        raise DbpError(f"bench control: expected at least 1 round and 1 s of each kind, got {args}")
    if args.json:
        check_folder_of(args.json, "--json")
    console, result = terminal.console(), {"wanted_ratio": WANTED, "real_time_factor": clock.real_time_factor()}
    if clock.real_time_factor() != 1.0:
        console.print(f"{clock.VARIABLE} is {clock.real_time_factor():g}: times are the robot's, in slow motion")
    parts = {
        "latency": (latency.measure, (args.domain, args.rounds, args.seconds), _latencies),
        "cpu": (cpu.measure, (args.domain, args.walk), _load),
        "stages": (stages.measure, (args.walk,), _stages),
    }
    for name, (part, arguments, table) in parts.items():  # what is measured is kept, should a later part fail
        result[name] = _alone(part, *arguments)
        console.print(table(result[name]))
        if args.json:
            write_json(args.json, result)
    return 0


def _alone(part: Callable[..., dict], *arguments) -> dict:
    """Runs a part in a process of its own: ROS and CycloneDDS do not share one, nor do parts their priority."""
    print(f"bench: {part.__module__.rpartition('.')[2]}", flush=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(part, *arguments).result()


def _latencies(measured: dict) -> Table:
    table = _table("rt/lowstate to rt/lowcmd at 500 Hz [us]", "", "p50", "p99", "p99.9", "max", "answered", "late")
    for name in filter(measured.get, _LABELS):
        row = measured[name]
        figures = (f"{row[key]:.0f}" for key in ("p50_us", "p99_us", "p999_us", "max_us", "answered", "late"))
        table.add_row(_LABELS[name], *figures)
    for name, kind in (("sdk", ""), ("sdk_fast_crc", "_fast_crc")):
        if name in measured:
            ratios = (f"{measured[f'{which}_ratio{kind}']:.1f}" for which in ("p50", "p99"))
            table.add_row(f"{_LABELS[name]} / guard (wanted: {WANTED:g})", *ratios)
    return table


def _load(measured: dict) -> Table:
    table = _table("Processor time on a walk [% of one core]", "", "load")
    for name, percent in measured.items():
        table.add_row(name.removesuffix("_percent"), f"{percent:.1f}")
    return table


def _stages(measured: dict) -> Table:
    table = _table("A policy tick [us]", "", "p50", "p99", "max")
    for name, row in measured.items():
        table.add_row(name, *(f"{row[key]:.0f}" for key in ("p50_us", "p99_us", "max_us")))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table
