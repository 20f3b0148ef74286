"""Command lines: a dataclass with a docstring per field is the parser, the help and the result."""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
from typing import TypeVar

import tyro

from dbp_policy.errors import DbpError

Arguments = TypeVar("Arguments")


def parse(kind: type[Arguments], program: str, argv: list[str] | None = None) -> Arguments:
    """Reads the command line into a dataclass; `--help` prints its docstrings and ends the program.

    Args:
        kind: The dataclass.
        program: What the user typed to come here, such as "dbp sim".
        argv: Instead of this process's own arguments.

    Raises:
        DbpError: The command line does not fit, in one line; tyro itself draws a box of several.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, prog=program, description=inspect.cleandoc(kind.__doc__ or ""), args=argv)
    except SystemExit as end:
        if not end.code:
            raise
        raise DbpError(f"{_one_line(said.getvalue())} ({program} --help tells more)") from None


def _one_line(box: str) -> str:
    """The message in a box: without its frame, its title, and the hint at the help that ends it."""
    rows = [row.strip(" │╭╮╰╯─") for row in box.splitlines()]
    body = itertools.takewhile(lambda row: "helptext" not in row, [row for row in rows if row.strip("-")][1:])
    return " ".join(" ".join(body).split())
