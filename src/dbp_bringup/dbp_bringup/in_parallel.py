"""Work spread over processes, which end at once when nobody waits for them any more."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any


def in_parallel(
    work: Callable, tasks: Iterable[tuple], workers: int, prepare: Callable | None = None, arguments: tuple = ()
) -> Iterator[Any]:
    """Does tasks in processes of their own. To be called from the main thread.

    By Ctrl-C, or an error in one task, the others end where they are.

    Args:
        work: Function of a module, called with each task.
        tasks: Its arguments.
        workers: How many processes, at the most.
        prepare: Function of a module, called once in each process before its first task.
        arguments: Of `prepare`.

    Yields:
        The result of each task, in any order.
    """
    context = multiprocessing.get_context("spawn")  # forking after MuJoCo and onnxruntime were loaded is not safe
    pool, others = ProcessPoolExecutor(workers, context, prepare, arguments), set(multiprocessing.active_children())
    try:
        with _deaf_to_ctrl_c():
            futures = [pool.submit(work, *task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)  # waits: at the interpreter's end its thread would trip over closed pipes


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that are started within stay deaf to it: whoever started them ends them, and no two tell of it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
