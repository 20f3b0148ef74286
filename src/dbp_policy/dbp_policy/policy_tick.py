"""The record of one policy tick, for recordings: what the policy was given and what it made of it. Pure.

With the lowstates of the wire it says all that a replay needs. Its bytes are CDR of the message `DEFINITION`, so that
any reader of ROS 2 bags can plot it; the policy node sends them as a datagram, and does not care who takes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dbp_policy.errors import DbpError
from dbp_policy.local_link import Delivery
from dbp_policy.types import Mode

RECORDER_SOCKET = "recorder.sock"
"""Where a recorder takes these records, in the folder of the stack's sockets."""
TOPIC = "/policy/tick"
MESSAGE_TYPE = "dbp_policy/msg/PolicyTick"
DEFINITION = """\
# One tick of the policy; joints in SDK order.
float64 stamp                # monotonic [s]
float64[3] command           # velocity command vx vy wz in body axes, as the policy got it
float64[3] velocity_body     # estimate [m/s]
float64[3] position_odom     # estimate [m]
float64[12] target_q_sdk     # joint targets [rad]; NaN when the policy had no answer
uint32 number                # counts the policy's ticks since it was started
uint8 mode                   # the guard's mode
bool begins_episode          # the policy was reset since its last tick
uint8[32] policy             # SHA-256 of the policy's file
uint32[] lowstates           # ticks of the lowstates since the last policy tick; it answers the last of them [ms]
float32[] observation        # as the network got it
"""

_FIXED = np.dtype(  # naturally aligned, so C's layout is CDR's
    [
        ("stamp", "<f8"),
        ("command", "<f8", 3),
        ("velocity_body", "<f8", 3),
        ("position_odom", "<f8", 3),
        ("target_q_sdk", "<f8", 12),
        ("number", "<u4"),
        ("mode", "u1"),
        ("begins_episode", "?"),
        ("policy", "u1", 32),
        ("padding", "u1", 2),  # the sequence's length that follows is aligned to 4
    ]
)
_HEADER = b"\x00\x01\x00\x00"  # CDR, little-endian


@dataclass(frozen=True)
class PolicyTick:
    """One tick of the policy; fields as in `DEFINITION`."""

    stamp: float
    command: np.ndarray
    velocity_body: np.ndarray
    position_odom: np.ndarray
    target_q_sdk: np.ndarray
    number: int
    mode: Mode
    begins_episode: bool
    policy: bytes
    lowstates: tuple[int, ...]
    observation: np.ndarray

    def to_cdr(self) -> bytes:
        """The record as a CDR payload."""
        fixed = np.zeros((), _FIXED)
        for name in ("stamp", "command", "velocity_body", "position_odom", "target_q_sdk", "number"):
            fixed[name] = getattr(self, name)
        fixed["mode"], fixed["begins_episode"] = self.mode, self.begins_episode
        fixed["policy"] = np.frombuffer(self.policy, np.uint8)
        lowstates = np.array(self.lowstates, "<u4")
        observation = np.asarray(self.observation, "<f4")
        sequences = (np.uint32(len(values)).tobytes() + values.tobytes() for values in (lowstates, observation))
        return _HEADER + fixed.tobytes() + b"".join(sequences)

    @classmethod
    def from_cdr(cls, data: bytes) -> PolicyTick:
        """Reads a payload.

        Raises:
            DbpError: The bytes are no such record.
        """
        body = data[len(_HEADER) :]
        try:
            fixed = np.frombuffer(body, _FIXED, count=1)[0]
            lowstates, end = _sequence(body, _FIXED.itemsize, "<u4")
            observation, end = _sequence(body, end, "<f4")
            if data[: len(_HEADER)] != _HEADER or end != len(body):
                raise ValueError("wrong length or encoding")
            return cls(
                **{n: fixed[n] for n in ("command", "velocity_body", "position_odom", "target_q_sdk")},
                stamp=float(fixed["stamp"]),
                number=int(fixed["number"]),
                mode=Mode(int(fixed["mode"])),
                begins_episode=bool(fixed["begins_episode"]),
                policy=fixed["policy"].tobytes(),
                lowstates=tuple(lowstates.tolist()),
                observation=observation,
            )
        except ValueError as error:
            raise DbpError(f"{TOPIC}: expected a record of {MESSAGE_TYPE}, got {len(data)} bytes ({error})") from None


class TickSender:
    """Sends the policy's records; those that a recorder cannot take at once wait here for the next tick, ten seconds of
    them. A local socket holds ten datagrams or so, and a recorder has no real-time priority.

    Args:
        send: Sends a datagram to the recorder.
    """

    LIMIT = 500
    """Records that wait; the oldest give way."""

    def __init__(self, send: Callable[[bytes], Delivery]) -> None:
        self._send = send
        self._waiting: deque[bytes] = deque(maxlen=self.LIMIT)

    def __call__(self, tick: PolicyTick) -> None:
        """Sends a record, after those that wait; with nobody there all are forgotten."""
        self._waiting.append(tick.to_cdr())
        while self._waiting:
            sent = self._send(self._waiting[0])
            if sent is Delivery.REFUSED:
                self._waiting.clear()
            elif sent is Delivery.FULL:
                return
            else:
                self._waiting.popleft()


def _sequence(body: bytes, start: int, kind: str) -> tuple[np.ndarray, int]:
    """A CDR sequence of 4-byte numbers that begins at `start`, and where it ends."""
    count = int(np.frombuffer(body, "<u4", 1, start)[0])
    return np.frombuffer(body, kind, count, start + 4), start + 4 + 4 * count
