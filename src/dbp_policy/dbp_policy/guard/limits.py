"""Bounds on what may be asked of the motors: the last check of every command."""

from __future__ import annotations

import numpy as np

from dbp_policy import go2
from dbp_policy.guard.checks.bounds import every, within
from dbp_policy.guard.thresholds import SLEW_PERIOD, TARGET_SLEW
from dbp_policy.pd import pd_torque
from dbp_policy.types import JointTarget, MotorCommand, RobotState

POSITION_MARGIN = 0.02
"""The policy clips at the joint limits; the guard's bound lies just outside [rad]."""

TORQUE_REACH = 1.5
"""Torque a command may ask for, over the motor's. The runner clips at 1; the joint moves on under a held target."""

STEP_MAX = 1.1 * TARGET_SLEW * SLEW_PERIOD
"""How far a commanded angle may move from one rt/lowcmd to the next [rad]: a policy target's step, and a blend's."""

_ZERO = np.zeros(12)


def target_fault(target: JointTarget, state: RobotState) -> str | None:
    """Name of the fault in a policy target, or None."""
    values = np.concatenate([target.q_sdk, target.kp_sdk, target.kd_sdk])
    if not (every(np.isfinite(values)) and _gains_allowed(target.kp_sdk, target.kd_sdk)):
        return "policy_invalid"
    if not _within_reach(MotorCommand(target.q_sdk, _ZERO, target.kp_sdk, target.kd_sdk, _ZERO), state):
        return "policy_reach"
    return None


def command_allowed(command: MotorCommand, state: RobotState, previous: MotorCommand) -> bool:
    """Whether a command is finite and inside the bounds on position, gains, torque, and step from the previous one."""
    values = np.concatenate([command.q, command.dq, command.kp, command.kd, command.tau])
    return (
        every(np.isfinite(values))
        and _gains_allowed(command.kp, command.kd)
        and _within_reach(command, state)
        and _step_allowed(command, previous)
    )


def _step_allowed(command: MotorCommand, previous: MotorCommand) -> bool:
    """Between two commands with stiffness the angles move by no more than `STEP_MAX`."""
    free = (command.kp == 0.0) | (previous.kp == 0.0)
    return every(free | (np.abs(command.q - previous.q) <= STEP_MAX))


def _gains_allowed(kp: np.ndarray, kd: np.ndarray) -> bool:
    return every((kp >= 0.0) & (kp <= go2.KP_MAX) & (kd >= 0.0) & (kd <= go2.KD_MAX))


def _within_reach(command: MotorCommand, state: RobotState) -> bool:
    """Positions inside the joint range wherever there is stiffness; torque inside the motor's, with margin."""
    inside = (command.q >= go2.Q_MIN - POSITION_MARGIN) & (command.q <= go2.Q_MAX + POSITION_MARGIN)
    tau = pd_torque(state.q_sdk, state.dq_sdk, command.q, command.dq, command.kp, command.kd, command.tau)
    return every(inside | (command.kp == 0.0)) and within(tau, TORQUE_REACH * go2.TAU_MAX)
