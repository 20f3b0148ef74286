"""Files that are there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbp_policy.errors import DbpError


def check_folder_of(path: Path, option: str) -> None:
    """Raises `DbpError` if the folder that `path` is to be written to does not exist; before work, not after it."""
    if not path.absolute().parent.is_dir():
        raise DbpError(f"{option}: expected a file in an existing folder, got {path}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; it takes the name `path` when the block ends without error."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file; NaN and infinity are refused, for they are not JSON.

    Raises:
        ValueError: There is a NaN or an infinity in it.
    """
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
