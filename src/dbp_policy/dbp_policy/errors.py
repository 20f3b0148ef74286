"""What goes wrong in words a user can act on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import TextIO


class DbpError(RuntimeError):
    """A refusal or failure with a one-line reason: what was expected, what came."""


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line at once, if somebody takes it: a full disk or a closed terminal ends no process of the stack.

    In one write, so that the lines of several processes stay lines (torchrun starts its own without a buffer).

    Args:
        text: The line.
        file: Where to; None for stdout.
    """
    file = file or sys.stdout
    if file is None:  # a process that was started without
        return
    with contextlib.suppress(OSError):
        file.write(f"{text}\n")
        file.flush()


def run_main(main: Callable[[], int | None]) -> int:
    """Runs a program's body; a `DbpError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130, and output
    that nobody reads any more (`| head`) exit code 141, as a shell has them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # ./dbp leaves it so while a program imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main() or 0
    except DbpError as error:
        say(f"error: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    finally:
        _end_output()


def _end_output() -> None:
    """Writes what stdout still holds; what cannot be written is dropped, for the interpreter would end in its error."""
    if sys.stdout is None:  # it was closed before this process began
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
