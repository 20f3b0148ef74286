"""The one definition of the observation vector: named terms over arrays of any leading batch shape.

Training (torch, batched), validation and the robot (numpy, one state) call the same functions with the term list of the
policy's contract. Joint quantities are in the policy's joint order, which the contract names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dbp_policy.errors import DbpError

Array = Any
"""A numpy array or a torch tensor."""


@dataclass(frozen=True)
class Signals:
    """What observation terms may read; every array has the same leading shape."""

    gyro_body: Array
    """Angular velocity in body axes, (..., 3) [rad/s]."""
    gravity_body: Array
    """Unit vector of gravity in body axes, (..., 3)."""
    command: Array
    """Velocity command vx, vy, wz in body axes, (..., 3) [m/s, m/s, rad/s]."""
    q_error: Array
    """Joint angles minus the default pose, (..., 12) [rad]."""
    dq: Array
    """Joint velocities, (..., 12) [rad/s]."""
    last_action: Array
    """The previous action, before scaling, (..., 12)."""
    phase: Array
    """Gait phase in cycles, (..., 1), counted modulo 1."""
    velocity_body: Array
    """Linear velocity of the base in body axes, (..., 3) [m/s]; on the robot the estimator's."""


def _clock(s: Signals, xp) -> Array:
    angle = 2.0 * np.pi * s.phase
    return xp.concatenate([xp.sin(angle), xp.cos(angle)], -1)


TERMS: dict[str, tuple[int, Callable[[Signals, Any], Array]]] = {
    "gyro_body": (3, lambda s, xp: s.gyro_body),
    "gravity_body": (3, lambda s, xp: s.gravity_body),
    "command": (3, lambda s, xp: s.command),
    "joint_position": (12, lambda s, xp: s.q_error),
    "joint_velocity": (12, lambda s, xp: s.dq),
    "last_action": (12, lambda s, xp: s.last_action),
    "clock": (2, _clock),
    "velocity_body": (3, lambda s, xp: s.velocity_body),
}
"""Name to (size, function)."""


@dataclass(frozen=True)
class ObservationTerm:
    """One entry of a contract's term list."""

    name: str
    scale: tuple[float, ...]
    """One factor per element of the term."""
    history: int = 1
    """How many of the newest values the vector holds, oldest first."""

    @property
    def size(self) -> int:
        """Elements of one value of the term."""
        return TERMS[self.name][0]


def term(name: str, scale: float | Sequence[float] = 1.0, history: int = 1) -> ObservationTerm:
    """Makes a checked `ObservationTerm`; a single scale serves every element.

    Raises:
        DbpError: The name is unknown, the scale has the wrong length or is not finite, or the history is below 1.
    """
    if name not in TERMS:
        raise DbpError(f"observation term: expected one of {sorted(TERMS)}, got {name!r}")
    size = TERMS[name][0]
    scales = tuple(float(v) for v in np.broadcast_to(scale, size)) if np.size(scale) in (1, size) else ()
    if len(scales) != size or not np.all(np.isfinite(scales)):
        raise DbpError(f"observation term {name}: expected 1 or {size} finite scales, got {scale}")
    if not history >= 1:
        raise DbpError(f"observation term {name}: expected a history of at least 1, got {history}")
    return ObservationTerm(name, scales, int(history))


def observation_size(terms: Sequence[ObservationTerm]) -> int:
    """Length of the observation vector."""
    return sum(t.size * t.history for t in terms)


class Observer:
    """Builds observation vectors and keeps the history that its terms ask for.

    Args:
        terms: The contract's term list.
        xp: `numpy` or `torch`.
    """

    def __init__(self, terms: Sequence[ObservationTerm], xp=np) -> None:
        self._terms = tuple(terms)
        self._xp = xp
        self._scale = xp.asarray(np.concatenate([np.tile(np.float32(t.scale), t.history) for t in self._terms]))
        self._past: list[list[Array]] = [[] for _ in self._terms]

    def reset(self) -> None:
        """Forgets the history; the next value fills it by repetition."""
        self._past = [[] for _ in self._terms]

    def observe(self, signals: Signals) -> Array:
        """The observation of `signals`, shape (..., `observation_size`)."""
        parts: list[Array] = []
        for t, past in zip(self._terms, self._past, strict=True):
            value = TERMS[t.name][1](signals, self._xp)
            if t.history == 1:
                parts.append(value)
                continue
            past.append(value)
            while len(past) < t.history:
                past.insert(0, past[0])
            del past[: -t.history]
            parts.extend(past)
        return self._xp.concatenate(parts, -1) * self._scale


def advance_phase(phase: Array, gait_hz: float, rate_hz: float) -> Array:
    """Gait phase one policy step later, in cycles modulo 1."""
    return (phase + gait_hz / rate_hz) % 1.0
