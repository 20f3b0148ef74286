"""The mode machine: pure, without time or arrays; it reads requests, severities and a few conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbp_policy.guard.faults import Severity
from dbp_policy.types import Mode, Request


@dataclass(frozen=True)
class Conditions:
    """What the mode machine needs to know of the world."""

    severity: Severity
    """The gravest fault present."""
    further: Severity
    """The gravest fault present that did not lead to the present mode."""
    faults: tuple[str, ...]
    """Names of the grave faults present, for the operator."""
    no_start: tuple[str, ...]
    """Names of the faults present that do not stop a robot but forbid to stand up and to start the policy."""
    target_fresh: bool
    """The policy's targets are arriving and may be followed."""
    motion_done: bool
    """The motion of this mode has ended."""
    at_rest: Callable[[], bool]
    """Whether the robot hardly moves; like `on_legs` asked only where something hangs on it."""
    on_legs: Callable[[], bool]
    """Whether the legs are stretched out, so that there is a way down to control."""
    level: Callable[[], bool]
    """Whether the trunk is held as on four legs."""


_ON_THE_WAY_UP = (Mode.STANDING_UP, Mode.STANDING, Mode.POLICY)
"""Where a stop settles; a robot that sits down is on its way already."""


class ModeMachine:
    """Starts in damping, unlatched and not in control; only a granted request leads to motion."""

    def __init__(self) -> None:
        self.mode = Mode.DAMPING
        self.latched = False
        self.in_control = False
        """Turns true with the first granted request to stand up, or e-stop: from then on the guard always streams."""

    def update(self, conditions: Conditions) -> None:
        """Reacts to faults and to the end of motions; faults come before anything else."""
        if self.mode == Mode.DAMPING:
            return
        if conditions.severity >= Severity.DAMP:
            self.stop()
        elif self.mode == Mode.SETTLING:
            if conditions.further >= Severity.SETTLE or conditions.motion_done:
                self.stop()
        elif conditions.severity >= Severity.SETTLE:
            self.mode, self.latched = (Mode.SETTLING if conditions.on_legs() else Mode.DAMPING), True
        elif conditions.motion_done and self.mode == Mode.STANDING_UP:
            self.mode = Mode.STANDING
        elif conditions.motion_done and self.mode == Mode.SITTING_DOWN:
            self.mode = Mode.DAMPING

    def stop(self) -> None:
        """Damping, latched, from any mode."""
        self.mode, self.latched = Mode.DAMPING, True

    def emergency_stop(self, conditions: Conditions) -> None:
        """An operator's stop: from stretched legs settles, while the lowstates can be trusted; else, and when pressed
        a second time, damps. Latched, and also where the guard was not in control: a robot may hold a dead controller's
        command."""
        gently = self.mode in _ON_THE_WAY_UP and conditions.on_legs() and conditions.severity < Severity.DAMP
        self.mode, self.latched, self.in_control = (Mode.SETTLING if gently else Mode.DAMPING), True, True

    def request(self, request: Request, conditions: Conditions) -> str:
        """Grants or refuses a request; returns the reason of a refusal, empty if granted."""
        if request == Request.ESTOP:
            self.emergency_stop(conditions)
            return ""
        if conditions.severity >= Severity.SETTLE:
            return f"{request.name.lower()} refused: {', '.join(conditions.faults)} present"
        if request == Request.RESET:
            return self._reset(conditions)
        if self.latched:
            return f"{request.name.lower()} refused: latched, reset first"
        return self._move(request, conditions)

    def _reset(self, conditions: Conditions) -> str:
        if not self.latched:
            return "reset refused: nothing is latched"
        if self.mode != Mode.DAMPING:
            return "reset refused: still settling"
        if not conditions.at_rest():
            return "reset refused: the robot is still moving"
        self.latched = False
        return ""

    def _move(self, request: Request, conditions: Conditions) -> str:
        allowed = {
            Request.STAND_UP: (Mode.DAMPING, Mode.POLICY),
            Request.START: (Mode.STANDING,),
            Request.SIT_DOWN: (Mode.STANDING_UP, Mode.STANDING, Mode.POLICY),
        }[request]
        if self.mode not in allowed:
            return f"{request.name.lower()} refused in mode {self.mode.name.lower()}"
        if request != Request.SIT_DOWN and conditions.no_start:
            return f"{request.name.lower()} refused: {', '.join(conditions.no_start)} present"
        if self.mode == Mode.POLICY and not conditions.level():
            return f"{request.name.lower()} refused: the robot is not on four legs, let the policy bring it down first"
        if request == Request.START and not conditions.target_fresh:
            return "start refused: no fresh policy target"
        if request == Request.STAND_UP and self.mode == Mode.DAMPING and not conditions.at_rest():
            return "stand_up refused: the robot is still moving"
        self.mode = {
            Request.STAND_UP: Mode.STANDING if self.mode == Mode.POLICY else Mode.STANDING_UP,
            Request.START: Mode.POLICY,
            Request.SIT_DOWN: Mode.SITTING_DOWN,
        }[request]
        self.in_control = True
        return ""
