"""The processes that a fault matrix is spread over; each has a stack of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dbp_bringup.faults import settle
from dbp_bringup.faults.catalogue import injections
from dbp_bringup.faults.matrix import Run, run
from dbp_bringup.faults.start_states import StartStates
from dbp_policy.onnx_policy import load_runner

_states: StartStates | None = None
_walks: settle.Walks | None = None
"""A worker process's own stack."""


def prepare(policy: Path, phases: int) -> None:
    """Builds this process's stack."""
    global _states, _walks
    if phases:
        _walks = settle.Walks(load_runner(policy), phases)
    else:
        _states = StartStates(load_runner(policy))


def run_cell(key: str, mode: str, seeds: range) -> list[Run]:
    """One fault in one mode."""
    injection = next(x for x in injections() if x.key == key)
    return [run(_states, injection, mode, seed) for seed in seeds]


def stop_both_ways(phase: int) -> list[settle.Stop]:
    """One gait phase."""
    return [_walks.stop(phase, reaction) for reaction in settle.REACTIONS]


def spread(
    policy: Path, workers: int, phases: int, work: Callable, tasks: Iterable[tuple], console: Console
) -> Iterator:
    """Does tasks in processes of their own, behind a progress bar.

    Args:
        policy: The policy of each process's stack.
        workers: How many processes.
        phases: Of the gait to prepare for `stop_both_ways`, 0 to prepare for `run_cell`.
        work: Function of this module.
        tasks: Its arguments.
        console: Where the progress is shown.

    Yields:
        What comes of each task, in any order.

    Raises:
        DbpError: The policy cannot be run.
    """
    load_runner(policy)  # here, where a refusal is one line
    context = multiprocessing.get_context("spawn")  # forking after MuJoCo and onnxruntime were loaded is not safe
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ProcessPoolExecutor(workers, context, prepare, (policy, phases)) as pool,
    ):
        futures = [pool.submit(work, *task) for task in tasks]
        bar = progress.add_task("trying", total=len(futures))
        for future in as_completed(futures):
            progress.advance(bar)
            yield future.result()
