"""The guard's checks on its inputs: dense around each bound, and nothing that is not a number gets through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard import checks
from dbp_policy.guard.checks import LowstateWatch, SilenceTimer, TargetWatch, is_lying, state_faults
from dbp_policy.types import JointTarget, RobotState

STATE = RobotState(tick_ms=1000, q_sdk=go2.STAND_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
FIELDS = ("q_sdk", "dq_sdk", "tau_sdk", "quat_wxyz", "gyro_body", "acc_body")
STEPS = (-1e-1, -1e-3, -1e-6, -1e-9, 1e-9, 1e-6, 1e-3, 1e-1)
PERIOD = 0.002


def faults(**changes) -> set[str]:
    return set(state_faults(replace(STATE, **changes)))


def at(array: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


def test_a_standing_robot_has_no_fault():
    assert faults() == set()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", FIELDS)
def test_one_value_that_is_not_finite_is_enough(field, bad):
    for index in range(len(getattr(STATE, field))):
        assert faults(**{field: at(getattr(STATE, field), index, bad)}) == {"lowstate_invalid"}


@pytest.mark.parametrize("joint", range(12))
def test_joint_limit(joint):
    for step in STEPS:
        for value, inside in (
            (go2.Q_MAX[joint] + checks.JOINT_LIMIT_MARGIN + step, step < 0.0),
            (go2.Q_MIN[joint] - checks.JOINT_LIMIT_MARGIN - step, step < 0.0),
        ):
            assert faults(q_sdk=at(go2.STAND_Q, joint, value)) == (set() if inside else {"joint_limit"})


@pytest.mark.parametrize("joint", range(12))
def test_joint_speed(joint):
    limit = 20.07 if go2.JOINT_NAMES[joint].endswith("calf_joint") else 30.1
    for step in STEPS:
        for sign in (-1.0, 1.0):
            expected = set() if step < 0.0 else {"joint_speed"}
            assert faults(dq_sdk=at(np.zeros(12), joint, sign * (limit + step))) == expected


@pytest.mark.parametrize("axis", [(1.0, 0.0), (0.0, -1.0), (0.6, 0.8)])
def test_tilt_in_any_direction_and_with_either_sign_of_the_quaternion(axis):
    for step in STEPS:
        half = 0.5 * (1.0 + step)
        quat = np.array([np.cos(half), axis[0] * np.sin(half), axis[1] * np.sin(half), 0.0])
        for signed in (quat, -quat):
            assert faults(quat_wxyz=signed) == (set() if step < 0.0 else {"tilt"})
    assert faults(quat_wxyz=np.array([0.0, 1.0, 0.0, 0.0])) == {"tilt"}, "on its back"


def test_yaw_is_no_tilt():
    for half in np.linspace(0.0, np.pi, 20):
        assert faults(quat_wxyz=np.array([np.cos(half), 0.0, 0.0, np.sin(half)])) == set()


@pytest.mark.parametrize(
    "norm, ok", [(0.0, False), (0.98, False), (0.991, True), (1.0, True), (1.009, True), (1.02, False)]
)
def test_the_quaternion_has_unit_norm(norm, ok):
    assert faults(quat_wxyz=np.array([norm, 0.0, 0.0, 0.0])) == (set() if ok else {"lowstate_invalid"})


def test_heat_and_battery_slow_down_and_nan_counts_as_bad():
    for step in STEPS:
        assert faults(temperature_sdk=at(np.zeros(12), 5, 70.0 + step)) == (set() if step < 0.0 else {"motor_hot"})
        assert faults(battery_soc=20.0 - step) == (set() if step < 0.0 else {"battery_low"})
    assert faults(temperature_sdk=at(np.zeros(12), 0, np.nan)) == {"motor_hot"}
    assert faults(battery_soc=np.nan) == {"battery_low"}


def test_lying_and_standing_are_told_apart():
    assert is_lying(replace(STATE, q_sdk=go2.CROUCH_Q))
    assert not is_lying(STATE)
    assert not is_lying(replace(STATE, q_sdk=at(go2.CROUCH_Q, 2, -1.5))), "one leg out is not lying"


# Silence -------------------------------------------------------------------------------------------------------------


def test_silence_is_infinite_before_the_first_sound_and_counts_from_the_last():
    timer = SilenceTimer()
    assert timer.update(False, 5.0) == np.inf
    assert timer.update(True, 5.002) == 0.0
    assert timer.update(False, 5.004) == pytest.approx(0.002)
    assert timer.update(False, 5.006) == pytest.approx(0.004)


def test_a_guard_that_slept_does_not_blame_its_inputs_for_it():
    timer = SilenceTimer()
    timer.update(True, 0.0)
    assert timer.update(False, 3.0) == pytest.approx(2.0 * PERIOD)


def watch_for(seconds: float, arrivals: dict[int, list[int]]) -> dict[int, list[str]]:
    """Feeds lowstates with ticks [ms] at guard steps; the faults of each step that had one."""
    watch, seen = LowstateWatch(), {}
    for step in range(round(seconds / PERIOD)):
        states = [replace(STATE, tick_ms=tick) for tick in arrivals.get(step, [])]
        if found := list(watch.update(states, step * PERIOD)):
            seen[step] = found
    return seen


def test_lowstate_is_stale_until_it_comes():
    assert watch_for(0.004, {1: [1000]}) == {0: ["lowstate_stale"]}


def test_a_silence_of_ten_lowstates_is_stale_and_a_shorter_one_is_not():
    every = {step: [1000 + 2 * step] for step in range(50)}
    assert watch_for(0.1, every) == {}
    short = {step: ticks for step, ticks in every.items() if not 20 <= step < 29}
    assert watch_for(0.1, short) == {}
    found = watch_for(0.2, every)
    assert min(found) - 49 in (10, 11), "at 20 ms after the last one, or one step later"
    assert all(names == ["lowstate_stale"] for names in found.values())


def test_arriving_duplicates_are_no_sign_of_life():
    assert min(watch_for(0.2, {step: [1000] for step in range(100)})) in (10, 11)


def test_reordered_and_duplicated_lowstates_are_dropped():
    watch = LowstateWatch()
    ticks = (1000, 1002, 1002, 1006, 1004, 1006, 1008, 500)
    taken = []
    for i, tick in enumerate(ticks):
        assert not list(watch.update([replace(STATE, tick_ms=tick)], i * PERIOD))
        taken.append(watch.state.tick_ms)
    assert taken == [1000, 1002, 1002, 1006, 1006, 1006, 1008, 1008]


def test_of_several_at_once_the_newest_is_taken():
    watch = LowstateWatch()
    assert not list(watch.update([replace(STATE, tick_ms=t) for t in (10, 14, 12)], 0.0))
    assert watch.state.tick_ms == 14


def test_a_restarted_robot_is_noticed_once():
    watch = LowstateWatch()
    found = [list(watch.update([replace(STATE, tick_ms=t)], i * PERIOD)) for i, t in enumerate((90000, 2, 4, 6))]
    assert found == [[], ["lowstate_restarted"], [], []]
    assert watch.state.tick_ms == 6


# Targets -------------------------------------------------------------------------------------------------------------


def target(stamp: float, tick_ms: int = 1000) -> JointTarget:
    return JointTarget(1, stamp, tick_ms, go2.STAND_Q, np.full(12, 25.0), np.full(12, 0.5))


def test_targets_go_stale_after_three_policy_periods():
    watch = TargetWatch()
    assert not watch.fresh
    assert watch.update([target(0.0)], 1000, 0.0) is not None and watch.fresh
    fresh = []
    for step in range(1, 40):
        assert watch.update([], 1000 + 2 * step, step * PERIOD) is None
        fresh.append(watch.fresh)
    assert fresh.index(False) + 1 in (30, 31), "60 ms are 30 steps"
    assert not any(fresh[31:])


@pytest.mark.parametrize("age_ms, taken", [(-1, False), (0, True), (59, True), (60, True), (61, False), (10**9, False)])
def test_a_target_answers_a_recent_lowstate(age_ms, taken):
    watch = TargetWatch()
    assert (watch.update([target(0.0, 1000 - age_ms)], 1000, 0.0) is not None) == taken
    assert watch.fresh == taken


def test_an_older_target_does_not_replace_a_newer_one():
    watch = TargetWatch()
    newer = target(2.0)
    assert watch.update([newer, target(1.0)], 1000, 3.0) is newer
    assert watch.update([target(1.5)], 1000, 3.0) is None
    assert watch.update([newer], 1000, 3.0) is None, "nor does the same one count twice"
    assert watch.target is newer


@pytest.mark.parametrize("stamp", [np.nan, np.inf, 10.1])
def test_a_target_from_the_future_cannot_shut_out_all_later_ones(stamp):
    watch = TargetWatch()
    assert watch.update([target(stamp)], 1000, 10.0) is None
    assert watch.update([target(10.0)], 1000, 10.0) is not None
