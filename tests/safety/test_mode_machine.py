"""The mode machine, in full: every mode, every request, every condition."""

from __future__ import annotations

import itertools

import pytest

from dbp_policy.guard.faults import FAULTS, Severity, worst
from dbp_policy.guard.modes import Conditions, ModeMachine
from dbp_policy.types import Mode, Request

FLAGS = (False, True)
GRANTED = {  # (mode, request): (mode after, what it takes beyond no fault and no latch)
    (Mode.DAMPING, Request.STAND_UP): (Mode.STANDING_UP, "at_rest"),
    (Mode.POLICY, Request.STAND_UP): (Mode.STANDING, None),
    (Mode.STANDING, Request.START): (Mode.POLICY, "target_fresh"),
    (Mode.STANDING_UP, Request.SIT_DOWN): (Mode.SITTING_DOWN, None),
    (Mode.STANDING, Request.SIT_DOWN): (Mode.SITTING_DOWN, None),
    (Mode.POLICY, Request.SIT_DOWN): (Mode.SITTING_DOWN, None),
}


def machine(mode: Mode, latched: bool = False, in_control: bool = False) -> ModeMachine:
    m = ModeMachine()
    m.mode, m.latched, m.in_control = mode, latched, in_control
    return m


def conditions(severity=Severity.NONE, target_fresh=True, motion_done=False, at_rest=True) -> Conditions:
    return Conditions(severity, ("some_fault",), target_fresh, motion_done, at_rest)


def test_it_starts_damped_unlatched_and_without_control():
    m = ModeMachine()
    assert (m.mode, m.latched, m.in_control) == (Mode.DAMPING, False, False)


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("request_", [r for r in Request if r not in (Request.ESTOP, Request.RESET)])
@pytest.mark.parametrize("mode", Mode)
def test_motion_is_granted_by_the_table_and_by_nothing_else(mode, request_, severity):
    for latched, fresh, rest in itertools.product(FLAGS, FLAGS, FLAGS):
        m = machine(mode, latched)
        refusal = m.request(request_, conditions(severity, target_fresh=fresh, at_rest=rest))
        after, needs = GRANTED.get((mode, request_), (mode, None))
        has = {"at_rest": rest, "target_fresh": fresh, None: True}[needs]
        if (mode, request_) in GRANTED and severity < Severity.STAND and not latched and has:
            assert (refusal, m.mode, m.in_control) == ("", after, True)
        else:
            assert refusal.startswith(f"{request_.name.lower()} refused")
            assert (m.mode, m.latched, m.in_control) == (mode, latched, False)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("severity", Severity)
def test_estop_damps_and_latches_from_everywhere(mode, severity):
    for latched in FLAGS:
        m = machine(mode, latched)
        assert m.request(Request.ESTOP, conditions(severity)) == ""
        assert (m.mode, m.latched) == (Mode.DAMPING, True)


@pytest.mark.parametrize("severity", Severity)
def test_reset_takes_a_latch_rest_and_no_grave_fault_and_moves_nothing(severity):
    for latched, rest in itertools.product(FLAGS, FLAGS):
        m = machine(Mode.DAMPING, latched)
        granted = m.request(Request.RESET, conditions(severity, at_rest=rest)) == ""
        assert granted == (latched and rest and severity < Severity.STAND)
        assert (m.mode, m.latched) == (Mode.DAMPING, latched and not granted)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("severity", Severity)
def test_faults_come_before_the_end_of_motions(mode, severity):
    for done in FLAGS:
        m = machine(mode)
        m.update(conditions(severity, motion_done=done))
        if severity >= Severity.DAMP and mode != Mode.DAMPING:
            assert (m.mode, m.latched) == (Mode.DAMPING, True)
        elif severity >= Severity.STAND and mode == Mode.POLICY:
            assert (m.mode, m.latched) == (Mode.STANDING, False)
        elif done and mode == Mode.STANDING_UP:
            assert m.mode == Mode.STANDING
        elif done and mode == Mode.SITTING_DOWN:
            assert m.mode == Mode.DAMPING
        else:
            assert (m.mode, m.latched) == (mode, False)


def test_no_sequence_of_faults_ends_a_latch_or_starts_a_motion():
    for first, second in itertools.product(Severity, Severity):
        m = machine(Mode.DAMPING, latched=True)
        for severity in (first, second, Severity.NONE):
            m.update(conditions(severity, motion_done=True))
        assert (m.mode, m.latched, m.in_control) == (Mode.DAMPING, True, False)


def test_the_gravest_fault_decides_and_every_row_tells_the_operator_something():
    assert worst(()) == Severity.NONE
    assert worst(("guard_overrun", "policy_stale", "motor_hot")) == Severity.STAND
    assert worst(("policy_stale", "tilt")) == Severity.DAMP
    for name, fault in FAULTS.items():
        assert fault.name == name and len(fault.message) > 20
