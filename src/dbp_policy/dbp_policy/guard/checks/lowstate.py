"""Whether lowstates come, come whole and come alive; and what a single one shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.bounds import every, within
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.rotations import tilt
from dbp_policy.types import RobotState

_Q_LOW, _Q_HIGH = go2.Q_MIN - t.JOINT_LIMIT_MARGIN, go2.Q_MAX + t.JOINT_LIMIT_MARGIN

HALF_FOLDED_CALF = 0.5 * (go2.STAND_Q[2] + go2.CROUCH_Q[2])
LYING_CALF = -2.2
"""Between the calf angle of standing (-1.5) and of lying (-2.65) [rad]."""


class LowstateWatch:
    """Takes the newest lowstate, drops duplicates and reordered ones; notices silence, damage and restarts."""

    def __init__(self) -> None:
        self.state: RobotState | None = None
        self._timer = SilenceTimer()
        self._corrupt = 0

    def update(self, states: Sequence[RobotState], corrupt: int, now: float) -> Iterator[str]:
        """Takes what arrived since the last call; yields fault names.

        Args:
            states: Good lowstates, oldest first.
            corrupt: How many payloads came with a wrong length or checksum.
            now: Time [s].
        """
        previous = self.state
        for state in states:
            ahead = None if self.state is None else state.tick_ms - self.state.tick_ms
            if ahead is None or 0 < ahead and not _lost_time(self.state, state):
                self.state = state
            elif ahead > 0 or ahead < -t.TICK_RESTART_MS:
                self.state = state
                yield "lowstate_restarted"
        self._corrupt = corrupt if states else self._corrupt + corrupt
        if self._corrupt >= t.CORRUPT_IN_A_ROW:
            yield "lowstate_corrupt"
        silent = self._timer.update(self.state is not previous, now)
        if not silent <= t.LOWSTATE_TIMEOUT:
            yield "lowstate_stale"
        elif silent > t.LOWSTATE_LATE:
            yield "lowstate_late"


def _lost_time(before: RobotState, after: RobotState) -> bool:
    """Whether the robot's clock advanced by less than ours while nothing came: it stood, and began anew since."""
    silent = after.stamp - before.stamp
    lost = silent - 1e-3 * (after.tick_ms - before.tick_ms)
    return not lost <= t.TICK_LOST + t.TICK_DRIFT * silent


class FrozenWatch:
    """Notices a robot whose tick goes on while its sensors repeat themselves."""

    def __init__(self) -> None:
        self._content = b""
        self._repeats = 0

    def update(self, state: RobotState) -> Iterator[str]:
        """Takes the next new lowstate."""
        content = b"".join((state.q_sdk, state.dq_sdk, state.gyro_body, state.acc_body))
        self._repeats = self._repeats + 1 if content == self._content else 0
        self._content = content
        if self._repeats >= t.FROZEN_STATES:
            yield "lowstate_frozen"


def is_valid(state: RobotState) -> bool:
    """All numbers that motion depends on are finite and the quaternion has unit norm."""
    values = (state.q_sdk, state.dq_sdk, state.tau_sdk, state.quat_wxyz, state.gyro_body, state.acc_body)
    squares = sum(value.dot(value) for value in values)  # finite if all are, up to 1e150
    norm_is_one = abs(state.quat_wxyz.dot(state.quat_wxyz) - 1.0) <= 2.0 * t.QUAT_NORM_TOLERANCE
    return norm_is_one and math.isfinite(squares)


def posture_faults(state: RobotState, nose_down: float = 0.0) -> Iterator[str]:
    """Names of the faults that the trunk and the joints of one valid lowstate show.

    Args:
        state: The lowstate.
        nose_down: How far nose down the trunk may be held without counting as tilted [rad].
    """
    if not tilt(state.quat_wxyz, nose_down) <= t.TILT_MAX:
        yield "tilt"
    if not every((state.q_sdk >= _Q_LOW) & (state.q_sdk <= _Q_HIGH)):
        yield "joint_limit"
    if not within(state.dq_sdk, t.DQ_FAULT):
        yield "joint_speed"


def is_lying(state: RobotState) -> bool:
    """Whether the legs are folded as on a robot that lies: every calf bent further than for standing or walking."""
    return every(state.q_sdk[2::3] < LYING_CALF)


def is_level(state: RobotState) -> bool:
    """Whether the trunk is held as on four legs, whatever else the policy may do: the guard's own motions need it."""
    return tilt(state.quat_wxyz) <= t.TILT_MAX


def is_on_legs(state: RobotState) -> bool:
    """Whether it is on four legs stretched out at least half: high enough for a way down that is worth controlling."""
    return is_level(state) and sum(state.q_sdk[2::3].tolist()) > 4.0 * HALF_FOLDED_CALF
