"""The stack's clock, which a simulation may slow down, and an absolute schedule on it that does not drift."""

from __future__ import annotations

import os
import sys
import time

from dbp_policy.errors import DbpError

VARIABLE = "DBP_REAL_TIME_FACTOR"
"""Environment variable that gives the factor to all processes of one stack: their times are compared."""
SLOWEST = 0.1


def checked_factor(text: str | float) -> float:
    """A real-time factor: seconds of the stack's clock in a second of real time, from `SLOWEST` to 1.

    Raises:
        DbpError: It is none.
    """
    try:
        factor = float(text)
    except ValueError:
        factor = float("nan")
    if not SLOWEST <= factor <= 1.0:
        raise DbpError(f"real-time factor: expected a number from {SLOWEST} to 1, got {text!r}")
    return factor


def slow_down(factor: float) -> None:
    """Slows the clock of this process down, and of those that it starts from now on. Before anything is timed.

    Raises:
        DbpError: See `checked_factor`.
    """
    global _factor
    _factor = checked_factor(factor)
    os.environ[VARIABLE] = str(factor)


def real_time_factor() -> float:
    """Seconds of the stack's clock in a second of real time; 1 unless a simulation was slowed down."""
    return _factor


def now() -> float:
    """Time on the clock of all of this project's processes [s]: monotonic, and not of the day."""
    return _factor * time.monotonic()


def real(seconds: float) -> float:
    """How long a time on the stack's clock lasts, for waits that know nothing of it [s]."""
    return seconds / _factor


def sleep(seconds: float) -> None:
    """Sleeps for a time on the stack's clock [s]."""
    time.sleep(real(seconds))


try:
    _factor = checked_factor(os.environ.get(VARIABLE, "1"))
except DbpError as error:  # before any program's own way to say so
    sys.exit(f"error: {VARIABLE}: {error}")


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
            sleep(delay)
        late = now() - self._next
        if late > self._tolerance:
            self.overruns += 1
            self._next = now()
        self._next += self._period
        return late
