"""How to stop a walking robot: settling against plain damping, at random phases of its gait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_bringup.lockstep import Lockstep, Snapshot
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.runner import Runner
from dbp_policy.types import Mode, Request

REACTIONS = ("settle", "damp")
SPEED = 1.0
"""Of the walk, or the policy's fastest command if that is less [m/s]."""
TRIMMING = 2.0
"""The walk settles and its speed is averaged for so long [s]."""
FRICTION = 0.6
"""Of the ground."""
GAIT_HZ = 2.0
"""Taken for that of a policy without a gait clock."""
SEED = 1
"""Of the phases."""
LONGEST = 4.0
"""A robot that does not rest by then is counted with this time [s]."""
AT_REST, JOINTS_AT_REST, REST_TIME = 0.02, 0.2, 0.1
"""On its belly, with base and all joints slower than this for so long, it rests [m/s], [rad/s], [s]."""
IMPACT_MAX, TILT_MAX = 1.5, np.radians(15.0)
"""What settling has to keep in 95 % of all phases: force on the trunk over the robot's weight, tilt [rad]."""


@dataclass(frozen=True)
class Stop:
    """One way down."""

    reaction: str
    phase: int
    speed: float
    """Forward, at the fault [m/s]."""
    impact: float
    """Greatest force of the ground on the trunk, over the robot's weight."""
    tilt: float
    """Greatest, [rad]."""
    rest_time: float
    """From the fault to rest [s]."""
    distance: float
    """From where the fault came to rest [m]."""


class Walks:
    """A robot that walks straight ahead at `fastest`, at random phases of its gait.

    Its command is trimmed once by the speed that it really walks at, so that it is the speed that is meant.
    From one phase to the next it walks on for a random share of a gait period, so that all phases are equally likely.

    Args:
        runner: The policy.
        phases: How many; the first ones of a larger number are the same.

    Raises:
        DbpError: It does not get to walk.
    """

    def __init__(self, runner: Runner, phases: int) -> None:
        self.lockstep = Lockstep(runner, PhysicsOptions(noise=1.0, friction=FRICTION, seed=2), estimate=False)
        if not (self.lockstep.stand_up() and self.lockstep.start()):
            raise DbpError(f"expected a robot that walks, got {self.lockstep.output.status}")
        speed = fastest(runner)
        self._walk(speed)
        walked = self._walk(speed)
        if not walked > 0.5 * speed:
            raise DbpError(f"expected a robot that walks at about {speed:g} m/s, got {walked:.2f} m/s")
        self._walk(speed * speed / walked)
        self._snapshots: list[Snapshot] = []
        period = 1.0 / (runner.contract.gait_hz or GAIT_HZ)
        for wait in np.random.default_rng(SEED).uniform(0.0, period, phases):
            self.lockstep.run(wait)
            self._snapshots.append(self.lockstep.save())
        if self.lockstep.guard.mode != Mode.POLICY:
            raise DbpError(f"expected a robot that walks on, got {self.lockstep.output.status}")

    def _walk(self, command: float) -> float:
        """Walks for `TRIMMING` at a forward command; the mean forward speed [m/s]."""
        speeds: list[float] = []
        self.lockstep.command = np.array([command, 0.0, 0.0])
        self.lockstep.run(TRIMMING, lambda stack: speeds.append(stack.truth.velocity_body[0]))
        return float(np.mean(speeds))

    def stop(self, phase: int, reaction: str) -> Stop:
        """Lets one reaction take the robot down from one phase."""
        stack = self.lockstep
        stack.restore(self._snapshots[phase])
        physics = stack.robot.physics
        begin, start = stack.now, stack.truth
        if reaction == "settle":
            physics.heat(90.0)
        stack.tick(*(2 * [Request.ESTOP] if reaction == "damp" else []))  # pressed twice it damps at once
        impact = tilt = still = 0.0
        while stack.now - begin < LONGEST and still < REST_TIME:
            stack.tick()
            impact = max(impact, physics.trunk_force())
            truth = stack.truth
            tilt = max(tilt, float(np.arccos(np.clip(truth.up_z, -1.0, 1.0))))
            resting = truth.trunk_contact and bool((np.abs(truth.velocity_world) < AT_REST).all())
            resting &= bool((np.abs(physics.data.qvel[6:]) < JOINTS_AT_REST).all())
            still = still + 1.0 / go2.LOWSTATE_HZ if resting else 0.0
        return Stop(
            reaction=reaction,
            phase=phase,
            speed=float(start.velocity_body[0]),
            impact=impact / (go2.MASS * go2.GRAVITY),
            tilt=tilt,
            rest_time=stack.now - begin - still,
            distance=float(np.linalg.norm(stack.truth.position[:2] - start.position[:2])),
        )


def fastest(runner: Runner) -> float:
    """The forward speed to stop from [m/s]."""
    return float(min(SPEED, runner.contract.command_max[0]))


def summary(stops: Sequence[Stop]) -> dict:
    """Both reactions side by side, as data for JSON."""
    speeds = [stop.speed for stop in stops]
    result: dict = {
        "speed": {"mean": float(np.mean(speeds)), "min": float(np.min(speeds)), "max": float(np.max(speeds))},
        "friction": FRICTION,
        "phases": len(stops) // len(REACTIONS),
    }
    for reaction in REACTIONS:
        chosen = [stop for stop in stops if stop.reaction == reaction]
        gentle = [stop.impact <= IMPACT_MAX and stop.tilt <= TILT_MAX for stop in chosen]
        result[reaction] = {
            "gentle_share": float(np.mean(gentle)),
            "impact_weights": _spread([stop.impact for stop in chosen]),
            "tilt_degrees": _spread([np.degrees(stop.tilt) for stop in chosen]),
            "rest_seconds": _spread([stop.rest_time for stop in chosen]),
            "distance_m": _spread([stop.distance for stop in chosen]),
        }
    return result


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)),
        "max": float(np.max(values)),
    }
