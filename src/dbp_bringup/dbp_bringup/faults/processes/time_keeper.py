"""The machine's own jitter, for comparison: a bare timer of the guard's priority and period that does nothing else."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

from dbp_policy import go2, realtime
from dbp_policy.clock import now

_PRIORITY = 60
"""The guard's."""
_PERIOD = 1.0 / go2.LOWSTATE_HZ


def keep_time(pipe: Connection) -> None:
    """Wakes on an absolute schedule; sends, whenever asked, when each tick was due and when it came [s]."""
    realtime.take_priority(_PRIORITY)
    realtime.lock_memory()
    realtime.quiet_collector(collect_garbage=False)
    pipe.send("ready")
    ticks: list[tuple[float, float]] = []
    due = now()
    while True:
        due += _PERIOD
        delay = due - now()
        if delay > 0.0:
            time.sleep(delay)
        came = now()
        ticks.append((due, came))
        if pipe.poll():
            pipe.recv()
            pipe.send(ticks)
            ticks = []
            due = now()  # what the handing over took is no jitter
        elif came - due > _PERIOD:
            due = came
