"""When the standby takes the motors over from the guard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.guard.thresholds import BEAT_TIMEOUT
from dbp_policy.types import Beat


class Standby:
    """Follows the guard that beats; one that has died or stopped while it commanded the motors has to be replaced."""

    def __init__(self) -> None:
        self._silence = SilenceTimer()
        self._beat: Beat | None = None

    @property
    def guard(self) -> int | None:
        """Process id of the guard that is followed, None while there is none."""
        return None if self._beat is None else self._beat.process_id

    @property
    def needed(self) -> bool:
        """The guard that is followed commands the motors: somebody has to go on if it ends."""
        return self._beat is not None and self._beat.in_control

    def step(self, beats: Sequence[Beat], ended: int | None, now: float) -> bool:
        """Looks once; whether to take over now.

        Args:
            beats: What came since the last call, oldest first.
            ended: Process id of a guard that has ended.
            now: Time [s].
        """
        silent = self._silence.update(bool(beats), now)
        self._beat = beats[-1] if beats else self._beat
        if self._beat is None:
            return False
        dead = self._beat.process_id == ended
        if self._beat.leaving or dead and not self._beat.in_control:
            self._beat = None  # it owes the robot nothing; the next guard is followed from its first beat
            return False
        return self._beat.in_control and (dead or not silent <= BEAT_TIMEOUT)
