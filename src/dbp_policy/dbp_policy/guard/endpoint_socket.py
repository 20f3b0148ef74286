"""The guard's UDP socket for remote e-stop endpoints."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from dbp_policy.errors import DbpError
from dbp_policy.estop_key import read_key
from dbp_policy.estop_records import PORT, check_name
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch
from dbp_policy.local_socket import MAX_DATAGRAMS
from dbp_policy.types import GuardStatus

_MAX_SIZE = 128
"""Read of a datagram [bytes]; a longer one is none of ours and is dropped for its length."""


class EndpointSocket:
    """A non-blocking UDP socket.

    Args:
        port: 0 takes any free one.
        address: Of the interface to listen on; all by default.

    Raises:
        DbpError: The address or port cannot be had.
    """

    def __init__(self, port: int = PORT, address: str = "0.0.0.0") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((address, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise DbpError(f"cannot listen for e-stop endpoints on {address}:{port}: {error}") from None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._socket.getsockname()[1]

    def poll(self, watch: EndpointWatch, now: float) -> None:
        """Hands what has come to the watch, at most `MAX_DATAGRAMS`, and sends its answers; who cannot be reached will
        be missed soon enough."""
        for _ in range(MAX_DATAGRAMS):
            try:
                datagram, sender = self._socket.recvfrom(_MAX_SIZE)
            except OSError:  # nothing waits
                return
            answer = watch.receive(datagram, now)
            if answer is not None:
                with contextlib.suppress(OSError):
                    self._socket.sendto(answer, sender)

    def close(self) -> None:
        """Gives the port up."""
        self._socket.close()


class RemoteStops:
    """The endpoints that a guard listens to: watch and socket, or neither if none has to answer.

    Args:
        names: Of the endpoints that have to answer, separated by commas; may be empty.
        key: File of the key shared with them.
        port: UDP port; 0 takes any free one.

    Raises:
        DbpError: A name does not serve, names and key do not come together, the key or the port cannot be had.
    """

    def __init__(self, names: str, key: Path | None, port: int = PORT) -> None:
        self.socket: EndpointSocket | None = None
        if not names and key is None:
            return
        if not names or key is None:
            raise DbpError("expected e-stop endpoints and their key together, got one without the other")
        listed = [check_name(name.strip()) for name in names.split(",")]
        if len(set(listed)) < len(listed):
            raise DbpError(f"expected each e-stop endpoint once, got {names}")
        self._watch = EndpointWatch(listed, read_key(key))
        self.socket = EndpointSocket(port)

    def report(self, now: float) -> EndpointReport:
        """Takes what has come; what the endpoints say. To be called once per step of the guard."""
        if self.socket is None:
            return EndpointReport()
        self.socket.poll(self._watch, now)
        return self._watch.report(now)

    def tell(self, status: GuardStatus) -> None:
        """What the endpoints are told of the guard from now on."""
        if self.socket is not None:
            self._watch.tell(status)

    def close(self) -> None:
        """Gives the port up."""
        if self.socket is not None:
            self.socket.close()
