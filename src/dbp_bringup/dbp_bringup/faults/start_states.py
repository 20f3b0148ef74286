"""Where fault runs start from: snapshots of one robot's day, taken at many instants of every mode."""

from __future__ import annotations

import numpy as np

from dbp_bringup.lockstep import Lockstep, Snapshot
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_policy.errors import DbpError
from dbp_policy.runner import Runner
from dbp_policy.types import Mode, Request

MODES = (
    "init",
    "idle",
    "standing_up",
    "standing",
    "walking",
    "sitting_down",
    "damping",
    "settling",
    "estop",
)
"""init: the guard has not seen a lowstate; idle: it has not been given control; estop: stopped and latched."""

MOVING = ("standing_up", "standing", "walking", "sitting_down", "settling")
FOLLOWED = ("walking",)
"""Where the policy's targets count."""

PHASES = 20
"""Snapshots of each mode, evenly over the time it takes, or over a second: two gait cycles."""

WALK = np.array([0.5, 0.0, 0.0])


class StartStates:
    """One lockstep stack with sensor noise, and snapshots of it.

    Args:
        runner: The policy.

    Raises:
        DbpError: The robot does not get where a snapshot is to be taken.
    """

    def __init__(self, runner: Runner) -> None:
        self.lockstep = Lockstep(runner, PhysicsOptions(noise=1.0, seed=1), estimate=False)
        self._snapshots: dict[str, list[Snapshot]] = {mode: [] for mode in MODES}
        self._live_through()

    def restore(self, mode: str, phase: int) -> Lockstep:
        """The stack in a mode, untapped."""
        self.lockstep.restore(self._snapshots[mode][phase % PHASES])
        self.lockstep.forget_taps()
        return self.lockstep

    def _live_through(self) -> None:
        stack = self.lockstep
        stack.robot.step(2000)  # the robot has been on for a while when its guard starts
        self._snapshots["init"] = [stack.save()] * PHASES
        stack.run(0.2)
        self._take("idle", 0.4)
        self._ask(Mode.STANDING_UP, Request.STAND_UP)
        self._take("standing_up", 1.9)
        stack.run(0.5)
        self._expect(Mode.STANDING)
        self._take("standing", 0.4)
        self._ask(Mode.POLICY, Request.START)
        stack.command = WALK
        stack.run(1.0)
        self._take("walking", 0.92)  # 46 ms apart: of a gait of 500 ms no phase comes twice
        walking = stack.save()
        stack.robot.physics.heat(90.0)
        stack.run(0.004)
        self._expect(Mode.SETTLING)
        self._take("settling", 1.4)
        stack.restore(walking)
        self._ask(Mode.DAMPING, Request.ESTOP, Request.ESTOP)  # pressed once, it would settle
        self._take("estop", 3.6)  # from the first instant to well at rest
        stack.restore(walking)
        self._ask(Mode.SITTING_DOWN, Request.SIT_DOWN)
        self._take("sitting_down", 1.9)
        stack.run(0.5)
        self._expect(Mode.DAMPING)
        self._take("damping", 0.4)

    def _take(self, mode: str, seconds: float) -> None:
        for _ in range(PHASES):
            self._snapshots[mode].append(self.lockstep.save())
            self.lockstep.run(seconds / PHASES)

    def _ask(self, mode: Mode, *requests: Request) -> None:
        self.lockstep.tick(*requests)
        self._expect(mode)

    def _expect(self, mode: Mode) -> None:
        status = self.lockstep.output.status
        if status.mode != mode:
            raise DbpError(f"start states: expected mode {mode.name}, got {status.mode.name} ({status})")
