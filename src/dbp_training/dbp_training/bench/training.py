"""`./dbp bench training`: where each second of a training goes, and the environments beside the bare simulator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_training.algorithms import ALGORITHMS
from dbp_training.bench import environment, trainer
from dbp_training.bench.stopwatch import Span
from dbp_training.tasks.registry import TASKS

TaskName = Literal[tuple(name for name, entry in TASKS.items() if not entry.differentiable)]
AlgorithmName = Literal[tuple(name for name in ALGORITHMS if name not in ("ppo", "sac"))]


@dataclass(frozen=True)
class Args:
    """Measures a training on this machine; figures for people, and as JSON.

    The environments' step (inputs, simulation, state, observation, resets, and the rewards of some steps at once, as a
    trainer takes those of a window) and mujoco.batch alone take turns at the same physics, from the same states by the
    same inputs. Then some windows of a training are taken apart.
    """

    json: Path | None = None
    """Write the figures there."""
    task: TaskName = "go2_walk"
    """What is learned; on MuJoCo."""
    algorithm: AlgorithmName = "dmo"
    """How; one that the task can serve."""
    randomise: Literal["none", "full"] = "none"
    """As in ./dbp train."""
    threads: int = 2
    """Of the simulator."""
    envs: int = 256
    """Environments beside the bare simulator; the training has its own number."""
    rounds: int = 30
    """Turns of environments and simulator."""
    windows: int = 20
    """Of the training."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints tables and writes JSON; whatever the figures are, the exit code is 0."""
    args = parse(Args, "dbp bench training", argv)
    if min(args.threads, args.envs, args.rounds, args.windows) < 1:
        raise DbpError(f"bench training: expected at least one thread, environment, round and window, got {args}")
    if args.json:
        check_folder_of(args.json, "--json")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    randomised = args.randomise != "none"
    algorithm = ALGORITHMS[args.algorithm](args.task, randomised)
    entry = TASKS[args.task]
    config = entry.configure(randomised)
    console = Console()
    beside, split = environment.measure(entry.make(config), args.envs, args.threads, args.rounds)
    console.print(_rates(beside), _split("The environments' step", split))
    window, watch = trainer.measure(entry.make(config), algorithm, args.threads, args.windows)
    for name, span in watch.total.parts.items():
        console.print(_split(f"Training by {args.algorithm}: {name}", span))
    rate = window["environment_steps_per_s"]
    console.print(f"{window['windows_per_s']:.1f} windows/s, {rate:.0f} environment steps/s")
    result: dict[str, Any] = {
        "task": args.task,
        "algorithm": args.algorithm,
        "randomise": args.randomise,
        "environment": beside | {"split": split.as_dict()},
        "training": window | {"split": watch.total.as_dict()["parts"]},
    }
    if args.json:
        write_json(args.json, result)
    return 0


def _rates(beside: dict[str, Any]) -> Table:
    table = Table(title=f"{beside['envs']} environments, {beside['threads']} threads")
    for column, side in (("", "left"), ("steps/s", "right"), ("share", "right")):
        table.add_column(column, justify=side)
    table.add_row("mujoco.batch alone", f"{beside['simulator_steps_per_s']:.0f}", "1.00")
    share = f"{beside['share']:.2f} (wanted: {beside['wanted_share']:g})"
    table.add_row("environments", f"{beside['environment_steps_per_s']:.0f}", share)
    return table


def _split(title: str, span: Span) -> Table:
    table = Table(title=f"{title} [{span.seconds:.2f} s]")
    for column, side in (("", "left"), ("calls", "right"), ("ms", "right"), ("share", "right")):
        table.add_column(column, justify=side)
    for depth, name, seconds, calls in span.rows():
        share = f"{100 * seconds / span.seconds:.1f} %"
        table.add_row("  " * depth + name, str(calls), f"{1e3 * seconds / calls:.3f}", share)
    return table


def cli() -> int:
    """Console entry point."""
    return run_main(main)


if __name__ == "__main__":
    sys.exit(cli())
