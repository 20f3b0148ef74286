"""Who records and changes what endpoints say, without the key, keeps no dead one alive and releases no stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from endpoint_rig import KEY, RUN, STOP, TICK, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from dbp_policy.estop_records import CheckIn, encode_check_in
from dbp_policy.guard.thresholds import ENDPOINT_TIMEOUT


@dataclass
class Recording:
    """What somebody on the network has seen of an endpoint that then died."""

    bench: Bench
    datagrams: list[bytes] = field(default_factory=list)

    @classmethod
    def of_a_run(cls, undelivered: bool = False) -> Recording:
        """A second of check-ins with a stop and a release; with `undelivered`, the last one was caught on its way."""
        bench, seen = Bench(), []
        for i in range(20):
            seen.append(bench.say(STOP if 5 <= i < 8 else RUN))
            bench.step(0.05)
        if undelivered:
            check_in = CheckIn("gate", RUN, bench.challenge["gate"], bench.now)
            seen.append(encode_check_in(check_in, KEY))
        return cls(bench, seen)


attacks = st.lists(
    st.tuples(
        st.integers(0, 40),  # which datagram, of what was recorded and of the guard's answers
        st.one_of(st.none(), st.tuples(st.integers(0, 55), st.integers(1, 255))),  # what is changed in it
        st.sampled_from([0, 1, 10, 100]),  # ticks until the next
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(attacks, st.booleans())
def test_no_recording_keeps_a_dead_endpoint_alive(attack, undelivered):
    recording = Recording.of_a_run(undelivered)
    bench, datagrams = recording.bench, recording.datagrams
    died = bench.now
    for index, change, ticks in attack:
        datagram = bytearray(datagrams[index % len(datagrams)])
        if change is not None:
            datagram[change[0]] ^= change[1]
        answer = bench.watch.receive(bytes(datagram), bench.now)
        if answer is not None:
            datagrams.append(answer)
        for _ in range(ticks):
            report = bench.step()
            # What was caught on its way counts once, and only while its challenge is young.
            alive = 0.25 if not undelivered else 0.25 + ENDPOINT_TIMEOUT
            assert report.pressed or report.silent or bench.now <= died + alive + 2 * TICK
    report = bench.step(2.0)
    assert report.pressed or report.silent


@settings(max_examples=200, deadline=None)
@given(attacks)
def test_no_recording_releases_a_stop(attack):
    bench = Recording.of_a_run().bench
    datagrams = Recording.of_a_run().datagrams
    bench.say(STOP)
    for index, change, ticks in attack:
        datagram = bytearray(datagrams[index % len(datagrams)])
        if change is not None:
            datagram[change[0]] ^= change[1]
        bench.watch.receive(bytes(datagram), bench.now)
        for _ in range(ticks):
            assert bench.step().pressed
