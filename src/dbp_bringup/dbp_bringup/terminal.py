"""Where tables are printed."""

from __future__ import annotations

import sys

from rich.console import Console


def console() -> Console:
    """The terminal; a file has no width of its own, and gets one that the widest table fits into."""
    return Console() if sys.stdout.isatty() else Console(width=160)
