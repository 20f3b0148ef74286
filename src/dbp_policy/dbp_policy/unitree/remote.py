"""The Go2's hand-held remote: the 40 bytes `wireless_remote` of a lowstate.

Byte 2 and 3 are buttons, then come five little-endian float32 at 4, 8, 12, 16 and 20: lx, rx, ry, l2, ly
(unitree_sdk2_python, example/wireless_controller). A remote that is switched off leaves all bytes zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIZE = 40
_LAYOUT = struct.Struct("<2sBB5f16x")
_HEAD = b"\x55\x51"
"""Ours for a simulated remote; anything but zero says that one is there. Not checked when decoding."""

_BUTTONS = (
    ("r1", "l1", "start", "select", "r2", "l2_button", "f1", "f2"),
    ("a", "b", "x", "y", "up", "right", "down", "left"),
)
"""Names of the bits 0..7 of byte 2 and of byte 3."""

BUTTON_NAMES = _BUTTONS[0] + _BUTTONS[1]


@dataclass(frozen=True)
class Remote:
    """What the remote's hand does."""

    present: bool = False
    """A remote is switched on and heard."""
    buttons: frozenset[str] = frozenset()
    """Names out of `BUTTON_NAMES` that are held down."""
    lx: float = 0.0
    """Left stick to the right, -1..1. Walking to the left is -lx."""
    ly: float = 0.0
    """Left stick forward, -1..1."""
    rx: float = 0.0
    """Right stick to the right, -1..1. Turning to the left is -rx."""
    ry: float = 0.0
    """Right stick forward, -1..1."""
    l2: float = 0.0
    """Left trigger, as the remote gives it."""

    @property
    def estop_pressed(self) -> bool:
        """L2 and B together."""
        return {"l2_button", "b"} <= self.buttons


ABSENT = Remote()


def decode_remote(data: bytes) -> Remote:
    """Reads the 40 bytes. A stick that is not a number reads 0; one beyond its range reads as at its end.

    Raises:
        ValueError: Not 40 bytes.
    """
    if len(data) != SIZE:
        raise ValueError(f"expected {SIZE} bytes of the remote, got {len(data)}")
    if not any(data):
        return ABSENT
    _, *pressed, lx, rx, ry, l2, ly = _LAYOUT.unpack(data)
    buttons = frozenset(
        name for byte, names in zip(pressed, _BUTTONS, strict=True) for bit, name in enumerate(names) if byte >> bit & 1
    )
    return Remote(True, buttons, _stick(lx), _stick(ly), _stick(rx), _stick(ry), _stick(l2))


def encode_remote(remote: Remote) -> bytes:
    """The 40 bytes of a remote, for a simulated robot.

    Raises:
        ValueError: A button has no such name.
    """
    unknown = remote.buttons - set(BUTTON_NAMES)
    if unknown:
        raise ValueError(f"expected buttons out of {', '.join(BUTTON_NAMES)}, got {', '.join(sorted(unknown))}")
    if not remote.present:
        return bytes(SIZE)
    pressed = (sum(1 << bit for bit, name in enumerate(names) if name in remote.buttons) for names in _BUTTONS)
    return _LAYOUT.pack(_HEAD, *pressed, remote.lx, remote.rx, remote.ry, remote.l2, remote.ly)


def _stick(value: float) -> float:
    return max(-1.0, min(1.0, value)) if value == value else 0.0
