"""A round pusher moves a T-shaped block on a table into a target pose.

The block is rigid: two rectangles that move together. Contact is smooth, so that it has a slope before the pusher
touches: the force along the way out of a rectangle is k * w * softplus((radius - distance) / w). Friction on the table
is viscous. Semi-implicit Euler in a few substeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.analytic import AnalyticTask, circle

PUSHER, BLOCK, ANGLE = slice(0, 2), slice(2, 4), slice(4, 5)
PUSHER_VELOCITY, BLOCK_VELOCITY, SPIN = slice(5, 7), slice(7, 9), slice(9, 10)
"""Layout of the state: positions [m] and angle [rad] in table axes, then their rates. The angle is not wrapped."""

_BOXES = torch.tensor([[0.0, 0.025, 0.1, 0.025], [0.0, -0.05, 0.025, 0.05]], dtype=torch.float64)
"""Centre and half-widths of bar and stem in block axes [m], whose origin is the centre of mass."""

_CORNERS = torch.tensor([[-0.1, 0.025], [0.1, 0.025], [0.0, -0.1]], dtype=torch.float64)
"""Points of the block by which its pose is compared: the ends of the bar and of the stem [m]."""

_OUTLINE = (
    *((-0.1, 0.05), (0.1, 0.05), (0.1, 0.0), (0.025, 0.0), (0.025, -0.1)),
    *((-0.025, -0.1), (-0.025, 0.0), (-0.1, 0.0), (-0.1, 0.05)),
)
"""The block's edge in block axes [m]."""


@dataclass(frozen=True)
class PushTConfig:
    """The task's numbers."""

    dt: float = 0.05
    substeps: int = 3
    episode_steps: int = 150
    speed: float = 0.4
    """Of the pusher at action 1 along each axis [m/s]."""
    response: float = 0.05
    """Time constant with which the pusher takes up its speed [s]."""
    radius: float = 0.03
    """Of the pusher [m]."""
    stiffness: float = 400.0
    """Of the contact [N/m]."""
    softness: float = 0.005
    """Width w over which the contact sets in [m]."""
    mass: float = 0.5
    """Of the block [kg]."""
    inertia: float = 2e-3
    """Of the block about its centre of mass [kg·m²]: that of two uniform rectangles."""
    drag: float = 8.0
    """Of the table on the block: velocity and spin lost per second, as a share [1/s]."""
    start: float = 0.15
    """Distance of the pusher's starting place from the block [m]."""
    shift: float = 0.1
    """Targets lie within this distance of the block's start along each axis [m]."""
    turn: float = 0.5
    """Targets are turned by up to this angle [rad]."""
    tolerance: float = 0.03
    """Root mean square distance of the block's ends from where they belong [m]."""
    effort: float = 0.01
    """Price of the squared action, per step."""


class PushT(AnalyticTask):
    """2-D pushing; command: x, y [m] and angle [rad] of the block."""

    name = "push_t"
    state_size, action_size, observation_size = 10, 2, 15

    def __init__(self, config: PushTConfig | None = None) -> None:
        self.config = c = config or PushTConfig()
        self.dt, self.episode_steps, self.tolerance = c.dt, c.episode_steps, c.tolerance

    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        c, h = self.config, self.config.dt / self.config.substeps
        p, b, angle, vp, vb, spin = (
            state[..., part] for part in (PUSHER, BLOCK, ANGLE, PUSHER_VELOCITY, BLOCK_VELOCITY, SPIN)
        )
        for _ in range(c.substeps):
            force = _turned(self._contact(_turned(p - b, -angle)), angle)  # on the pusher
            arm = p - b
            torque = arm[..., :1] * force[..., 1:] - arm[..., 1:] * force[..., :1]
            vp = vp + h * (c.speed * action - vp) / c.response  # a stiff drive: the block does not hold it up
            vb = vb + h * (-force / c.mass - c.drag * vb)
            spin = spin + h * (-torque / c.inertia - c.drag * spin)
            p, b, angle = p + h * vp, b + h * vb, angle + h * spin
        return torch.cat([p, b, angle, vp, vb, spin], -1)

    def _contact(self, place: Tensor) -> Tensor:
        """Force of the block on the pusher whose centre is at `place`, both in block axes, (..., 2)."""
        c, boxes = self.config, _BOXES.to(place.dtype)
        offset = place[..., None, :] - boxes[:, :2]
        out = F.relu(offset.abs() - boxes[:, 2:]) * torch.sign(offset)  # from the nearest point of each rectangle
        distance = torch.sqrt((out**2).sum(-1, keepdim=True) + 1e-10)
        push = c.stiffness * c.softness * F.softplus((c.radius - distance) / c.softness)
        return (push * out / distance).sum(-2)

    def new_states(self, num: int, rng: np.random.Generator) -> np.ndarray:
        states, side = np.zeros((num, 10)), rng.uniform(-np.pi, np.pi, num)
        states[:, PUSHER] = self.config.start * np.stack([np.cos(side), np.sin(side)], -1)
        return states

    def new_targets(self, num: int, rng: np.random.Generator) -> np.ndarray:
        c = self.config
        return rng.uniform(-1.0, 1.0, (num, 3)) * (c.shift, c.shift, c.turn)

    def _errors(self, state: Tensor, command: Tensor) -> Tensor:
        """Of each of the block's ends, (..., 3, 2) [m]."""
        ends = _CORNERS.to(state.dtype)
        now = state[..., None, BLOCK] + _turned(ends, state[..., None, ANGLE])
        wanted = command[..., None, :2] + _turned(ends, command[..., None, 2:])
        return now - wanted

    def distance(self, state: Tensor, command: Tensor) -> Tensor:
        return (self._errors(state, command) ** 2).sum(-1).mean(-1).sqrt()

    window = (-0.45, 0.45, -0.3, 0.3)

    def lines(self, state: Tensor, command: Tensor) -> dict[str, np.ndarray]:
        outline = torch.tensor(_OUTLINE, dtype=state.dtype)
        return {
            "target": (command[:2] + _turned(outline, command[2:])).numpy(),
            "block": (state[BLOCK] + _turned(outline, state[ANGLE])).numpy(),
            "pusher": circle(state[PUSHER].numpy(), self.config.radius),
        }

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        """Everything in block axes, lengths in decimetres: pusher, velocities, where the ends belong, and the spin."""
        angle = state[..., ANGLE]
        parts = (
            10.0 * _turned(state[..., PUSHER] - state[..., BLOCK], -angle),
            _turned(state[..., PUSHER_VELOCITY], -angle),
            _turned(state[..., BLOCK_VELOCITY], -angle),
            state[..., SPIN],
            10.0 * _turned(self._errors(state, memory.command), -angle[..., None, :]).flatten(-2),
            memory.last_action,
        )
        return torch.cat(parts, -1)

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        """1 less the smooth pose error, a little for a pusher far from the block, and the effort."""
        error = (self._errors(reached, memory.command) ** 2).sum(-1).mean(-1)
        away = ((reached[..., PUSHER] - reached[..., BLOCK]) ** 2).sum(-1)
        return 1.0 - 5.0 * torch.sqrt(error + 1e-4) - 1.0 * away - self.config.effort * (action**2).sum(-1)


def _turned(v: Tensor, angle: Tensor) -> Tensor:
    """Vectors (..., 2) rotated by `angle` (..., 1)."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.cat([cos * v[..., :1] - sin * v[..., 1:], sin * v[..., :1] + cos * v[..., 1:]], -1)
