"""The mode machine, in full: every mode, every request, every condition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from dbp_policy.guard.faults import Severity
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


def conditions(
    severity=Severity.NONE,
    target_fresh=True,
    motion_done=False,
    at_rest=True,
    on_legs=True,
    level=True,
    further=None,
    no_start=(),
) -> Conditions:
    further = severity if further is None else further
    faults = ("some_fault",)
    asked_for = (lambda: at_rest, lambda: on_legs, lambda: level)
    return Conditions(severity, further, faults, no_start, target_fresh, motion_done, *asked_for)


def test_it_starts_damped_unlatched_and_without_control():
    m = ModeMachine()
    assert (m.mode, m.latched, m.in_control) == (Mode.DAMPING, False, False)


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("request_", [r for r in Request if r not in (Request.ESTOP, Request.RESET)])
@pytest.mark.parametrize("mode", Mode)
def test_motion_is_granted_by_the_table_and_by_nothing_else(mode, request_, severity):
    for latched, fresh, rest, free in itertools.product(FLAGS, FLAGS, FLAGS, FLAGS):
        m = machine(mode, latched)
        no_start = () if free else ("standby_gone",)
        refusal = m.request(request_, conditions(severity, target_fresh=fresh, at_rest=rest, no_start=no_start))
        after, needs = GRANTED.get((mode, request_), (mode, None))
        has = {"at_rest": rest, "target_fresh": fresh, None: True}[needs]
        has &= free or request_ == Request.SIT_DOWN
        if (mode, request_) in GRANTED and severity < Severity.SETTLE and not latched and has:
            assert (refusal, m.mode, m.in_control) == ("", after, True)
        else:
            assert refusal.startswith(f"{request_.name.lower()} refused")
            assert (m.mode, m.latched, m.in_control) == (mode, latched, False)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("severity", Severity)
def test_estop_settles_from_the_legs_and_damps_from_everywhere_else_and_latches(mode, severity):
    for latched, on_legs in itertools.product(FLAGS, FLAGS):
        m = machine(mode, latched)
        assert m.request(Request.ESTOP, conditions(severity, on_legs=on_legs)) == ""
        up = mode in (Mode.STANDING_UP, Mode.STANDING, Mode.POLICY)
        gently = up and on_legs and severity < Severity.DAMP
        assert (m.mode, m.latched, m.in_control) == (Mode.SETTLING if gently else Mode.DAMPING, True, True)
        m.request(Request.ESTOP, conditions(severity, on_legs=on_legs))
        assert (m.mode, m.latched) == (Mode.DAMPING, True), "pressed again"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("request_", Request)
def test_from_the_front_legs_only_the_policy_leads_down_and_a_stop(mode, request_):
    level, upended = machine(mode), machine(mode)
    answer = level.request(request_, conditions())
    if mode == Mode.POLICY and request_ in (Request.STAND_UP, Request.SIT_DOWN):
        reason = "refused: the robot is not on four legs, let the policy bring it down first"
        assert upended.request(request_, conditions(level=False)) == f"{request_.name.lower()} {reason}"
        assert upended.mode == Mode.POLICY
    else:
        assert upended.request(request_, conditions(level=False)) == answer and upended.mode == level.mode


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("mode", Mode)
def test_reset_takes_a_latch_rest_and_no_grave_fault_and_moves_nothing(mode, severity):
    for latched, rest in itertools.product(FLAGS, FLAGS):
        m = machine(mode, latched)
        granted = m.request(Request.RESET, conditions(severity, at_rest=rest)) == ""
        assert granted == (latched and rest and severity < Severity.SETTLE and mode == Mode.DAMPING)
        assert (m.mode, m.latched) == (mode, latched and not granted)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("severity", Severity)
def test_faults_come_before_the_end_of_motions(mode, severity):
    for done, on_legs, latched in itertools.product(FLAGS, FLAGS, FLAGS):
        if latched and mode not in (Mode.DAMPING, Mode.SETTLING) or mode == Mode.SETTLING and not latched:
            continue  # nothing moves latched but the way down, and that is always latched
        m = machine(mode, latched)
        m.update(conditions(severity, motion_done=done, on_legs=on_legs))
        if mode == Mode.DAMPING:
            assert (m.mode, m.latched) == (Mode.DAMPING, latched)
        elif severity >= Severity.DAMP or mode == Mode.SETTLING and (severity >= Severity.SETTLE or done):
            assert (m.mode, m.latched) == (Mode.DAMPING, True)
        elif severity >= Severity.SETTLE:
            assert (m.mode, m.latched) == (Mode.SETTLING if on_legs else Mode.DAMPING, True)
        elif done and mode == Mode.STANDING_UP:
            assert (m.mode, m.latched) == (Mode.STANDING, False)
        elif done and mode == Mode.SITTING_DOWN:
            assert (m.mode, m.latched) == (Mode.DAMPING, False)
        else:
            assert (m.mode, m.latched) == (mode, latched)


def test_the_fault_that_led_to_settling_does_not_end_it_but_damping_always_does():
    for further in Severity:
        m = machine(Mode.SETTLING, latched=True)
        m.update(conditions(Severity.SETTLE, further=further))
        assert m.mode == (Mode.DAMPING if further >= Severity.SETTLE else Mode.SETTLING)
    m = machine(Mode.SETTLING, latched=True)
    m.update(conditions(Severity.DAMP, further=Severity.NONE))
    assert m.mode == Mode.DAMPING


def test_no_sequence_of_faults_ends_a_latch_or_starts_a_motion():
    for first, second in itertools.product(Severity, Severity):
        m = machine(Mode.DAMPING, latched=True)
        for severity in (first, second, Severity.NONE):
            m.update(conditions(severity, motion_done=True))
        assert (m.mode, m.latched, m.in_control) == (Mode.DAMPING, True, False)


@pytest.mark.parametrize(
    "mode, latched, request_, changes, reason",
    [
        (Mode.DAMPING, False, Request.RESET, {}, "reset refused: nothing is latched"),
        (Mode.SETTLING, True, Request.RESET, {}, "reset refused: still settling"),
        (Mode.DAMPING, True, Request.RESET, {"at_rest": lambda: False}, "reset refused: the robot is still moving"),
        (Mode.DAMPING, True, Request.STAND_UP, {}, "stand_up refused: latched, reset first"),
        (Mode.DAMPING, False, Request.STAND_UP, {"at_rest": lambda: False},
         "stand_up refused: the robot is still moving"),
        (Mode.STANDING_UP, False, Request.START, {}, "start refused in mode standing_up"),
        (Mode.STANDING, False, Request.START, {"target_fresh": False}, "start refused: no fresh policy target"),
        (Mode.STANDING, False, Request.START, {"no_start": ("a", "b")}, "start refused: a, b present"),
        (Mode.STANDING, False, Request.SIT_DOWN, {"severity": Severity.SETTLE, "faults": ("a", "b")},
         "sit_down refused: a, b present"),
    ],
)  # fmt: skip
def test_what_the_operator_is_told(mode, latched, request_, changes, reason):
    assert machine(mode, latched).request(request_, replace(conditions(), **changes)) == reason
