"""Small checks on what the guard receives. Each is written so that NaN fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dbp_policy import go2
from dbp_policy.rotations import tilt
from dbp_policy.types import JointTarget, RobotState

LOWSTATE_TIMEOUT = 0.020
"""Ten missed lowstates [s] (Franka's FCI stops its arms after as long a gap)."""

TARGET_TIMEOUT = 0.060
"""Three missed policy periods [s]."""

TICK_RESTART_MS = 1000
"""A tick this far back is a restarted robot, a smaller step back a reordered message [ms]."""

TILT_MAX = 1.0
"""[rad], as in unitree_rl_mjlab's deployment."""

QUAT_NORM_TOLERANCE = 0.01
JOINT_LIMIT_MARGIN = 0.05
"""How far past its range a joint may be read: soft stops give, encoders are offset [rad]."""

DQ_FAULT = np.where(np.arange(12) % 3 == 2, 20.07, 30.1)
"""Joint speed that no motor of a Go2 reaches [rad/s] (the faster of the published limits)."""

_Q_LOW, _Q_HIGH = go2.Q_MIN - JOINT_LIMIT_MARGIN, go2.Q_MAX + JOINT_LIMIT_MARGIN

LYING_CALF = -2.2
"""Between the calf angle of standing (-1.5) and of lying (-2.65) [rad]."""

MOTOR_HOT = 70.0
"""[°C], the warning threshold that deployments on this robot use."""

BATTERY_LOW = 20.0
"""[%]"""


class SilenceTimer:
    """How long an input has been silent, counted in time the guard was awake to hear it.

    A guard that was itself stopped for a second would otherwise blame its inputs for the second: each call adds at most
    `max_step`, and the guard reports its own lateness as `guard_overrun`.
    """

    def __init__(self, max_step: float = 2.0 / go2.LOWSTATE_HZ) -> None:
        self.silent = np.inf
        self._last: float | None = None
        self._max_step = max_step

    def update(self, heard: bool, now: float) -> float:
        """Advances to `now`; returns the silence [s], infinite before the first sound."""
        step = 0.0 if self._last is None else min(now - self._last, self._max_step)
        self._last = now
        self.silent = 0.0 if heard else self.silent + step
        return self.silent


class LowstateWatch:
    """Takes the newest lowstate, drops duplicates and reordered ones, notices silence and restarts."""

    def __init__(self) -> None:
        self.state: RobotState | None = None
        self._timer = SilenceTimer()

    def update(self, states: Sequence[RobotState], now: float) -> Iterator[str]:
        """Takes what arrived since the last call; yields fault names."""
        heard = False
        for state in states:
            ahead = None if self.state is None else state.tick_ms - self.state.tick_ms
            if ahead is None or ahead > 0:
                self.state, heard = state, True
            elif ahead < -TICK_RESTART_MS:
                self.state, heard = state, True
                yield "lowstate_restarted"
        if not self._timer.update(heard, now) <= LOWSTATE_TIMEOUT:
            yield "lowstate_stale"


class TargetWatch:
    """Takes the newest policy target and notices silence; older and future targets are dropped."""

    def __init__(self) -> None:
        self.target: JointTarget | None = None
        self._timer = SilenceTimer()

    def update(self, targets: Iterable[JointTarget], tick_ms: int, now: float) -> JointTarget | None:
        """Takes what arrived since the last call.

        Args:
            targets: New targets.
            tick_ms: The newest lowstate's tick; a target has to answer a lowstate of the last `TARGET_TIMEOUT`.
            now: Time [s]; a stamp ahead of it (or NaN) would shut out all later targets.

        Returns:
            The newest target if one of them is new and fresh.
        """
        newest = None
        for target in targets:
            fresh = 0 <= tick_ms - target.state_tick_ms <= 1e3 * TARGET_TIMEOUT and target.stamp <= now
            if fresh and (self.target is None or target.stamp > self.target.stamp):
                self.target = newest = target
        self._timer.update(newest is not None, now)
        return newest

    @property
    def fresh(self) -> bool:
        """A target has come within `TARGET_TIMEOUT`."""
        return self._timer.silent <= TARGET_TIMEOUT


def state_faults(state: RobotState) -> Iterator[str]:
    """Names of the faults that one lowstate shows."""
    values = np.concatenate(
        [state.q_sdk, state.dq_sdk, state.tau_sdk, state.quat_wxyz, state.gyro_body, state.acc_body]
    )
    if not (np.isfinite(values).all() and abs(state.quat_wxyz @ state.quat_wxyz - 1.0) <= 2.0 * QUAT_NORM_TOLERANCE):
        yield "lowstate_invalid"
        return
    if not tilt(state.quat_wxyz) <= TILT_MAX:
        yield "tilt"
    if not ((state.q_sdk >= _Q_LOW) & (state.q_sdk <= _Q_HIGH)).all():
        yield "joint_limit"
    if not (np.abs(state.dq_sdk) <= DQ_FAULT).all():
        yield "joint_speed"
    if not state.temperature_sdk.max() <= MOTOR_HOT:
        yield "motor_hot"
    if not state.battery_soc >= BATTERY_LOW:
        yield "battery_low"


def is_lying(state: RobotState) -> bool:
    """Whether the legs are folded as on a robot that lies: every calf bent further than for standing or walking."""
    return bool((state.q_sdk[2::3] < LYING_CALF).all())
