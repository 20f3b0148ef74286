"""One run of the fault matrix, and what it proved."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass

import numpy as np

from dbp_bringup.faults.injections import Injection
from dbp_bringup.faults.recorder import PERIOD, Recorder
from dbp_bringup.faults.start_states import FOLLOWED, MOVING, StartStates
from dbp_bringup.lockstep import Lockstep
from dbp_policy.guard.faults import Severity
from dbp_policy.guard.motions import SETTLE, SETTLE_RAMP
from dbp_policy.types import Mode, Request

AFTER = 0.1
"""How long a run goes on after the bound, to see that the reaction lasts [s]."""


@dataclass(frozen=True)
class Run:
    """One cell of the matrix, for one seed."""

    key: str
    """Fault, mode and seed: what `--replay` takes."""
    fault: str
    mode: str
    unsafe: str
    """What should never have happened, empty if nothing."""
    late: bool
    """The reaction came, but after its bound."""
    reaction_time: float
    """From the injection to the reaction [s]; NaN where none is demanded."""
    graver: bool
    """The robot was damped at once or on the way where settling was demanded."""
    cpu_seconds: float


def run(states: StartStates, injection: Injection, mode: str, seed: int) -> Run:
    """Injects one fault and judges the wire."""
    begin = time.process_time()
    rng = np.random.default_rng([seed, zlib.crc32(f"{injection.key}/{mode}".encode())])
    stack = states.restore(mode, seed)
    physics = stack.robot.physics
    recorder = Recorder(lambda: (physics.data.qpos[7:], physics.data.qvel[6:]))
    stack.lowcmd_tap = recorder
    injection.inject(stack, rng)
    trial = _Trial(stack, injection, mode, recorder)
    trial.play()
    unsafe, reaction_time = trial.judge()
    return Run(
        key=f"{injection.key}/{mode}/{seed}",
        fault=injection.key,
        mode=mode,
        unsafe=unsafe,
        late=not unsafe and reaction_time > injection.bound + 1e-6,
        reaction_time=reaction_time,
        graver=trial.graver,
        cpu_seconds=time.process_time() - begin,
    )


class _Trial:
    """Plays a run and reads the record."""

    def __init__(self, stack: Lockstep, injection: Injection, mode: str, recorder: Recorder) -> None:
        self._stack = stack
        self._injection = injection
        self._mode = mode
        self._recorder = recorder
        self._begin = stack.now
        self._reported = np.nan
        """When the status first showed the reaction of a warning or of zero velocity."""
        self._reacted = np.nan
        """When the guard was first seen settling or damping."""
        self._began = False
        """A motion was granted that the fault forbids."""
        self.graver = False

    @property
    def _grave(self) -> bool:
        return self._injection.reaction >= Severity.SETTLE

    @property
    def _moving(self) -> bool:
        return self._mode in MOVING

    def play(self) -> None:
        """Lets time pass until the reaction has to be seen, then asks for everything that must be refused."""
        injection = self._injection
        seconds = injection.bound + AFTER
        settles = injection.reaction == Severity.SETTLE and self._moving
        if settles:
            seconds += SETTLE.duration
        asked = injection.asked
        for _ in range(round(seconds / PERIOD)):
            self._tick(*asked)
            asked = ()
            elapsed = self._stack.now - self._begin
            if injection.reaction in (Severity.WARN, Severity.ZERO) and elapsed > self._reported - self._begin + AFTER:
                break
            if settles and self._stack.guard.mode == Mode.DAMPING and elapsed > injection.bound:
                break
        self._asked_at = self._stack.now
        latched = self._moving or self._mode == "estop" or injection.asked
        if self._grave and (injection.lasts or latched):
            for request in (Request.STAND_UP, Request.START, Request.SIT_DOWN):
                self._tick(request)
        if injection.no_start:
            before = self._stack.guard.mode
            granted = [self._tick(request) for request in (Request.STAND_UP, Request.START)]
            self._began = "" in granted and self._stack.guard.mode != before

    def _tick(self, *requests: Request) -> str:
        """One tick; why the last request was refused."""
        output = self._stack.tick(*requests)
        status = output.status
        if np.isnan(self._reacted) and self._stack.guard.mode in (Mode.SETTLING, Mode.DAMPING):
            self._reacted = self._stack.now
        if np.isnan(self._reported) and self._shows_reaction(status):
            self._reported = self._stack.now
        return output.refusals[-1] if requests else ""

    def _shows_reaction(self, status) -> bool:
        if self._injection.reaction == Severity.ZERO:
            halted = self._mode not in FOLLOWED or not self._stack.policy.command.any()
            return status.speed_scale == 0.0 and halted
        return bool(status.faults)

    def judge(self) -> tuple[str, float]:
        """What was unsafe, empty if nothing, and the time of the reaction [s]."""
        violation = self._recorder.violation(self._injection.sensors_lie)
        if violation:
            return violation, np.nan
        if self._began:
            return "it stood up or started with the fault present", np.nan
        stiff = self._recorder.stiff()
        if not self._stack.guard.in_control:  # a stop takes control, and then damps
            if len(stiff):
                return "commands though nobody asked for any", np.nan
            return self._judge_refusal(), np.nan
        if not self._moving:
            if stiff.any():
                return "motion though nobody asked for any", np.nan
            return self._judge_refusal(), np.nan
        if self._grave:
            return self._judge_stop()
        return self._judge_going_on()

    def _judge_refusal(self) -> str:
        """A robot that does not move must not begin to while the fault is there."""
        if self._grave and self._injection.lasts and self._stack.guard.mode != Mode.DAMPING:
            return "it stood up with the fault present"
        return ""

    def _judge_stop(self) -> tuple[str, float]:
        damped = self._recorder.damped_from()
        if damped > self._asked_at + PERIOD:
            return "never damped, or motion after it", np.nan
        if self._injection.reaction == Severity.DAMP or self._mode == "settling":
            return "", damped - self._begin
        held = self._reacted + SETTLE_RAMP + 2 * PERIOD, min(self._reacted + SETTLE_RAMP + 0.39, damped - PERIOD)
        if held[0] < held[1] and not self._recorder.stands_between(*held, self._injection.sensors_lie):
            return "neither settled nor damped", np.nan
        if damped > self._reacted + SETTLE.duration + 2 * PERIOD:
            return "settling took too long", np.nan
        self.graver = damped < self._reacted + SETTLE.duration - 2 * PERIOD
        return "", self._reacted - self._begin

    def _judge_going_on(self) -> tuple[str, float]:
        """A fault that is only reported, or none at all, stops nothing."""
        if self._stack.guard.mode == Mode.DAMPING and self._mode not in ("sitting_down", "settling"):
            return "damped without a reason", np.nan
        if self._mode != "settling" and self._stack.output.status.latched:
            return "latched without a reason", np.nan
        if self._injection.reaction == Severity.NONE:
            return "", np.nan
        return ("never reported", np.nan) if np.isnan(self._reported) else ("", self._reported - self._begin)
