"""The guard's checks on its inputs: dense around each bound, and nothing that is not a number gets through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard import thresholds
from dbp_policy.guard.checks.lowstate import (
    FrozenWatch,
    LowstateWatch,
    is_level,
    is_lying,
    is_on_legs,
    is_valid,
    posture_faults,
)
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.types import RobotState

STATE = RobotState(tick_ms=1000, q_sdk=go2.STAND_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
FIELDS = ("q_sdk", "dq_sdk", "tau_sdk", "quat_wxyz", "gyro_body", "acc_body")
STEPS = (-1e-1, -1e-3, -1e-6, -1e-9, 0.0, 1e-9, 1e-6, 1e-3, 1e-1)
PERIOD = 0.002


def faults(**changes) -> set[str]:
    state = replace(STATE, **changes)
    return set(posture_faults(state)) if is_valid(state) else {"lowstate_invalid"}


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
            (go2.Q_MAX[joint] + thresholds.JOINT_LIMIT_MARGIN + step, step <= 0.0),
            (go2.Q_MIN[joint] - thresholds.JOINT_LIMIT_MARGIN - step, step <= 0.0),
        ):
            assert faults(q_sdk=at(go2.STAND_Q, joint, value)) == (set() if inside else {"joint_limit"})


@pytest.mark.parametrize("joint", range(12))
def test_joint_speed(joint):
    limit = 20.07 if go2.JOINT_NAMES[joint].endswith("calf_joint") else 30.1
    for step in STEPS:
        for sign in (-1.0, 1.0):
            expected = set() if step <= 0.0 else {"joint_speed"}
            assert faults(dq_sdk=at(np.zeros(12), joint, sign * (limit + step))) == expected


@pytest.mark.parametrize("axis", [(1.0, 0.0), (0.0, -1.0), (0.6, 0.8)])
def test_tilt_in_any_direction_and_with_either_sign_of_the_quaternion(axis):
    for step in filter(None, STEPS):
        half = 0.5 * (1.0 + step)
        quat = np.array([np.cos(half), axis[0] * np.sin(half), axis[1] * np.sin(half), 0.0])
        for signed in (quat, -quat):
            assert faults(quat_wxyz=signed) == (set() if step < 0.0 else {"tilt"})
    assert faults(quat_wxyz=np.array([0.0, 1.0, 0.0, 0.0])) == {"tilt"}, "on its back"


def test_a_policy_for_the_front_legs_may_pitch_down_to_them_and_no_further_nor_to_a_side():
    for pitch, tipped in ((-1.001, True), (-0.999, False), (0.7, False), (1.374, False), (2.373, False), (2.375, True),
                          (3.1, True)):  # fmt: skip
        for roll, rolled in ((0.0, False), (0.99, False), (1.01, True)):
            if roll and not 0.0 <= pitch <= 1.374:
                continue  # both together
            state = replace(STATE, quat_wxyz=pitched_and_rolled(pitch, roll))
            wanted = {"tilt"} if tipped or rolled else set()
            assert set(posture_faults(state, go2.POSTURES["front_legs"])) == wanted, (pitch, roll)
            assert is_level(state) == is_on_legs(state) == (set(posture_faults(state)) == set())


def pitched_and_rolled(pitch: float, roll: float) -> np.ndarray:
    """First nose down, then over to a side about the heading, shape (4,)."""
    a, b = np.cos(0.5 * pitch), np.sin(0.5 * pitch)
    c, d = np.cos(0.5 * roll), np.sin(0.5 * roll)
    return np.array([a * c, a * d, b * c, b * d])


def test_yaw_is_no_tilt():
    for half in np.linspace(0.0, np.pi, 20):
        assert faults(quat_wxyz=np.array([np.cos(half), 0.0, 0.0, np.sin(half)])) == set()


@pytest.mark.parametrize(
    "norm, ok", [(0.0, False), (0.9890, False), (0.9901, True), (1.0, True), (1.0099, True), (1.0100, False)]
)
def test_the_quaternion_has_unit_norm(norm, ok):
    assert faults(quat_wxyz=np.array([norm, 0.0, 0.0, 0.0])) == (set() if ok else {"lowstate_invalid"})


def test_no_tolerance_at_all_takes_what_is_exact(monkeypatch):
    monkeypatch.setattr(thresholds, "QUAT_NORM_TOLERANCE", 0.0)
    monkeypatch.setattr(thresholds, "TILT_MAX", 0.0)
    assert faults() == set() and is_level(STATE)


def test_lying_and_standing_are_told_apart():
    assert is_lying(replace(STATE, q_sdk=go2.CROUCH_Q))
    assert not is_lying(STATE)
    assert not is_lying(replace(STATE, q_sdk=at(go2.CROUCH_Q, 2, -1.5))), "one leg out is not lying"
    assert is_on_legs(STATE) and not is_on_legs(replace(STATE, q_sdk=go2.CROUCH_Q))
    assert not is_on_legs(replace(STATE, q_sdk=np.full(12, np.nan)))


@pytest.mark.parametrize("step, lying, half_folded", [(-1e-9, True, True), (0.0, False, True), (1e-9, False, False)])
def test_the_calf_angles_of_lying_and_of_half_folded_legs(step, lying, half_folded):
    assert is_lying(replace(STATE, q_sdk=np.full(12, -2.2 + step))) == lying
    assert is_on_legs(replace(STATE, q_sdk=np.full(12, -2.075 + step))) == (not half_folded), "mean of -1.5 and -2.65"


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


@pytest.mark.parametrize("late_ms, stale_ms", [(5, 15)])
def test_a_silence_of_just_so_long_is_not_yet_too_long(late_ms, stale_ms):
    """In steps whose float sums are the very thresholds."""
    for steps_ms, fault in (((1, 4), "lowstate_late"), ((3, 4, 4, 4), "lowstate_stale")):
        watch, now_ms = LowstateWatch(), 0
        list(watch.update([STATE], 0, 0.0))
        for step in steps_ms:
            now_ms += step
            found = list(watch.update([], 0, round(1e-3 * now_ms, 3)))
        assert now_ms == {"lowstate_late": late_ms, "lowstate_stale": stale_ms}[fault] and fault not in found
        assert fault in list(watch.update([], 0, round(1e-3 * now_ms + 1e-6, 6)))


def watch_for(seconds: float, arrivals: dict[int, list[int]], corrupt: dict[int, int] | None = None) -> dict:
    """Feeds lowstates with ticks [ms], and damaged ones, at guard steps; the faults of each step that had one."""
    watch, seen = LowstateWatch(), {}
    for step in range(round(seconds / PERIOD)):
        states = [replace(STATE, tick_ms=tick) for tick in arrivals.get(step, [])]
        if found := list(watch.update(states, (corrupt or {}).get(step, 0), step * PERIOD)):
            seen[step] = found
    return seen


EVERY = {step: [1000 + 2 * step] for step in range(50)}


def test_lowstate_is_stale_until_it_comes():
    assert watch_for(0.004, {1: [1000]}) == {0: ["lowstate_stale"]}


def test_a_silence_is_late_after_4_ms_and_stale_at_16_ms():
    assert watch_for(0.1, EVERY) == {}
    for missing, shown in ((1, 0), (2, 0), (3, 1), (5, 3), (7, 5)):
        gap = {step: ticks for step, ticks in EVERY.items() if not 20 <= step < 20 + missing}
        assert list(watch_for(0.1, gap).values()) == [["lowstate_late"]] * shown
    found = watch_for(0.2, EVERY)
    since = {names[0]: step - 49 for step, names in reversed(found.items())}
    assert since == {"lowstate_late": 3, "lowstate_stale": 8}
    assert all(names == ["lowstate_stale"] for step, names in found.items() if step >= 57)


def test_arriving_duplicates_are_no_sign_of_life():
    found = watch_for(0.2, {step: [1000] for step in range(100)})
    assert min(step for step in found if "lowstate_stale" in found[step]) == 8


def test_three_damaged_payloads_in_a_row():
    assert watch_for(0.1, EVERY, {10: 2, 12: 2, 14: 2}) == {}, "good ones between"
    assert watch_for(0.1, EVERY, {10: 3}) == {10: ["lowstate_corrupt"]}
    gap = {step: ticks for step, ticks in EVERY.items() if step not in (20, 21, 22)}
    assert watch_for(0.1, gap, {20: 1, 21: 1}) == {22: ["lowstate_late"]}
    assert watch_for(0.1, gap, {20: 1, 21: 1, 22: 1}) == {22: ["lowstate_corrupt", "lowstate_late"]}


def test_damage_before_the_first_good_lowstate_counts():
    watch = LowstateWatch()
    assert "lowstate_corrupt" not in list(watch.update([], 2, 0.0))
    assert "lowstate_corrupt" in list(watch.update([], 1, PERIOD))
    assert "lowstate_corrupt" not in list(watch.update([STATE], 0, 2.0 * PERIOD))


def test_sensors_that_repeat_themselves():
    watch = FrozenWatch()
    assert [list(watch.update(STATE)) for _ in range(16)] == [[]] * 15 + [["lowstate_frozen"]]
    for field in ("q_sdk", "dq_sdk", "gyro_body", "acc_body"):
        alive = at(getattr(STATE, field), 0, 1e-7 + getattr(STATE, field)[0])
        assert list(watch.update(replace(STATE, **{field: alive}))) == []
        watch.update(STATE)


def test_reordered_and_duplicated_lowstates_are_dropped():
    watch = LowstateWatch()
    ticks = (1000, 1002, 1002, 1006, 1004, 1006, 1008, 500)
    taken = []
    for i, tick in enumerate(ticks):
        assert not list(watch.update([replace(STATE, tick_ms=tick)], 0, i * PERIOD))
        taken.append(watch.state.tick_ms)
    assert taken == [1000, 1002, 1002, 1006, 1006, 1006, 1008, 1008]


@pytest.mark.parametrize(
    "ahead, taken, restarted",
    [(1, True, False), (0, False, False), (-1, False, False), (-1000, False, False), (-1001, True, True)],
)
def test_how_far_back_a_tick_is_a_restart(ahead, taken, restarted):
    watch = LowstateWatch()
    list(watch.update([STATE], 0, 0.0))
    later = replace(STATE, tick_ms=STATE.tick_ms + ahead)
    assert list(watch.update([later], 0, PERIOD)) == ["lowstate_restarted"] * restarted
    assert (watch.state is later) == taken
    heard = list(watch.update([], 0, 2.0 * PERIOD)) + list(watch.update([], 0, 3.0 * PERIOD))
    assert heard == ([] if taken else ["lowstate_late"]), "what is taken is a sign of life"


@pytest.mark.parametrize(
    "silent, advanced_ms, restarted",
    [
        (0.002, 1, False),
        (5.05, 1, False),
        (5.06, 1, True),
        (500.0, 490000, False),
        (500.0, 489999, True),
        (1200.0, 1183000, False),
        (1200.0, 1182999, True),
        (1200.0, 299982, True),
    ],
)
def test_how_far_behind_our_clock_a_tick_is_a_restart(silent, advanced_ms, restarted):
    """One that was switched off with the cable out, and runs longer by now than it did before: 5 s and 1 % are left."""
    watch = LowstateWatch()
    list(watch.update([replace(STATE, stamp=0.0)], 0, 0.0))
    after = replace(STATE, tick_ms=STATE.tick_ms + advanced_ms, stamp=silent)
    assert list(watch.update([after], 0, PERIOD)) == ["lowstate_restarted"] * restarted
    assert watch.state is after


def test_a_tick_ahead_of_our_clock_or_of_a_time_unknown():
    watch = LowstateWatch()
    list(watch.update([STATE], 0, 0.0))
    assert not list(watch.update([replace(STATE, tick_ms=STATE.tick_ms + 10**6)], 0, PERIOD)), "a fast one is none"
    unknown = replace(STATE, tick_ms=STATE.tick_ms + 10**6 + 2, stamp=np.nan)
    assert list(watch.update([unknown], 0, 2 * PERIOD)) == ["lowstate_restarted"]


def test_of_several_at_once_the_newest_is_taken():
    watch = LowstateWatch()
    assert not list(watch.update([replace(STATE, tick_ms=t) for t in (10, 14, 12)], 0, 0.0))
    assert watch.state.tick_ms == 14


def test_a_restarted_robot_is_noticed_once():
    watch = LowstateWatch()
    found = [list(watch.update([replace(STATE, tick_ms=t)], 0, i * PERIOD)) for i, t in enumerate((90000, 2, 4, 6))]
    assert found == [[], ["lowstate_restarted"], [], []]
    assert watch.state.tick_ms == 6
