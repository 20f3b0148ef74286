"""Remote e-stop endpoints: each of them has to answer, and none of them may be pressed."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dbp_policy.estop_records import CHALLENGE_BYTES, Answer, CheckIn, Wish, decode_check_in, encode_answer
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.types import GuardStatus

_OUTSTANDING = 32
"""Challenges that wait for their check-in at most: what an endpoint draws in `ENDPOINT_TIMEOUT` at its highest rate."""


@dataclass(frozen=True)
class EndpointReport:
    """What the endpoints say, all together."""

    pressed: bool = False
    """One of them asks to stop."""
    silent: tuple[str, ...] = ()
    """Names of those that do not answer."""


class EndpointWatch:
    """Answers the endpoints' check-ins with challenges, and knows who is pressed and who is silent.

    A check-in counts if it answers a challenge of the last `ENDPOINT_TIMEOUT`, each of them once. So it was written by
    who holds the key, and lately: a recording resets no timer, and one held back on its way proves nothing for long.
    Several challenges may be on their way at once; else a round trip above an endpoint's period would shut it out.

    Args:
        names: Of the endpoints that have to answer.
        key: The secret shared with them.
        draw: Makes so many random bytes.
    """

    def __init__(self, names: Iterable[str], key: bytes, draw: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._endpoints = {name: _Endpoint() for name in names}
        self._key = key
        self._draw = draw
        self._status = GuardStatus()

    def tell(self, status: GuardStatus) -> None:
        """What the answers say of the guard from now on."""
        self._status = status

    def receive(self, datagram: bytes, now: float) -> bytes | None:
        """Takes what came in; returns the answer, None if it is of none of the endpoints.

        Args:
            datagram: As received.
            now: Time [s].
        """
        check_in = decode_check_in(datagram, self._key)
        endpoint = None if check_in is None else self._endpoints.get(check_in.name)
        if endpoint is None:
            return None
        endpoint.take(check_in, now)
        challenge = self._draw(CHALLENGE_BYTES)
        endpoint.ask(challenge, now)
        said = Answer(check_in.name, challenge, check_in.sent, self._status.mode, self._status.latched)
        return encode_answer(said, self._key)

    def report(self, now: float) -> EndpointReport:
        """What the endpoints say; to be called once per step of the guard.

        An endpoint that was heard to stop is pressed, and its silence tells nothing new.
        """
        silent = [name for name, endpoint in self._endpoints.items() if endpoint.silent(now) and not endpoint.pressed]
        return EndpointReport(any(e.pressed for e in self._endpoints.values()), tuple(silent))


class _Endpoint:
    """What the guard knows of one endpoint."""

    def __init__(self) -> None:
        self.pressed = False
        self._heard = False
        self._timer = SilenceTimer()
        self._drawn = 0
        """How many challenges it was sent."""
        self._drawn_at_stop = 0
        """How many of them before its last stop came."""
        self._outstanding: dict[bytes, tuple[int, float]] = {}
        """Challenges not yet answered, oldest first: which one it was, and when it was drawn [s]."""

    def take(self, check_in: CheckIn, now: float) -> None:
        """A stop counts, whatever it answers; anything else only if it answers rightly."""
        number, drawn = self._outstanding.pop(check_in.challenge, (0, -math.inf))
        alive = now - drawn <= t.ENDPOINT_TIMEOUT
        self._heard = self._heard or alive
        if check_in.wish == Wish.STOP:
            self.pressed, self._drawn_at_stop = True, self._drawn
        elif alive and number > self._drawn_at_stop:  # not one that was sent before the stop and came after it
            self.pressed = False

    def ask(self, challenge: bytes, now: float) -> None:
        """Remembers a challenge sent to it."""
        self._drawn += 1
        self._outstanding[challenge] = (self._drawn, now)
        if len(self._outstanding) > _OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]

    def silent(self, now: float) -> bool:
        """Whether it has not been heard for too long, or never."""
        heard, self._heard = self._heard, False
        return not self._timer.update(heard, now) <= t.ENDPOINT_TIMEOUT
