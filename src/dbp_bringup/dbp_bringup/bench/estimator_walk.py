"""A random walk of the simulated robot with a robot's noise, in lockstep: what was sensed and what was true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dbp_bringup.bench.wander import wander
from dbp_bringup.lockstep import Lockstep
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner
from dbp_policy.runner import Runner
from dbp_policy.types import JointTarget, Mode, RobotState

FIRM = 0.8
"""Friction on which the robot stands up; on 0.25 its stand-up motion slides, though it walks there."""
NOISE, ATTITUDE_NOISE_DEG = 1.0, 0.5
"""Gyroscope 0.02 rad/s, accelerometer 0.2 m/s², joint velocity 0.15 rad/s, encoders off by up to 0.01 rad; attitude."""


@dataclass(frozen=True)
class Truth:
    """Of the same instants as a sequence of n lowstates."""

    velocity_body: np.ndarray
    """Of the base, shape (n, 3) [m/s]."""
    position: np.ndarray
    """Of the base, shape (n, 3) [m]."""
    contact: np.ndarray
    """Which feet carry load, shape (n, 4), bool."""


@dataclass(frozen=True)
class Walk:
    """A walk under the policy, from its start to its end or to the robot's fall."""

    states: list[RobotState]
    truth: Truth
    fell: bool


class ToldTheTruth:
    """A policy that is given the robot's true velocity in place of the estimate.

    Args:
        runner: The policy.
        velocity_body: Gives the robot's velocity of now.
    """

    def __init__(self, runner: Runner, velocity_body: Callable[[], np.ndarray]) -> None:
        self._runner = runner
        self._velocity_body = velocity_body

    def __getattr__(self, name: str):
        return getattr(self._runner, name)

    def step(self, state: RobotState, command: np.ndarray, velocity_body: np.ndarray, now: float) -> JointTarget:
        """As `Runner.step`."""
        return self._runner.step(state, command, self._velocity_body(), now)


def record_walk(policy: Path, friction: float, seed: int, seconds: float, told_the_truth: bool = False) -> Walk:
    """Walks random commands of the policy's range.

    Args:
        policy: ONNX file.
        friction: Of the ground that it walks on.
        seed: Of commands and noise.
        seconds: At most.
        told_the_truth: Whether a policy that reads its velocity is given the true one, not the estimated.

    Raises:
        DbpError: The policy does not load, or does not get to walk.
    """
    runner = load_runner(policy)
    options = PhysicsOptions(friction=FIRM, noise=NOISE, attitude_noise_deg=ATTITUDE_NOISE_DEG, seed=seed)
    if told_the_truth:
        runner = ToldTheTruth(runner, lambda: lockstep.truth.velocity_body)
    lockstep = Lockstep(runner, options, estimate=False)
    if not (lockstep.stand_up() and lockstep.start()):
        raise DbpError("expected the robot to stand up and start its policy in lockstep, got a refusal")
    lockstep.robot.physics.set_friction(friction)
    commands = wander(runner.contract.command_min, runner.contract.command_max, seed)
    states, truths, fell, left = [], [], False, 0.0
    for _ in range(round(seconds * go2.LOWSTATE_HZ)):
        if left <= 0.0:
            duration, lockstep.command = next(commands)
            left += duration
        left -= 1.0 / go2.LOWSTATE_HZ
        output, truth = lockstep.tick(), lockstep.truth
        fell = output.status.mode != Mode.POLICY or truth.trunk_contact
        if fell:
            break
        states.append(output.state)
        truths.append(truth)
    return Walk(
        states=states,
        truth=Truth(
            velocity_body=np.array([t.velocity_body for t in truths]),
            position=np.array([t.position for t in truths]),
            contact=np.array([t.foot_contact for t in truths]),
        ),
        fell=fell,
    )
