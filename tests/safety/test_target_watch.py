"""The watch on the policy: how old its answers are, and which targets may be followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard.checks.targets import TargetWatch
from dbp_policy.types import JointTarget, RobotState

PERIOD = 0.002
STATE = RobotState(tick_ms=1000, q_sdk=go2.STAND_Q)


def target(stamp: float, tick_ms: int = 1000, **changes) -> JointTarget:
    good = JointTarget(1, stamp, tick_ms, go2.STAND_Q, np.full(12, 25.0), np.full(12, 0.5))
    return replace(good, **changes)


def test_an_answers_age_is_its_lowstates_and_grows_in_silence():
    watch = TargetWatch()
    assert not watch.fresh and watch.age == np.inf and list(watch.age_faults()) == ["policy_stale"]
    watch.update([target(0.0, 996)], STATE, 0.0)
    assert watch.fresh and watch.age == pytest.approx(0.004)
    shown = []
    for step in range(1, 40):
        watch.update([], replace(STATE, tick_ms=1000 + 2 * step), step * PERIOD)
        assert watch.age == pytest.approx(0.004 + step * PERIOD)
        shown.append(list(watch.age_faults()))
    first = {name: shown.index([name]) for name in ("policy_late", "policy_slow", "policy_stale")}
    assert first == {"policy_late": 5, "policy_slow": 10, "policy_stale": 28}, "at 16, 26 and 62 ms"
    assert watch.fresh is False


@pytest.mark.parametrize(
    "age_ms, faults, fresh",
    [
        (15, [], True),
        (16, ["policy_late"], True),
        (25, ["policy_late"], True),
        (26, ["policy_slow"], False),
        (60, ["policy_slow"], False),
    ],
)
def test_the_bounds_of_an_answers_age(age_ms, faults, fresh):
    watch = TargetWatch()
    watch.update([target(0.0, 1000 - age_ms)], STATE, 0.0)
    assert watch.age == pytest.approx(1e-3 * age_ms, abs=1e-12)
    assert (list(watch.age_faults()), watch.fresh) == (faults, fresh)


def test_before_the_first_target_nothing_is_wrong_with_it():
    watch = TargetWatch()
    assert list(watch.target_faults()) == []
    watch.update([target(0.0)], STATE, 0.0)
    assert watch.fresh and list(watch.target_faults()) == []


def test_a_target_that_is_not_taken_does_not_hide_the_ones_behind_it():
    watch = TargetWatch()
    watch.update([target(9.0), target(0.0, 1001), target(0.0, sequence=7)], STATE, 0.0)
    assert watch.target.sequence == 7 and watch.age == 0.0


@pytest.mark.parametrize("age_ms, taken", [(-1, False), (0, True), (59, True), (60, True), (61, False), (10**9, False)])
def test_a_target_answers_a_recent_lowstate(age_ms, taken):
    watch = TargetWatch()
    watch.update([target(0.0, 1000 - age_ms)], STATE, 0.0)
    assert (watch.target is not None) == taken


def test_before_the_first_lowstate_there_is_nothing_to_answer():
    watch = TargetWatch()
    watch.update([target(0.0)], None, 0.0)
    assert watch.target is None and not watch.fresh


def test_an_older_target_does_not_replace_a_newer_one():
    watch = TargetWatch()
    watch.update([target(2.0, sequence=2), target(1.0, sequence=1)], STATE, 3.0)
    assert watch.target.sequence == 2
    watch.update([target(1.5, sequence=3)], STATE, 3.0)
    assert watch.target.sequence == 2 and watch.age == 0.0
    watch.update([target(2.0, sequence=4)], STATE, 3.002)
    assert watch.age == pytest.approx(PERIOD), "nor does the same one count twice"


@pytest.mark.parametrize("stamp", [np.nan, np.inf, 10.1])
def test_a_target_from_the_future_cannot_shut_out_all_later_ones(stamp):
    watch = TargetWatch()
    watch.update([target(stamp)], STATE, 10.0)
    assert watch.target is None
    watch.update([target(10.0)], STATE, 10.0)
    assert watch.target is not None


def test_an_invalid_target_is_not_taken_and_is_told_until_a_good_one_comes():
    watch = TargetWatch()
    watch.update([target(0.0)], STATE, 0.0)
    for stamp in (0.002, 0.004):
        watch.update([target(stamp, q_sdk=np.full(12, np.nan))], STATE, stamp)
        assert list(watch.target_faults()) == ["policy_invalid"] and not watch.fresh
        assert np.isfinite(watch.target.q_sdk).all()
    watch.update([target(0.006)], STATE, 0.006)
    assert list(watch.target_faults()) == [] and watch.fresh


def follow(offsets, period: float = 0.02) -> tuple[list[float], list[list[str]]]:
    """Hip angles followed and faults, for targets of the hips this far from standing; each is repeated once."""
    watch, followed, faults = TargetWatch(), [], []
    for i, offset in enumerate(offsets):
        for stamp in (i * period, i * period + 0.002):
            q = go2.STAND_Q + offset * (np.arange(12) % 3 == 0)
            watch.update([target(stamp, q_sdk=q)], STATE, stamp)
        followed.append(round(watch.target.q_sdk[0] - go2.STAND_Q[0], 9))
        faults.append(list(watch.target_faults()))
    return followed, faults


def test_steps_up_to_the_slew_limit_pass_whole():
    followed, faults = follow([0.0, 0.39, 0.0, -0.39, 0.4])
    assert followed == [0.0, 0.39, 0.0, -0.39, 0.4] and not any(faults)


def test_a_larger_step_is_clamped_and_a_repetition_does_not_creep_on():
    followed, faults = follow([0.0, 0.9, 0.0])
    assert followed == [0.0, 0.8, 0.0] and faults == [[], ["policy_slew"], []], "40 rad/s in 20 ms"
    followed, _ = follow([0.0, 0.9, 0.9])
    assert followed == [0.0, 0.8, 0.8], "the very same target again is the policy's repetition"


def test_faster_targets_may_step_less_and_long_silence_gives_no_more():
    assert follow([0.0, 0.9], period=0.01)[0] == [0.0, 0.4]
    assert follow([0.0, 0.9], period=1.0)[0] == [0.0, 0.8]


def test_five_clamped_targets_in_a_row_are_erratic_and_a_good_one_ends_the_row():
    _, faults = follow([0.0, *(0.5, -0.5) * 3], period=0.01)
    assert faults[1:] == [["policy_slew"]] * 4 + [["policy_erratic"]] * 2
    _, faults = follow([0.0, *(0.5, -0.5) * 2, -0.1, 0.5], period=0.01)
    assert faults[1:] == [["policy_slew"]] * 4 + [[]] + [["policy_slew"]]


def test_the_policy_sides_own_alarm():
    watch = TargetWatch()
    watch.update([target(0.0, estimator_diverged=True)], STATE, 0.0)
    assert list(watch.target_faults()) == ["estimator_diverged"]
    watch.update([target(0.002)], STATE, 0.002)
    assert list(watch.target_faults()) == []
