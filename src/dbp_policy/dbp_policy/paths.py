"""Where the robot model and the shipped policies lie: the install space's share folder, or the source tree."""

from __future__ import annotations

import os
from pathlib import Path

from dbp_policy.errors import DbpError


def models_dir() -> Path:
    """Folder with go2.xml and the shipped policies.

    Raises:
        DbpError: Neither an install space nor a source tree has one.
    """
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    here = Path(__file__).resolve()
    candidates = [prefix / "share/dbp_policy/models" for prefix in prefixes]
    candidates += [parent / "share/dbp_policy/models" for parent in here.parents]
    candidates += [parent / "models" for parent in here.parents]
    for folder in candidates:
        if (folder / "go2.xml").is_file():
            return folder
    raise DbpError("go2.xml not found: expected share/dbp_policy/models in the install space (run colcon build)")


def runtime_dir() -> Path:
    """Folder for the local sockets of one stack, `$DBP_RUNTIME_DIR` or one per user; created for this user alone."""
    default = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/dbp-{os.getuid()}") / "dbp"
    folder = Path(os.environ.get("DBP_RUNTIME_DIR") or default)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DbpError(f"expected a folder for local sockets at {folder}, got: {error}") from None
    if folder.stat().st_uid != os.getuid():
        raise DbpError(f"{folder} belongs to another user; set DBP_RUNTIME_DIR to a folder of your own")
    return folder
