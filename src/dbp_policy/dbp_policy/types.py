"""What passes between the rooms: frozen records with read-only meaning, SDK order, SI units, monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from dbp_policy import go2


def _zeros(*shape: int):
    return field(default_factory=lambda: np.zeros(shape))


@dataclass(frozen=True)
class RobotState:
    """One lowstate of the robot."""

    tick_ms: int = 0
    """The robot's own millisecond counter."""
    stamp: float = 0.0
    """When it was received, monotonic [s]."""
    q_sdk: np.ndarray = _zeros(12)
    """Joint angles, shape (12,) [rad]."""
    dq_sdk: np.ndarray = _zeros(12)
    """Joint velocities, shape (12,) [rad/s]."""
    tau_sdk: np.ndarray = _zeros(12)
    """Joint torques as the motors estimate them, shape (12,) [N·m]."""
    temperature_sdk: np.ndarray = _zeros(12)
    """Motor temperatures, shape (12,) [°C]."""
    lost_sdk: np.ndarray = _zeros(12)
    """Packets lost on the way to each motor since switching on, shape (12,)."""
    quat_wxyz: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0]))
    """Attitude, body to world."""
    gyro_body: np.ndarray = _zeros(3)
    """Angular velocity in body axes [rad/s]."""
    acc_body: np.ndarray = _zeros(3)
    """Specific force in body axes, (0, 0, +9.81) at rest [m/s²]."""
    foot_force: np.ndarray = _zeros(4)
    """Foot sensors in SDK leg order, uncalibrated counts."""
    battery_soc: float = 100.0
    """State of charge [%]."""
    battery_v: float = 0.0
    """Battery voltage [V]."""
    remote: bytes = bytes(40)
    """The remote's 40 bytes, all zero when it is off."""


@dataclass(frozen=True)
class JointTarget:
    """What the policy asks of the joints; every lowstate is answered, between policy ticks by repeating the target."""

    sequence: int
    """Counts up by one per policy tick of one policy process."""
    stamp: float
    """When it was sent, monotonic [s]."""
    state_tick_ms: int
    """Tick of the lowstate it answers."""
    q_sdk: np.ndarray
    """Target angles, shape (12,) [rad]."""
    kp_sdk: np.ndarray
    """Stiffness, shape (12,) [N·m/rad]."""
    kd_sdk: np.ndarray
    """Damping, shape (12,) [N·m·s/rad]."""
    estimator_diverged: bool = False
    """The policy side's state estimate is not to be believed."""


@dataclass(frozen=True)
class MotorCommand:
    """What one rt/lowcmd asks of the twelve motors, shapes (12,)."""

    q: np.ndarray
    dq: np.ndarray
    kp: np.ndarray
    kd: np.ndarray
    tau: np.ndarray


def damping_command(kd: float = go2.DAMPING_KD) -> MotorCommand:
    """No stiffness, no feed-forward, velocity damping on every joint."""
    zero = np.zeros(12)
    return MotorCommand(q=zero, dq=zero, kp=zero, kd=np.full(12, float(kd)), tau=zero)


class Mode(IntEnum):
    """The guard's modes."""

    DAMPING = 0
    STANDING_UP = 1
    STANDING = 2
    POLICY = 3
    SITTING_DOWN = 4
    SETTLING = 5
    """The way down when something is wrong: to a stand, folded, damped."""


class Request(IntEnum):
    """What an operator may ask of the guard; each has to be a fresh action."""

    STAND_UP = 1
    START = 2
    SIT_DOWN = 3
    ESTOP = 4
    RESET = 5


@dataclass(frozen=True)
class OperatorRequest:
    """A request and when the operator acted."""

    request: Request
    stamp: float
    """Monotonic [s]; a request is granted only while it is fresh."""


@dataclass(frozen=True)
class GuardStatus:
    """What the guard says of itself with every lowstate it passes on."""

    mode: Mode = Mode.DAMPING
    in_control: bool = False
    """The guard writes rt/lowcmd."""
    latched: bool = False
    """An e-stop or a fault that settles or damps holds until `reset`."""
    speed_scale: float = 1.0
    """What the policy is to make of its velocity command: 1 all, 0 none."""
    faults: tuple[str, ...] = ()
    """Names of the faults present now and of the one that latched."""
    refusal: str = ""
    """Why the last request was refused, empty if it was granted."""
    requests_seen: int = 0
    """How many requests the guard has answered, granted or refused."""
    overruns: int = 0
    """Guard ticks that came more than one period late."""
    dry_run: bool = False
    """It sends nothing: modes and commands are what they would be."""

    @property
    def mode_name(self) -> str:
        """The mode as an operator reads it, such as `standing_up`, or `dry run: standing_up`."""
        return f"{'dry run: ' if self.dry_run else ''}{self.mode.name.lower()}"


@dataclass(frozen=True)
class Beat:
    """What the guard tells its standby after every tick."""

    process_id: int
    """The guard's."""
    in_control: bool
    """It streams commands: whoever takes over has to go on."""
    leaving: bool
    """It has damped the robot and ends of its own will: nobody is to take over."""
    stamp: float
    """When it was told, monotonic [s]."""
