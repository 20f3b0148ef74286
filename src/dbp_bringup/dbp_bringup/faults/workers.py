"""The processes that a fault matrix is spread over; each has a stack of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dbp_bringup.faults import settle
from dbp_bringup.faults.catalogue import injections
from dbp_bringup.faults.matrix import Run, run
from dbp_bringup.faults.restarts import Restart
from dbp_bringup.in_parallel import in_parallel
from dbp_policy.onnx_policy import load_runner
from dbp_policy.runner import Runner

_stack: Any = None
"""This process's own stack, as `prepare` has made it."""


def prepare(make: Callable[[Runner], Any], policy: Path) -> None:
    """Builds this process's stack: `make` is a class of start states, called with the policy's runner."""
    global _stack
    _stack = make(load_runner(policy))


def run_cell(key: str, mode: str, seeds: range) -> list[Run]:
    """One fault in one mode, on `StartStates`."""
    injection = next(x for x in injections() if x.key == key)
    return [run(_stack, injection, mode, seed) for seed in seeds]


def stop_both_ways(phase: int) -> list[settle.Stop]:
    """One gait phase, on `settle.Walks`."""
    return [_stack.stop(phase, reaction) for reaction in settle.REACTIONS]


def restart_guards(seeds: range) -> list[Restart]:
    """Some restarts, on `Restarts`."""
    return [_stack.play(seed) for seed in seeds]


def spread(
    make: Callable[[Runner], Any],
    policy: Path,
    workers: int,
    work: Callable,
    tasks: Sequence[tuple],
    console: Console,
    what: str,
) -> Iterator:
    """Does tasks in processes of their own, behind a progress bar.

    Args:
        make: What each process prepares.
        policy: The policy of each process's stack.
        workers: How many processes.
        work: Function of this module.
        tasks: Its arguments.
        console: Where the progress is shown.
        what: Its name there.

    Yields:
        What comes of each task, in any order.

    Raises:
        DbpError: The policy cannot be run.
    """
    load_runner(policy)  # here, where a refusal is one line
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(what, total=len(tasks))
        for result in in_parallel(work, tasks, workers, prepare, (make, policy)):
            progress.advance(bar)
            yield result
