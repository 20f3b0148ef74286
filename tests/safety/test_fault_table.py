"""The fault table: it decides by the gravest, slows down by the slowest, and tells the operator what to do."""

from __future__ import annotations

import pytest

from dbp_policy.guard.faults import FAULTS, Severity, speed_scale, worst
from dbp_policy.guard.guard import Guard, GuardInput


def test_the_gravest_fault_decides():
    assert worst(()) == Severity.NONE
    assert worst(("guard_overrun", "policy_slow", "motor_hot")) == Severity.SETTLE
    assert worst(("policy_slow", "tilt")) == Severity.DAMP


def test_velocity_is_scaled_by_the_least_and_gone_from_zero_velocity_on():
    assert speed_scale(()) == speed_scale(("guard_overrun",)) == 1.0
    assert speed_scale(("guard_overrun", "voltage_sag")) == 0.5
    for name in ("motor_hot", "policy_slow", "tilt"):
        assert speed_scale(("voltage_sag", name)) == 0.0


@pytest.mark.parametrize("name", FAULTS)
def test_every_row_is_whole(name):
    fault = FAULTS[name]
    assert fault.name == name and fault.severity > Severity.NONE
    assert len(fault.message) > 20 and len(fault.condition) > 5
    assert fault.threshold is None or fault.threshold > 0.0 and fault.source, "a number says where it comes from"
    assert 0.0 < fault.speed_scale <= 1.0 and (fault.speed_scale == 1.0 or fault.severity == Severity.WARN)


@pytest.mark.parametrize("share, overruns", [(0.99, 0), (1.01, 1)])
def test_the_overrun_that_the_table_names_is_the_one_that_the_guard_counts(share, overruns):
    assert FAULTS["guard_overrun"].unit == "ms"
    guard = Guard()
    guard.step(GuardInput(), now=1.0)
    later = guard.step(GuardInput(), now=1.0 + share * FAULTS["guard_overrun"].threshold / 1e3)
    assert later.status.overruns == overruns and ("guard_overrun" in later.status.faults) == bool(overruns)
