"""When the standby takes the motors over from the guard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbp_policy import go2
from dbp_policy.guard.thresholds import BEAT_TIMEOUT
from dbp_policy.types import Beat

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_LOOK = 2.5 * _PERIOD
"""How often the standby looks [s]: woken by each beat it would take the processor from the guard as often."""
_JUST_AFTER = 1e-4
"""A look at the very end of a time-out is too early for it [s]."""


class Standby:
    """Follows the guard that beats; one that has died or stopped while it commanded the motors has to be replaced.

    Silence is counted from when the last beat was told, in time that the standby was awake: of a sleep that came late
    only one period more counts than was asked for, so that a machine that stood still is not the guard's fault.
    """

    def __init__(self) -> None:
        self._beat: Beat | None = None
        self._silent = self._last = 0.0

    @property
    def guard(self) -> int | None:
        """Process id of the guard that is followed, None while there is none."""
        return None if self._beat is None else self._beat.process_id

    @property
    def needed(self) -> bool:
        """The guard that is followed commands the motors: somebody has to go on if it ends."""
        return self._beat is not None and self._beat.in_control

    @property
    def next_look(self) -> float:
        """How long to wait for the guard's end before the next step [s]."""
        return min(_LOOK, max(0.0, BEAT_TIMEOUT - self._silent) + _JUST_AFTER) if self.needed else _LOOK

    def step(self, beats: Sequence[Beat], ended: int | None, now: float) -> bool:
        """Looks once; whether to take over now.

        Args:
            beats: What came since the last call, oldest first.
            ended: Process id of a guard that has ended.
            now: Time [s].
        """
        awake, self._last = min(now - self._last, _LOOK + _PERIOD), now
        if beats:
            self._beat = beats[-1]
            self._silent = max(0.0, min(now - self._beat.stamp, awake))  # a queue that was full has lost the newest
        else:
            self._silent += awake
        if self._beat is None:
            return False
        dead = self._beat.process_id == ended
        if self._beat.leaving or dead and not self._beat.in_control:
            self._beat = None  # it owes the robot nothing; the next guard is followed from its first beat
            return False
        return self._beat.in_control and (dead or not self._silent <= BEAT_TIMEOUT)
