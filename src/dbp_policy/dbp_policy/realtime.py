"""What keeps a process's loop on time: real-time priority, memory that is not swapped, a collector that is quiet."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from pathlib import Path

GUARD_PRIORITY = 60
"""FIFO priority of the guard's loop."""

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # sys/mman.h

_ALL_THAT_IS_USED = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
"""Without the last, threads' untouched stacks count as well: five times the memory."""

_MADV_POPULATE_READ = 22  # asm-generic/mman-common.h, since Linux 5.14
_CLONE_FILES = 0x400  # linux/sched.h


def take_priority(priority: int, only_this_thread: bool = False) -> str:
    """Schedules the process, and the threads that the calling one starts from now on, before all that is not real-time.

    Each thread that the process has takes part, numpy's too: a killed process ends, and its sockets close, only when
    all of them have had the processor once more.

    Args:
        priority: FIFO priority, 1 to 99.
        only_this_thread: Leave the other threads that there are as they are.

    Returns:
        Why not, empty if it was permitted.
    """
    try:
        threads = [0] if only_this_thread else [int(thread) for thread in os.listdir("/proc/self/task")]
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError):
        return f"no real-time priority: other programs can hold up the loop (permit `rtprio {priority}` in limits.conf)"
    return ""


def lock_memory() -> str:
    """Keeps all of the memory that the process uses, now and later, from being swapped out.

    The code of its libraries is read now: what is first needed while the robot walks, or was dropped since, would have
    to come from the disk.

    Returns:
        Why not, empty if it was permitted.
    """
    # Below a limit the lock would make a later allocation fail.
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or os.geteuid() == 0
    if not unlimited or ctypes.CDLL(None, use_errno=True).mlockall(_ALL_THAT_IS_USED) != 0:
        return "memory is not locked: swapping can hold up the loop (permit `memlock unlimited` in limits.conf)"
    _read_files()
    return ""


def _read_files() -> None:
    """Reads the files that are mapped; an older Linux refuses, and reads each page when it is needed."""
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, _, _, inode, *_ = line.split()
        if inode != "0" and permissions.startswith("r"):
            begin, end = (int(address, 16) for address in addresses.split("-"))
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_POPULATE_READ)


def own_files() -> bool:
    """Gives the calling thread a file table of its own: what it opens from now on only it can use, and has to close.

    When the process is killed, Linux closes such files as soon as this thread has ended. Those of the common table it
    closes after the last thread and all of the memory, which takes some 10 ms more for each 100 MB.

    Returns:
        Whether it was permitted (a container can forbid it: then they stay in the common table).
    """
    return ctypes.CDLL(None).unshare(_CLONE_FILES) == 0


def quiet_collector(collect_garbage: bool) -> None:
    """Leaves what exists out of Python's garbage collections, which otherwise stop everything for up to 0.2 s.

    Args:
        collect_garbage: Whether the collector goes on running for what is created from now on.
    """
    gc.collect()
    gc.freeze()
    if not collect_garbage:
        gc.disable()
