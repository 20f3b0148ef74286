"""Gyro, attitude and accelerometer against each other: what fits together passes, a lie is found in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from motion_rig import PERIOD, UP, about, first, still, swinging

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.imu import FreeFallWatch, GravityWatch, GyroWatch, rotation_between
from dbp_policy.types import RobotState


def gyros(states) -> list[list[str]]:
    watch = GyroWatch()
    return [list(watch.update(state)) for state in states]


def test_a_gyro_that_agrees_with_the_attitude_passes():
    assert not any(gyros(swinging(1000)))
    assert not any(gyros(replace(s, quat_wxyz=-s.quat_wxyz if s.tick_ms % 6 else s.quat_wxyz) for s in swinging(500)))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("bias", [-0.5, 0.5])
def test_a_biased_gyro_is_found_within_200_ms(axis, bias):
    states = [replace(s, gyro_body=s.gyro_body + bias * np.eye(3)[axis]) for s in swinging(300)]
    assert first(gyros(states), "gyro_implausible") * PERIOD <= 0.12
    small = [replace(s, gyro_body=s.gyro_body + 0.1 * np.sign(bias) * np.eye(3)[axis]) for s in swinging(300)]
    assert not any(gyros(small))


def test_a_gyro_that_hangs_is_found_though_nothing_turns():
    still = [RobotState(tick_ms=2 * i, gyro_body=np.full(3, 1e-3), acc_body=UP) for i in range(100)]
    found = gyros(still)
    assert first(found, "gyro_implausible") == t.GYRO_STUCK_STATES


def test_a_gap_is_no_rotation_of_the_gyro():
    states = list(swinging(300))
    later = [replace(s, tick_ms=s.tick_ms + 500, quat_wxyz=about((0, 0, 1), 1.0)) for s in states[:100]]
    later = [replace(s, gyro_body=np.full(3, 1e-4 * i)) for i, s in enumerate(later)]
    assert not any(gyros([*states[:100], *later]))


def test_a_gyro_at_rest_agrees_with_the_attitude_exactly(monkeypatch):
    monkeypatch.setattr(t, "GYRO_MISMATCH", 0.0)
    monkeypatch.setattr(t, "GYRO_STUCK_STATES", 10**6)
    assert not any(gyros(still(100)))


@pytest.mark.parametrize("tick_ms, judged", [(-2, False), (0, False), (1, True), (20, True), (21, False)])
def test_after_which_gaps_the_gyro_is_judged(tick_ms, judged):
    before = [replace(s, gyro_body=np.full(3, 1e-6 * i)) for i, s in enumerate(still(60))]
    after = replace(before[-1], tick_ms=before[-1].tick_ms + tick_ms, quat_wxyz=about((1, 0, 0), 0.3), gyro_body=UP)
    assert bool(gyros([*before, after])[-1]) == judged


@pytest.mark.parametrize("period_ms", [2, 20])
def test_a_gyro_may_be_wrong_by_so_much_and_no_more(period_ms):
    """0.2 rad/s on average over 50 lowstates at 2 ms; the sum of 50 at 20 ms may be no more."""
    bound = t.GYRO_MISMATCH * 2 / period_ms
    for share, found_from in ((0.98, None), (-0.98, None), (1.02, 51), (-1.02, 51)):
        states = enumerate(still(200, period_ms))
        found = gyros(replace(s, gyro_body=np.array([1e-9 * i, 0.0, share * bound])) for i, s in states)
        assert found == ([[]] * 200 if found_from is None else [[]] * 51 + [["gyro_implausible"]] * 149)


def test_a_hanging_gyro_is_counted_anew_after_another_reading_and_after_a_gap():
    def reading(tick_ms: int, value: float) -> RobotState:
        return RobotState(tick_ms=tick_ms, gyro_body=np.full(3, value), acc_body=UP)

    hanging = [reading(2 * i, 1e-3) for i in range(31)]
    assert gyros(hanging) == [[]] * 30 + [["gyro_implausible"]]
    for break_off in (reading(62, 2e-3), reading(162, 1e-3)):
        begin = break_off.tick_ms
        again = [reading(begin + 2 * i, float(break_off.gyro_body[0])) for i in range(1, 32)]
        assert gyros([*hanging, break_off, *again])[31:] == [[]] * 30 + [["gyro_implausible"]] * 2


def test_rotation_between_any_two_near_attitudes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, small = rng.standard_normal(4), 0.02 * rng.standard_normal(3)
        a /= np.linalg.norm(a)
        w, v = np.sqrt(1.0 - 0.25 * small @ small), 0.5 * small
        b = np.array([a[0] * w - a[1:] @ v, *(a[0] * v + w * a[1:] + np.cross(a[1:], v))])
        np.testing.assert_allclose(rotation_between(a, b), small, atol=1e-12)
        np.testing.assert_allclose(rotation_between(a, -b), small, atol=1e-12)


def test_rotation_through_the_half_turn_where_the_real_part_changes_its_sign():
    a, b = about((1, 0, 0), np.pi - 0.02), about((1, 0, 0), np.pi + 0.01)
    np.testing.assert_allclose(rotation_between(a, b), [0.03, 0.0, 0.0], atol=1e-5)


def test_rotation_between_attitudes():
    a = about((0.0, 0.6, 0.8), 0.7)
    small = np.array([0.01, -0.02, 0.03])
    w, v = 1.0 - small @ small / 8.0, 0.5 * small
    b = np.array([a[0] * w - a[1:] @ v, *(a[0] * v + w * a[1:] + np.cross(a[1:], v))])
    np.testing.assert_allclose(rotation_between(a, b), small, atol=1e-5)
    np.testing.assert_allclose(rotation_between(a, -b), small, atol=1e-5)


def gravity(quat, acc, steps: int = 100, lying: bool = True) -> list[str]:
    watch = GravityWatch()
    for i in range(steps):
        found = list(watch.update(RobotState(tick_ms=2 * i, quat_wxyz=quat, acc_body=acc), lying))
    return found


def test_gravity_by_accelerometer_and_attitude():
    for tilt in (0.0, 0.2, -0.5):
        acc = go2.GRAVITY * np.array([0.0, np.sin(tilt), np.cos(tilt)])
        assert gravity(about((1, 0, 0), tilt), acc) == []
        for off, wrong in ((0.25, False), (-0.25, False), (0.35, True), (-0.35, True)):
            assert gravity(about((1, 0, 0), tilt + off), acc) == (["imu_gravity"] if wrong else [])


def test_a_quaternion_in_the_other_order_is_found_unless_it_means_the_same():
    turned = about((0, 0, 1), 1.0)
    assert gravity(np.roll(turned, -1), UP) == ["imu_gravity"]
    assert gravity(-turned, UP) == []


def test_gravity_is_judged_at_rest_and_after_a_while():
    wrong = about((1, 0, 0), 1.0)
    assert gravity(wrong, UP, lying=False) == [] and gravity(wrong, UP, steps=40) == []
    assert gravity(wrong, 1.5 * UP) == [], "something moves it"
    watch = GravityWatch()
    turning = RobotState(quat_wxyz=wrong, acc_body=UP, gyro_body=np.array([0.0, 1.0, 0.0]))
    assert not any(list(watch.update(turning, True)) for _ in range(100))


def test_gravity_is_judged_from_the_fiftieth_still_lowstate_on_and_each_time_anew():
    wrong, watch = about((1, 0, 0), 1.0), GravityWatch()

    def lie(turning: float = 0.0, lying: bool = True) -> list[str]:
        return list(watch.update(RobotState(quat_wxyz=wrong, acc_body=UP, gyro_body=np.full(3, turning)), lying))

    for disturb in ({}, {"turning": 0.31}, {"lying": False}):
        assert lie(**disturb) == [] or not disturb
        found = [lie() for _ in range(51 if disturb else 50)]
        assert found == [[]] * (49 if disturb else 48) + [["imu_gravity"]] * 2


@pytest.mark.parametrize("rate, judged", [(t.STILL_RATE, True), (-t.STILL_RATE, True), (0.3001, False)])
def test_up_to_which_rate_a_trunk_is_still(rate, judged):
    watch = GravityWatch()
    state = RobotState(quat_wxyz=about((1, 0, 0), 1.0), acc_body=UP, gyro_body=np.array([0.0, rate, 0.0]))
    assert any(list(watch.update(state, True)) for _ in range(60)) == judged


@pytest.mark.parametrize("force, judged", [(8.31, True), (8.30, False), (11.31, True), (11.32, False)])
def test_from_which_force_something_moves_it(force, judged):
    watch = GravityWatch()
    state = RobotState(quat_wxyz=about((1, 0, 0), 1.0), acc_body=np.array([0.0, 0.0, force]))
    assert any(list(watch.update(state, True)) for _ in range(60)) == judged


def test_exact_gravity_needs_no_tolerance(monkeypatch):
    monkeypatch.setattr(t, "GRAVITY_ANGLE", 0.0)
    monkeypatch.setattr(t, "STILL_ACC", 0.0)
    assert gravity(about((0, 0, 1), 0.0), UP) == []
    assert gravity(about((1, 0, 0), 1e-3), UP) == ["imu_gravity"]


def test_a_mean_of_nothing_ends_no_guard():
    watch = GravityWatch()
    for sign in (1.0, -1.0):
        assert list(watch.update(RobotState(acc_body=sign * UP), True)) == []


def test_gravity_is_judged_by_the_mean():
    """All readings alike at first; after the fiftieth each new one counts for a fiftieth of the rest."""
    aslant = go2.GRAVITY * np.array([0.0, np.sin(0.6), np.cos(0.6)])

    def judge(readings) -> list[list[str]]:
        watch = GravityWatch()
        return [list(watch.update(RobotState(acc_body=acc), True)) for acc in readings]

    # Half of the readings 0.6 rad off: the mean of two unit vectors is 0.3 rad off; one more on a side decides.
    for more, wrong in ((24, False), (26, True)):
        readings = [aslant] * more + [UP] * (50 - more)
        assert judge(readings)[-1] == (["imu_gravity"] if wrong else [])
        assert judge(readings[::-1])[-1] == (["imu_gravity"] if wrong else [])
    # 1 - 0.98^k of the mean is new after k more: half of it after 34.3.
    assert first(judge([UP] * 200 + [aslant] * 60), "imu_gravity") == 200 + 34
    # What was read before it moved is forgotten.
    moved = np.array([0.0, 0.0, 20.0])
    assert judge([aslant] * 50 + [moved] + [UP] * 50)[-1] == []


def test_what_counts_as_carried():
    for force, carried in ((3.0, True), (2.999, False), (3.1, True), (2.5, False)):
        watch = FreeFallWatch()
        states = [RobotState(tick_ms=20 * i, acc_body=np.array([0.0, 0.0, force])) for i in range(20)]
        assert any(list(watch.update(state)) for state in states) != carried


def test_a_fall_counts_from_its_first_lowstate_and_a_gap_for_at_most_20_ms():
    def fall(*ticks_ms: int) -> list[str]:
        watch = FreeFallWatch()
        return [list(watch.update(RobotState(tick_ms=tick))) for tick in ticks_ms][-1]

    assert fall(0) == fall(5000) == []
    assert fall(0, 20, 40, 60, 80, 99) == [] and fall(0, 20, 40, 60, 80, 100, 101) == ["free_fall"]
    assert fall(*range(0, 5000, 1000)) == fall(*range(9000, 0, -1000)) == [], "80 ms, and none at all"
    assert fall(*range(0, 7000, 1000)) == ["free_fall"], "120 ms"
    assert fall(*range(0, 199, 2)) == ["free_fall"] and fall(*range(0, 205, 2)) == ["falling"]


def test_a_fall_of_just_so_long_is_not_yet_too_long(monkeypatch):
    """In steps whose float sum is the very threshold."""
    ticks = (0, 20, 25, 45, 50, 70, 75, 95, 100)
    for after in ("free_fall", "falling"):
        watch = FreeFallWatch()
        assert [list(watch.update(RobotState(tick_ms=tick))) for tick in ticks] == [[]] * 9
        assert list(watch.update(RobotState(tick_ms=101))) == [after]
        monkeypatch.setattr(t, "FREE_FALL_DAMP", t.FREE_FALL_ZERO)


def test_free_fall_stops_first_and_damps_then():
    watch = FreeFallWatch()
    found = [list(watch.update(RobotState(tick_ms=2 * i, acc_body=0.2 * UP if i else UP))) for i in range(150)]
    assert first(found, "free_fall") in (50, 51) and first(found, "falling") in (100, 101)
    assert list(watch.update(RobotState(tick_ms=302, acc_body=UP))) == []
    steps = [RobotState(tick_ms=2 * i, acc_body=(0.1 if i % 50 < 40 else 2.0) * UP) for i in range(500)]
    assert not any(list(watch.update(s)) for s in steps), "flight of 80 ms"
