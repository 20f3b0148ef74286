"""The process's clock, and an absolute schedule on it that does not drift."""

from __future__ import annotations

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
