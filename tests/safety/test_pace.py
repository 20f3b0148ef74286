"""When the guard ticks: on every lowstate, and on its own where none comes."""

from __future__ import annotations

import pytest

from dbp_policy.guard.pace import Pace

MS = 1e-3


def test_a_lowstate_is_waited_for_a_little_longer_than_its_period_and_not_answered_twice_as_fast():
    pace = Pace(2 * MS, now=10.0)
    assert pace.latest() == pytest.approx(10.0 + 2 * MS)
    pace.ticked(heard=True, now=10.0)
    assert pace.latest() == pytest.approx(10.0 + 2.5 * MS)
    assert pace.earliest() == pytest.approx(10.0 + 1 * MS)


def test_the_first_tick_keeps_its_distance_too():
    assert Pace(2 * MS, now=10.0).earliest() == pytest.approx(10.0 + 1 * MS)


def test_without_lowstates_the_period_is_the_guards_own():
    pace = Pace(2 * MS, now=10.0)
    pace.ticked(heard=True, now=10.0)
    due = [pace.latest()]
    for _ in range(3):
        pace.ticked(heard=False, now=due[-1] - 0.1 * MS)  # a wait may end a moment early: that moves nothing
        due.append(pace.latest())
    assert due == pytest.approx([10.0 + ms * MS for ms in (2.5, 4.5, 6.5, 8.5)])


def test_a_schedule_that_has_fallen_behind_makes_up_for_nothing():
    pace = Pace(2 * MS, now=10.0)
    pace.ticked(heard=False, now=11.0)
    assert pace.latest() == pytest.approx(11.0 + 2 * MS)
