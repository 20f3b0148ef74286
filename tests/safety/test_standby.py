"""When the standby takes over, and when it must not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy.guard.standby import Standby
from dbp_policy.types import Beat

PERIOD = 0.002
GUARD, NEXT = 100, 200


def beat(in_control: bool = True, leaving: bool = False, process_id: int = GUARD) -> Beat:
    return Beat(process_id, in_control, leaving)


class Watch:
    """A standby in steps of 2 ms."""

    def __init__(self) -> None:
        self.standby = Standby()
        self.now = 5.0

    def step(self, *beats: Beat, ended: int | None = None, after: float = PERIOD) -> bool:
        self.now += after
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
    standby.step([beat()], None, 0.0)
    assert not any(standby.step([], None, now) for now in (0.003, 0.007, 0.011, 0.015))
    assert standby.step([], None, 0.0151)


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
        beats = [Beat(*b) for b in beats]
        last = beats[-1] if beats else last
        if watch.step(*beats, ended=ended, after=after):
            assert last is not None and last.in_control and not last.leaving
            assert not beats or ended == last.process_id, "one that has just beaten is alive unless it has ended"
