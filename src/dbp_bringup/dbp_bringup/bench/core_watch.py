"""Adapter: tells a machine that stood still from a stack that was slow: bare timers that go before all of the stack."""

from __future__ import annotations

import contextlib
import os
from collections import deque

from dbp_bringup.bench.verdict import STALL
from dbp_bringup.child import Child
from dbp_bringup.time_keeper import keep_time, stall
from dbp_policy.clock import now

_PRIORITY = 90
"""Above the simulated robot's, the highest of the stack."""
_KEPT = 1.0
"""[s]"""


class CoreWatch:
    """A timer on each core that this process may use; use as a context.

    On a virtual machine the host may run something else on one core while the others go on: what runs there goes silent
    for those elsewhere. A core where Linux holds up real-time programs, because they took more than 95 % of it in a
    second (kernel.sched_rt_runtime_us), looks the same. Where real-time priority is not permitted the timers wait for
    other programs too.
    """

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._timers: dict[int, Child] = {}
        self._ticks: deque[tuple[float, float]] = deque()

    def __enter__(self) -> CoreWatch:
        with contextlib.ExitStack() as undo:
            for core in sorted(os.sched_getaffinity(0)):
                self._timers[core] = undo.enter_context(Child(keep_time, _PRIORITY, core))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._undo.close()

    def look(self) -> list[tuple[int, float]]:
        """Core and length [s] of each stall of `verdict.STALL` and more since the last look; to be called often."""
        stalls = []
        for timer in self._timers.values():
            timer.tell("give")
        for core, timer in self._timers.items():
            ticks = timer.answer()
            self._ticks += ticks
            stalls += [(core, came - due) for due, came in ticks if came - due >= STALL]
        self._ticks = deque(tick for tick in self._ticks if tick[1] > now() - _KEPT)
        return stalls

    def worst(self, seconds: float) -> float:
        """How long a core stood still in the last `seconds`, 1 at most [s]."""
        return stall(self._ticks, now() - seconds, now())
