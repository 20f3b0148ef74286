"""Named Unix datagram sockets of one stack, each with one owner at a time."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from pathlib import Path

from dbp_policy import clock
from dbp_policy.errors import DbpError

MAX_DATAGRAMS = 64
"""Taken at most in one call, so that nobody can hold up a loop by talking without end."""
MAX_SIZE = 8192
"""Of a datagram [bytes]."""


class LocalSocket:
    """A non-blocking datagram socket.

    Args:
        folder: Folder of the stack's sockets.
        name: Name of the socket's file, or None for an anonymous end that can send and be answered.
        patience: Of its datagrams that wait to be taken by the other end [bytes]; None for the system's choice, some
            hundred datagrams.

    Raises:
        DbpError: The name has an owner, or the folder does not serve.
    """

    def __init__(self, folder: Path, name: str | None = None, patience: int | None = None) -> None:
        self._folder = folder
        self._path = folder / name if name else None
        self._lock: int | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if patience is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, patience)
        try:
            if self._path is None:
                self._socket.bind("")
            else:
                self._own(self._path)
        except OSError as error:
            self._socket.close()
            raise DbpError(f"expected a folder for local sockets at {folder}, got: {error}") from None

    def _own(self, path: Path) -> None:
        """Binds the name. The lock goes with the process, however that ends; a file without one is left over."""
        self._lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._socket.close()
            raise DbpError(f"another stack runs here: {path} has an owner (DBP_RUNTIME_DIR separates stacks)") from None
        path.unlink(missing_ok=True)
        self._socket.bind(os.fspath(path))

    def send(self, data: bytes, to: str | bytes) -> None:
        """Sends to a name in the folder, or to a sender's address.

        Raises:
            BlockingIOError: The other end does not keep up.
            OSError: Nobody is there.
        """
        self._socket.sendto(data, to if isinstance(to, bytes) else os.fspath(self._folder / to))

    def receive(self) -> list[tuple[bytes, bytes | str | None]]:
        """The datagrams waiting, oldest first, at most `MAX_DATAGRAMS`, each with its sender's address if any."""
        datagrams: list[tuple[bytes, bytes | str | None]] = []
        while len(datagrams) < MAX_DATAGRAMS:
            try:
                datagrams.append(self._socket.recvfrom(MAX_SIZE))
            except BlockingIOError:
                break
        return datagrams

    def wait(self, timeout: float, *others: int) -> bool:
        """Sleeps until a datagram waits, one of some other files is readable, or `timeout` seconds of the stack's clock
        have passed; True if anything came."""
        readable, _, _ = select.select([self._socket, *others], [], [], clock.real(timeout))
        return bool(readable)

    def close(self) -> None:
        """Gives the name up."""
        self._socket.close()
        if self._lock is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
