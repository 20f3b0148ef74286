"""The rows of /diagnostics: guard, robot, policy, estimator and command, each with faults, figures and a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from dbp_policy import go2
from dbp_policy.command import CommandMux
from dbp_policy.estimation.estimator import Estimate
from dbp_policy.guard.faults import FAULTS, Severity, worst
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.types import GuardStatus, RobotState

HARDWARE_ID = "go2"
LOWSTATE_TIMEOUT = 0.1
"""Older than this, what is known of the robot is said to be old [s]."""
_ROBOT = ("lowstate", "tilt", "imu", "gyro", "free_fall", "falling", "joint", "encoder", "motor", "battery", "voltage")
_PREFIXES = {"robot": (*_ROBOT, "foot"), "policy": ("policy",), "estimator": ("estimator",)}
"""Which faults a row other than the guard's shows as well; the guard's shows all."""


def guard(node: str, status: GuardStatus, mode: str) -> DiagnosticStatus:
    """The guard: mode, latch, all faults. `mode` is the status's, or that the guard is silent."""
    values = {
        "mode": mode,
        "dry_run": status.dry_run,
        "in_control": status.in_control,
        "latched": status.latched,
        "faults": ",".join(status.faults),
        "refusal": status.refusal,
        "guard_overruns": status.overruns,
    }
    row = _row(node, "guard", status.faults, mode, values)
    if status.latched:
        row.level = DiagnosticStatus.ERROR
    if mode == "guard_silent":
        row.level, row.message = DiagnosticStatus.ERROR, "the guard says nothing: has it ended?"
    return row


def robot(node: str, state: RobotState, faults: Sequence[str], rate: float, age: float) -> DiagnosticStatus:
    """The robot: `rate` [1/s] and `age` [s] of its lowstates, battery, motors."""
    hottest = int(np.argmax(state.temperature_sdk))
    values = {
        "lowstate_hz": round(rate, 1),
        "lowstate_age": round(age, 3),
        "tick_ms": state.tick_ms,
        "battery_soc": state.battery_soc,
        "battery_v": round(state.battery_v, 2),
        "motor_temperature_max": state.temperature_sdk.max(),
        "hottest_motor": go2.JOINT_NAMES[hottest],
        "motor_temperatures": " ".join(f"{t:.0f}" for t in state.temperature_sdk),
        "motor_packets_lost": int(state.lost_sdk.sum()),
        "remote": "on" if any(state.remote) else "off",
    }
    text = f"battery {state.battery_soc:.0f} %, hottest motor {state.temperature_sdk.max():.0f} °C"
    row = _row(node, "robot", _of("robot", faults), text, values)
    if not age <= LOWSTATE_TIMEOUT:
        row.level, row.message = DiagnosticStatus.ERROR, f"the last lowstate is {age:.1f} s old"
    return row


def policy(node: str, loop: PolicyLoop | None, life: str, file: str, faults: Sequence[str], rate: float):
    """The policy: `life` is the node's lifecycle state, `rate` that of its ticks [1/s]."""
    values: dict[str, object] = {"policy": file, "lifecycle": life}
    if loop is not None:
        values |= {
            "policy_hz": round(rate, 1),
            "policy_ticks": loop.ticks,
            "policy_problem": loop.problem,
            "late_ticks": loop.late_ticks,
        }
    return _row(node, "policy", _of("policy", faults), life, values)


def estimator(node: str, estimate: Estimate | None, faults: Sequence[str]) -> DiagnosticStatus:
    """The state estimate."""
    if estimate is None:
        return _row(node, "estimator", (), "no estimate", {})
    values = {
        "estimate_valid": estimate.valid,
        "estimated_velocity": _numbers(estimate.velocity_body),
        "estimated_velocity_sigma": _numbers(np.sqrt(np.diag(estimate.velocity_cov))),
        "odom_position": _numbers(estimate.position_odom),
        "feet_in_contact": ",".join(leg for leg, down in zip(go2.LEGS, estimate.contact, strict=True) if down),
    }
    row = _row(node, "estimator", _of("estimator", faults), f"velocity {_numbers(estimate.velocity_body)} m/s", values)
    if not estimate.valid and row.level == DiagnosticStatus.OK:
        row.level, row.message = DiagnosticStatus.WARN, "nothing to rely on yet"
    return row


def command(node: str, loop: PolicyLoop, mux: CommandMux) -> DiagnosticStatus:
    """The velocity command: what it is, since which lowstate, who drives and why, what was refused."""
    driven = loop.driven
    values = {
        "command": _numbers(driven.command),
        "command_tick_ms": driven.tick_ms,
        "source": driven.source,
        "source_reason": mux.reason,
        "command_problem": mux.problem,
        **{f"dropped_{name}": count for name, count in mux.dropped.items()},
    }
    return _row(node, "command", (), f"{driven.source}: {mux.reason}", values)


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{v:.3f}" for v in values)


def _of(subsystem: str, faults: Sequence[str]) -> list[str]:
    return [name for name in faults if name.startswith(_PREFIXES[subsystem])]


def _row(node: str, subsystem: str, faults: Sequence[str], text: str, values: Mapping[str, object]) -> DiagnosticStatus:
    """Level by the gravest fault; the faults' texts, else `text`."""
    names = [name for name in faults if name in FAULTS]  # a cut datagram may end in half a name
    severity = worst(names)
    level = DiagnosticStatus.ERROR if severity >= Severity.SETTLE else DiagnosticStatus.OK
    if severity in (Severity.WARN, Severity.ZERO):
        level = DiagnosticStatus.WARN
    message = "; ".join(f"{fault}: {FAULTS[fault].message}" for fault in names) or text
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(
        level=level, name=f"{node}: {subsystem}", message=message, hardware_id=HARDWARE_ID, values=pairs
    )
