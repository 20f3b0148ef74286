"""When the standby takes the motors over from the guard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbp_policy import go2
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.guard.thresholds import BEAT_TIMEOUT
from dbp_policy.types import Beat

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_LOOK = 2.5 * _PERIOD
"""How often the standby looks [s]: woken by each beat it would take the processor from the guard as often."""
_JUST_AFTER = 1e-4
"""A look at the very end of a time-out is too early for it [s]."""


class Standby:
    """Follows the guard that beats; one that has died or stopped while it commanded the motors has to be replaced.

    Silence is counted from when the last beat was told. Of a sleep that came late only one period more counts than was
    asked for, so that a machine that stood still is not the guard's fault.
    """

    def __init__(self) -> None:
        self._beat: Beat | None = None
        self._silence = SilenceTimer(_LOOK + _PERIOD)

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
        return min(_LOOK, max(0.0, BEAT_TIMEOUT - self._silence.silent) + _JUST_AFTER) if self.needed else _LOOK

    def step(self, beats: Sequence[Beat], ended: int | None, now: float) -> bool:
        """Looks once; whether to take over now.

        Args:
            beats: What came since the last call, oldest first.
            ended: Process id of a guard that has ended.
            now: Time [s].
        """
        self._beat = beats[-1] if beats else self._beat
        if self._beat is None:
            return False
        # A queue that was full has lost the newest beats: the last one's age does not count for more than a sleep.
        silent = self._silence.update(bool(beats), now, age=now - self._beat.stamp)
        dead = self._beat.process_id == ended
        if self._beat.leaving or dead and not self._beat.in_control:
            self._beat = None  # it owes the robot nothing; the next guard is followed from its first beat
            return False
        return self._beat.in_control and (dead or not silent <= BEAT_TIMEOUT)
