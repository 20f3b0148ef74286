"""The file with the key that a guard and its remote e-stop endpoints share."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dbp_policy.errors import DbpError
from dbp_policy.estop_records import KEY_BYTES
from dbp_policy.files import check_folder_of, written_whole

_LONGEST = 4096


def make_key(path: Path) -> None:
    """Writes a new key that only its owner can read.

    Raises:
        DbpError: The file is there already (its endpoints would be locked out), or cannot be written.
    """
    check_folder_of(path, "--make-key")
    try:
        if path.exists():
            raise DbpError(f"--make-key: expected a new file, {path} is there already")
        with written_whole(path) as temporary:
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
    except OSError as error:
        raise DbpError(f"--make-key: cannot write {path}: {error.strerror}") from None


def read_key(path: Path) -> bytes:
    """The key in a file.

    Raises:
        DbpError: It cannot be read, or is too short.
    """
    try:
        with path.open("rb") as file:
            key = file.read(_LONGEST)
    except OSError as error:
        raise DbpError(f"cannot read the e-stop key {path}: {error.strerror}") from None
    if len(key) < KEY_BYTES:
        raise DbpError(f"expected an e-stop key of at least {KEY_BYTES} bytes, got {len(key)} in {path}")
    return key
