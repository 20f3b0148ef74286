"""Datagrams between the guard, the policy node and operator tools on one host: Unix sockets, fixed binary records.

The guard owns `guard.sock` and takes targets and requests there; the policy node owns `policy.sock` and takes states;
the standby owns `standby.sock` and takes the guard's beats.
Times are CLOCK_MONOTONIC, which all processes of a host share.
"""

from __future__ import annotations

import struct
from enum import Enum
from pathlib import Path

import numpy as np

from dbp_policy.local_socket import LocalSocket
from dbp_policy.types import Beat, GuardStatus, JointTarget, Mode, OperatorRequest, Request, RobotState

_HEADER = struct.Struct("<4sB3x")
_STATE, _TARGET, _REQUEST, _STATUS, _BEAT = b"DBPs", b"DBPt", b"DBPr", b"DBPg", b"DBPb"
_VERSION = 5

_STATE_DTYPE = np.dtype(
    [
        ("tick_ms", "<i8"),
        ("stamp", "<f8"),
        *((name, "<f8", 12) for name in ("q_sdk", "dq_sdk", "tau_sdk", "temperature_sdk", "lost_sdk")),
        ("quat_wxyz", "<f8", 4),
        ("gyro_body", "<f8", 3),
        ("acc_body", "<f8", 3),
        ("foot_force", "<f8", 4),
        ("battery_soc", "<f8"),
        ("battery_v", "<f8"),
        ("remote", "V40"),
    ]
)
_TARGET_DTYPE = np.dtype(
    [
        ("sequence", "<i8"),
        ("stamp", "<f8"),
        ("state_tick_ms", "<i8"),
        *((name, "<f8", 12) for name in ("q_sdk", "kp_sdk", "kd_sdk")),
        ("estimator_diverged", "?"),
    ]
)
_NAMES_BYTES, _TEXT_BYTES = 1024, 256
"""Room for the names of all faults of the guard's table at once; a longer refusal is cut."""
_STATUS_STRUCT = struct.Struct(f"<B3?f2I{_NAMES_BYTES}s{_TEXT_BYTES}s")
_REQUEST_STRUCT = struct.Struct("<Bd")
_BEAT_STRUCT = struct.Struct("<I2?d")

GUARD_SOCKET, POLICY_SOCKET, STANDBY_SOCKET = "guard.sock", "policy.sock", "standby.sock"
Message = RobotState | JointTarget | OperatorRequest | GuardStatus | Beat


def encode(message: Message, status: GuardStatus | None = None) -> bytes:
    """Bytes of a message; a `RobotState` travels with the guard's status."""
    if isinstance(message, RobotState):
        head, body = _STATE, _pack_status(status or GuardStatus()) + _pack(message, _STATE_DTYPE)
    elif isinstance(message, JointTarget):
        head, body = _TARGET, _pack(message, _TARGET_DTYPE)
    elif isinstance(message, OperatorRequest):
        head, body = _REQUEST, _REQUEST_STRUCT.pack(message.request, message.stamp)
    elif isinstance(message, Beat):
        head, body = _BEAT, _BEAT_STRUCT.pack(message.process_id, message.in_control, message.leaving, message.stamp)
    else:
        head, body = _STATUS, _pack_status(message)
    return _HEADER.pack(head, _VERSION) + body


def decode(data: bytes) -> tuple[Message, GuardStatus | None] | None:
    """The message in a datagram, with the status that came with a state; None for anything malformed."""
    try:
        head, version = _HEADER.unpack_from(data)
        body = memoryview(data)[_HEADER.size :]
        if version != _VERSION:
            return None
        if head == _STATE:
            status, rest = _unpack_status(body[: _STATUS_STRUCT.size]), body[_STATUS_STRUCT.size :]
            return RobotState(**_unpack(rest, _STATE_FIELDS)), status
        if head == _TARGET:
            return JointTarget(**_unpack(body, _TARGET_FIELDS)), None
        if head == _REQUEST:
            request, stamp = _REQUEST_STRUCT.unpack(body)
            return OperatorRequest(Request(request), stamp), None
        if head == _BEAT:
            return Beat(*_BEAT_STRUCT.unpack(body)), None
        if head == _STATUS:
            return _unpack_status(body), None
    except (struct.error, ValueError):
        return None
    return None


def _pack(message, dtype: np.dtype) -> bytes:
    return np.array(tuple(getattr(message, name) for name in dtype.names), dtype=dtype).tobytes()


class _Fields:
    """Where the fields of a record of 8-byte numbers lie, raw bytes and flags after them: by kind, since looking up
    each in a record of numpy takes twice as long."""

    def __init__(self, dtype: np.dtype) -> None:
        self.size = dtype.itemsize
        self.arrays, self.floats, self.integers, self.raw, self.flags = [], [], [], [], []
        for name in dtype.names:
            kind, offset = dtype.fields[name]
            first, end = offset // 8, (offset + kind.itemsize) // 8
            if kind.shape:
                self.arrays.append((name, slice(first, end)))
            elif kind.kind == "V":
                self.raw.append((name, slice(offset, offset + kind.itemsize)))
            elif kind.kind == "b":
                self.flags.append((name, offset))
            else:
                (self.floats if kind.kind == "f" else self.integers).append((name, first))


_STATE_FIELDS, _TARGET_FIELDS = _Fields(_STATE_DTYPE), _Fields(_TARGET_DTYPE)


def _unpack(body: memoryview, fields: _Fields) -> dict:
    if len(body) != fields.size:
        raise ValueError(f"expected {fields.size} bytes, got {len(body)}")
    numbers = np.frombuffer(body, "<f8", fields.size // 8)
    integers = numbers.view("<i8")
    values = {name: numbers[part] for name, part in fields.arrays}
    values |= {name: numbers.item(i) for name, i in fields.floats}
    values |= {name: integers.item(i) for name, i in fields.integers}
    values |= {name: bytes(body[part]) for name, part in fields.raw}
    values |= {name: body[i] != 0 for name, i in fields.flags}
    return values


def _pack_status(s: GuardStatus) -> bytes:
    texts = (",".join(s.faults).encode(), s.refusal.encode())  # cut by the struct
    flags, counts = (s.in_control, s.latched, s.dry_run), (s.requests_seen, s.overruns)
    return _STATUS_STRUCT.pack(s.mode, *flags, s.speed_scale, *counts, *texts)


def _unpack_status(body) -> GuardStatus:
    mode, in_control, latched, dry_run, speed_scale, seen, overruns, faults, refusal = _STATUS_STRUCT.unpack(body)
    names = faults.partition(b"\0")[0].decode(errors="replace")
    return GuardStatus(
        mode=Mode(mode),
        in_control=in_control,
        latched=latched,
        speed_scale=speed_scale,
        faults=tuple(names.split(",")) if names else (),
        refusal=refusal.partition(b"\0")[0].decode(errors="replace"),
        requests_seen=seen,
        overruns=overruns,
        dry_run=dry_run,
    )


class Delivery(Enum):
    """What became of a datagram; true if it was taken."""

    TAKEN = "taken"
    FULL = "full"
    """The other end lives but does not keep up."""
    REFUSED = "refused"
    """Nobody is there."""

    def __bool__(self) -> bool:
        return self is Delivery.TAKEN


class Link:
    """One end of the local link.

    Args:
        folder: Where the stack's sockets lie (`paths.runtime_dir`).
        name: Name of this end's socket file, or None for an anonymous end that can ask and be answered.
        patience: See `LocalSocket`.

    Raises:
        DbpError: The name has an owner.
    """

    def __init__(self, folder: Path, name: str | None = None, patience: int | None = None) -> None:
        self._socket = LocalSocket(folder, name, patience)

    def send(self, data: bytes, to: str | bytes) -> Delivery:
        """Sends to the end `to` (a socket name in the folder, or a sender's address)."""
        try:
            self._socket.send(data, to)
            return Delivery.TAKEN
        except BlockingIOError:
            return Delivery.FULL
        except OSError:
            return Delivery.REFUSED

    def receive(self) -> list[tuple[Message, GuardStatus | None, bytes | str | None]]:
        """The messages waiting, oldest first, with their senders' addresses if any; malformed datagrams are dropped."""
        decoded = ((decode(data), sender) for data, sender in self._socket.receive())
        return [(*message, sender) for message, sender in decoded if message is not None]

    def wait(self, timeout: float, *others: int) -> bool:
        """Sleeps until a message waits, one of some other files is readable, or `timeout` seconds have passed; True if
        anything came."""
        return self._socket.wait(timeout, *others)

    def close(self) -> None:
        """Gives the name up."""
        self._socket.close()
