"""The guard's senses as a whole: every watch is fed every new lowstate, once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.senses import Senses
from dbp_policy.types import Mode, RobotState, damping_command

LYING = RobotState(q_sdk=go2.CROUCH_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
ASKEW = {"acc_body": np.array([0.0, 6.0, 7.76])}


class Bench:
    """Senses that hear a lowstate every 2 ms; IMU and foot sensors never read the very same twice."""

    def __init__(self, mode: Mode = Mode.DAMPING) -> None:
        self.senses = Senses()
        self.mode = mode
        self.steps = 0

    def hear(self, **sensed) -> list[str]:
        self.steps += 1
        noise = 1e-4 * np.sin(self.steps * np.arange(1.0, 4.0))
        feet = np.full(4, float(self.steps % 3))
        state = replace(LYING, tick_ms=2 * self.steps, stamp=self.now, gyro_body=noise, foot_force=feet)
        return self._update([replace(state, **sensed)])

    def hear_nothing(self) -> list[str]:
        self.steps += 1
        return self._update([])

    def _update(self, states: list[RobotState]) -> list[str]:
        return self.senses.update(states, 0, damping_command(), self.mode, self.now)

    @property
    def now(self) -> float:
        return 100.0 + 0.002 * self.steps


def test_a_healthy_robot_has_no_fault():
    bench = Bench()
    assert not any(bench.hear() for _ in range(1000))


@pytest.mark.parametrize("nose_down, wanted", [((), ["tilt"]), ((0.0,), ["tilt"]), ((1.0,), [])])
def test_nobody_may_pitch_down_unless_told_so(nose_down, wanted):
    for mode in Mode:
        pitched = replace(LYING, quat_wxyz=np.array([np.cos(0.55), 0.0, np.sin(0.55), 0.0]))
        found = Senses(*nose_down).update([pitched], 0, damping_command(), mode, 100.0)
        assert found == (wanted if mode == Mode.POLICY else ["tilt"])


@pytest.mark.parametrize(
    "sensed, fault",
    [
        ({"dq_sdk": np.full(12, 2.0)}, "encoder_implausible"),
        ({"gyro_body": np.array([0.5, 0.0, 0.0])}, "gyro_implausible"),
        ({"foot_force": np.zeros(4), "dq_sdk": np.full(12, 1.1 * t.FOOT_MOVING)}, "foot_force"),
    ],
)
def test_the_watches_that_compare_with_the_lowstate_before_are_fed(sensed, fault):
    bench = Bench()
    for _ in range(10):
        bench.hear()
    assert any(fault in bench.hear(**sensed) for _ in range(3000))


def test_a_lowstate_counts_once_however_long_it_is_the_newest():
    """Readings that repeat and askew gravity are faults after so many such lowstates, not after so much time."""
    bench = Bench()
    bench.hear(**ASKEW)
    assert not any({"imu_gravity", "lowstate_frozen"} & set(bench.hear_nothing()) for _ in range(1000))


def first_askew(bench: Bench, **tenth) -> int:
    """Which of equally askew lowstates, the tenth with other fields, is the first to find the fault; from 1."""
    found = [bench.hear(**ASKEW | (tenth if number == 10 else {})) for number in range(1, 61)]
    return 1 + next(index for index, faults in enumerate(found) if "imu_gravity" in faults)


def test_every_lowstate_is_looked_at_but_one_that_is_invalid():
    """Gravity is judged from the fiftieth on, which counts with the next; the very first is looked at, too."""
    assert first_askew(Bench()) == 51
    assert first_askew(Bench(), quat_wxyz=1.1 * LYING.quat_wxyz) == 52


def test_what_the_last_lowstate_showed_stays_until_the_next():
    bench = Bench()
    assert "motor_overheated" in bench.hear(temperature_sdk=np.full(12, 90.0))
    assert "motor_overheated" in bench.hear_nothing()
    bench.hear()
    assert "motor_overheated" not in bench.hear_nothing()


WAITING = [
    ({"temperature_sdk": np.full(12, 90.0)}, "motor_overheated"),
    ({"battery_soc": 5.0}, "battery_critical"),
    ({"lost_sdk": np.full(12, 5.0)}, "motor_lost"),
]


@pytest.mark.parametrize("sensed, fault", WAITING)
@pytest.mark.parametrize("catches_up", [True, False])
def test_what_wears_down_counts_from_the_next_update_on_however_it_is_caught_up_with(sensed, fault, catches_up):
    bench = Bench()
    bench.hear()
    assert bench.hear(**sensed) == []
    if catches_up:
        bench.senses.catch_up(bench.mode)
    assert bench.hear_nothing() == [fault]


@pytest.mark.parametrize("sensed, fault", [case for case in WAITING if case[1] != "motor_lost"])
def test_of_the_first_lowstate_all_is_known_at_once(sensed, fault):
    assert Bench().hear(**sensed) == [fault]


def test_catching_up_twice_is_catching_up_once():
    """Askew gravity is a fault after so many lowstates, not after so many looks."""
    once, often = Bench(), Bench()
    for _ in range(200):
        found = once.hear(**ASKEW)
        assert often.hear(**ASKEW) == found
        for _ in range(3):
            often.senses.catch_up(often.mode)
    assert found == ["imu_gravity"]


def test_before_the_first_lowstate_there_is_nothing_to_catch_up_with():
    bench = Bench()
    bench.senses.catch_up(bench.mode)
    assert bench.hear_nothing() == ["lowstate_stale"]
