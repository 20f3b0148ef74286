"""The guard's loop: one step per lowstate, between the robot's topics and the local sockets; and the way into it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Protocol

from dbp_policy import clock, go2, local_link
from dbp_policy.clock import Ticker, now
from dbp_policy.errors import DbpError, say
from dbp_policy.guard.checks.writers import CommandWatch
from dbp_policy.guard.endpoint_socket import RemoteStops
from dbp_policy.guard.guard import Guard, GuardInput, GuardOutput
from dbp_policy.guard.pace import Pace
from dbp_policy.guard.rehearsal import Rehearsal
from dbp_policy.guard.take_over import MotionSwitcher, Sport, TakeOver
from dbp_policy.local_link import Delivery
from dbp_policy.stop_request import StopRequest
from dbp_policy.types import Beat, JointTarget, Mode, OperatorRequest, Request, RobotState, damping_command
from dbp_policy.unitree import wire

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_STATUS_PERIOD = 0.05
_LOOK = 0.02
"""How often the guard looks around before it has control [s]."""
_TELL = 3.0
"""How long it waits before it says what for [s]."""
_LINE_START = "\r\033[K" if sys.stdout.isatty() else ""
"""At a terminal the teleop's line is there already."""
_SIT_DOWN_TIMEOUT = 3.0
_SHUTDOWN_DAMPING = 1.0
"""How long damping is streamed before the process ends [s]; a fold from standing takes less."""


class Reader(Protocol):
    """Of one topic, as `unitree.channels.RawReader`."""

    @property
    def matched(self) -> int: ...

    def wait(self, timeout: float) -> bool: ...

    def take(self) -> list[bytes]: ...


class Writer(Protocol):
    """Of one topic, as `unitree.channels.RawWriter`."""

    def write(self, payload: bytes) -> None: ...


class Robot(Protocol):
    """The robot as the guard reaches it."""

    lowstates: Reader
    commands_heard: Reader
    commands: Writer | None
    """None in a dry run: what is not there cannot send."""
    switcher: MotionSwitcher
    sport: Sport


class GuardLoop:
    """Wires a `Guard` to the robot, to the policy node and to the standby.

    Args:
        robot: The robot's side.
        link: The local sockets' side, bound to the guard's name.
        standby: The way to the standby, if one is expected.
        stops: The remote e-stop endpoints.
        nose_down: How far nose down a policy may hold the trunk, `go2.POSTURES` [rad].
    """

    def __init__(
        self,
        robot: Robot,
        link: local_link.Link,
        standby: local_link.Link | None,
        stops: RemoteStops,
        nose_down: float = 0.0,
    ) -> None:
        self._robot = robot
        self._link = link
        self._standby = standby
        self._stops = stops
        self._standby_took = standby is None
        self._guard = Guard(_PERIOD, nose_down)
        self._commands = CommandWatch()
        self._rehearsal = Rehearsal() if robot.commands is None else None
        self._stop = StopRequest()
        self._bad_lowstates = 0
        self._policy_gone = False
        self._rivals_seen = self._foreign = 0
        self._told = now()

    def stop(self, *_) -> None:
        """Asks the loop to end; safe to call from a signal handler."""
        self._stop.ask()

    def take_over(self, release: bool) -> bool:
        """Waits for a robot, and for its own motion service to let go of the motors.

        Returns:
            False if asked to stop before that.

        Raises:
            DbpError: See `TakeOver.step`.
        """
        begin, told = now(), ""
        robot, look_only = self._robot, self._rehearsal is not None
        decision = TakeOver(robot.switcher, robot.sport, release, begin, look_only)
        while not self._stop.wait(_LOOK):
            self._beat()
            states = self._states()
            rivals = self._rivals(standby=self._standby_took) + len(self._robot.commands_heard.take())
            if decision.step(states[-1] if states else None, rivals, self._bad_lowstates, now()):
                return True
            if decision.awaited != told and now() - begin > _TELL:
                told = decision.awaited
                say(f"guard: waiting for {told}")
        return False

    def run(self) -> None:
        """Steps the guard until asked to stop, and damps before it returns, whatever the reason.

        A robot that stands still is sat down first; one that moves is damped at once, for whoever stops it then may
        have a reason.

        Raises:
            DbpError: The robot has restarted.
        """
        pace = Pace(_PERIOD, now())
        try:
            while not self._stop.asked:
                self._tick(pace)
            if self._guard.mode == Mode.STANDING:
                self._tick(pace, OperatorRequest(Request.SIT_DOWN, now()))
                end = now() + _SIT_DOWN_TIMEOUT
                while self._guard.mode != Mode.DAMPING and now() < end:
                    self._tick(pace)
        finally:
            self._damp()
            self._beat(leaving=True)
            self._link.close()
            self._stops.close()

    def _tick(self, pace: Pace, *requests_of_its_own: OperatorRequest) -> None:
        """Waits for the next lowstate, or for as long as one may take; then steps once."""
        if self._robot.lowstates.wait(pace.latest() - now()) and (early := pace.earliest() - now()) > 0.0:
            clock.sleep(early)
        begin = now()
        pace.ticked(self._step(*requests_of_its_own), begin)

    def _step(self, *requests_of_its_own: OperatorRequest) -> bool:
        """One step of the guard; whether a lowstate had come."""
        heard, askers = self._hear(requests_of_its_own)
        output = self._guard.step(heard, now())
        if self._rehearsal is not None:
            self._rehearse(output)
            output = replace(output, status=replace(output.status, dry_run=True))
        else:
            self._command(output)
        self._stops.tell(output.status)
        self._tell(output)
        for asker, refusal in zip(askers, output.refusals, strict=True):
            if asker is not None:  # an asker without an address cannot be answered
                self._link.send(local_link.encode(replace(output.status, refusal=refusal)), asker)
        if "lowstate_restarted" in output.status.faults:
            raise DbpError("the robot has restarted, and its own motion service with it: start this stack anew")
        return bool(heard.states)

    def _command(self, output: GuardOutput) -> None:
        """Sends the command of this step, then looks at who else does."""
        if output.command is not None:
            payload = wire.encode_lowcmd(output.command)
            self._robot.commands.write(payload)
            self._commands.sent(payload)
        # From here on the motors have their answer; what is looked up now counts in the next step.
        self._guard.catch_up()
        self._beat()
        self._rivals_seen = self._rivals(standby=True)
        self._foreign = self._commands.foreign(self._robot.commands_heard.take())

    def _rehearse(self, output: GuardOutput) -> None:
        """In a dry run commands are shown, and whoever else commands the motors may."""
        line = self._rehearsal.line(output, now())
        if line:
            say(f"{_LINE_START}guard: {line}")

    def _hear(self, requests_of_its_own: tuple[OperatorRequest, ...]) -> tuple[GuardInput, list]:
        """What came in, and the address of whoever asked each request (None: it has none)."""
        targets: list[JointTarget] = []
        requests = list(requests_of_its_own)
        askers: list = [None] * len(requests)
        for message, _, sender in self._link.receive():
            if isinstance(message, JointTarget):
                targets.append(message)
            elif isinstance(message, OperatorRequest):
                requests.append(message)
                askers.append(sender)
        bad_before = self._bad_lowstates
        states = self._states()
        heard = GuardInput(
            states=states,
            targets=targets,
            requests=requests,
            corrupt=self._bad_lowstates - bad_before,
            policy_gone=self._policy_gone,
            standby_took=self._standby_took,
            rivals=self._rivals_seen,
            foreign=self._foreign,
            endpoints=self._stops.report(now()),
        )
        return heard, askers

    def _rivals(self, standby: bool) -> int:
        """Writers of rt/lowcmd besides this one, and besides the standby's if that is there."""
        return max(0, self._robot.commands_heard.matched - 1 - (self._standby is not None and standby))

    def _states(self) -> list[RobotState]:
        states = []
        for payload in self._robot.lowstates.take():
            try:
                states.append(wire.decode_lowstate(payload, now()))
            except wire.WireError:
                self._bad_lowstates += 1
        return states

    def _tell(self, output: GuardOutput) -> None:
        """Passes the lowstate on to the policy node; of a silent robot, what the guard does about it."""
        if output.state is not None:
            sent = self._link.send(local_link.encode(output.state, output.status), local_link.POLICY_SOCKET)
            self._policy_gone = sent == Delivery.REFUSED
            self._told = now()
        elif now() - self._told > _STATUS_PERIOD:
            self._link.send(local_link.encode(output.status), local_link.POLICY_SOCKET)
            self._told = now()

    def _beat(self, leaving: bool = False) -> None:
        if self._standby is not None:
            beat = Beat(os.getpid(), self._guard.in_control, leaving, now())
            self._standby_took = bool(self._standby.send(local_link.encode(beat), local_link.STANDBY_SOCKET))

    def _damp(self) -> None:
        if not self._guard.in_control or self._rehearsal is not None:
            return
        payload = wire.encode_lowcmd(damping_command())
        ticker = Ticker(_PERIOD)
        end = now() + _SHUTDOWN_DAMPING
        while now() < end:
            self._robot.commands.write(payload)
            self._beat()
            ticker.sleep()
