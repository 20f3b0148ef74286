"""The guard's step: lowstates, policy targets and requests in; the one motor command and a status out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dbp_policy import go2
from dbp_policy.guard import motions
from dbp_policy.guard.checks import LowstateWatch, TargetWatch, state_faults
from dbp_policy.guard.faults import FAULTS, Severity, worst
from dbp_policy.guard.limits import command_allowed, target_fault
from dbp_policy.guard.modes import Conditions, ModeMachine
from dbp_policy.pd import clip_to_reach
from dbp_policy.types import (
    GuardStatus,
    JointTarget,
    Mode,
    MotorCommand,
    OperatorRequest,
    Request,
    RobotState,
    damping_command,
)
from dbp_policy.unitree.remote import decode_remote

REQUEST_MAX_AGE = 0.5
"""An operator's action older than this is no longer one [s]."""

REST_SPEED = 0.5
"""All joints slower than this are at rest [rad/s]; encoder noise stays below."""

BLEND_TIME = {Mode.STANDING: 0.4, Mode.POLICY: 0.5, Mode.SITTING_DOWN: 0.2}
"""How long pose and gains blend on entering a mode [s]."""

_ZERO = np.zeros(12)


@dataclass(frozen=True)
class GuardOutput:
    """What one step yields."""

    command: MotorCommand | None
    """To be written now; None as long as the guard has not been given control."""
    status: GuardStatus
    state: RobotState | None
    """The newest lowstate if one came in this step."""


class Guard:
    """Composes watches, checks, mode machine, motions and the last check of every command.

    Args:
        period: Of the step [s].
    """

    def __init__(self, period: float = 1.0 / go2.LOWSTATE_HZ) -> None:
        self._period = period
        self._modes = ModeMachine()
        self._lowstate = LowstateWatch()
        self._targets = TargetWatch()
        self._state_faults: tuple[str, ...] = ()
        self._target_fault: str | None = None
        self._cause: tuple[str, ...] = ()
        """Faults that led to the present mode, kept for the operator until the next granted request."""
        self._refusal = ""
        self._requests_seen = 0
        self._overruns = 0
        self._now: float | None = None
        self._entered = 0.0
        self._origin = damping_command()
        self._command = damping_command()

    def step(
        self,
        states: Sequence[RobotState],
        targets: Sequence[JointTarget],
        requests: Sequence[OperatorRequest],
        now: float,
    ) -> GuardOutput:
        """One tick, to be called every `period`.

        Args:
            states: Lowstates received since the last step, oldest first.
            targets: Policy targets received since the last step.
            requests: Operator requests received since the last step.
            now: Monotonic time [s].
        """
        faults = self._watch(states, targets, now)
        self._react(faults, requests, now)
        command = self._checked_command(faults, now)
        status = self._status(faults)
        newest = self._lowstate.state
        fresh = newest is not None and any(state is newest for state in states)
        return GuardOutput(command if self._modes.in_control else None, status, newest if fresh else None)

    def stop(self, now: float) -> None:
        """Damps and latches, as an e-stop; the process calls it before it ends."""
        self._change_mode(self._modes.stop, now)
        self._cause = ("estop",)

    @property
    def mode(self) -> Mode:
        return self._modes.mode

    @property
    def in_control(self) -> bool:
        """The guard has been given control and streams commands."""
        return self._modes.in_control

    def _watch(self, states: Sequence[RobotState], targets: Sequence[JointTarget], now: float) -> list[str]:
        """Updates the watches; the faults present."""
        previous = self._lowstate.state
        faults = list(self._lowstate.update(states, now))
        state = self._lowstate.state
        if state is not None and state is not previous:
            self._state_faults = tuple(state_faults(state))
        faults += self._state_faults
        if state is not None and any(state.remote) and decode_remote(state.remote).estop_pressed:
            faults.append("estop")
        # Before the first lowstate there is nothing a target could answer.
        target = self._targets.update(targets if state else (), state.tick_ms if state else 0, now)
        if target is not None:
            self._target_fault = target_fault(target, state)
        if self.mode == Mode.POLICY:
            if not self._targets.fresh:
                faults.append("policy_stale")
            if self._target_fault:
                faults.append(self._target_fault)
        if self._now is not None and now - self._now > 2.0 * self._period:
            self._overruns += 1
            faults.append("guard_overrun")
        self._now = now
        return faults

    def _react(self, faults: list[str], requests: Sequence[OperatorRequest], now: float) -> None:
        """Lets the mode machine react to faults, then answers requests, e-stops first."""
        conditions = self._conditions(faults, now)
        mode, latched = self.mode, self._modes.latched
        self._change_mode(lambda: self._modes.update(conditions), now)
        if "estop" in faults:
            self._change_mode(self._modes.stop, now)
        if self._modes.latched and not latched or self.mode != mode and conditions.faults:
            self._cause = conditions.faults
        for request in sorted(requests, key=lambda r: r.request != Request.ESTOP):
            self._answer(request, conditions, now)

    def _answer(self, asked: OperatorRequest, conditions: Conditions, now: float) -> None:
        self._requests_seen += 1
        name = asked.request.name.lower()
        if asked.request == Request.ESTOP:
            self.stop(now)
            self._refusal = ""
        elif not 0.0 <= now - asked.stamp + self._period <= REQUEST_MAX_AGE:
            age = f"{now - asked.stamp:.1f} s ago"
            self._refusal = f"{name} refused: expected an action of the last {REQUEST_MAX_AGE} s, got one of {age}"
        else:
            self._refusal = self._change_mode(lambda: self._modes.request(asked.request, conditions), now)
            if not self._refusal:
                self._cause = ()

    def _conditions(self, faults: list[str], now: float) -> Conditions:
        motion = {Mode.STANDING_UP: motions.STAND_UP, Mode.SITTING_DOWN: motions.SIT_DOWN}.get(self.mode)
        state = self._lowstate.state
        return Conditions(
            severity=worst(faults),
            faults=tuple(name for name in faults if FAULTS[name].severity >= Severity.STAND),
            target_fresh=self._targets.fresh and self._target_fault is None,
            motion_done=motion is not None and now - self._entered >= motion.duration,
            at_rest=state is not None and bool((np.abs(state.dq_sdk) < REST_SPEED).all()),
        )

    def _change_mode(self, change, now: float):
        """Runs a change of the mode machine; if the mode changed, the next blend starts from the last command."""
        before = self.mode
        result = change()
        if self.mode != before:
            self._entered = now
            self._origin = self._command
            if before == Mode.DAMPING and self._lowstate.state is not None:
                self._origin = replace(self._command, q=self._lowstate.state.q_sdk)
        return result

    def _checked_command(self, faults: list[str], now: float) -> MotorCommand:
        """The mode's command if it passes the last check, else damping or the standing hold."""
        command = self._wanted(now)
        if self.mode != Mode.DAMPING and not command_allowed(command, self._lowstate.state):
            faults.append("policy_reach" if self.mode == Mode.POLICY else "command_unsafe")
            self._react(faults, (), now)
            command = self._wanted(now)
            if self.mode != Mode.DAMPING and not command_allowed(command, self._lowstate.state):
                self.stop(now)
                self._cause = ("command_unsafe",)
                command = damping_command()
        self._command = command
        return command

    def _wanted(self, now: float) -> MotorCommand:
        mode, elapsed = self.mode, now - self._entered
        if mode == Mode.DAMPING:
            return damping_command()
        if mode == Mode.POLICY:
            target = self._targets.target
            goal = MotorCommand(q=target.q_sdk, dq=_ZERO, kp=target.kp_sdk, kd=target.kd_sdk, tau=_ZERO)
        elif mode == Mode.STANDING:
            goal = motions.hold(go2.STAND_Q)
        else:
            motion = motions.STAND_UP if mode == Mode.STANDING_UP else motions.SIT_DOWN
            goal = motion.command(self._origin.q, elapsed)
        share = motions.smooth(elapsed / BLEND_TIME[mode]) if mode in BLEND_TIME else 1.0
        command = motions.blend(self._origin, goal, share)
        if mode == Mode.POLICY:
            return command
        state = self._lowstate.state
        return replace(command, q=clip_to_reach(command.q, state.q_sdk, state.dq_sdk, command.kp, command.kd))

    def _status(self, faults: list[str]) -> GuardStatus:
        return GuardStatus(
            mode=self.mode,
            in_control=self._modes.in_control,
            latched=self._modes.latched,
            zero_velocity=worst(faults) >= Severity.SLOW,
            faults=tuple(dict.fromkeys((*faults, *self._cause))),
            refusal=self._refusal,
            requests_seen=self._requests_seen,
            overruns=self._overruns,
        )
