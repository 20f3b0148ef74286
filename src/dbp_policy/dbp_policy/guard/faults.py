"""The fault table: what can be wrong, how grave it is, and what the operator can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """The graded reactions; the gravest fault present decides."""

    NONE = 0
    WARN = 1
    """Reported, nothing else."""
    SLOW = 2
    """The policy goes on with zero velocity."""
    STAND = 3
    """Policy targets are ignored; the guard blends to its standing hold and waits for a fresh `start`."""
    DAMP = 4
    """Velocity damping on all joints at once, latched until `reset`."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    severity: Severity
    message: str


_TABLE = (
    Fault("estop", Severity.DAMP, "software stop pressed: make the robot safe, release the stop, then reset"),
    Fault("lowstate_stale", Severity.DAMP, "no new lowstate: check the cable, the interface and the robot"),
    Fault("lowstate_restarted", Severity.DAMP, "the robot's tick jumped back: it has restarted; reset, stand up anew"),
    Fault("lowstate_invalid", Severity.DAMP, "lowstate holds a value that is not finite or a quaternion not of norm 1"),
    Fault("tilt", Severity.DAMP, "the trunk is tilted too far: lift the robot onto its feet"),
    Fault("joint_limit", Severity.DAMP, "a joint is past its limit: check joint order and calibration"),
    Fault("joint_speed", Severity.DAMP, "a joint turns faster than it can: check the encoders"),
    Fault("command_unsafe", Severity.DAMP, "the guard's own command left its bounds: report this"),
    Fault("policy_stale", Severity.STAND, "no fresh policy target: check the policy node, then start again"),
    Fault("policy_invalid", Severity.STAND, "the policy's target is not finite or its gains are out of range"),
    Fault("policy_reach", Severity.STAND, "the policy's target is outside the joints' position or torque reach"),
    Fault("motor_hot", Severity.SLOW, "a motor is hot: let the robot rest"),
    Fault("battery_low", Severity.SLOW, "the battery is low: sit down and charge"),
    Fault("guard_overrun", Severity.WARN, "the guard's own tick came late: the computer is overloaded"),
)

FAULTS = {fault.name: fault for fault in _TABLE}


def worst(names) -> Severity:
    """The gravest severity among fault names; NONE for none."""
    return max((FAULTS[name].severity for name in names), default=Severity.NONE)
