"""Datagrams between the guard and its remote e-stop endpoints: fixed binary records, each with a MAC of the shared key.

An endpoint checks in; the guard answers with a challenge; the endpoint's next check-in answers that. Who does not hold
the key can neither write such a datagram nor change one, and a recorded check-in answers a challenge that is spent.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

from dbp_policy.errors import DbpError

PORT = 47100
"""UDP port of the guard, unless another is chosen; none that IANA has given away."""
NAME_BYTES = 16
CHALLENGE_BYTES = 8
KEY_BYTES = 32
"""The shortest key that is taken."""
_MAC_BYTES = 16
_CHECK_IN, _ANSWER = b"DBPe\x01", b"DBPa\x01"
"""Magic and version. They differ, so that no datagram can be sent back to where it came from."""
_CHECK_IN_STRUCT = struct.Struct(f"<5sB2x{NAME_BYTES}s{CHALLENGE_BYTES}sd")
_ANSWER_STRUCT = struct.Struct(f"<5sB?x{NAME_BYTES}s{CHALLENGE_BYTES}sd")


class Wish(IntEnum):
    """What an endpoint asks for."""

    STOP = 0
    RUN = 1


@dataclass(frozen=True)
class CheckIn:
    """Endpoint to guard."""

    name: str
    wish: Wish
    challenge: bytes
    """The newest that the guard has sent, 8 bytes; zeros before the first."""
    sent: float
    """On the endpoint's own clock [s]; the guard sends it back."""


@dataclass(frozen=True)
class Answer:
    """Guard to endpoint."""

    name: str
    """Of the endpoint it is meant for."""
    challenge: bytes
    """Drawn for this answer, 8 bytes; good for one check-in."""
    sent: float
    """Of the check-in that it answers."""
    mode: int
    """The guard's mode (`types.Mode`)."""
    latched: bool
    """A stop or a fault holds until it is reset."""


def check_name(name: str) -> str:
    """The name, if it fits into a record.

    Raises:
        DbpError: It is empty, too long, or not to be printed.
    """
    if not (name.isprintable() and 1 <= len(name.encode()) <= NAME_BYTES):
        raise DbpError(f"expected an e-stop endpoint's name of 1 to {NAME_BYTES} bytes, got {name!r}")
    return name


def encode_check_in(c: CheckIn, key: bytes) -> bytes:
    """Bytes of a check-in."""
    return _sealed(_CHECK_IN_STRUCT.pack(_CHECK_IN, c.wish, c.name.encode(), c.challenge, c.sent), key)


def decode_check_in(datagram: bytes, key: bytes) -> CheckIn | None:
    """The check-in in a datagram; None for anything malformed, or not made with this key."""
    fields = _opened(datagram, key, _CHECK_IN, _CHECK_IN_STRUCT)
    if fields is None:
        return None
    wish, name, challenge, sent = fields
    try:
        return CheckIn(_text(name), Wish(wish), challenge, sent)
    except ValueError:
        return None


def encode_answer(a: Answer, key: bytes) -> bytes:
    """Bytes of an answer."""
    return _sealed(_ANSWER_STRUCT.pack(_ANSWER, a.mode, a.latched, a.name.encode(), a.challenge, a.sent), key)


def decode_answer(datagram: bytes, key: bytes) -> Answer | None:
    """The answer in a datagram; None for anything malformed, or not made with this key."""
    fields = _opened(datagram, key, _ANSWER, _ANSWER_STRUCT)
    if fields is None:
        return None
    mode, latched, name, challenge, sent = fields
    try:
        return Answer(_text(name), challenge, sent, mode, latched)
    except ValueError:
        return None


def _sealed(body: bytes, key: bytes) -> bytes:
    return body + _mac(body, key)


def _opened(datagram: bytes, key: bytes, head: bytes, kind: struct.Struct) -> tuple | None:
    """The fields after the head. What is no record of ours is dropped before anything is computed over it."""
    if len(datagram) != kind.size + _MAC_BYTES or not datagram.startswith(head):
        return None
    body, mac = datagram[: kind.size], datagram[kind.size :]
    return kind.unpack(body)[1:] if hmac.compare_digest(mac, _mac(body, key)) else None


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC_BYTES]


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode()
