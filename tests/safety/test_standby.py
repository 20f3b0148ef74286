"""When the standby takes over, and when it must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy.guard.standby import Standby
from dbp_policy.types import Beat

PERIOD = 0.002
GUARD, NEXT = 100, 200


def beat(in_control: bool = True, leaving: bool = False, process_id: int = GUARD, stamp: float = np.inf) -> Beat:
    """One that is told at the very moment of the look that takes it, unless it has a stamp."""
    return Beat(process_id, in_control, leaving, stamp)


class Watch:
    """A standby in steps of 2 ms."""

    def __init__(self) -> None:
        self.standby = Standby()
        self.now = 5.0

    def step(self, *beats: Beat, ended: int | None = None, after: float = PERIOD) -> bool:
        self.now += after
        beats = [replace(b, stamp=min(b.stamp, self.now)) for b in beats]
        return self.standby.step(beats, ended, self.now)


@pytest.fixture
def watch() -> Watch:
    watch = Watch()
    for _ in range(10):
        assert not watch.step(beat())
    return watch


def test_it_follows_the_guard_that_beats():
    watch = Watch()
    assert watch.standby.guard is None and not watch.standby.needed
    assert not any(watch.step() for _ in range(1000)), "without a guard there is nothing to take over"
    watch.step(beat(in_control=False))
    assert watch.standby.guard == GUARD and not watch.standby.needed
    watch.step(beat())
    assert watch.standby.needed


def test_a_silence_of_just_the_bound_is_not_yet_one():
    """15 ms, in steps whose float sum is the very bound."""
    standby = Standby()
    standby.step([beat(stamp=0.0)], None, 0.0)
    assert not any(standby.step([], None, now) for now in (0.003, 0.007, 0.011, 0.015))
    assert standby.step([], None, 0.0151)


def test_the_first_beat_counts_from_when_it_was_told_but_no_longer_than_a_look():
    standby = Standby()
    standby.step([beat(stamp=0.4)], None, 0.5)
    assert not any(standby.step([], None, now) for now in (0.504, 0.5079)), "7 ms at first"
    assert standby.step([], None, 0.5081)


def test_silence_counts_from_when_the_last_beat_was_told(watch):
    assert not watch.step(beat(stamp=watch.now - 0.001)), "told 3 ms ago, when this look ends a sleep of 2 ms"
    taken = [watch.step() for _ in range(10)]
    assert taken.index(True) + 1 == 7, "at most as long ago as the last look: 2 + 14 ms"
    watch = Watch()
    watch.step(beat())
    assert not watch.step(beat(stamp=watch.now + 0.0011), after=0.004), "told 2.9 ms ago"
    assert not any(watch.step(after=0.004) for _ in range(3)) and watch.step(after=0.0002), "15.1 ms after it"


def test_beats_that_waited_too_long_in_the_queue_still_show_a_guard_that_lives(watch):
    """A queue has an end: of a standby that slept it holds the first beats, not the last."""
    assert not watch.step(*[beat(stamp=watch.now + 0.002 * k) for k in range(8)], after=0.5)
    assert not watch.step(after=0.005) and not watch.step(beat(), after=0.002)


def test_a_beat_from_the_future_blinds_it_for_no_longer(watch):
    watch.standby.step([beat(stamp=1e9)], None, watch.now)
    taken = [watch.step() for _ in range(10)]
    assert taken.index(True) + 1 == 8


def test_it_looks_rarely_but_right_after_the_time_out(watch):
    """Woken by every beat it would hold the guard up as often."""
    assert watch.standby.next_look == 0.005
    looks = 0
    while not watch.step(after=watch.standby.next_look):
        looks += 1
        assert looks < 4
    assert watch.now - 5.02 == pytest.approx(0.0151, abs=1e-9), "the last beat was told at 5.02"
    idle = Watch()
    assert idle.standby.next_look == 0.005
    idle.step(beat(in_control=False))
    assert not any(idle.step(after=idle.standby.next_look) for _ in range(20)) and idle.standby.next_look == 0.005


def test_a_dead_guard_is_replaced_at_once(watch):
    assert watch.step(ended=GUARD)


def test_its_last_beats_count_though_it_is_dead(watch):
    assert watch.step(beat(), ended=GUARD)
    watch.step(beat(leaving=True), ended=GUARD)
    assert watch.standby.guard is None


def test_a_silent_guard_is_replaced_after_15_ms(watch):
    taken = [watch.step() for _ in range(10)]
    assert taken.index(True) + 1 == 8, "16 ms"
    assert all(taken[7:])


def test_a_beat_in_time_keeps_the_guard(watch):
    for _ in range(50):
        assert not any(watch.step() for _ in range(7))
        assert not watch.step(beat())


@pytest.mark.parametrize("stall", [0.05, 1.0, 3600.0])
def test_a_standby_that_was_stopped_itself_blames_nobody_for_it(watch, stall):
    assert not watch.step(after=stall), "the beats that waited come with the next look"
    assert not watch.step(beat(), beat())


def test_a_clock_that_is_no_number_takes_over(watch):
    watch.now = np.nan
    assert watch.step()


@pytest.mark.parametrize("how", ["dead", "silent"])
def test_a_guard_that_commanded_nothing_is_not_replaced(how):
    watch = Watch()
    watch.step(beat(in_control=False))
    if how == "dead":
        assert not watch.step(ended=GUARD) and watch.standby.guard is None
    else:
        assert not any(watch.step() for _ in range(1000)) and not watch.standby.needed


def test_a_guard_that_leaves_is_let_go(watch):
    watch.step(beat(leaving=True))
    assert watch.standby.guard is None and not watch.standby.needed
    assert not any(watch.step(ended=GUARD) for _ in range(100))


def test_the_next_guard_is_followed_and_the_death_of_the_last_one_is_not_its_own(watch):
    watch.step(beat(leaving=True))
    assert not watch.step(beat(process_id=NEXT), ended=GUARD)
    assert watch.standby.guard == NEXT and watch.standby.needed
    assert watch.step(ended=NEXT)


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from([GUARD, NEXT]), st.booleans(), st.booleans()), max_size=3),
            st.sampled_from([None, GUARD, NEXT]),
            st.sampled_from([0.002, 0.01, 1.0]),
        )
    )
)
def test_it_only_ever_replaces_a_guard_whose_last_word_was_that_it_commands(steps):
    watch, last = Watch(), None
    for beats, ended, after in steps:
        beats = [Beat(*b, np.inf) for b in beats]
        last = beats[-1] if beats else last
        if watch.step(*beats, ended=ended, after=after):
            assert last is not None and last.in_control and not last.leaving
            assert not beats or ended == last.process_id, "one that has just beaten is alive unless it has ended"
