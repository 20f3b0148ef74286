"""Single keys from this process's terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator

from dbp_policy.errors import DbpError


class Keyboard:
    """This terminal without line buffering; use as a context.

    Raises:
        DbpError: There is no terminal, or it has gone.
    """

    def __enter__(self) -> Keyboard:
        if not sys.stdin.isatty():
            raise DbpError("expected a terminal for the keys, got a pipe")
        self.file = sys.stdin.fileno()
        """To wait for with select."""
        self._saved = termios.tcgetattr(self.file)
        tty.setcbreak(self.file)
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(termios.error):  # a terminal that has gone
            termios.tcsetattr(self.file, termios.TCSADRAIN, self._saved)

    def keys(self) -> Iterator[str]:
        """The keys pressed since the last call."""
        while select.select([self.file], [], [], 0.0)[0]:
            try:
                key = os.read(self.file, 1).decode(errors="replace")
            except OSError:
                key = ""
            if not key:
                raise DbpError("the terminal has gone")
            yield key
