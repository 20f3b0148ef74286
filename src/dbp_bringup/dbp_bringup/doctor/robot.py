"""Checks of a robot by what it sent for a while: the guard's own watches, and who else is there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_bringup.doctor import legs
from dbp_bringup.doctor.finding import Finding, Level, fault, ok, warning
from dbp_policy import go2
from dbp_policy.guard.faults import FAULTS, Severity
from dbp_policy.guard.faults import worst as worst_severity
from dbp_policy.guard.guard import REST_SPEED
from dbp_policy.guard.senses import Senses
from dbp_policy.guard.thresholds import JOINT_LIMIT_MARGIN, LOWSTATE_LATE, LOWSTATE_TIMEOUT
from dbp_policy.rotations import gravity_body, tilt
from dbp_policy.types import Mode, RobotState, damping_command
from dbp_policy.unitree.network import ROBOT_DOMAIN

LEAST = 100
"""Fewer lowstates than this say too little: a fifth of a second."""

_ROWS = {
    "lowstate": ("lowstate_late", "lowstate_stale", "lowstate_restarted", "lowstate_invalid", "lowstate_corrupt",
                 "lowstate_frozen"),
    "gravity": ("imu_gravity", "tilt"),
    "gyro": ("gyro_implausible", "free_fall", "falling"),
    "joints": ("joint_limit", "joint_speed", "encoder_jump", "encoder_implausible"),
    "motors": ("motor_hot", "motor_overheated", "motor_lost"),
    "battery": ("battery_low", "battery_critical", "voltage_sag"),
    "stop": ("estop",),
}  # fmt: skip
"""Which of the guard's faults each finding tells of."""


@dataclass(frozen=True)
class Heard:
    """What came from a robot while the doctor listened."""

    states: Sequence[RobotState | None]
    """Lowstates in their order; None for one of wrong length or checksum."""
    robots: int
    """Writers of rt/lowstate."""
    simulated: bool
    """The lowstates carry the mark of this project's simulation."""
    sport_mode: str | None
    """Active sport mode, "" for none; None if the motion_switcher service did not answer."""
    writers: int
    """Writers of rt/lowcmd."""
    own_writers: int = 0
    """Of these, the guard and the standby of this computer's stack, if that runs."""


def check_robot(heard: Heard, domain: int) -> list[Finding]:
    """All that can be told without moving a joint.

    Args:
        heard: What came.
        domain: DDS domain it came on; 0 is for real robots only.
    """
    states = [state for state in heard.states if state is not None]
    if len(states) < LEAST:
        return [_nothing(len(states), len(heard.states) - len(states)), *_others(heard)]
    who = _who(heard, states[-1], domain)
    still = bool((np.abs(np.mean([s.dq_sdk for s in states], axis=0)) < REST_SPEED).all())
    found = _faults(heard.states, still)
    findings = [who, *(_row(name, found, states, still) for name in _ROWS)]
    return [*findings, *legs.check_legs(states[-1], still), *_others(heard)]


def _nothing(good: int, bad: int) -> Finding:
    if bad:
        text = f"{bad} came with a wrong length or checksum, {good} good ones"
        return fault("lowstate", text, "a simulation without checksums, a damaged cable, or a newer firmware?")
    mend = "is the robot on (a minute long), its cable in, and this the right interface and domain?"
    return fault("lowstate", f"{good} came on rt/lowstate", mend)


def _who(heard: Heard, state: RobotState, domain: int) -> Finding:
    """A simulation on a real robot's domain would be commanded beside it, or in its place."""
    blank = not (state.temperature_sdk.any() or state.battery_soc or state.battery_v)
    if heard.robots > 1:
        return fault("robot", f"{heard.robots} write rt/lowstate", "leave one robot on this network and domain")
    if domain == ROBOT_DOMAIN and heard.simulated:
        return fault("robot", "this is the simulated Go2", "end it: domain 0 is for real robots")
    if domain == ROBOT_DOMAIN and blank:
        mend = "end it: domain 0 is for real robots"
        return fault("robot", "no temperature and no battery: a simulation, such as unitree_mujoco", mend)
    return ok("robot", "the simulated Go2" if heard.simulated else "a Go2")


def _faults(states: Sequence[RobotState | None], still: bool) -> set[str]:
    """Names of the guard's faults that it would have seen. On the robot's own clock: this process may be slow."""
    senses, names, now = Senses(), set(), 0.0
    mode = Mode.DAMPING if still else Mode.STANDING  # attitude and accelerometer are compared at rest alone
    for state in states:
        heard = () if state is None else (state,)
        gap, now = (0.0, now) if state is None else (1e-3 * state.tick_ms - now, 1e-3 * state.tick_ms)
        if senses.state is not None and not gap <= LOWSTATE_LATE:
            names.add("lowstate_late" if gap <= LOWSTATE_TIMEOUT else "lowstate_stale")
        names |= set(senses.update(heard, state is None, damping_command(), mode, now))
    return names


def _row(name: str, found: set[str], states: Sequence[RobotState], still: bool) -> Finding:
    text = _DESCRIBE[name](states)
    if name == "gravity" and not still:
        return warning(name, "the robot moves", "lay it down and look again: gravity is judged at rest")
    raised = [fault for fault in _ROWS[name] if fault in found]
    if not raised:
        return ok(name, text)
    level = Level.FAULT if worst_severity(raised) >= Severity.SETTLE else Level.WARNING
    mend = "; ".join(FAULTS[fault].message for fault in raised)
    return Finding(name, level, f"{text} ({', '.join(raised)})", mend)


def _lowstate(states: Sequence[RobotState]) -> str:
    span = 1e-3 * (states[-1].tick_ms - states[0].tick_ms)
    rate = (len(states) - 1) / span if span > 0.0 else 0.0
    return f"{rate:.0f} Hz of {go2.LOWSTATE_HZ}, by the robot's clock"


def _gravity(states: Sequence[RobotState]) -> str:
    acc, up = np.mean([s.acc_body for s in states], axis=0), -gravity_body(states[-1].quat_wxyz)
    size = float(np.linalg.norm(acc))
    off = np.degrees(np.arccos(np.clip(acc @ up / size, -1.0, 1.0))) if size > 0.0 else np.nan
    leaning = np.degrees(tilt(states[-1].quat_wxyz))
    return f"{size:.1f} m/s², {off:.0f}° off the attitude; trunk tilted by {leaning:.0f}°"


def _gyro(states: Sequence[RobotState]) -> str:
    return f"mean {np.abs(np.mean([s.gyro_body for s in states], axis=0)).max():.3f} rad/s"


def _joints(states: Sequence[RobotState]) -> str:
    q = states[-1].q_sdk
    past = np.maximum(q - go2.Q_MAX, go2.Q_MIN - q)
    names = [f"{go2.JOINT_NAMES[i]} by {past[i]:.2f} rad" for i in np.flatnonzero(~(past <= JOINT_LIMIT_MARGIN))]
    return "past its range: " + ", ".join(names) if names else "all within their ranges"


def _motors(states: Sequence[RobotState]) -> str:
    hottest = int(states[-1].temperature_sdk.argmax())
    lost = int((states[-1].lost_sdk - states[0].lost_sdk).sum())
    name = go2.JOINT_NAMES[hottest].removesuffix("_joint")
    return f"hottest {name} {states[-1].temperature_sdk[hottest]:.0f} °C, {lost} packets lost meanwhile"


def _battery(states: Sequence[RobotState]) -> str:
    return f"{states[-1].battery_soc:.0f} %, {states[-1].battery_v:.1f} V"


def _stop(states: Sequence[RobotState]) -> str:
    return "the remote is on" if any(states[-1].remote) else "the remote is off: L2+B is no stop then"


_DESCRIBE = {"lowstate": _lowstate, "gravity": _gravity, "gyro": _gyro, "joints": _joints, "motors": _motors,
             "battery": _battery, "stop": _stop}  # fmt: skip


def _others(heard: Heard) -> list[Finding]:
    """Who else has the motors."""
    mode, rivals = heard.sport_mode, max(0, heard.writers - heard.own_writers)
    own = f" ({heard.own_writers} of this computer's stack)" if heard.own_writers else ""
    if mode is None:
        mend = "restart the robot; the service exists since firmware 1.0.24"
        sport = fault("sport mode", "the motion_switcher service does not answer", mend)
    elif mode:
        mend = "lay the robot down with its remote; an armed start then releases it"
        sport = warning("sport mode", f"{mode!r} is active: the robot itself has the motors", mend)
    else:
        sport = ok("sport mode", "none is active")
    if not rivals:
        return [sport, ok("writers", f"{heard.writers} on rt/lowcmd{own}")]
    text = f"{rivals} other(s) on rt/lowcmd{own}"
    if mode:
        mend = "it may be the sport mode's own; if it is still there after the release, end that program"
        return [sport, warning("writers", text, mend)]
    return [sport, fault("writers", text, "end the other program that commands the motors")]
