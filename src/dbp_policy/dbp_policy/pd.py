"""The one PD law of a joint motor, with the motor's limits."""

from __future__ import annotations

import numpy as np

from dbp_policy import go2

FULL_TORQUE_SPEED = 0.5
"""Share of its no-load speed up to which a motor has all of its torque: over all speeds that a walking Go2 uses. An
assumption: Unitree publishes only the end points."""

TARGET_SPEED = float(go2.DQ_MAX.max())
"""A policy's targets move no faster than the fastest joint [rad/s]; the guard's bound is a third higher."""


def pd_torque(
    q: np.ndarray,
    dq: np.ndarray,
    q_target: np.ndarray,
    dq_target: np.ndarray,
    kp: np.ndarray,
    kd: np.ndarray,
    tau_ff: np.ndarray,
) -> np.ndarray:
    """Torque a motor is asked for [N·m]: tau = kp (q* - q) + kd (dq* - dq) + tau_ff. Any common shape (..., 12)."""
    return kp * (q_target - q) + kd * (dq_target - dq) + tau_ff


def limit_torque(
    tau: np.ndarray, dq: np.ndarray, tau_max: np.ndarray = go2.TAU_MAX, dq_max: np.ndarray = go2.DQ_MAX
) -> np.ndarray:
    """Torque a motor can give at speed `dq` [N·m].

    A DC motor behind a voltage limit: full torque up to a corner, then falling linearly to none at the no-load
    speed; braking against the motion always has the full torque. The corner lies at `FULL_TORQUE_SPEED`.
    """
    share = (1.0 - np.abs(dq) / dq_max) / (1.0 - FULL_TORQUE_SPEED)
    driving = tau_max * np.minimum(np.maximum(share, 0.0), 1.0)
    bound = np.where(tau * dq <= 0.0, tau_max, driving)
    return np.minimum(np.maximum(tau, -bound), bound)  # a third of np.clip's time, twice per simulated millisecond


def clip_to_reach(q_target: np.ndarray, q: np.ndarray, dq: np.ndarray, kp: np.ndarray, kd: np.ndarray) -> np.ndarray:
    """The target nearest to `q_target` inside the joint limits for which |kp (q* - q) - kd dq| <= tau_max [rad].

    Where limits and torque reach exclude each other the joint limits win.
    """
    stiffness = np.maximum(kp, 1e-6)
    low = q + (kd * dq - go2.TAU_MAX) / stiffness
    high = q + (kd * dq + go2.TAU_MAX) / stiffness
    reachable = np.minimum(np.maximum(q_target, low), high)
    return np.minimum(np.maximum(reachable, go2.Q_MIN), go2.Q_MAX)


def clip_to_speed(q_target: np.ndarray, last_target: np.ndarray, dt: float) -> np.ndarray:
    """The target nearest to `q_target` that is at most `TARGET_SPEED * dt` from the one before [rad]."""
    farthest = TARGET_SPEED * dt
    return np.minimum(np.maximum(q_target, last_target - farthest), last_target + farthest)
