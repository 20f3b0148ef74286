"""The fault table: what can be wrong, how grave it is, from when on, and what the operator can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dbp_policy import go2
from dbp_policy.guard import thresholds as t


class Severity(IntEnum):
    """The graded reactions; the gravest fault present decides."""

    NONE = 0
    WARN = 1
    """Reported; a row may slow the velocity command down."""
    ZERO = 2
    """The policy goes on with zero velocity."""
    SETTLE = 3
    """Policy targets are ignored: ramp to a stand, hold, fold the legs, damp; latched until `reset`."""
    DAMP = 4
    """Velocity damping on all joints at once, latched until `reset`."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    severity: Severity
    condition: str
    """When it is raised; `threshold` is the number in it."""
    threshold: float | None
    unit: str
    source: str
    """Of the threshold."""
    message: str
    """What the operator is told: what is wrong, what to do."""
    speed_scale: float = 1.0
    """What a warning leaves of the velocity command while it is present; from `ZERO` on nothing is left."""
    no_start: bool = False
    """Though only reported, it forbids to stand up and to start the policy."""


W, Z, S, D = Severity.WARN, Severity.ZERO, Severity.SETTLE, Severity.DAMP
_MS = 1e3
_MEASURED = "walks of the validation battery: 0.01"
_DEPLOYED = "deployments on this robot"
_SDK = "rt/lowstate is sent every 2 ms"
_EXACT = "sensor noise: no two readings are alike"
_PATIENCE = "own choice"

_TABLE = (
    Fault("estop", S, "L2+B on the remote, an e-stop endpoint, the `estop` service, `./dbp estop`, key `x`; pressed "
          "again it damps", None, "", "", "software stop pressed: make the robot safe, release the stop, then reset"),
    Fault("endpoint_silent", S, "no right answer from an e-stop endpoint for", t.ENDPOINT_TIMEOUT * _MS, "ms",
          "six of its periods", "an e-stop endpoint does not answer: check it and the network, then reset"),
    # Lowstate
    Fault("lowstate_late", W, "no new lowstate for", t.LOWSTATE_LATE * _MS, "ms", _SDK,
          "lowstates come late: check the cable and the load of the computer"),
    Fault("lowstate_stale", D, "no new lowstate for", t.LOWSTATE_TIMEOUT * _MS, "ms",
          "Franka FCI: 20 ms, less two ticks", "no new lowstate: check the cable, the interface and the robot"),
    Fault("lowstate_restarted", D, "the tick lacks 5 s (and 1 %) of a silence, or jumps back by more than",
          t.TICK_RESTART_MS, "ms", _PATIENCE,
          "the robot's tick is not where it should be: it has restarted; start this stack anew"),
    Fault("lowstate_invalid", D, "a value not finite, or the quaternion's norm off 1 by more than",
          t.QUAT_NORM_TOLERANCE, "", "float32 quaternions are good to 1e-6",
          "lowstate holds a value that is not finite or a quaternion not of norm 1"),
    Fault("lowstate_corrupt", D, "payloads of wrong length or checksum in a row", t.CORRUPT_IN_A_ROW, "", _PATIENCE,
          "lowstates arrive damaged: check the cable and who else writes rt/lowstate"),
    Fault("lowstate_frozen", D, "new ticks with the very same joints and IMU", t.FROZEN_STATES, "states", _EXACT,
          "the robot repeats itself: its sensors hang, restart it"),
    # IMU
    Fault("tilt", D, "trunk tilted by more than (from level; see Postures)", t.TILT_MAX, "rad",
          "unitree_rl_mjlab's deployment", "the trunk is tilted too far: lift the robot onto its feet"),
    Fault("imu_gravity", D, "lying still, accelerometer and attitude differ by more than", t.GRAVITY_ANGLE, "rad",
          _PATIENCE, "accelerometer and attitude disagree: check the quaternion's order and the IMU's mounting"),
    Fault("gyro_implausible", S, f"gyro against the attitude's rate, mean of {t.GYRO_WINDOW * _MS:g} ms, more than (or "
          f"{t.GYRO_STUCK_STATES} times the very same reading)", t.GYRO_MISMATCH, "rad/s", _MEASURED,
          "gyro and attitude disagree or the gyro hangs: the IMU is faulty or its axes are wrong"),
    Fault("free_fall", Z, f"specific force below {t.FREE_FALL_ACC:g} m/s² for", t.FREE_FALL_ZERO * _MS, "ms",
          "a fall of 5 cm", "the robot has lost the ground: is it lifted?"),
    Fault("falling", D, f"specific force below {t.FREE_FALL_ACC:g} m/s² for", t.FREE_FALL_DAMP * _MS, "ms",
          "a fall of 20 cm", "the robot falls: put it on its feet"),
    # Joints
    Fault("joint_limit", D, "a joint past its range by more than", t.JOINT_LIMIT_MARGIN, "rad",
          "range: Unitree's go2 URDF", "a joint is past its limit: check joint order and calibration"),
    Fault("joint_speed", D, f"a joint faster than (calf: {t.DQ_FAULT[2]:g})", float(t.DQ_FAULT[0]), "rad/s",
          "Unitree's go2 URDFs, the faster", "a joint turns faster than it can: check the encoders"),
    Fault("encoder_jump", D, "a joint angle changes from one lowstate to the next by more than", t.ENCODER_JUMP,
          "rad", "three times the fastest joint's way", "a joint angle jumped: check that encoder"),
    Fault("encoder_implausible", S, f"a joint's angles against its speeds over {t.VELOCITY_WINDOW * _MS:g} ms, more "
          f"than (or {t.STUCK_STATES} times the very same angle, the command {t.STUCK_ASKED:g} rad away)",
          t.VELOCITY_MISMATCH, "rad", _MEASURED, "a joint's angle and speed disagree or its encoder hangs: check it"),
    # Motors, battery, feet
    Fault("motor_hot", Z, "a motor at", t.MOTOR_HOT, "°C", _DEPLOYED, "a motor is hot: let the robot rest"),
    Fault("motor_overheated", S, "a motor at", t.MOTOR_OVERHEATED, "°C", _DEPLOYED,
          "a motor is too hot: let it cool down"),
    Fault("motor_lost", S, f"a motor's `lost` counter grows within {t.LOST_WINDOW} states by", t.LOST_GROWTH,
          "packets", _PATIENCE, "a motor loses packets: check its cable and connector"),
    Fault("battery_low", Z, "state of charge below", t.BATTERY_LOW, "%", _DEPLOYED,
          "the battery is low: sit down and charge"),
    Fault("battery_critical", S, "state of charge below", t.BATTERY_CRITICAL, "%", _DEPLOYED,
          "the battery is empty: charge it"),
    Fault("voltage_sag", W, "voltage below this share of the highest seen", t.VOLTAGE_SAG, "",
          "full to empty is 0.83", "the battery's voltage sags: walking at half speed, charge it", speed_scale=0.5),
    Fault("foot_force", W, "the very same foot forces though the legs move, for", t.FOOT_STUCK_TIME, "s", _EXACT,
          "the foot sensors hang: contact is judged by joint torques alone"),
    # Policy, while its targets are followed
    Fault("policy_late", W, "the policy's newest answer rests on a lowstate older than", t.POLICY_LATE * _MS, "ms",
          _PATIENCE, "the policy answers late: the computer is overloaded"),
    Fault("policy_slow", S, "the policy's newest answer rests on a lowstate older than", t.POLICY_SLOW * _MS, "ms",
          _PATIENCE, "the policy answers too late: check the load of the computer, then reset"),
    Fault("policy_stale", D, "the policy's newest answer rests on a lowstate older than", t.POLICY_STALE * _MS, "ms",
          "three policy periods", "no answer from the policy: it hangs; check the policy node, then reset"),
    Fault("policy_gone", D, "the policy process is not there to take a lowstate", None, "", "",
          "the policy process has ended: check its output, then reset"),
    Fault("policy_invalid", D, f"target not finite, kp outside 0-{go2.KP_MAX:g}, kd outside 0-{go2.KD_MAX:g}", None,
          "", "go2.py", "the policy's target is not finite or its gains are out of range: do not use this policy"),
    Fault("policy_reach", S, "target past a joint limit, or beyond the motor's torque (limits.py)", None, "",
          "go2.py", "the policy's target is outside the joints' position or torque reach"),
    Fault("policy_slew", W, "target moves faster than; it is clamped", t.TARGET_SLEW, "rad/s",
          "a third above the fastest joint", "the policy's target jumps: it was clamped"),
    Fault("policy_erratic", S, "clamped targets in a row", t.SLEW_STRIKES, "", _PATIENCE,
          "the policy's targets jump again and again: do not use this policy"),
    Fault("estimator_diverged", S, "the estimated velocity is not finite or above", 4.0, "m/s",
          "Go2 data sheet: 3.7 m/s", "the state estimate has diverged: restart the policy node"),
    # The guard itself
    Fault("command_unsafe", D, "the guard's own command leaves its bounds (limits.py)", None, "", "go2.py",
          "the guard's own command left its bounds: report this"),
    Fault("guard_overrun", W, "the guard's own tick later than", t.OVERRUN_PERIODS * _MS / go2.LOWSTATE_HZ, "ms", _SDK,
          "the guard's own tick came late: the computer is overloaded"),
    Fault("guard_stalled", D, "the guard's own tick later than", t.STALL_MAX * _MS, "ms", "five policy periods",
          "the guard stood still: check the load of the computer, then reset"),
    Fault("second_writer", D, "a command on rt/lowcmd that is none of the guard's own, or a writer more than guard and "
          "standby", None, "", "", "another program commands the motors: end it, then reset"),
    Fault("standby_gone", W, "the standby has taken no beat for", t.STANDBY_TIMEOUT * _MS, "ms", _PATIENCE,
          "the standby does not run: if the guard fails now nobody damps; sit down and restart", no_start=True),
)  # fmt: skip

FAULTS = {fault.name: fault for fault in _TABLE}


def worst(names) -> Severity:
    """The gravest severity among fault names; NONE for none."""
    return max((FAULTS[name].severity for name in names), default=Severity.NONE)


def no_start(names) -> tuple[str, ...]:
    """Those of the faults that, though not grave, forbid to stand up and to start the policy."""
    return tuple(name for name in names if FAULTS[name].no_start)


def speed_scale(names) -> float:
    """What these faults leave of the velocity command, 0 to 1."""
    if worst(names) >= Severity.ZERO:
        return 0.0
    return min((FAULTS[name].speed_scale for name in names), default=1.0)
