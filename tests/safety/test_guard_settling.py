"""How the guard settles a robot: stands, holds, folds down and damps, and what escalates on the way."""

from __future__ import annotations

import numpy as np
import pytest
from guard_rig import ON_LEGS, Rig, is_damping

from dbp_policy import go2
from dbp_policy.types import Mode, Request

HOT = {"temperature_sdk": np.full(12, 80.0)}


@pytest.mark.parametrize("mode", ON_LEGS)
def test_settling_ramps_to_a_low_stand_holds_folds_and_damps(rig, mode):
    rig.to(mode)
    output = rig.twice(**HOT)
    assert output.status.mode == Mode.SETTLING and output.status.latched
    assert "motor_overheated" in output.status.faults and output.status.speed_scale == 0.0
    output = rig.run(0.16)
    assert output.command.q == pytest.approx(go2.LOW_STAND_Q) and (output.command.kp == go2.STAND_KP).all()
    output = rig.run(0.39)
    assert output.command.q == pytest.approx(go2.LOW_STAND_Q, abs=1e-3), "held for 0.4 s"
    output = rig.run(0.98)
    assert output.command.q == pytest.approx(go2.CROUCH_Q, abs=0.01) and output.status.mode == Mode.SETTLING
    output = rig.run(0.04)
    assert is_damping(output) and output.status.latched and "motor_overheated" in output.status.faults
    assert is_damping(rig.run(2.0)) and rig.step(Request.STAND_UP).status.refusal.endswith("latched, reset first")


def test_folded_legs_are_damped_where_others_settle(rig):
    rig.to(Mode.STANDING_UP)
    assert is_damping(rig.twice(**HOT)) and rig.outputs[-1].status.latched
    rig = Rig(rig.ways).to(Mode.SITTING_DOWN)
    rig.run(1.5)
    assert is_damping(rig.twice(**HOT))


def test_the_same_fault_lets_settling_go_on_and_a_further_one_ends_it(rig):
    rig.to(Mode.STANDING)
    rig.step(**HOT)
    for _ in range(100):
        assert rig.step(**HOT).status.mode == Mode.SETTLING
    assert is_damping(rig.twice(**HOT, battery_soc=5.0))
    assert {"motor_overheated", "battery_critical"} <= set(rig.step().status.faults)


def test_a_policy_that_falls_silent_does_not_end_a_settling_that_has_another_cause(rig):
    rig.to(Mode.STANDING)
    rig.step(**HOT)
    rig.policy_alive, rig.policy_gone = False, True
    output = rig.run(0.3)
    assert output.status.mode == Mode.SETTLING and output.status.faults == ("motor_overheated",)


def test_what_latched_stays_named_after_it_is_gone_and_what_came_later_does_not(rig):
    rig.to(Mode.STANDING)
    assert rig.twice(**HOT).status.latched
    assert rig.run(2.5).status.mode == Mode.DAMPING
    assert rig.step().status.faults == ("motor_overheated",)
    assert set(rig.twice(battery_soc=5.0).status.faults) == {"motor_overheated", "battery_critical"}
    assert rig.twice().status.faults == ("motor_overheated",)


def test_gravity_is_compared_only_while_nothing_moves_the_robot(rig):
    askew = {"acc_body": np.array([0.0, 6.0, 7.76])}
    rig.to(Mode.STANDING)
    outputs = [rig.step(**askew) for _ in range(1000)]
    assert not any("imu_gravity" in o.status.faults for o in outputs)
    rig.step(Request.SIT_DOWN)
    assert rig.run(2.5).status.mode == Mode.DAMPING
    outputs = [rig.step(**askew) for _ in range(1000)]
    assert "imu_gravity" in outputs[-1].status.faults


def test_gravity_is_compared_while_the_command_is_on_its_way(rig):
    askew = {"acc_body": np.array([0.0, 6.0, 7.76])}
    for _ in range(60):
        output = rig.step(**askew)
        rig.guard.catch_up()
    assert "imu_gravity" in output.status.faults


def test_a_blend_begins_at_the_last_command_and_not_at_where_the_legs_hang(rig):
    rig.to(Mode.STANDING)
    rig.run(0.5)
    for step in range(1, 21):
        before = rig.step(q_sdk=go2.STAND_Q - 0.001 * step, dq_sdk=np.full(12, -0.5)).command
    after = rig.step(Request.START, q_sdk=go2.STAND_Q - 0.021, dq_sdk=np.full(12, -0.5)).command
    assert rig.guard.mode == Mode.POLICY and after.q == pytest.approx(before.q, abs=1e-6)


@pytest.mark.parametrize("invalid", [{"q_sdk": np.full(12, np.nan)}, {"gyro_body": np.array([0.0, np.inf, 0.0])}])
def test_a_lowstate_that_cannot_be_computed_with_is_not_passed_on(rig, invalid):
    rig.to(Mode.STANDING)
    assert rig.step().state is not None
    output = rig.step(**invalid)
    assert "lowstate_invalid" in output.status.faults and output.state is None


def test_a_warning_or_heat_does_not_end_settling(rig):
    rig.to(Mode.SETTLING)
    assert rig.twice(temperature_sdk=np.full(12, 75.0), battery_soc=15.0).status.mode == Mode.SETTLING
