"""The Go2 trots at a commanded velocity on flat ground.

The robot and what of it differs between episodes is in `go2_robot`, the rest of the task is here. The reward's terms
are those of gait-clocked quadruped walking (Margolis and Agrawal, Walk These Ways, 2022) without contact forces, which
give a first-order method no slope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dbp_policy.kinematics import foot_positions
from dbp_policy.observation import term
from dbp_training.env import Episodes, Memory
from dbp_training.evaluate import episode_means, settled
from dbp_training.tasks.go2_robot import DQ, GRAVITY, GYRO, HEIGHT, VELOCITY, Go2Config, Go2Task, feet, gait, square

LEG_PHASE = torch.tensor([0.0, 0.5, 0.5, 0.0])
"""Lag of each leg (FR, FL, RR, RL) behind the clock in cycles: the trot."""

OBSERVATION = (
    term("gyro_body", 0.25),
    term("gravity_body"),
    term("command"),
    term("joint_position"),
    term("joint_velocity", 0.05),
    term("last_action"),
    term("clock"),
)
"""What a robot without a velocity estimator has."""

WITH_VELOCITY = (*OBSERVATION, term("velocity_body"))
"""What one with an estimator has."""

CORNERS = ((0, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), (0, 0.3, 0), (0, -0.3, 0), (0, 0, 0.8), (0, 0, -0.8))
"""Commands of the evaluation that a person would ask for; the largest in all directions at once comes after them."""


@dataclass(frozen=True)
class Weights:
    """Factors of the reward's terms, per step."""

    velocity: float = 1.0
    yaw_rate: float = 0.5
    foot_placement: float = 10.0
    swing_height: float = 100.0
    stance_height: float = 100.0
    base_height: float = 10.0
    tilt: float = 5.0
    vertical_velocity: float = 0.02
    roll_pitch_rate: float = 0.001
    joint_velocity: float = 1e-4
    torque: float = 1e-4
    action_rate: float = 0.025


@dataclass(frozen=True)
class Go2WalkConfig(Go2Config):
    """The task's numbers."""

    command_max: tuple[float, float, float] = (0.6, 0.6, 1.0)
    """Largest vx, vy [m/s] and wz [rad/s]; the range is symmetric."""
    gait_hz: float = 3.0
    swing_height: float = 0.07
    """Clearance of a foot in mid-swing [m]."""
    base_height: float = 0.30
    """Of the trunk's centre [m]."""
    contact_softness: float = 0.07
    """Width of the change between swing and stance, in cycles."""
    observe_velocity: bool = False
    """Whether the policy is told the estimated velocity of the trunk."""
    zero_command: float = 0.1
    """Share of commands that ask to stay on the spot."""
    tracking_width: float = 0.25
    """Of the velocity rewards exp(-error² / width) [m²/s², rad²/s²]."""
    min_height: float = 0.15
    """Below this height of the trunk's centre the robot has fallen [m]."""
    max_tilt: float = 1.0
    """Beyond this tilt the robot has fallen [rad]."""
    weights: Weights = Weights()


class Go2Walk(Go2Task):
    """`dbp_training.env.Task`."""

    name = "go2_walk"
    settling_s = 1.0  # the robot starts at rest
    config: Go2WalkConfig

    def __init__(self, config: Go2WalkConfig | None = None) -> None:
        config = config or Go2WalkConfig()
        super().__init__(config, WITH_VELOCITY if config.observe_velocity else OBSERVATION)
        self.gait_hz = config.gait_hz
        top = tuple(float(v) for v in config.command_max)
        self.command_range = tuple(-v for v in top), top
        self.ability = (
            f"Walks a Unitree Go2 at a commanded velocity (|vx|, |vy|, |wz| up to {config.command_max} m/s, m/s, rad/s)"
            f" in a trot at {config.gait_hz:g} Hz; a new action {config.rate_hz:g} times a second."
        )
        self._command_max = np.array(config.command_max, dtype=np.float32)
        self._nominal_foot = foot_positions(self._default_q, torch)

    def new_commands(self, num: int, rng: np.random.Generator) -> Tensor:
        command = rng.uniform(-1.0, 1.0, (num, 3)) * (rng.random((num, 1)) >= self.config.zero_command)
        return torch.from_numpy((command * self._command_max).astype(np.float32))

    # The task itself -------------------------------------------------------------------------------------------------

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        c, w = self.config, self.config.weights
        velocity, gyro, gravity, dq = (reached[..., part] for part in (VELOCITY, GYRO, GRAVITY, DQ))
        foot, clearance = feet(reached)
        stance, swing_shape, stride = self._gait(self.next_phase(memory))
        jerk = action - 2.0 * memory.last_action + memory.previous_action
        reward = w.velocity * torch.exp(-square(velocity[..., :2] - memory.command[..., :2]) / c.tracking_width)
        reward = reward + w.yaw_rate * torch.exp(-((gyro[..., 2] - memory.command[..., 2]) ** 2) / c.tracking_width)
        reward = reward - w.foot_placement * square(
            (foot[..., :2] - self._foot_targets(memory.command, stride)).flatten(-2)
        )
        reward = reward - w.swing_height * ((c.swing_height * swing_shape - clearance) ** 2 * (1.0 - stance)).sum(-1)
        reward = reward - w.stance_height * (clearance**2 * stance).sum(-1)
        reward = reward - w.base_height * (reached[..., HEIGHT] - c.base_height) ** 2
        reward = reward - w.tilt * square(gravity[..., :2])
        reward = reward - w.vertical_velocity * velocity[..., 2] ** 2 - w.roll_pitch_rate * square(gyro[..., :2])
        reward = reward - w.joint_velocity * square(dq) - w.torque * square(self.torque(reached, action))
        return reward - w.action_rate * (square(action - memory.last_action) + square(jerk))

    def terminated(self, reached: Tensor, memory: Memory) -> Tensor:
        standing = (reached[..., HEIGHT] > self.config.min_height) & (
            reached[..., GRAVITY][..., 2] < -math.cos(self.config.max_tilt)
        )
        return ~standing

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        velocity, yaw_rate = reached[..., VELOCITY], reached[..., GYRO][..., 2]
        _, clearance = feet(reached)
        stance, _, _ = self._gait(self.next_phase(memory))
        agreement = ((clearance < 0.008) == (stance > 0.5)).float().mean(-1)
        return {
            "planar_velocity_error": (velocity[..., :2] - memory.command[..., :2]).norm(dim=-1),
            "yaw_rate_error": (yaw_rate - memory.command[..., 2]).abs(),
            "trot_agreement": agreement,
        }

    def summary(self, figures: dict[str, float]) -> str:
        return (
            f"velocity error {figures['planar_velocity_error']:.3f} m/s"
            f" {figures['yaw_rate_error']:.3f} rad/s | trot {figures['trot_agreement']:.2f}"
        )

    def evaluation_commands(self, num: int = 64) -> Tensor:
        spread = np.random.default_rng(2024).uniform(-1.0, 1.0, (num, 3)) * self.config.command_max
        corners = (*CORNERS, self.config.command_max)
        spread[: len(corners)] = corners
        return torch.tensor(spread, dtype=torch.float32)

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """`worst_planar_velocity_error`: of the episode means; `mean_velocity_error`: planar error of each episode's
        mean velocity; `peak_torque`: 99.9 % quantile of the joint torques asked for [N·m]."""
        counted = settled(self, episodes)
        steps = counted.sum(0)
        velocity = (episodes.reached[..., :2] * counted[..., None]).sum(0) / steps.clamp(min=1)[:, None]
        drift = (velocity - episodes.memory.command[0, :, :2]).norm(dim=-1)[steps > 0]
        errors = episode_means(self, episodes)["planar_velocity_error"]
        return {
            "worst_planar_velocity_error": errors.max().item() if len(errors) else float("nan"),
            "mean_velocity_error": drift.mean().item(),
            "peak_torque": self.peak_torque(episodes),
        }

    def _gait(self, phase: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the clock asks of each leg, each (..., 4): share of stance, shape of the swing's height, stride.

        A leg that stands moves back from stride +1 to -1; one that swings moves forth.
        """
        leg = (phase + LEG_PHASE) % 1.0
        stride = 1.0 - 4.0 * torch.minimum(leg, 1.0 - leg)
        return *gait(leg, self.config.contact_softness), stride

    def _foot_targets(self, command: Tensor, stride: Tensor) -> Tensor:
        """Where the feet belong under the base, (..., 4, 2) [m]: half a stance's travel ahead of or behind nominal."""
        reach = 0.25 / self.config.gait_hz
        nominal = self._nominal_foot[:, :2]
        vx, vy, wz = (command[..., i : i + 1] for i in range(3))
        travel = torch.stack([vx - wz * nominal[:, 1], vy + wz * nominal[:, 0]], -1)
        return nominal + reach * stride[..., None] * travel
