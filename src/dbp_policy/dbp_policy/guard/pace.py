"""When the guard's next tick is due: as soon as a lowstate has come, and without one on a schedule of its own. Pure."""

from __future__ import annotations

PATIENCE = 1.25
"""A lowstate this many periods after the last one is still waited for."""
REST = 0.5
"""Between two ticks at least [periods], however fast lowstates come."""


class Pace:
    """The guard answers every lowstate at once, so that no motor waits for a tick; a silent robot changes no rate.

    Args:
        period: Of the lowstates [s].
        now: Time [s].
    """

    def __init__(self, period: float, now: float) -> None:
        self._period = period
        self._last = now
        self._due = now + period

    def earliest(self) -> float:
        """The next tick is not before this time [s]."""
        return self._last + REST * self._period

    def latest(self) -> float:
        """The next tick is due at this time [s], whether or not a lowstate has come."""
        return self._due

    def ticked(self, heard: bool, now: float) -> None:
        """Notes a tick.

        Args:
            heard: A lowstate had come.
            now: When it began [s].
        """
        self._last = now
        # Without lowstates the schedule is absolute; one that has fallen behind starts anew and makes up for nothing.
        self._due = now + PATIENCE * self._period if heard else max(self._due, now) + self._period
