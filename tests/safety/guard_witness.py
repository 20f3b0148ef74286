"""What has to hold after every step of the guard, whatever came in: judged from outputs, by numbers of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from guard_rig import L2_B, PERIOD, Rig, is_damping

from dbp_policy import go2
from dbp_policy.guard.faults import FAULTS, Severity
from dbp_policy.guard.guard import GuardInput, GuardOutput
from dbp_policy.types import GuardStatus, Mode, MotorCommand, Request, RobotState

POSITION_MARGIN = 0.02
TORQUE_SHARE = 1.5
STEP = 0.88
"""[rad] between two stiff commands: a tenth more than 40 rad/s for 20 ms."""

FRESH = 0.5 - PERIOD
"""Age up to which an action counts [s]."""

ASKED_BY = {  # the mode changes that an operator has to ask for, and what asks for them
    (Mode.DAMPING, Mode.STANDING_UP): Request.STAND_UP,
    (Mode.POLICY, Mode.STANDING): Request.STAND_UP,
    (Mode.STANDING, Mode.POLICY): Request.START,
    (Mode.STANDING_UP, Mode.SITTING_DOWN): Request.SIT_DOWN,
    (Mode.STANDING, Mode.SITTING_DOWN): Request.SIT_DOWN,
    (Mode.POLICY, Mode.SITTING_DOWN): Request.SIT_DOWN,
}
BY_ITSELF = {(Mode.STANDING_UP, Mode.STANDING), (Mode.SITTING_DOWN, Mode.DAMPING)}


class Witness:
    """Steps a rig and raises AssertionError at the first output that must not be."""

    def __init__(self) -> None:
        self.rig = Rig()
        self._status = GuardStatus()
        self._command: MotorCommand | None = None
        self._state: RobotState | None = None
        self._before: RobotState | None = None
        """What `_state` was before this step: heat and charge count from the next one on."""
        self._reset_at = self._latched_at = -np.inf
        self._now = self.rig.now
        self._deaf = 0
        """Steps without a new lowstate, of those in which time went on."""
        self._corrupt = 0
        self._alone = np.inf
        """How long no standby has taken a beat [s]."""
        self._pressed = False
        self.around: dict = {}
        """What reaches the guard in every step (fields of its input), besides what a step itself is given."""

    def step(self, *requests: Request, request_age: float = 0.0, around: dict | None = None, **inputs) -> GuardOutput:
        """`Rig.step`, watched."""
        heard = GuardInput(**self.around | (around or {}))
        came, elapsed = self.rig.lowstate_alive, -self._now
        output = self.rig.step(*requests, request_age=request_age, around=self.around | (around or {}), **inputs)
        self.rig.outputs.clear()
        self._now = self.rig.now
        elapsed += self._now
        self._hear(output, heard, came, elapsed)
        stamp = self.rig.now - request_age
        fresh = {r for r in requests if r == Request.ESTOP or 0.0 <= request_age <= FRESH and stamp > self._reset_at}
        presses = requests.count(Request.ESTOP) + self._pressed_anew(heard)
        self._check_control(output, fresh, presses)
        self._check_latch(output, fresh, stamp)
        self._check_mode(output, fresh)
        self._check_stop(output, presses)
        self._check_faults(output)
        self._check_around(output, heard, elapsed)
        if output.command is not None:
            self._check_command(output.command)
        self._status, self._command = output.status, output.command
        return output

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def stop(self) -> None:
        """The end of the guard's process, which latches between two steps."""
        self.rig.guard.stop(self.rig.now)
        self._latched_at = self.rig.now
        self._status = replace(self._status, latched=True)

    def _hear(self, output: GuardOutput, heard: GuardInput, came: bool, elapsed: float) -> None:
        self._before, self._state = self._state, output.state or self._state
        self._deaf = 0 if output.state is not None else self._deaf + (elapsed >= 0.99 * PERIOD)
        self._corrupt = heard.corrupt if came else self._corrupt + heard.corrupt
        self._alone = 0.0 if heard.standby_took else self._alone + min(elapsed, 2.0 * PERIOD)

    def _pressed_anew(self, heard: GuardInput) -> bool:
        """What is held pressed is one press."""
        before = self._pressed
        self._pressed = heard.endpoints.pressed or self._state is not None and self._state.remote == L2_B
        return self._pressed and not before

    def _check_control(self, output: GuardOutput, fresh: set[Request], presses: int) -> None:
        status = output.status
        assert (output.command is not None) == status.in_control, "it writes exactly while it has control"
        assert status.in_control or not self._status.in_control, "control is never given back"
        if status.in_control and not self._status.in_control:
            assert Request.STAND_UP in fresh or presses, "control was taken though nobody asked"

    def _check_latch(self, output: GuardOutput, fresh: set[Request], stamp: float) -> None:
        status = output.status
        if status.latched and not self._status.latched:
            self._latched_at = self.rig.now
        if self._status.latched and not status.latched:
            assert Request.RESET in fresh and stamp > self._latched_at, "a latch ended without a reset after it"
            assert is_damping(output) or output.command is None, "a reset moved something"
            self._reset_at = self.rig.now
        assert not status.latched or status.faults, "a latch has a cause"
        assert not status.latched or status.mode in (Mode.DAMPING, Mode.SETTLING)

    def _check_mode(self, output: GuardOutput, fresh: set[Request]) -> None:
        before, now = self._status.mode, output.status.mode
        if (before, now) in ASKED_BY:
            assert ASKED_BY[before, now] in fresh, f"{before.name} to {now.name} though nobody asked"
            assert self._alone <= 0.1 or now == Mode.SITTING_DOWN, "up, or on, without a standby"
        elif before != now:
            stopped = now in (Mode.DAMPING, Mode.SETTLING) and before != Mode.DAMPING and output.status.latched
            # Several requests in one step may lead on: from damping through standing up to sitting down.
            several = len(fresh) > 1 and now not in (Mode.POLICY, Mode.SETTLING)
            assert stopped or several or (before, now) in BY_ITSELF, f"{before.name} to {now.name}"
        if now == Mode.DAMPING:
            assert output.command is None or is_damping(output)

    def _check_stop(self, output: GuardOutput, presses: int) -> None:
        if not presses:
            return
        status = output.status
        assert status.latched, "a stop latches"
        assert status.mode in (Mode.DAMPING, Mode.SETTLING), "a stop is obeyed in its own step"
        on_the_way_down = self._status.mode in (Mode.DAMPING, Mode.SETTLING, Mode.SITTING_DOWN)
        assert is_damping(output) or presses == 1 and not on_the_way_down, "pressed again, or on its way down"

    def _check_around(self, output: GuardOutput, heard: GuardInput, elapsed: float) -> None:
        if heard.foreign or heard.rivals:
            assert output.command is None or is_damping(output), "stiff against another writer"
        if elapsed > 0.1 + 1e-6:
            assert output.command is None or is_damping(output), "stiff after it stood still"
        if heard.endpoints.silent:
            assert output.status.mode in (Mode.DAMPING, Mode.SETTLING), "goes on without a stop to hear from"

    def _check_faults(self, output: GuardOutput) -> None:
        status = output.status
        unheard = self._deaf >= 8 or self._corrupt >= 3 or self._state is None
        if unheard or "lowstate_invalid" in status.faults:
            assert output.command is None or is_damping(output), "stiff without knowing where the robot is"
        if output.state is not None and output.command is not None:
            x, y = output.state.quat_wxyz[1:3]
            if 1.0 - 2.0 * (x * x + y * y) < np.cos(1.0 + 1e-6):
                assert is_damping(output), "tipped, and stiff"
        if self._before is not None and output.command is not None:
            if not self._before.temperature_sdk.max() < 80.0 or not self._before.battery_soc >= 10.0:
                assert status.mode in (Mode.DAMPING, Mode.SETTLING), "worn out, and going on"
        worst = max((FAULTS[name].severity for name in status.faults), default=Severity.NONE)
        assert worst < Severity.SETTLE or status.mode in (Mode.DAMPING, Mode.SETTLING)
        assert 0.0 <= status.speed_scale <= 1.0 and (worst > Severity.NONE or status.speed_scale == 1.0)

    def _check_command(self, c: MotorCommand) -> None:
        assert all(np.isfinite(x).all() for x in (c.q, c.dq, c.kp, c.kd, c.tau))
        assert not c.dq.any() and not c.tau.any(), "the guard asks for no speed and no torque"
        assert ((c.kp >= 0.0) & (c.kp <= go2.KP_MAX) & (c.kd >= 0.0) & (c.kd <= go2.KD_MAX)).all()
        stiff = c.kp > 0.0
        if not stiff.any():
            return
        inside = (c.q >= go2.Q_MIN - POSITION_MARGIN) & (c.q <= go2.Q_MAX + POSITION_MARGIN)
        assert (inside | ~stiff).all(), "past a joint's range"
        torque = c.kp * (c.q - self._state.q_sdk) - c.kd * self._state.dq_sdk
        assert (np.abs(torque) <= TORQUE_SHARE * go2.TAU_MAX + 1e-9).all(), "more than the motors can give"
        if self._command is not None:
            both = stiff & (self._command.kp > 0.0)
            assert (np.abs(c.q - self._command.q)[both] <= STEP + 1e-9).all(), "a step too wide"
