"""The wish that a process ends, made by a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable

from dbp_policy import clock

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that ask a process to end: Ctrl-C, `kill`, a terminal or connection that has gone, and Ctrl-\\. Unhandled,
each ends it on the spot, without a last damping."""


def on_ending(handler: Callable) -> None:
    """Has `handler` called for each signal of `ENDING`; one started with nohup stays deaf to the terminal's end."""
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


class StopRequest:
    """Whether somebody asked to stop; safe to ask from a signal handler, whatever it interrupts.

    A `threading.Event` is not: a handler runs in the main thread, between any two steps of whatever that does. Where
    this is the event's `wait`, or another handler's `set`, the event's lock is held for a moment, and a handler that
    comes then waits for it for ever.
    """

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_) -> None:
        """Asks; takes what a signal handler is given."""
        self.asked = True

    def on_signals(self) -> StopRequest:
        """Asks on every signal of `ENDING`; itself."""
        on_ending(self.ask)
        return self

    def wait(self, seconds: float) -> bool:
        """Sleeps for a moment that may well pass before a stop, unless asked already; whether asked."""
        if not self.asked:
            clock.sleep(seconds)
        return self.asked
