"""Whether somebody else commands the motors: what is heard on rt/lowcmd against what was sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dbp_policy.guard import thresholds as t

_HEADER = 4
"""Bytes of CDR's encapsulation header, which the middleware may fill differently."""


class CommandWatch:
    """Knows this guard's own last commands again."""

    def __init__(self) -> None:
        self._sent: deque[bytes] = deque(maxlen=t.COMMANDS_KEPT)

    def sent(self, payload: bytes) -> None:
        """Notes a command of the guard's own."""
        self._sent.appendleft(payload[_HEADER:])

    def foreign(self, payloads: Sequence[bytes]) -> int:
        """How many of the commands heard are none of the last ones sent."""
        return sum(payload[_HEADER:] not in self._sent for payload in payloads)
