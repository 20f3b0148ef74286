"""Motors, battery and feet."""

from __future__ import annotations

import numpy as np
import pytest
from motion_rig import at, first

from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.body import BatteryWatch, FootWatch, LostWatch, heat_faults
from dbp_policy.types import RobotState


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


def test_any_charge_is_compared_with_the_highest_voltage_of_this_watch():
    watch = BatteryWatch()
    assert list(watch.update(RobotState(battery_v=0.0))) == [], "none seen yet"
    found = [list(watch.update(RobotState(battery_v=v))) for v in (10.0, 20.0, 16.0, 15.99, 20.0)]
    assert found == [[], [], [], ["voltage_sag"], []]


def test_a_motor_that_loses_packets():
    watch = LostWatch()

    def see(count: float) -> list[str]:
        return list(watch.update(RobotState(lost_sdk=at(np.full(12, 7.0), 3, count))))

    assert [see(1000.0 + n) for n in (0, 1, 2, 2)] == [[]] * 4, "what was lost before is none of our business"
    assert see(1003.0) == ["motor_lost"]
    found = [see(1003.0) for _ in range(t.LOST_WINDOW)]
    assert found == [["motor_lost"]] * (t.LOST_WINDOW - 4) + [[]] * 4, "until the first state is out of the window"
    assert see(np.nan) == ["motor_lost"]


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


def test_from_when_on_feet_hang():
    def see(*ticks_ms: int, dq: float = 2.0) -> list[str]:
        watch = FootWatch()
        return [list(watch.update(RobotState(tick_ms=tick, dq_sdk=at(np.zeros(12), 4, dq)))) for tick in ticks_ms][-1]

    assert see(5000) == see(0, 1000) == [] and see(0, 1001) == see(0, 500, 1001) == ["foot_force"]
    assert see(1001, 0, 0) == [], "time does not run backwards"
    assert see(0, 1001, dq=-2.0) == see(0, 1001, dq=1.001) == ["foot_force"] and see(0, 1001, dq=1.0) == []
