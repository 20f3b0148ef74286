"""Where time goes: a tree of named spans, put around methods from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Span:
    """Time spent under one name."""

    seconds: float = 0.0
    calls: int = 0
    parts: dict[str, Span] = field(default_factory=dict)
    """What ran inside, by name."""

    @property
    def own(self) -> float:
        """Time outside of any part [s]."""
        return self.seconds - sum(part.seconds for part in self.parts.values())

    def rows(self, depth: int = 0) -> Iterator[tuple[int, str, float, int]]:
        """Depth, name, seconds and calls of every part below, largest first; what no part took is called `other`."""
        for name, part in sorted(self.parts.items(), key=lambda item: -item[1].seconds):
            yield depth, name, part.seconds, part.calls
            yield from part.rows(depth + 1)
        if self.parts and depth:
            yield depth, "other", self.own, self.calls

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        parts = {name: part.as_dict() for name, part in self.parts.items()}
        return {"seconds": self.seconds, "calls": self.calls} | ({"parts": parts, "other_s": self.own} if parts else {})


class Stopwatch:
    """Spans that nest as the calls do.

    Args:
        now: A clock [s].
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.total = Span()
        self._now = now
        self._open = [self.total]

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Counts the time of a block under `name`, within the span that is open."""
        span = self._open[-1].parts.setdefault(name, Span())
        self._open.append(span)
        started = self._now()
        try:
            yield
        finally:
            span.seconds += self._now() - started
            span.calls += 1
            self._open.pop()

    def watch(self, owner: Any, **methods: str) -> None:
        """Counts every call of methods of one object: method=name."""
        for method, name in methods.items():
            setattr(owner, method, self._timed(getattr(owner, method), name))

    def _timed(self, function: Callable, name: str) -> Callable:
        def timed(*args, **kwargs):
            with self.span(name):
                return function(*args, **kwargs)

        return timed
