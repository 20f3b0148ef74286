"""Restarts of the guard after an e-stop: whatever it finds when it wakes, the robot does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_bringup.faults.start_states import PHASES
from dbp_bringup.lockstep import Lockstep, Snapshot
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_bringup.robot.simulated_go2 import LOWSTATE_PERIOD_MS
from dbp_policy.errors import DbpError
from dbp_policy.guard.guard import Guard
from dbp_policy.runner import Runner
from dbp_policy.types import Mode, OperatorRequest, Request
from dbp_policy.unitree.remote import Remote

STALE = 0.6
"""Age of the requests that wait for the new guard [s]: an operator's action counts for half a second."""
WATCHED = 0.5
"""How long the new guard is watched [s]."""
MOTION_MAX = 0.01
"""What a joint may move meanwhile [rad]."""
AT_REST, REST_TIME, LONGEST = 0.005, 0.5, 30.0
"""All joints slower than this for so long are at rest; that takes a stopped robot at most so long [rad/s], [s], [s]."""
PERIOD = LOWSTATE_PERIOD_MS / 1000.0
_HELD = Remote(present=True, buttons=frozenset({"l2_button", "b"}))


@dataclass(frozen=True)
class Restart:
    """One restart."""

    seed: int
    motion: float
    """Greatest way of a joint [rad]."""
    stiff: bool
    """The new guard asked for stiffness."""


class Restarts:
    """A robot that was stopped while it walked, at many instants of its gait, and has come to rest.

    Args:
        runner: The policy.
        phases: How many instants.

    Raises:
        DbpError: It does not get to walk.
    """

    def __init__(self, runner: Runner, phases: int = PHASES) -> None:
        # Without noise: what is measured is the joints' own motion.
        self._stack = Lockstep(runner, PhysicsOptions(seed=3), estimate=False)
        if not (self._stack.stand_up() and self._stack.start()):
            raise DbpError(f"expected a robot that walks, got {self._stack.output.status}")
        self._stack.command = np.array([0.5, 0.0, 0.0])
        self._stack.run(1.0)
        self._stopped: list[Snapshot] = []
        for phase in range(phases):
            walking = self._stack.save()
            self._stack.tick(*(1 + phase % 2) * [Request.ESTOP])
            self._come_to_rest()
            self._stopped.append(self._stack.save())
            self._stack.restore(walking)
            self._stack.run(0.046)

    def _come_to_rest(self) -> None:
        """Damped legs creep for seconds; what they still do then is not the new guard's."""
        still = 0
        for _ in range(round(LONGEST / PERIOD)):
            self._stack.tick()
            at_rest = bool((np.abs(self._stack.robot.physics.data.qvel[6:]) < AT_REST).all())
            still = still + 1 if at_rest else 0
            if still * PERIOD > REST_TIME:
                return
        raise DbpError(f"expected a robot at rest within {LONGEST:g} s of a stop, got one that moves")

    def play(self, seed: int) -> Restart:
        """Kills the guard and starts another, which finds old requests, a policy that talks, maybe a pressed stop."""
        rng = np.random.default_rng(seed)
        stack = self._stack
        stack.restore(self._stopped[seed % len(self._stopped)])
        stack.forget_taps()
        stack.robot.step(LOWSTATE_PERIOD_MS * int(rng.integers(1, 500)))  # nobody commands the motors meanwhile
        q = stack.robot.physics.data.qpos[7:].copy()
        stack.guard = Guard()
        if rng.random() < 0.3:
            stack.robot.remote = _HELD
        waiting = [OperatorRequest(Request(r), stack.now - STALE) for r in rng.integers(1, 6, 3) if r != Request.ESTOP]
        stack.tick(waiting=waiting)
        motion, stiff = 0.0, False
        for _ in range(round(WATCHED / PERIOD)):
            output = stack.tick()
            motion = max(motion, float(np.abs(stack.robot.physics.data.qpos[7:] - q).max()))
            stiff |= output.command is not None and bool(output.command.kp.any()) or output.status.mode != Mode.DAMPING
        return Restart(seed, motion, stiff)


def summary(restarts: Sequence[Restart]) -> dict:
    """All of them, as data for JSON."""
    bad = [r.seed for r in restarts if r.stiff or not r.motion < MOTION_MAX]
    motions = [r.motion for r in restarts]
    return {"restarts": len(restarts), "moved": len(bad), "motion_rad_max": max(motions), "seeds_that_moved": bad}
