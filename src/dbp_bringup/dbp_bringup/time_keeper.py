"""The machine's own jitter, for comparison: a bare timer of the guard's period that does nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection

from dbp_policy import clock, go2, realtime
from dbp_policy.clock import now

_PERIOD = 1.0 / go2.LOWSTATE_HZ


def keep_time(pipe: Connection, priority: int = realtime.GUARD_PRIORITY, core: int | None = None) -> None:
    """Wakes on an absolute schedule; sends, whenever asked, when each tick was due and when it came [s].

    To be run as a `child.Child`.

    Args:
        pipe: Anything that comes asks.
        priority: Real-time priority.
        core: Stays on this core; on any, unless given.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    realtime.take_priority(priority)
    realtime.lock_memory()
    realtime.quiet_collector(collect_garbage=False)
    pipe.send("ready")
    ticks: list[tuple[float, float]] = []
    due = now()
    while True:
        due += _PERIOD
        delay = due - now()
        if delay > 0.0:
            clock.sleep(delay)
        came = now()
        ticks.append((due, came))
        if pipe.poll():
            pipe.recv()
            pipe.send(ticks)
            ticks = []
            due = now()  # what the handing over took is no jitter
        elif came - due > _PERIOD:
            due = came


def stall(ticks: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """How long the machine itself stood still between two times, at worst [s].

    Args:
        ticks: When each tick of a bare timer was due and when it came [s].
        begin, end: Only what a tick was late between these counts [s].
    """
    return max((min(came, end) - max(due, begin) for due, came in ticks if came > begin and due < end), default=0.0)
