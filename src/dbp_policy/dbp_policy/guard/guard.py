"""The guard's step: lowstates, policy targets and requests in; the one motor command and a status out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dbp_policy import go2
from dbp_policy.guard import motions
from dbp_policy.guard.checks.bounds import every
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.checks.lowstate import is_level, is_on_legs
from dbp_policy.guard.checks.silence import SilenceTimer
from dbp_policy.guard.checks.targets import TargetWatch
from dbp_policy.guard.faults import FAULTS, Severity, no_start, speed_scale, worst
from dbp_policy.guard.limits import command_allowed
from dbp_policy.guard.modes import Conditions, ModeMachine
from dbp_policy.guard.senses import Senses
from dbp_policy.guard.thresholds import OVERRUN_PERIODS, STALL_MAX, STANDBY_TIMEOUT
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

REQUEST_MAX_AGE = 0.5
"""An operator's action older than this is no longer one [s]."""

REST_SPEED = 0.5
"""All joints and the trunk turn slower than this at rest [rad/s]."""

REST_SMOOTHING = 0.1
"""Share of a new reading in the mean that is compared with it: 20 ms, so that noise is no motion."""

BLEND_TIME = {Mode.STANDING: 0.4, Mode.POLICY: 0.5, Mode.SITTING_DOWN: 0.2, Mode.SETTLING: motions.SETTLE_RAMP}
"""How long pose and gains blend on entering a mode [s]."""

_MOTIONS = {
    Mode.STANDING_UP: motions.STAND_UP,
    Mode.SITTING_DOWN: motions.SIT_DOWN,
    Mode.SETTLING: motions.SETTLE,
}
_ZERO = np.zeros(12)
_DAMPING = damping_command()


@dataclass(frozen=True)
class GuardInput:
    """What reached the guard since its last step."""

    states: Sequence[RobotState] = ()
    """Good lowstates, oldest first."""
    targets: Sequence[JointTarget] = ()
    """Policy targets."""
    requests: Sequence[OperatorRequest] = ()
    corrupt: int = 0
    """Lowstates whose length or checksum was wrong."""
    policy_gone: bool = False
    """Nobody was there to take the last lowstate passed on."""
    standby_took: bool = True
    """The standby took the beat of the last step."""
    rivals: int = 0
    """Writers of rt/lowcmd besides guard and standby."""
    foreign: int = 0
    """Commands on rt/lowcmd that this guard did not send."""
    endpoints: EndpointReport = EndpointReport()
    """What the remote e-stop endpoints say."""


@dataclass(frozen=True)
class GuardOutput:
    """What one step yields."""

    command: MotorCommand | None
    """To be written now; None as long as the guard has not been given control."""
    status: GuardStatus
    state: RobotState | None
    """The newest lowstate if one came in this step that can be computed with."""
    refusals: tuple[str, ...] = ()
    """Why each request of this step was refused, in their order; empty for the granted ones."""


class Guard:
    """Composes watches, checks, mode machine, motions and the last check of every command.

    Args:
        period: Of the step [s].
        nose_down: How far nose down a policy may hold the trunk, `go2.POSTURES` [rad].
    """

    def __init__(self, period: float = 1.0 / go2.LOWSTATE_HZ, nose_down: float = 0.0) -> None:
        self._period = period
        self._modes = ModeMachine()
        self._senses = Senses(nose_down)
        self._targets = TargetWatch()
        self._standby = SilenceTimer()
        self._pressed = False
        """A stop is held pressed; what is held is one press, pressed again it is a second."""
        self._motion = np.zeros(15)
        """Mean speed of joints and trunk [rad/s]."""
        self._cause: tuple[str, ...] = ()
        """Faults that led to the present mode, kept for the operator until the next granted request."""
        self._refusal = ""
        self._requests_seen = 0
        self._reset_at = self._latched_at = -np.inf
        self._overruns = 0
        self._now: float | None = None
        self._entered = 0.0
        self._origin = self._command = _DAMPING

    def step(self, heard: GuardInput, now: float) -> GuardOutput:
        """One tick, to be called every `period`.

        Args:
            heard: What came in since the last step.
            now: Monotonic time [s].
        """
        faults = self._watch(heard, now)
        refusals = self._react(faults, heard.requests, now)
        command = self._checked_command(faults, now)
        status = self._status(faults)
        newest = self._senses.state
        fresh = any(state is newest for state in heard.states) and "lowstate_invalid" not in faults
        state = newest if fresh else None
        return GuardOutput(command if self._modes.in_control else None, status, state, refusals)

    def catch_up(self) -> None:
        """Does what may wait until the command of a step is on its way; left out, the next step does it first."""
        self._senses.catch_up(self.mode)

    def stop(self, now: float) -> None:
        """Damps at once and latches; the process calls it before it ends."""
        self._change_mode(self._modes.stop, now)
        self._latched_at = now
        self._cause = ("estop",)

    @property
    def mode(self) -> Mode:
        return self._modes.mode

    @property
    def in_control(self) -> bool:
        """The guard has been given control and streams commands."""
        return self._modes.in_control

    def _watch(self, heard: GuardInput, now: float) -> list[str]:
        """Updates the watches; the faults present."""
        faults = self._senses.update(heard.states, heard.corrupt, self._command, self.mode, now)
        state = self._senses.state
        if heard.states:
            self._motion = self._mean_motion(state, "lowstate_invalid" not in faults)
        self._targets.update(heard.targets, state, now)
        # The policy counts while it is followed. A settling that began because it was slow does not wait for one that
        # then falls silent altogether.
        if self.mode == Mode.POLICY:
            faults += self._targets.target_faults()
        if self.mode == Mode.POLICY or self.mode == Mode.SETTLING and "policy_slow" in self._cause:
            faults += ["policy_gone"] if heard.policy_gone else self._targets.age_faults()
        return faults + self._faults_around(heard, now)

    def _mean_motion(self, state: RobotState, valid: bool) -> np.ndarray:
        """The running mean of the speeds; what is not a number would stay in it for ever, and counts as fast."""
        if not valid:
            return np.full(15, 1e3)
        speeds = np.concatenate((state.dq_sdk, state.gyro_body))
        return self._motion + REST_SMOOTHING * (speeds - self._motion)

    def _faults_around(self, heard: GuardInput, now: float) -> list[str]:
        """What is wrong with the guard itself, and with the others that stop or command motors."""
        faults = []
        if heard.endpoints.pressed:
            faults.append("estop")
        if heard.endpoints.silent:
            faults.append("endpoint_silent")
        if heard.foreign or heard.rivals:
            faults.append("second_writer")
        if not self._standby.update(heard.standby_took, now) <= STANDBY_TIMEOUT:
            faults.append("standby_gone")
        late = 0.0 if self._now is None else now - self._now
        if not late <= OVERRUN_PERIODS * self._period:
            self._overruns += 1
            faults.append("guard_stalled" if not late <= STALL_MAX else "guard_overrun")
        self._now = now
        return faults

    def _react(self, faults: list[str], requests: Sequence[OperatorRequest], now: float) -> tuple[str, ...]:
        """Lets the mode machine react to stops and faults, then answers requests, e-stops first; the refusals."""
        if "estop" in faults and not self._pressed:
            self._stop_by_operator(faults, now)
        self._pressed = "estop" in faults
        conditions = self._conditions(faults, now)
        mode, latched = self.mode, self._modes.latched
        self._change_mode(lambda: self._modes.update(conditions), now)
        if self.mode != mode and conditions.faults:
            self._cause = (*self._cause, *conditions.faults)
        if self._modes.latched and not latched:
            self._latched_at = now
        refusals = [""] * len(requests)
        for i in sorted(range(len(requests)), key=lambda i: requests[i].request != Request.ESTOP):
            self._answer(requests[i], faults, now)
            refusals[i] = self._refusal
        return tuple(refusals)

    def _stop_by_operator(self, faults: list[str], now: float) -> None:
        conditions = self._conditions(faults, now)
        self._change_mode(lambda: self._modes.emergency_stop(conditions), now)
        self._latched_at = now
        self._cause = tuple(dict.fromkeys((*self._cause, "estop")))

    def _answer(self, asked: OperatorRequest, faults: list[str], now: float) -> None:
        self._requests_seen += 1
        name = asked.request.name.lower()
        if asked.request == Request.ESTOP:
            self._stop_by_operator(faults, now)
            self._refusal = ""
        elif not 0.0 <= now - asked.stamp + self._period <= REQUEST_MAX_AGE:
            age = f"{now - asked.stamp:.1f} s ago"
            self._refusal = f"{name} refused: expected an action of the last {REQUEST_MAX_AGE} s, got one of {age}"
        elif not asked.stamp > self._reset_at:
            self._refusal = f"{name} refused: expected an action after the reset"
        elif asked.request == Request.RESET and not asked.stamp > self._latched_at:
            self._refusal = "reset refused: expected an action after what latched"  # the operator cannot have meant it
        else:
            conditions = self._conditions(faults, now)
            self._refusal = self._change_mode(lambda: self._modes.request(asked.request, conditions), now)
            if not self._refusal:
                self._cause = ()
                if asked.request == Request.RESET:
                    self._reset_at = now

    def _conditions(self, faults: list[str], now: float) -> Conditions:
        motion = _MOTIONS.get(self.mode)
        state = self._senses.state
        return Conditions(
            severity=worst(faults),
            further=worst(name for name in faults if name not in self._cause),
            faults=tuple(name for name in faults if FAULTS[name].severity >= Severity.SETTLE),
            no_start=no_start(faults),
            target_fresh=self._targets.fresh,
            motion_done=motion is not None and now - self._entered >= motion.duration,
            at_rest=lambda: state is not None and every(np.abs(self._motion) < REST_SPEED),
            on_legs=lambda: state is not None and is_on_legs(state),
            level=lambda: state is not None and is_level(state),
        )

    def _change_mode(self, change, now: float):
        """Runs a change of the mode machine; if the mode changed, the next blend starts from the last command."""
        before = self.mode
        result = change()
        if self.mode != before:
            self._entered = now
            self._origin = self._command
            if before == Mode.DAMPING and self._senses.state is not None:
                self._origin = replace(self._command, q=self._senses.state.q_sdk)
        return result

    def _checked_command(self, faults: list[str], now: float) -> MotorCommand:
        """The mode's command if it passes the last check, else the reaction to that."""
        command = self._wanted(now)
        if self.mode != Mode.DAMPING and not command_allowed(command, self._senses.state, self._command):
            faults.append("policy_reach" if self.mode == Mode.POLICY else "command_unsafe")
            self._react(faults, (), now)
            command = self._wanted(now)
            if self.mode != Mode.DAMPING and not command_allowed(command, self._senses.state, self._command):
                self.stop(now)
                self._cause = ("command_unsafe",)
                command = _DAMPING
        self._command = command
        return command

    def _wanted(self, now: float) -> MotorCommand:
        mode, elapsed = self.mode, now - self._entered
        if mode == Mode.DAMPING:
            return _DAMPING
        if mode == Mode.POLICY:
            target = self._targets.target
            goal = MotorCommand(q=target.q_sdk, dq=_ZERO, kp=target.kp_sdk, kd=target.kd_sdk, tau=_ZERO)
        elif mode == Mode.STANDING:
            goal = motions.hold(go2.STAND_Q)
        else:
            goal = _MOTIONS[mode].command(self._origin.q, elapsed)
        share = motions.smooth(elapsed / BLEND_TIME[mode]) if mode in BLEND_TIME else 1.0
        command = motions.blend(self._origin, goal, share)
        if mode == Mode.POLICY:
            return command
        state = self._senses.state
        return replace(command, q=clip_to_reach(command.q, state.q_sdk, state.dq_sdk, command.kp, command.kd))

    def _status(self, faults: list[str]) -> GuardStatus:
        return GuardStatus(
            mode=self.mode,
            in_control=self._modes.in_control,
            latched=self._modes.latched,
            speed_scale=speed_scale(faults),
            faults=tuple(dict.fromkeys((*faults, *self._cause))),
            refusal=self._refusal,
            requests_seen=self._requests_seen,
            overruns=self._overruns,
        )
