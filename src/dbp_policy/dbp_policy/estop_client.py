"""An e-stop endpoint's side of the check-in: what to say when, and what the guard has answered. Pure."""

from __future__ import annotations

import math

from dbp_policy.estop_records import CHALLENGE_BYTES, Answer, CheckIn, Wish, decode_answer, encode_check_in
from dbp_policy.guard.thresholds import ENDPOINT_TIMEOUT
from dbp_policy.types import Mode

PERIOD = {Wish.RUN: 0.05, Wish.STOP: 0.01}
"""Between check-ins [s]: a sixth of what the guard waits. A stop is said more often: a lost one costs little."""
_MODES = {mode.value: mode.name.lower().replace("_", " ") for mode in Mode}


class Endpoint:
    """Lets the robot run until it is pressed.

    Args:
        name: As the guard knows it.
        key: The secret shared with the guard.
    """

    def __init__(self, name: str, key: bytes) -> None:
        self.wish = Wish.RUN
        self.answer: Answer | None = None
        """The guard's newest."""
        self.round_trip = math.inf
        """Of the newest answer [s]."""
        self._name, self._key = name, key
        self._heard = -math.inf
        self._due = -math.inf
        self._pressed = -math.inf

    def press(self, now: float) -> None:
        """Asks to stop, at once and from now on."""
        if self.wish != Wish.STOP:
            self.wish, self._pressed, self._due = Wish.STOP, now, now

    def release(self) -> None:
        """Lets the robot run again; the guard stays latched until it is reset."""
        self.wish = Wish.RUN

    def check_in(self, now: float) -> bytes | None:
        """The datagram to send, None while none is due."""
        if now < self._due:
            return None
        self._due = now + PERIOD[self.wish]
        challenge = bytes(CHALLENGE_BYTES) if self.answer is None else self.answer.challenge
        return encode_check_in(CheckIn(self._name, self.wish, challenge, now), self._key)

    def wait(self, now: float) -> float:
        """How long until a check-in is due [s]."""
        return max(0.0, self._due - now)

    def receive(self, datagram: bytes, now: float) -> None:
        """Takes what came in; what is not the guard's, or older than what is known, is dropped."""
        answer = decode_answer(datagram, self._key)
        if answer is None or answer.name != self._name or not answer.sent <= now:
            return
        if self.answer is None or answer.sent > self.answer.sent:
            self.answer, self._heard, self.round_trip = answer, now, now - answer.sent

    def answered(self, now: float) -> bool:
        """Whether the guard has been heard lately; if not, it misses this endpoint, too."""
        return now - self._heard <= ENDPOINT_TIMEOUT

    @property
    def stop_heard(self) -> bool:
        """The guard has answered a stop, since this endpoint was pressed."""
        return self.wish == Wish.STOP and self.answer is not None and self.answer.sent >= self._pressed

    def line(self, now: float) -> str:
        """What a person at the endpoint is shown."""
        wish = "run " if self.wish == Wish.RUN else "STOP" if self.stop_heard else "STOP (not heard yet)"
        if self.answer is None or not self.answered(now):
            since = "" if self.answer is None else f" for {now - self._heard:.1f} s"
            return f"{self._name}: {wish}  the guard does not answer{since}"
        latched = ", latched" if self.answer.latched else ""
        mode = _MODES.get(self.answer.mode, f"mode {self.answer.mode}")
        return f"{self._name}: {wish}  guard: {mode}{latched}  round trip {1e3 * self.round_trip:.1f} ms"
