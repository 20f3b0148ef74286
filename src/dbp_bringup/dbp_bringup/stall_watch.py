"""Tells a machine that stood still from a program that was slow."""

from __future__ import annotations

import threading

from dbp_policy import clock
from dbp_policy.clock import now


class StallWatch:
    """Notices that the whole machine stood still: how late a waiting thread of this process woke up, at worst, on the
    stack's clock, by which its limits are.

    Use as a context: its thread ends with it.

    Args:
        period: Of its looks [s].
    """

    def __init__(self, period: float = 0.01) -> None:
        self.worst = 0.0
        """[s]"""
        self._period = period
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        before = now()
        while not self._ending.wait(clock.real(self._period)):
            self.worst = max(self.worst, now() - before - self._period)
            before = now()
