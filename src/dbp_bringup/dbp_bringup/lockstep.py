"""The whole stack in one thread with simulated time: robot, wire, guard and policy loop, without a socket or a clock.

The same classes that the processes run, so what holds here holds there but for timing. Faster than real time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dbp_bringup.robot.physics import PhysicsOptions, PhysicsState, Truth
from dbp_bringup.robot.simulated_go2 import LOWSTATE_PERIOD_MS, SimulatedGo2
from dbp_policy import go2
from dbp_policy.guard.guard import Guard, GuardInput, GuardOutput
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.runner import Runner
from dbp_policy.types import JointTarget, Mode, OperatorRequest, Request, RobotState
from dbp_policy.unitree import wire
from dbp_policy.unitree.remote import ABSENT


@dataclass(frozen=True)
class Snapshot:
    """A whole stack at one instant."""

    physics: PhysicsState
    fields: dict[str, object]


_CHANGING = ("guard", "policy", "policy_alive", "command", "now", "output", "_targets")
"""Attributes of a `Lockstep` that time changes, besides the physics."""


class Lockstep:
    """One robot under one guard and one policy.

    Args:
        runner: The policy.
        options: Of the robot's physics.
        estimate: Whether to run the state estimator though the policy does not read it: half of the time.

    Attributes:
        command: Velocity command vx, vy, wz that the policy follows, shape (3,); assign to it.
        policy_alive: Set to False to kill the policy side.
        lowstate_tap: What reaches the guard for each payload that the robot sends; assign to it to inject faults.
        target_tap: What reaches the guard for each answer of the policy.
        input_tap: What reaches the guard in a tick, all together.
        lowcmd_tap: Sees the time and the bytes of every rt/lowcmd.
    """

    def __init__(self, runner: Runner, options: PhysicsOptions | None = None, estimate: bool = True) -> None:
        self.robot = SimulatedGo2(options, sport_mode="")
        self.guard = Guard(nose_down=go2.POSTURES[runner.contract.posture])
        self.command = np.zeros(3)
        self.policy_alive = True
        runner.reset()
        self._network = runner.network
        self.policy = PolicyLoop(runner, self._velocity_command, estimate)
        self.now = 0.0
        self.output: GuardOutput | None = None
        self._targets: list[JointTarget] = []
        self.forget_taps()

    @property
    def truth(self) -> Truth:
        """Where the robot really is now."""
        return self.robot.truth()

    def _velocity_command(self, _now: float, halt: bool) -> tuple[np.ndarray, str]:
        return (np.zeros(3) if halt else self.command), "script"

    def tick(self, *requests: Request, waiting: Sequence[OperatorRequest] = ()) -> GuardOutput:
        """One guard period: the robot moves, its lowstate reaches the guard, the guard's command the robot.

        Args:
            requests: An operator's actions of now.
            waiting: Requests of another time.
        """
        self.robot.step(LOWSTATE_PERIOD_MS)
        self.now += LOWSTATE_PERIOD_MS / 1000.0
        states, corrupt = self._receive(self.lowstate_tap(self.robot.lowstate()))
        targets, self._targets = self._targets, []
        asked = [*waiting, *(OperatorRequest(request, self.now) for request in requests)]
        heard = GuardInput(states, targets, asked, corrupt, policy_gone=not self.policy_alive)
        output = self.guard.step(self.input_tap(heard), self.now)
        if output.command is not None:
            payload = wire.encode_lowcmd(output.command)
            self.lowcmd_tap(self.now, payload)
            self.robot.receive(payload)
        if output.state is not None and self.policy_alive:
            self._targets += self.target_tap(self.policy.on_state(output.state, output.status, self.now))
        self.output = output
        return output

    def _receive(self, payloads: Sequence[bytes]) -> tuple[list[RobotState], int]:
        """The good lowstates among payloads, and how many are damaged."""
        states = []
        for payload in payloads:
            try:
                states.append(wire.decode_lowstate(payload, self.now))
            except wire.WireError:
                continue
        return states, len(payloads) - len(states)

    def forget_taps(self) -> None:
        """Lets everything through as it is."""
        self.lowstate_tap: Callable[[bytes], Sequence[bytes]] = lambda payload: (payload,)
        self.target_tap: Callable[[JointTarget], Sequence[JointTarget]] = lambda target: (target,)
        self.input_tap: Callable[[GuardInput], GuardInput] = lambda heard: heard
        self.lowcmd_tap: Callable[[float, bytes], None] = lambda now, payload: None

    def save(self) -> Snapshot:
        """The stack at this instant, to come back to with `restore`; taps are not part of it."""
        return Snapshot(self.robot.physics.save(), {name: self._copy(getattr(self, name)) for name in _CHANGING})

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to a snapshot of this stack; it can be gone back to any number of times."""
        self.robot.physics.restore(snapshot.physics)
        self.robot.remote = ABSENT
        for name, value in snapshot.fields.items():
            setattr(self, name, self._copy(value))

    def _copy(self, value):
        shared = (self, self._network, np)
        return copy.deepcopy(value, {id(x): x for x in shared})

    def run(self, seconds: float, each_tick: Callable[[Lockstep], None] | None = None) -> None:
        """Ticks for a time; `each_tick` sees every one."""
        for _ in range(round(seconds * 1000.0 / LOWSTATE_PERIOD_MS)):
            self.tick()
            if each_tick is not None:
                each_tick(self)

    def run_while(self, goes_on: Callable[[Lockstep], bool], timeout: float) -> None:
        """Ticks as long as `goes_on` says so after a tick, for `timeout` seconds at most."""
        for _ in range(round(timeout * 1000.0 / LOWSTATE_PERIOD_MS)):
            self.tick()
            if not goes_on(self):
                return

    def run_until(self, mode: Mode, timeout: float) -> bool:
        """Ticks until the guard is in a mode; False if it is not within `timeout` seconds."""
        end = self.now + timeout
        while self.now < end:
            if self.tick().status.mode == mode:
                return True
        return False

    def stand_up(self) -> bool:
        """From lying to standing; whether the guard got there."""
        self.run(0.2)
        self.tick(Request.STAND_UP)
        return self.run_until(Mode.STANDING, 4.0)

    def start(self) -> bool:
        """From standing to the policy; whether the guard granted it."""
        self.run(0.2)
        return self.tick(Request.START).status.mode == Mode.POLICY

    def sit_down(self) -> bool:
        """From anywhere on the legs to lying, damped; whether the guard got there."""
        self.tick(Request.SIT_DOWN)
        return self.run_until(Mode.DAMPING, 4.0)
