"""What a person at the terminal sees of a training, and how they stop it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_LINE_S = 10.0
"""Time between progress lines where the output is no terminal [s]."""


class ProgressLine:
    """One line on a terminal that is rewritten, a new line now and then elsewhere.

    Args:
        summary: What the task has to say of a window's figures.
    """

    def __init__(self, summary: Callable[[dict[str, float]], str]) -> None:
        self._summary = summary
        self._live = sys.stdout.isatty()
        self._shown = 0.0
        self._steps: tuple[float, int] | None = None

    def note(self, text: str) -> None:
        print(text, flush=True)

    def show(self, progress: float, elapsed: float, steps: int, figures: dict[str, float]) -> None:
        """Shows where the run is, at a readable rate."""
        if time.monotonic() - self._shown < (0.2 if self._live else _LINE_S):
            return
        self._shown = time.monotonic()
        since, base = self._steps or (elapsed, steps)
        self._steps = self._steps or (elapsed, steps)
        rate = (steps - base) / (elapsed - since) if elapsed > since else 0.0
        left = elapsed / progress - elapsed if progress > 0 else float("nan")
        text = (
            f"{elapsed / 60:5.1f} min, {left / 60:4.1f} left | {steps / 1000:6.0f}k steps {rate:5.0f}/s"
            f" | reward {figures['reward']:6.3f} | {self._summary(figures)}"
        )
        print(f"\r{text}\x1b[K" if self._live else text, end="" if self._live else "\n", flush=True)

    def end(self) -> None:
        if self._live and self._shown:
            print()


class Stop:
    """Turns the first Ctrl-C (or SIGTERM) into a wish that the loop grants between windows; a second one kills."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: Any) -> None:
        self.asked = True
        signal.signal(number, signal.SIG_DFL)
