"""The doctor on made-up lowstates: every check from both sides of its bound, and each fault with its mend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_bringup.doctor.finding import Finding, Level
from dbp_bringup.doctor.legs import INWARD, UNEVEN, foot_unevenness, hip_spread
from dbp_bringup.doctor.robot import LEAST, Heard, check_robot
from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.types import RobotState
from dbp_policy.unitree.remote import Remote, encode_remote

LYING = RobotState(
    q_sdk=go2.CROUCH_Q,
    acc_body=np.array([0.0, 0.0, go2.GRAVITY]),
    temperature_sdk=np.full(12, 30.0),
    battery_soc=80.0,
    battery_v=30.0,
)
LEFT_RIGHT = np.r_[3:6, 0:3, 9:12, 6:9]


def recording(n: int = 300, **changes) -> list[RobotState]:
    """A robot that lies still, with an IMU's noise."""
    state = replace(LYING, **changes)
    noise = 1e-4 * np.sin(np.outer(np.arange(n), np.arange(1.0, 4.0)))
    return [replace(state, tick_ms=2 * i, gyro_body=state.gyro_body + noise[i]) for i in range(n)]


def heard(states=None, **changes) -> Heard:
    good = dict(robots=1, simulated=False, sport_mode="", writers=0)
    return Heard(recording() if states is None else states, **{**good, **changes})


def findings(of: Heard, domain: int = 0) -> dict[str, Finding]:
    found = {f.name: f for f in check_robot(of, domain)}
    for finding in found.values():
        assert bool(finding.mend) == (finding.level != Level.OK), "what is not well has a mend, what is has none"
    return found


def grave(found: dict[str, Finding]) -> dict[str, Level]:
    return {name: f.level for name, f in found.items() if f.level != Level.OK}


def test_a_healthy_robot():
    found = findings(heard())
    assert not grave(found) and len(found) == 11
    assert "500 Hz" in found["lowstate"].found and "80 %, 30.0 V" in found["battery"].found


@pytest.mark.parametrize(("good", "bad"), [(0, 0), (LEAST - 1, 0), (0, 300), (LEAST - 1, 300)])
def test_too_little_came(good, bad):
    found = findings(heard([*recording(good), *[None] * bad]))
    assert grave(found) == {"lowstate": Level.FAULT}
    assert ("checksum" in found["lowstate"].found) == bool(bad)


def test_enough_came():
    assert not grave(findings(heard(recording(LEAST))))


def test_damaged_lowstates_between_good_ones():
    states = recording()
    assert not grave(findings(heard([*states[:150], *[None] * (t.CORRUPT_IN_A_ROW - 1), *states[150:]])))
    found = findings(heard([*states[:150], *[None] * t.CORRUPT_IN_A_ROW, *states[150:]]))
    assert grave(found) == {"lowstate": Level.FAULT} and "who else writes" in found["lowstate"].mend


def test_lost_lowstates_show_by_the_robots_clock():
    states = recording()
    found = findings(heard([*states[:100], *states[103:]]))
    assert grave(found) == {"lowstate": Level.WARNING} and "lowstate_late" in found["lowstate"].found
    assert grave(findings(heard([*states[:100], *states[130:]])))["lowstate"] == Level.FAULT


def turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return go2.GRAVITY * np.array([np.sin(angle), 0.0, np.cos(angle)])


@pytest.mark.parametrize(("degrees", "level"), [(16.0, None), (18.0, Level.FAULT), (180.0, Level.FAULT)])
def test_gravity_where_the_attitude_has_it(degrees, level):
    found = findings(heard(recording(acc_body=turned(degrees))))
    assert grave(found) == ({"gravity": level} if level else {})
    assert f"{degrees:.0f}° off the attitude" in found["gravity"].found


def test_a_robot_on_its_back():
    found = findings(heard(recording(quat_wxyz=np.array([0.0, 1.0, 0.0, 0.0]), acc_body=turned(180.0))))
    assert grave(found)["gravity"] == Level.FAULT and "tilted by 180°" in found["gravity"].found


def test_of_a_robot_that_moves_gravity_is_not_judged():
    way = 2e-3 * np.arange(300)[:, None] * np.full(12, 0.6)
    states = [replace(s, q_sdk=go2.STAND_Q + w, dq_sdk=np.full(12, 0.6)) for s, w in zip(recording(), way, strict=True)]
    found = findings(heard(states))
    assert grave(found) == {"gravity": Level.WARNING} and "legs" not in found


@pytest.mark.parametrize(
    ("changes", "name", "level"),
    [
        (dict(battery_soc=20.0), "battery", None),
        (dict(battery_soc=19.0), "battery", Level.WARNING),
        (dict(battery_soc=10.0), "battery", Level.WARNING),
        (dict(battery_soc=9.0), "battery", Level.FAULT),
        (dict(temperature_sdk=np.full(12, 69.0)), "motors", None),
        (dict(temperature_sdk=np.full(12, 70.0)), "motors", Level.WARNING),
        (dict(temperature_sdk=np.full(12, 80.0)), "motors", Level.FAULT),
        (dict(remote=encode_remote(Remote(present=True, buttons=frozenset({"l2_button"})))), "stop", None),
        (dict(remote=encode_remote(Remote(present=True, buttons=frozenset({"l2_button", "b"})))), "stop", Level.FAULT),
    ],
)
def test_bounds_of_one_lowstate(changes, name, level):
    found = findings(heard(recording(**changes)))
    assert grave(found) == ({name: level} if level else {})


@pytest.mark.parametrize(("past", "level"), [(0.04, None), (0.06, Level.FAULT)])
def test_a_joint_past_its_range_is_named(past, level):
    q = go2.CROUCH_Q.copy()
    q[2::3] = go2.Q_MIN[2] - np.array([past, 0.0, 0.0, 0.0])
    found = findings(heard(recording(q_sdk=q)))
    assert grave(found) == ({"joints": level} if level else {})
    assert ("FR_calf_joint by 0.06 rad" in found["joints"].found) == bool(level)


class TestOrder:
    def test_an_order_by_joint_type_breaks_the_ranges(self):
        by_type = np.array([3, 0, 9, 6, 4, 1, 10, 7, 5, 2, 11, 8])
        assert grave(findings(heard(recording(q_sdk=go2.CROUCH_Q[by_type]))))["joints"] == Level.FAULT

    def test_left_and_right_exchanged_turn_the_hips_inwards(self):
        found = findings(heard(recording(q_sdk=go2.CROUCH_Q[LEFT_RIGHT])))
        assert grave(found) == {"legs": Level.WARNING}
        assert "left and right" in found["legs"].found and "--joints" in found["legs"].mend

    @pytest.mark.parametrize(("inward", "warns"), [(0.9 * INWARD, False), (1.1 * INWARD, True)])
    def test_how_far_inwards(self, inward, warns):
        q = go2.CROUCH_Q.copy()
        q[0::3] = inward * np.array([1.0, -1.0, 1.0, -1.0])
        assert hip_spread(q) == pytest.approx(-inward)
        assert bool(grave(findings(heard(recording(q_sdk=q))))) == warns

    def test_standing_they_cannot_be_told(self):
        assert not grave(findings(heard(recording(q_sdk=go2.STAND_Q[LEFT_RIGHT]))))

    @pytest.mark.parametrize(("higher", "warns"), [(0.9, False), (1.1, True)])
    def test_feet_on_one_floor(self, higher, warns):
        q = go2.STAND_Q.copy()
        low, high = q[1], q[1] + 1.0
        for _ in range(50):  # the thigh angle that lifts one foot by so much
            q[1] = 0.5 * (low + high)
            low, high = (q[1], high) if foot_unevenness(q, LYING.quat_wxyz) < higher * UNEVEN else (low, q[1])
        assert bool(grave(findings(heard(recording(q_sdk=q))))) == warns


class TestWho:
    def test_a_simulation_on_the_robots_domain(self):
        found = findings(heard(simulated=True))
        assert grave(found) == {"robot": Level.FAULT}
        assert not grave(findings(heard(simulated=True), domain=1))

    def test_one_without_temperature_and_battery_is_none_either(self):
        blank = recording(temperature_sdk=np.zeros(12), battery_soc=0.0, battery_v=0.0)
        assert grave(findings(heard(blank)))["robot"] == Level.FAULT
        assert "robot" not in grave(findings(heard(blank), domain=1))

    def test_two_robots(self):
        assert grave(findings(heard(robots=2))) == {"robot": Level.FAULT}


class TestOthers:
    @pytest.mark.parametrize(
        ("mode", "writers", "own", "expected"),
        [
            ("", 0, 0, {}),
            ("", 2, 2, {}),
            ("", 0, 2, {}),
            ("", 1, 0, {"writers": Level.FAULT}),
            ("", 3, 2, {"writers": Level.FAULT}),
            ("ai", 0, 0, {"sport mode": Level.WARNING}),
            ("ai", 1, 0, {"sport mode": Level.WARNING, "writers": Level.WARNING}),
            (None, 0, 0, {"sport mode": Level.FAULT}),
            (None, 1, 0, {"sport mode": Level.FAULT, "writers": Level.FAULT}),
        ],
    )
    def test_who_has_the_motors(self, mode, writers, own, expected):
        found = findings(heard(sport_mode=mode, writers=writers, own_writers=own))
        assert grave(found) == expected

    def test_they_are_named_where_no_lowstate_comes_too(self):
        assert grave(findings(heard([], sport_mode="normal"))) == {
            "lowstate": Level.FAULT,
            "sport mode": Level.WARNING,
        }
