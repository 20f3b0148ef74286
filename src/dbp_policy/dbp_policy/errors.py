"""What goes wrong in words a user can act on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TextIO


class DbpError(RuntimeError):
    """A refusal or failure with a one-line reason: what was expected, what came."""


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line at once, if somebody takes it: a full disk or a closed terminal ends no process of the stack.

    Args:
        text: The line.
        file: Where to; None for stdout.
    """
    with contextlib.suppress(OSError):
        print(text, file=file, flush=True)


def run_main(main: Callable[[], int | None]) -> int:
    """Runs a program's body; a `DbpError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        return main() or 0
    except DbpError as error:
        say(f"error: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
