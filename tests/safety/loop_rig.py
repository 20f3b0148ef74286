"""A made-up robot, clock and standby around the guard's real loop and its real local sockets."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
from guard_rig import LYING

from dbp_policy import clock, go2
from dbp_policy.guard import loop
from dbp_policy.guard.endpoint_socket import RemoteStops
from dbp_policy.guard.loop import GuardLoop
from dbp_policy.local_link import GUARD_SOCKET, POLICY_SOCKET, STANDBY_SOCKET, Link, encode
from dbp_policy.types import Beat, GuardStatus, JointTarget, Mode, OperatorRequest, Request, RobotState
from dbp_policy.unitree import wire

PERIOD = 0.002


class Clock:
    """Time passes where the loop waits."""

    def __init__(self, monkeypatch) -> None:
        self.t = 1000.0
        self._thread = threading.get_ident()
        self._real_sleep = time.sleep
        self.others = lambda: None
        """What others do while the loop sleeps."""
        for module in (loop, clock):
            monkeypatch.setattr(module, "now", lambda: self.t)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        if threading.get_ident() != self._thread:  # another test's left-over thread: none of this clock's business
            return self._real_sleep(seconds)
        self.t += seconds
        self.others()


class Robot:
    """Sends a lowstate every 2 ms, follows commands at once; its own reader and writer, and its motion service."""

    mode = ""
    last_code: int | None = None

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state = LYING
        self.silent = False
        self.damaged = False
        self.sent: list[bytes] = []
        self.echo: list[bytes] = []
        self.matched = 2
        self.lowstates = self.commands_heard = self.commands = self.switcher = self.sport = self
        self._next = clock.t + PERIOD
        self._waiting: list[bytes] = []
        self._steps = 0
        self.lowstates, self.commands_heard = self, Heard(self)

    def wait(self, timeout: float) -> bool:
        assert timeout < 0.01
        end = self.clock.t + max(0.0, timeout)
        if self.silent or self._next > end:
            self.clock.t = end
            return False
        self.clock.t = max(self.clock.t, self._next)
        self._next += PERIOD
        self._steps += 1
        noise = 1e-4 * np.sin(self._steps * np.arange(1.0, 4.0))
        self.state = replace(self.state, tick_ms=2 * self._steps, gyro_body=noise)
        payload = wire.encode_lowstate(self.state)
        self._waiting.append(payload[:-1] + bytes([payload[-1] ^ self.damaged]))
        return True

    def take(self) -> list[bytes]:
        taken, self._waiting = self._waiting, []
        return taken

    def write(self, payload: bytes) -> None:
        self.sent.append(payload)
        self.echo.append(payload)
        command = wire.decode_lowcmd(payload)
        if command.kp.any():
            way = (command.q - self.state.q_sdk) / PERIOD
            self.state = replace(self.state, q_sdk=command.q, dq_sdk=way)
        else:
            self.state = replace(self.state, dq_sdk=np.zeros(12))

    def step_check(self, now: float) -> str | None:
        return self.mode

    def step_release(self, now: float, lying: bool) -> bool:
        self.mode = "" if lying else self.mode
        return self.mode == ""

    def step_stand_down(self, now: float) -> None:
        self.last_code = 0
        self.state = replace(self.state, q_sdk=go2.CROUCH_Q)


class Heard:
    """What the guard hears on rt/lowcmd: its own commands, and others'."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot

    @property
    def matched(self) -> int:
        return self._robot.matched

    def take(self) -> list[bytes]:
        taken, self._robot.echo = self._robot.echo, []
        return taken


class PlannedStop:
    """Stands in for the loop's `StopRequest`: a wait passes made-up time, and a plan is kept by looks at it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._asked = False

    def ask(self) -> None:
        self._asked = True

    @property
    def asked(self) -> bool:
        self._bench.proceed()
        return self._asked

    def wait(self, seconds: float) -> bool:
        self._bench.robot.wait(PERIOD)
        self._bench.clock.t += seconds
        return self.asked


class Bench:
    """A guard's loop, its sockets' other ends, and a plan of what happens after so many ticks."""

    def __init__(self, tmp_path, monkeypatch, standby: bool = True, dry_run: bool = False) -> None:
        self.clock = Clock(monkeypatch)
        self.robot = Robot(self.clock)
        if dry_run:
            self.robot.commands = None
        self.policy, self.standby, self.tool = (Link(tmp_path, n) for n in (POLICY_SOCKET, STANDBY_SOCKET, None))
        self.folder = tmp_path
        self.beats: list[Beat] = []
        self.told: list[tuple] = []
        self.answers: list[GuardStatus] = []
        self.plan: dict[int, list] = {}
        self.ticks = 0
        self.policy_talks = True
        self.loop = GuardLoop(
            self.robot, Link(tmp_path, GUARD_SOCKET), Link(tmp_path) if standby else None, RemoteStops("", None)
        )
        self.loop._stop = PlannedStop(self)
        self.clock.others = self.take_beats

    def proceed(self) -> None:
        """What the others do between two ticks."""
        self.ticks += 1
        self.take_beats()
        for message, status, _ in self.policy.receive() if self.policy else ():
            self.told.append((message, status))
            if isinstance(message, RobotState) and self.policy_talks:
                answer = JointTarget(
                    self.ticks, self.clock.t, message.tick_ms, go2.STAND_Q, np.full(12, 25.0), np.full(12, 0.5)
                )
                self.policy.send(encode(answer), GUARD_SOCKET)
        self.answers += [message for message, _, _ in self.tool.receive()]
        for action in self.plan.pop(self.ticks, ()):
            action()

    def take_beats(self) -> None:
        self.beats += [message for message, _, _ in self.standby.receive()] if self.standby else []

    def at(self, tick: int, action) -> None:
        self.plan.setdefault(tick, []).append(action)

    def ask(self, request: Request) -> None:
        assert self.tool.send(encode(OperatorRequest(request, self.clock.t)), GUARD_SOCKET)

    def stop(self) -> None:
        self.loop.stop()

    @property
    def mode(self) -> Mode:
        return self.loop._guard.mode

    def commands(self) -> list:
        return [wire.decode_lowcmd(payload) for payload in self.robot.sent]
