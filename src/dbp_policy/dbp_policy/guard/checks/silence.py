"""How long an input has been silent."""

from __future__ import annotations

import numpy as np

from dbp_policy import go2


class SilenceTimer:
    """How long an input has been silent, counted in time the guard was awake to hear it.

    A guard that was itself stopped for a second would otherwise blame its inputs for the second: each call adds at most
    `max_step`, and the guard reports its own lateness as `guard_overrun`.
    """

    def __init__(self, max_step: float = 2.0 / go2.LOWSTATE_HZ) -> None:
        self.silent = np.inf
        self._last = -np.inf
        self._max_step = max_step

    def update(self, heard: bool, now: float, age: float = 0.0) -> float:
        """Advances to `now`; returns the silence [s], infinite before the first sound.

        Args:
            heard: Whether a sound came since the last call.
            now: Time [s].
            age: How long ago it was made [s]; no more counts than the time since the last call.
        """
        step, self._last = min(now - self._last, self._max_step), now
        self.silent = max(0.0, min(age, step)) if heard else self.silent + step
        return self.silent
