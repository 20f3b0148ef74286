"""The guard's watch on its remote e-stop endpoints: who is heard, who is not, and what stops."""

from __future__ import annotations

import pytest
from endpoint_rig import KEY, OTHER, RUN, STOP, TICK, Bench

from dbp_policy.estop_records import Answer, CheckIn, decode_answer, encode_answer, encode_check_in
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch
from dbp_policy.guard.thresholds import ENDPOINT_TIMEOUT
from dbp_policy.types import GuardStatus, Mode

# One endpoint --------------------------------------------------------------------------------------------------------


def test_without_endpoints_nobody_is_missed():
    watch = EndpointWatch((), KEY)
    assert watch.report(0.0) == watch.report(1e6) == EndpointReport()


def test_who_has_never_answered_is_silent():
    bench = Bench()
    assert bench.step() == EndpointReport(False, ("gate",))
    bench.say()
    assert bench.step().silent == ("gate",), "a first check-in answers no challenge yet"
    bench.say()
    assert bench.step() == EndpointReport()


def test_right_answers_keep_it_quiet():
    bench = Bench()
    bench.greet()
    for _ in range(200):
        bench.say()
        assert bench.step(0.05) == EndpointReport()


def test_silence_counts_from_the_last_right_answer():
    bench = Bench()
    bench.greet()
    assert bench.step(ENDPOINT_TIMEOUT - 2 * TICK) == EndpointReport()
    assert bench.step(4 * TICK) == EndpointReport(False, ("gate",))


@pytest.mark.parametrize(("silence", "missed"), [(0.2999, False), (0.3001, True)])
def test_the_bound_of_the_silence(silence, missed):
    bench = Bench()
    bench.greet()
    begin = bench.now
    while bench.now + TICK < begin + silence:
        assert bench.step() == EndpointReport()
    assert bool(bench.watch.report(begin + silence).silent) is missed


def test_a_silence_of_just_the_bound_is_not_yet_one(monkeypatch):
    """In steps whose float sum is the very bound."""
    monkeypatch.setattr("dbp_policy.guard.thresholds.ENDPOINT_TIMEOUT", 0.005)
    bench = Bench()
    bench.now = 0.0
    bench.say()
    bench.say()
    assert [bool(bench.watch.report(now).silent) for now in (0.0, 0.001, 0.005, 0.0051)] == [False, False, False, True]


@pytest.mark.parametrize("age, counts", [(0.3, True), (0.3001, False)])
def test_how_late_an_answer_to_a_challenge_may_come(age, counts):
    bench = Bench()
    bench.now = 0.0
    bench.say()
    bench.now = age
    bench.say()
    assert (bench.watch.report(bench.now) == EndpointReport()) == counts


@pytest.mark.parametrize("later, counts", [(31, True), (32, False)])
def test_how_many_challenges_may_be_on_their_way(later, counts):
    bench = Bench()
    bench.say()
    first = bench.challenge["gate"]
    for _ in range(later):
        bench.hear(encode_check_in(CheckIn("gate", RUN, bytes(8), bench.now), KEY))
    bench.say(challenge=first)
    assert (bench.step() == EndpointReport()) == counts


def test_it_is_heard_again_as_soon_as_it_answers_rightly():
    bench = Bench()
    bench.greet()
    assert bench.step(5.0).silent
    bench.say()  # to a challenge that is 5 s old
    assert bench.step().silent
    bench.say()
    assert bench.step() == EndpointReport()


def test_every_check_in_is_answered_with_a_new_challenge_and_the_guards_mode():
    bench = Bench()
    bench.watch.tell(GuardStatus(mode=Mode.POLICY, latched=False))
    first, second = (bench.hear(encode_check_in(CheckIn("gate", RUN, bytes(8), 7.0), KEY)) for _ in range(2))
    assert first.challenge != second.challenge and first.sent == 7.0 and first.mode == Mode.POLICY and not first.latched
    bench.watch.tell(GuardStatus(mode=Mode.SETTLING, latched=True))
    third = bench.hear(encode_check_in(CheckIn("gate", RUN, second.challenge, 8.0), KEY))
    assert third.mode == Mode.SETTLING and third.latched


def test_challenges_are_drawn_at_random_by_default():
    answers = [EndpointWatch(("gate",), KEY).receive(encode_check_in(CheckIn("gate", RUN, bytes(8), 0.0), KEY), 0.0)]
    answers += [EndpointWatch(("gate",), KEY).receive(encode_check_in(CheckIn("gate", RUN, bytes(8), 0.0), KEY), 0.0)]
    assert len({decode_answer(answer, KEY).challenge for answer in answers}) == 2


# What does not count -------------------------------------------------------------------------------------------------


def keep_saying(bench: Bench, say) -> EndpointReport:
    """Says the same for a second, every 20 ms."""
    for _ in range(50):
        say()
        report = bench.step(0.02)
    return report


def test_a_replayed_check_in_resets_no_timer():
    bench = Bench()
    bench.say()
    recorded = bench.say()
    assert bench.step() == EndpointReport()
    assert keep_saying(bench, lambda: bench.hear(recorded)).silent == ("gate",)


def test_a_wrong_challenge_resets_no_timer():
    bench = Bench()
    bench.greet()
    assert keep_saying(bench, lambda: bench.say(challenge=b"whatever")).silent == ("gate",)


def test_a_wrong_answer_takes_nothing_from_a_right_one_of_the_same_tick():
    bench = Bench()
    bench.say()
    bench.say()
    bench.say(challenge=b"whatever")
    assert bench.step() == EndpointReport()


def test_a_challenge_of_another_endpoint_resets_no_timer():
    bench = Bench("gate", "desk")
    bench.greet("gate", "desk")

    def say():
        bench.say(name="desk")
        bench.say(name="gate", challenge=bench.challenge["desk"])

    assert keep_saying(bench, say).silent == ("gate",)


def test_a_challenge_that_is_old_resets_no_timer():
    for age, counts in ((ENDPOINT_TIMEOUT - TICK, True), (ENDPOINT_TIMEOUT + TICK, False)):
        bench = Bench()
        bench.say()
        bench.step(age)
        bench.say()
        assert (not bench.step().silent) is counts


def test_a_wrong_key_an_unknown_name_and_nonsense_are_not_even_answered():
    bench = Bench()
    bench.greet()
    right = CheckIn("gate", RUN, bench.challenge["gate"], 0.0)
    answer = encode_answer(Answer("gate", bench.challenge["gate"], 0.0, 0, False), KEY)
    for datagram in (
        encode_check_in(right, OTHER),
        encode_check_in(CheckIn("door", RUN, right.challenge, 0.0), KEY),
        encode_check_in(CheckIn("gat", STOP, right.challenge, 0.0), KEY),
        encode_check_in(right, KEY)[:-1],
        answer,
        b"",
    ):
        assert bench.hear(datagram) is None
    assert keep_saying(bench, lambda: bench.hear(encode_check_in(right, OTHER))) == EndpointReport(False, ("gate",))
    assert bench.hear(encode_check_in(CheckIn("gate", STOP, right.challenge, 0.0), OTHER)) is None
    assert not bench.step().pressed, "who has no key cannot stop, either"


def test_a_guard_that_stood_still_does_not_blame_them():
    bench = Bench()
    bench.greet()
    bench.now += 10.0
    assert bench.step() == EndpointReport()
    bench.say()  # its challenge has grown old meanwhile; the next is right
    bench.step(0.05)
    bench.say()
    assert bench.step(0.29) == EndpointReport()


def test_challenges_are_not_hoarded():
    bench = Bench()
    bench.say()
    first = bench.challenge["gate"]
    for _ in range(1000):
        bench.say(challenge=bytes(8))
    bench.say(challenge=first)
    assert bench.step().silent, "a thousand later ones have pushed it out"
    bench.say()
    assert not bench.step().silent


# Stops ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("challenge", [None, bytes(8), b"whatever"])
def test_a_stop_counts_whatever_it_answers(challenge):
    bench = Bench()
    bench.greet()
    bench.say(STOP, challenge=challenge)
    assert bench.step().pressed


def test_a_stop_counts_before_anything_was_answered():
    bench = Bench()
    bench.say(STOP)
    assert bench.step().pressed


def test_who_said_stop_stays_pressed_and_is_not_also_missed():
    bench = Bench()
    bench.greet()
    bench.say(STOP)
    assert bench.step(10.0) == EndpointReport(True, ())


def test_a_replayed_stop_stops_but_does_not_answer():
    bench = Bench()
    bench.greet()
    recorded = bench.say(STOP)
    bench.say()
    assert bench.step() == EndpointReport()
    bench.hear(recorded)
    assert bench.step() == EndpointReport(True, ())
    bench.say(RUN)
    assert bench.step() == EndpointReport(), "the endpoint itself still runs"
    assert keep_saying(bench, lambda: bench.hear(recorded)).pressed


@pytest.mark.parametrize("challenge", [bytes(8), b"whatever"])
def test_a_release_needs_a_right_answer(challenge):
    bench = Bench()
    bench.greet()
    bench.say(STOP)
    bench.say(RUN, challenge=challenge)
    assert bench.step().pressed
    bench.say(RUN)
    assert bench.step() == EndpointReport()


def test_a_replayed_release_does_not_release():
    bench = Bench()
    bench.greet()
    bench.say(STOP)
    release = bench.say(RUN)
    assert not bench.step().pressed
    bench.say(STOP)
    bench.hear(release)
    assert bench.step().pressed


def test_a_run_that_is_overtaken_by_a_stop_does_not_release_it():
    bench = Bench()
    bench.greet()
    overtaken = encode_check_in(CheckIn("gate", RUN, bench.challenge["gate"], bench.now), KEY)
    bench.say(RUN, challenge=bytes(8))  # one more challenge is on its way
    bench.say(STOP)
    bench.hear(overtaken)
    assert bench.step().pressed
    bench.say(RUN)
    assert not bench.step().pressed


def test_a_run_that_answers_the_newest_challenge_and_is_overtaken_by_a_stop_does_not_release_it():
    bench = Bench()
    bench.greet()
    overtaken = encode_check_in(CheckIn("gate", RUN, bench.challenge["gate"], bench.now), KEY)
    bench.say(STOP, challenge=bytes(8))
    bench.hear(overtaken)
    assert bench.step().pressed


def test_a_release_that_answers_an_old_challenge_does_not_release():
    for age, releases in ((ENDPOINT_TIMEOUT - TICK, True), (ENDPOINT_TIMEOUT + TICK, False)):
        bench = Bench()
        bench.say(STOP)
        bench.step(age)
        bench.say(RUN)
        assert bench.step().pressed is not releases


# Two endpoints -------------------------------------------------------------------------------------------------------


def test_of_two_endpoints_the_worst_wins():
    bench = Bench("gate", "desk")
    assert bench.step().silent == ("gate", "desk")
    bench.greet("gate")
    assert bench.step().silent == ("desk",)
    assert bench.greet("gate", "desk") == EndpointReport()
    bench.say(STOP, "desk")
    bench.say(RUN, "gate")
    assert bench.step() == EndpointReport(True, ())
    assert bench.step(1.0) == EndpointReport(True, ("gate",))
    bench.greet("gate", "desk")
    assert bench.step() == EndpointReport()
