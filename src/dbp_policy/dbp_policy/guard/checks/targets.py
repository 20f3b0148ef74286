"""Whether the policy answers, how late, and whether its targets may be followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.bounds import every
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.guard.limits import target_fault
from dbp_policy.types import JointTarget, RobotState


class TargetWatch:
    """Takes the newest policy target, clamps its steps, and notices silence; older and future targets are dropped.

    The policy process answers every lowstate, between its own ticks by repeating the target that it holds.
    """

    def __init__(self) -> None:
        self.target: JointTarget | None = None
        """The newest valid target, clamped; what may be followed."""
        self._newest: JointTarget | None = None
        self._timer = SilenceTimer()
        self._lag = np.inf
        """Age that the newest answer's lowstate had when the answer came [s]."""
        self._fault: str | None = None
        self._changed: float
        """When the target last changed [s]; before the first there is no such time."""
        self._strikes = 0

    def update(self, targets: Iterable[JointTarget], state: RobotState | None, now: float) -> None:
        """Takes what arrived since the last call.

        Args:
            targets: New targets.
            state: The newest lowstate; a target has to answer one of the last `POLICY_STALE`, and before the first
                lowstate there is nothing it could answer.
            now: Time [s]; a stamp ahead of it (or NaN) would shut out all later targets.
        """
        newest = None
        for target in targets:
            age = np.nan if state is None else 1e-3 * (state.tick_ms - target.state_tick_ms)
            if not (0.0 <= age <= t.POLICY_STALE and target.stamp <= now):
                continue
            if target.stamp > max((known.stamp for known in (newest, self._newest) if known), default=-np.inf):
                newest, self._lag = target, age
        self._timer.update(newest is not None, now)
        if newest is not None:
            self._take(newest, state, now)

    def _take(self, target: JointTarget, state: RobotState, now: float) -> None:
        previous, self._newest = self._newest, target
        if previous is not None and _content(target) == _content(previous):
            return  # a repetition: what was judged and clamped stays so
        self._fault = target_fault(target, state)
        if self._fault != "policy_invalid":
            self.target = target if self.target is None else self._clamped(target, now)
            self._changed = now

    def _clamped(self, target: JointTarget, now: float) -> JointTarget:
        reach = t.TARGET_SLEW * min(now - self._changed, t.SLEW_PERIOD)
        step = target.q_sdk - self.target.q_sdk
        clamped = np.minimum(np.maximum(step, -reach), reach)
        if every(clamped == step):
            self._strikes = 0
            return target
        self._strikes += 1
        return replace(target, q_sdk=self.target.q_sdk + clamped)

    @property
    def age(self) -> float:
        """Of the lowstate that the newest answer rests on [s], infinite before the first."""
        return self._timer.silent + self._lag

    @property
    def fresh(self) -> bool:
        """The policy answers, and in time, with a target that may be followed."""
        return self.target is not None and self.age <= t.POLICY_SLOW and self._fault is None

    def age_faults(self) -> Iterator[str]:
        """How late the policy is."""
        if not self.age <= t.POLICY_STALE:
            yield "policy_stale"
        elif self.age > t.POLICY_SLOW:
            yield "policy_slow"
        elif self.age > t.POLICY_LATE:
            yield "policy_late"

    def target_faults(self) -> Iterator[str]:
        """What is wrong with the newest target."""
        if self._fault is not None:
            yield self._fault
        if self._strikes >= t.SLEW_STRIKES:
            yield "policy_erratic"
        elif self._strikes:
            yield "policy_slew"
        if self._newest is not None and self._newest.estimator_diverged:
            yield "estimator_diverged"


def _content(target: JointTarget) -> bytes:
    return np.concatenate((target.q_sdk, target.kp_sdk, target.kd_sdk)).tobytes()
