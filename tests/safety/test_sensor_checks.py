"""Sensors against each other: motion that fits together passes, a lie is found in time, and a gap is no lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.body import BatteryWatch, FootWatch, LostWatch, heat_faults
from dbp_policy.guard.checks.imu import FreeFallWatch, GravityWatch, GyroWatch, rotation_between
from dbp_policy.guard.checks.joints import EncoderWatch
from dbp_policy.guard.motions import hold
from dbp_policy.types import RobotState, damping_command

PERIOD = 0.002
UP = np.array([0.0, 0.0, go2.GRAVITY])


def at(array, index: int, value: float) -> np.ndarray:
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


def about(axis, angle: float) -> np.ndarray:
    """Quaternion of a rotation."""
    return np.array([np.cos(0.5 * angle), *(np.sin(0.5 * angle) * np.asarray(axis, dtype=float))])


def swinging(steps: int, amplitude: float = 0.3, hertz: float = 2.0) -> Iterator[RobotState]:
    """All joints and the trunk swing; angles, speeds, attitude and gyro belong together."""
    omega = 2.0 * np.pi * hertz
    for step in range(steps):
        now = step * PERIOD
        yield RobotState(
            tick_ms=2 * step,
            q_sdk=go2.STAND_Q + amplitude * np.sin(omega * now),
            dq_sdk=np.full(12, amplitude * omega * np.cos(omega * now)),
            quat_wxyz=about((1, 0, 0), amplitude * np.sin(omega * now)),
            gyro_body=np.array([amplitude * omega * np.cos(omega * now), 0.0, 0.0]),
            acc_body=UP,
        )


def first(found: list[list[str]], name: str) -> int:
    return next(i for i, names in enumerate(found) if name in names)


def encoders(states, command=None) -> list[list[str]]:
    watch = EncoderWatch()
    return [list(watch.update(state, command or hold(state.q_sdk))) for state in states]


# Encoders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hertz", [0.5, 2.0, 6.0])
def test_motion_that_fits_together_passes(hertz):
    assert not any(encoders(swinging(1000, hertz=hertz)))


@pytest.mark.parametrize("joint", range(12))
def test_an_encoder_that_jumps(joint):
    for jump, caught in ((0.19, False), (0.21, True), (-0.21, True), (np.pi, True)):
        states = [replace(s, dq_sdk=np.zeros(12), q_sdk=go2.STAND_Q) for s in swinging(10)]
        states[5:] = [replace(s, q_sdk=at(s.q_sdk, joint, s.q_sdk[joint] + jump)) for s in states[5:]]
        found = encoders(states)
        assert ("encoder_jump" in found[5]) == caught
        assert not any("encoder_jump" in names for i, names in enumerate(found) if i != 5)


def test_after_missing_lowstates_a_joint_may_be_farther():
    states = [s for i, s in enumerate(swinging(200, amplitude=1.0, hertz=3.0)) if not 50 <= i < 57]
    assert not any("encoder_jump" in names for names in encoders(states))


@pytest.mark.parametrize("speed", [-1.0, 0.0, 2.0])
def test_a_speed_that_contradicts_the_angles(speed):
    states = [replace(s, dq_sdk=s.dq_sdk * np.where(np.arange(12) == 4, speed, 1.0)) for s in swinging(500)]
    found = encoders(states)
    assert 25 <= first(found, "encoder_implausible") <= 100


def test_a_stuck_encoder_is_found_when_the_joint_is_asked_to_move():
    states = [replace(s, q_sdk=at(s.q_sdk, 7, 1.0), dq_sdk=at(s.dq_sdk, 7, 0.0)) for s in swinging(500)]
    watch = EncoderWatch()
    asked = [hold(go2.STAND_Q + 0.3 * np.sin(2.0 * np.pi * i * PERIOD)) for i in range(len(states))]
    found = [list(watch.update(state, command)) for state, command in zip(states, asked, strict=True)]
    assert first(found, "encoder_implausible") * PERIOD <= 0.2
    assert not any(encoders(states, hold(go2.STAND_Q))), "a command that stands still asks nothing"
    still = [replace(s, q_sdk=go2.STAND_Q, dq_sdk=np.zeros(12)) for s in states]
    watch = EncoderWatch()
    found = [list(watch.update(s, hold(go2.STAND_Q + (i >= 300)))) for i, s in enumerate(still)]
    assert first(found, "encoder_implausible") == 329, "a joint has 60 ms to follow a command that jumps"
    assert not any(encoders(states, damping_command())), "nor does damping"


def test_a_gap_or_a_restart_begins_anew():
    states = list(swinging(300))
    shifted = [replace(s, tick_ms=s.tick_ms + 500, q_sdk=s.q_sdk + 0.5) for s in states[:100]]
    assert not any(encoders([*states[:100], *shifted]))
    assert not any(encoders([*states[100:200], *states[:100]]))


# Gyro and gravity ----------------------------------------------------------------------------------------------------


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


def test_free_fall_stops_first_and_damps_then():
    watch = FreeFallWatch()
    found = [list(watch.update(RobotState(tick_ms=2 * i, acc_body=0.2 * UP if i else UP))) for i in range(150)]
    assert first(found, "free_fall") in (50, 51) and first(found, "falling") in (100, 101)
    assert list(watch.update(RobotState(tick_ms=302, acc_body=UP))) == []
    steps = [RobotState(tick_ms=2 * i, acc_body=(0.1 if i % 50 < 40 else 2.0) * UP) for i in range(500)]
    assert not any(list(watch.update(s)) for s in steps), "flight of 80 ms"


# Motors, battery, feet -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("motor", range(12))
def test_heat(motor):
    for celsius, fault in ((69.0, []), (70.0, ["motor_hot"]), (79.0, ["motor_hot"]), (80.0, ["motor_overheated"])):
        assert list(heat_faults(RobotState(temperature_sdk=at(np.zeros(12), motor, celsius)))) == fault
    assert list(heat_faults(RobotState(temperature_sdk=at(np.zeros(12), motor, np.nan)))) == ["motor_overheated"]


def test_charge():
    for soc, fault in ((20.0, []), (19.0, ["battery_low"]), (10.0, ["battery_low"]), (9.0, ["battery_critical"])):
        assert list(BatteryWatch().update(RobotState(battery_soc=soc))) == fault
    assert list(BatteryWatch().update(RobotState(battery_soc=np.nan))) == ["battery_critical"]


def test_voltage_against_the_highest_seen():
    watch = BatteryWatch()
    found = [list(watch.update(RobotState(battery_v=v))) for v in (28.0, 33.0, 27.0, 26.0, np.nan, np.inf, 28.0)]
    assert found == [[], [], [], ["voltage_sag"], ["voltage_sag"], [], []]


def test_a_motor_that_loses_packets():
    watch = LostWatch()

    def see(count: float) -> list[str]:
        return list(watch.update(RobotState(lost_sdk=at(np.full(12, 7.0), 3, count))))

    assert [see(1000.0 + n) for n in (0, 1, 2, 2)] == [[]] * 4, "what was lost before is none of our business"
    assert see(1003.0) == ["motor_lost"]
    for _ in range(t.LOST_WINDOW):
        last = see(1003.0)
    assert last == [] and see(np.nan) == ["motor_lost"]


def test_feet_that_hang_while_the_legs_move():
    watch = FootWatch()
    moving = np.full(12, 2.0)

    def see(step: int, foot: float, dq=moving) -> list[str]:
        return list(watch.update(RobotState(tick_ms=2 * step, foot_force=np.full(4, foot), dq_sdk=dq)))

    assert not any(see(i, float(i % 7)) for i in range(1000))
    found = [see(1000 + i, 3.0) for i in range(600)]
    assert first(found, "foot_force") in (500, 501)
    assert see(1600, 4.0) == []
    assert not any(see(1601 + i, 4.0, np.zeros(12)) for i in range(1000)), "standing still they may"
