"""Asks the guard for something and waits for its answer: what the ROS services and `./dbp estop` share."""

from __future__ import annotations

from pathlib import Path

from dbp_policy import local_link
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import GuardStatus, OperatorRequest, Request


def ask_guard(folder: Path, request: Request, timeout: float = 0.5, made: float | None = None) -> GuardStatus:
    """Sends a fresh request to the guard.

    Args:
        folder: Folder of the stack's sockets.
        request: What to ask for.
        timeout: How long to wait for the answer [s].
        made: When it was asked for, monotonic [s]; None for now. What is too old is refused, and answered as well.

    Returns:
        The guard's status after it answered; `refusal` is empty if the request was granted.

    Raises:
        DbpError: No guard answers.
    """
    link = local_link.Link(folder)
    try:
        asked = OperatorRequest(request, now() if made is None else made)
        if not link.send(local_link.encode(asked), local_link.GUARD_SOCKET):
            raise DbpError(f"expected a running guard at {folder / local_link.GUARD_SOCKET}, got no answer")
        if link.wait(timeout):
            for message, _, _ in link.receive():
                if isinstance(message, GuardStatus):
                    return message
        raise DbpError(f"expected the guard's answer within {timeout} s, got none")
    finally:
        link.close()
