"""The whole stack in one thread with simulated time: robot, wire, guard and policy loop, without a socket or a clock.

The same classes that the processes run, so what holds here holds there but for timing. Faster than real time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dbp_bringup.robot.physics import PhysicsOptions, Truth
from dbp_bringup.robot.simulated_go2 import LOWSTATE_PERIOD_MS, SimulatedGo2
from dbp_policy.guard.guard import Guard, GuardOutput
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.runner import Runner
from dbp_policy.types import JointTarget, Mode, OperatorRequest, Request
from dbp_policy.unitree import wire


class Lockstep:
    """One robot under one guard and one policy.

    Args:
        runner: The policy.
        options: Of the robot's physics.
        estimate: Whether to run the state estimator though the policy does not read it: half of the time.

    Attributes:
        command: Velocity command vx, vy, wz that the policy follows, shape (3,); assign to it.
        policy_alive: Set to False to kill the policy side.
    """

    def __init__(self, runner: Runner, options: PhysicsOptions | None = None, estimate: bool = True) -> None:
        self.robot = SimulatedGo2(options, sport_mode="")
        self.guard = Guard()
        self.command = np.zeros(3)
        self.policy_alive = True
        runner.reset()
        self.policy = PolicyLoop(runner, self._velocity_command, estimate)
        self.now = 0.0
        self.output: GuardOutput | None = None
        self._targets: list[JointTarget] = []

    @property
    def truth(self) -> Truth:
        """Where the robot really is now."""
        return self.robot.truth()

    def _velocity_command(self, _now: float, halt: bool) -> tuple[np.ndarray, str]:
        return (np.zeros(3) if halt else self.command), "script"

    def tick(self, *requests: Request) -> GuardOutput:
        """One guard period: the robot moves, its lowstate reaches the guard, the guard's command the robot."""
        self.robot.step(LOWSTATE_PERIOD_MS)
        self.now += LOWSTATE_PERIOD_MS / 1000.0
        state = wire.decode_lowstate(self.robot.lowstate(), self.now)
        targets, self._targets = self._targets, []
        asked = [OperatorRequest(request, self.now) for request in requests]
        output = self.guard.step([state], targets, asked, self.now)
        if output.command is not None:
            self.robot.receive(wire.encode_lowcmd(output.command))
        if output.state is not None and self.policy_alive:
            target = self.policy.on_state(output.state, output.status, self.now)
            if target is not None:
                self._targets.append(target)
        self.output = output
        return output

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
