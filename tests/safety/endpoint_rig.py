"""A watch on remote e-stop endpoints, and whoever speaks to it."""

from __future__ import annotations

import itertools

from dbp_policy.estop_records import Answer, CheckIn, Wish, decode_answer, encode_check_in
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
TICK = 0.002
RUN, STOP = Wish.RUN, Wish.STOP


def counter():
    """Challenges that a test can foresee."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Bench:
    """A watch that is stepped every 2 ms, and whoever speaks to it."""

    def __init__(self, *names: str) -> None:
        self.watch = EndpointWatch(names or ("gate",), KEY, counter())
        self.now = 100.0
        self.challenge: dict[str, bytes] = {}
        """The newest that each was sent."""

    def say(self, wish: Wish = RUN, name: str = "gate", challenge: bytes | None = None) -> bytes:
        """A check-in, which rightly answers unless it is told otherwise; the datagram."""
        if challenge is None:
            challenge = self.challenge.get(name, bytes(8))
        datagram = encode_check_in(CheckIn(name, wish, challenge, self.now), KEY)
        self.hear(datagram)
        return datagram

    def hear(self, datagram: bytes) -> Answer | None:
        answer = self.watch.receive(datagram, self.now)
        if answer is None:
            return None
        answer = decode_answer(answer, KEY)
        self.challenge[answer.name] = answer.challenge
        return answer

    def step(self, seconds: float = TICK) -> EndpointReport:
        """Time passes tick by tick; the last report."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            report = self.watch.report(self.now)
        return report

    def greet(self, *names: str) -> EndpointReport:
        """All of them check in rightly."""
        for name in names or ("gate",):
            self.say(name=name)
            self.say(name=name)
        return self.step()
