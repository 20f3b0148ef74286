"""A function in a process of its own, which listens, keeps time or disturbs; it never outlives its caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from dbp_bringup.supervisor import end_with_parent
from dbp_policy.errors import DbpError

ANSWER_TIMEOUT = 60.0
"""What it may take to start, or to hand over a long record on a loaded machine [s]."""


class Child:
    """Runs a function of a module in a process of its own, with a pipe to ask it through; use as a context.

    Args:
        work: Called with the child's end of the pipe and `arguments`; sends anything once it is ready.
        arguments: Of `work`.
    """

    def __init__(self, work: Callable, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = work.__name__
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(work, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.answer()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_) -> None:
        self.kill()

    def tell(self, message: Any) -> None:
        """Sends a message."""
        self._pipe.send(message)

    def answer(self) -> Any:
        """The child's next message.

        Raises:
            DbpError: It has ended, or does not answer.
        """
        try:
            if self._pipe.poll(ANSWER_TIMEOUT):
                return self._pipe.recv()
        except (EOFError, OSError):
            raise DbpError(f"{self._name}: ended before its time") from None
        raise DbpError(f"{self._name}: expected an answer within {ANSWER_TIMEOUT:g} s, got none")

    def ask(self, message: Any) -> Any:
        """Sends a message; the answer to it."""
        self.tell(message)
        return self.answer()

    def signal(self, number: int) -> None:
        """Stops it, lets it go on, or kills it."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _run(work: Callable, pipe: Connection, *arguments: Any) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    work(pipe, *arguments)
