"""What goes wrong in words a user can act on."""

from __future__ import annotations

import sys
from collections.abc import Callable


class DbpError(RuntimeError):
    """A refusal or failure with a one-line reason: what was expected, what came."""


def run_main(main: Callable[[], int | None]) -> int:
    """Runs a program's body; a `DbpError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        return main() or 0
    except DbpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
