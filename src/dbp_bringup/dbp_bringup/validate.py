"""`./dbp validate MODEL.onnx`: tries a policy in the battery, on all cores, and judges it."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dbp_bringup import terminal
from dbp_bringup.in_parallel import in_parallel
from dbp_bringup.validation.battery import Scenario, battery
from dbp_bringup.validation.trial import Outcome, run_trial
from dbp_bringup.validation.verdict import MARGIN_GROUPS, report, shortfalls, survived
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.onnx_policy import load_runner
from dbp_policy.runner import Runner


@dataclass(frozen=True)
class Args:
    """Try a policy before it meets a robot: commands, friction, payload, command delay, pushes, sensor noise.
    One for the front legs goes up, balances, turns and comes down in each of them.

    Runs the guard, the policy runner and Unitree's wire codec in lockstep with the MuJoCo robot. Exit code 0 if every
    required scenario (flat ground, no push, no added delay) was walked without a fall or a fault and, on the nominal
    ground without load, close to its command; 1 if not; 2 if the file is no policy. The rest is reported as margins.
    """

    model: Annotated[Path, tyro.conf.Positional]
    """The policy, an ONNX file with a contract."""
    json: Path | None = None
    """Write all that was measured there."""
    workers: int = len(os.sched_getaffinity(0))
    """Processes to spread the scenarios over."""


_runner: Runner | None = None
"""A worker process's own policy."""


def _load(path: Path) -> None:
    global _runner
    _runner = load_runner(path)


def _try(scenario: Scenario) -> Outcome:
    return run_trial(_runner, scenario)


def run_battery(path: Path, scenarios: Sequence[Scenario], workers: int) -> Iterator[Outcome]:
    """Runs scenarios in processes of their own, longest walks first; yields outcomes as they end.

    Raises:
        DbpError: The file is no policy that can be run.
    """
    load_runner(path)  # here, where a refusal is one line
    yield from in_parallel(_try, [(scenario,) for scenario in scenarios], workers, _load, (path,))


def validate(args: Args, console: Console) -> bool:
    """Runs the battery, prints and writes what came of it; whether the policy passed."""
    if not args.workers >= 1:
        raise DbpError(f"workers: expected at least 1, got {args.workers}")
    if args.json is not None:
        check_folder_of(args.json, "--json")
    scenarios = battery(load_runner(args.model).contract.posture)
    outcomes: dict[str, Outcome] = {}
    begin = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("trying", total=len(scenarios))
        for outcome in run_battery(args.model, scenarios, args.workers):
            outcomes[outcome.scenario.key] = outcome
            progress.advance(bar)
    ordered = [outcomes[scenario.key] for scenario in scenarios]
    result = report(ordered, time.monotonic() - begin, args.workers)
    result = {"policy": str(args.model), "sha256": hashlib.sha256(args.model.read_bytes()).hexdigest(), **result}
    console.print(_table(ordered))
    _print_summary(result, console)
    if args.json is not None:
        write_json(args.json, result)
    return result["passed"]


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(caption="demanded: no fall, no fault; of commands also velocity and posture. The others are margins.")
    table.add_column("scenario", no_wrap=True)
    for name in (
        "walk",
        "v err\nm/s",
        "yaw err\nrad/s",
        "as asked\n%",
        "tilt\ndeg",
        "torque\n%",
        "speed\n%",
        "to limit\nrad",
    ):
        table.add_column(name, justify="right")
    table.add_column("verdict", min_width=8)
    group = None
    for o in outcomes:
        if group not in (None, o.scenario.group):
            table.add_section()
        group = o.scenario.group
        table.add_row(
            o.scenario.key,
            f"{100.0 * o.survival:.0f} %",
            f"{o.planar_velocity_error:.2f}",
            f"{o.yaw_rate_error:.2f}",
            f"{100.0 * o.as_asked:.0f}",
            f"{57.3 * o.tilt_max:.0f}",
            f"{100.0 * o.torque_peak:.0f}",
            f"{100.0 * o.speed_peak:.0f}",
            f"{o.joint_limit_margin:.2f}",
            _verdict(o),
        )
    return table


def _verdict(outcome: Outcome) -> str:
    if reasons := shortfalls(outcome):
        return f"[red]{'; '.join(reasons)}"
    if survived(outcome):
        return "[green]ok" if outcome.scenario.required else "[green]survived"
    return "[yellow]fell" if outcome.fell else f"[yellow]stopped: {', '.join(outcome.faults) or 'did not stand up'}"


def _print_summary(result: dict, console: Console) -> None:
    s = result["summary"]
    reached = ", ".join(f"{group} {level:g} {MARGIN_GROUPS[group]}" for group, level in s["margins"].items() if level)
    console.print(f"survived {s['survived']} of {s['scenarios']}; survived up to: {reached or 'nothing'}")
    console.print(
        f"{s['simulated_seconds']:.0f} s simulated in {s['wall_seconds']:.0f} s on {s['workers']} cores, "
        f"{s['real_time_factor_per_core']:.1f} times real time per core"
    )
    failed = f"[red]FAILED[/] {s['required_failed']} of {s['required']} required scenarios"
    console.print("[green]PASSED[/] all required scenarios" if result["passed"] else failed)


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp validate")
        console = terminal.console()
        return 0 if validate(args, console) else 1

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
