"""What keeps a process's loop on time: real-time priority, memory that is not swapped, a collector that is quiet."""

from __future__ import annotations

import ctypes
import gc
import os
import resource

_MCL_CURRENT, _MCL_FUTURE = 1, 2  # sys/mman.h


def take_priority(priority: int) -> str:
    """Schedules the calling thread, and the threads it starts from now on, before everything that is not real-time.

    Args:
        priority: FIFO priority, 1 to 99.

    Returns:
        Why not, empty if it was permitted.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError):
        return f"no real-time priority: other programs can hold up the loop (permit `rtprio {priority}` in limits.conf)"
    return ""


def lock_memory() -> str:
    """Keeps all of the process's memory, now and later, from being swapped out.

    Returns:
        Why not, empty if it was permitted.
    """
    # Below a limit the lock would make a later allocation fail.
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or os.geteuid() == 0
    if not unlimited or ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        return "memory is not locked: swapping can hold up the loop (permit `memlock unlimited` in limits.conf)"
    return ""


def quiet_collector(collect_garbage: bool) -> None:
    """Leaves what exists out of Python's garbage collections, which otherwise stop everything for up to 0.2 s.

    Args:
        collect_garbage: Whether the collector goes on running for what is created from now on.
    """
    gc.collect()
    gc.freeze()
    if not collect_garbage:
        gc.disable()
