"""The process's clock: an absolute schedule that does not drift, and the settings that keep a loop on it."""

from __future__ import annotations

import contextlib
import gc
import os
import time

now = time.monotonic
"""The clock of all of this project's processes [s]."""


class Ticker:
    """Wakes once per period on an absolute schedule.

    Args:
        period: [s].
        tolerance: A tick later than this many periods is an overrun; the schedule then starts anew from now, so that
            missed ticks are counted and never made up for in a burst.
    """

    def __init__(self, period: float, tolerance: float = 5.0) -> None:
        self._period = period
        self._tolerance = tolerance * period
        self._next = now() + period
        self.overruns = 0

    def sleep(self) -> float:
        """Sleeps until the next tick; returns by how much it was late [s]."""
        delay = self._next - now()
        if delay > 0.0:
            time.sleep(delay)
        late = now() - self._next
        if late > self._tolerance:
            self.overruns += 1
            self._next = now()
        self._next += self._period
        return late


def prepare_realtime(priority: int, collect_garbage: bool) -> bool:
    """Readies the calling thread for a periodic loop: quiet collector, FIFO scheduling where permitted.

    Args:
        priority: FIFO priority, 1 to 99.
        collect_garbage: Whether the collector goes on running for what is created from now on.

    Returns:
        Whether this user may have real-time priority; without it the loop runs as any other thread.
    """
    gc.collect()
    gc.freeze()
    if not collect_garbage:
        gc.disable()
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        return True
    return False
