"""A Franka Research 3 arm brings its flange to a point in space.

Kinematics and limits are the FR3's (Franka Control Interface documentation, robot and interface specifications). The
joints follow commanded velocities with a lag, as under the arm's own velocity controller, so that a step is a smooth
function without inertias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.analytic import AnalyticTask

DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -math.pi / 2),
    (0.0, 0.316, math.pi / 2),
    (0.0825, 0.0, math.pi / 2),
    (-0.0825, 0.384, -math.pi / 2),
    (0.0, 0.0, math.pi / 2),
    (0.088, 0.0, math.pi / 2),
)
"""a [m], d [m], alpha [rad] of each joint in Craig's convention."""
FLANGE = 0.107
"""From the last joint's frame along its axis [m]."""
Q_MIN = (-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159)
Q_MAX = (2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159)
"""Joint limits [rad]."""
DQ_MAX = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)
"""Joint speeds [rad/s]."""
DDQ_MAX = 10.0
"""Joint accelerations [rad/s²]."""
HOME = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4)
"""Ready pose of the arm [rad]."""

Q, DQ = slice(0, 7), slice(7, 14)


@dataclass(frozen=True)
class ArmReachConfig:
    """The task's numbers."""

    dt: float = 0.05
    episode_steps: int = 100
    speed: float = 0.4
    """Share of the joint speeds that action 1 asks for."""
    lag: float = 0.1
    """Time constant of the joints' velocity [s]."""
    braking: float = 0.5
    """The asked speed is at most what is left to a joint's limit over this time [s]."""
    start: float = 0.2
    """Joints start within this angle of the ready pose [rad]."""
    target: float = 0.5
    """Targets are what the flange reaches with joints within this angle of the ready pose [rad]."""
    tolerance: float = 0.03
    """[m]"""
    effort: float = 0.01
    """Price of the squared action, per step."""


class ArmReach(AnalyticTask):
    """7-DOF reaching; state: joint angles [rad] and velocities [rad/s]; command: flange position in base axes [m]."""

    name = "arm_reach"
    state_size, action_size, observation_size = 14, 7, 20

    def __init__(self, config: ArmReachConfig | None = None) -> None:
        self.config = c = config or ArmReachConfig()
        self.dt, self.episode_steps, self.tolerance = c.dt, c.episode_steps, c.tolerance
        self._limits = torch.tensor([Q_MIN, Q_MAX, DQ_MAX, HOME], dtype=torch.float64)

    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        c = self.config
        low, high, fast, _ = self._limits.to(state.dtype)
        q, dq = state[..., Q], state[..., DQ]
        wanted = c.speed * fast * action
        wanted = torch.maximum(torch.minimum(wanted, (high - q) / c.braking), (low - q) / c.braking)
        dq = dq + c.dt * DDQ_MAX * torch.tanh((wanted - dq) / (c.lag * DDQ_MAX))
        return torch.cat([q + c.dt * dq, dq], -1)

    def new_states(self, num: int, rng: np.random.Generator) -> np.ndarray:
        q = HOME + rng.uniform(-self.config.start, self.config.start, (num, 7))
        return np.concatenate([q, np.zeros((num, 7))], -1)

    def new_targets(self, num: int, rng: np.random.Generator) -> np.ndarray:
        q = HOME + rng.uniform(-self.config.target, self.config.target, (num, 7))
        return flange_position(torch.from_numpy(np.clip(q, Q_MIN, Q_MAX))).numpy()

    def distance(self, state: Tensor, command: Tensor) -> Tensor:
        return (flange_position(state[..., Q]) - command).norm(dim=-1)

    window = (-0.9, 0.9, 0.0, 1.2)

    def lines(self, state: Tensor, command: Tensor) -> dict[str, np.ndarray]:
        """From the side, x and z."""
        return {"target": command.numpy()[None, [0, 2]], "arm": arm_points(state[Q]).numpy()[:, [0, 2]]}

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        q = state[..., Q] - self._limits[3].to(state.dtype)
        place = flange_position(state[..., Q])
        return torch.cat([q, state[..., DQ], 5.0 * (memory.command - place), memory.command], -1)

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        """1 less a smooth distance, a little for speed and effort."""
        offset = flange_position(reached[..., Q]) - memory.command
        left = torch.sqrt((offset**2).sum(-1) + 1e-4)
        return 1.0 - 2.0 * left - 0.01 * (reached[..., DQ] ** 2).sum(-1) - self.config.effort * (action**2).sum(-1)


def arm_points(q: Tensor) -> Tensor:
    """Base, joints and flange in base axes, (..., 9, 3) [m], for joint angles (..., 7)."""
    zero = torch.zeros((*q.shape[:-1], 3), dtype=q.dtype)
    return torch.stack([zero, *(_placed(q, joint, 0.0) for joint in range(1, 8)), flange_position(q)], -2)


def flange_position(q: Tensor) -> Tensor:
    """Centre of the flange in base axes, (..., 3) [m], for joint angles (..., 7)."""
    return _placed(q, 7, FLANGE)


def _placed(q: Tensor, joints: int, z: float) -> Tensor:
    """The point at height `z` [m] on the axis of the last of the first `joints` joints, in base axes, (..., 3) [m].

    The chain is walked back to the base, so that only a point is carried along.
    """
    zero = torch.zeros_like(q[..., 0])
    x, y, z = zero, zero, zero + z
    for joint in reversed(range(joints)):
        a, d, alpha = DH[joint]
        cos, sin = torch.cos(q[..., joint]), torch.sin(q[..., joint])
        x, y, z = cos * x - sin * y + a, sin * x + cos * y, z + d  # turn about z, then shift along z and x
        c, s = math.cos(alpha), math.sin(alpha)
        y, z = c * y - s * z, s * y + c * z  # turn about the previous x
    return torch.stack([x, y, z], -1)
