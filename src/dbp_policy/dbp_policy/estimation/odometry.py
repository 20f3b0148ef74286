"""Dead reckoning: position in a frame that starts under the robot, with a covariance that only grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np


@dataclass(frozen=True)
class OdometryParameters:
    """How far dead reckoning is to be believed."""

    correlation_time: float = 0.5
    """Time over which a velocity error keeps its sign, about a stride [s]."""
    drift: float = 0.02
    """Part of a velocity that is wrong for as long as `drift_time`, from leg geometry and encoder bias."""
    drift_time: float = 10.0
    """How long [s]."""
    height_time: float = 0.1
    """Time constant with which the height follows the standing feet [s]."""
    height_sigma: float = 0.02
    """Standard deviation of the height over the standing feet [m]."""


class Odometry:
    """Position of the base. x and y are integrated along the heading of the IMU; z is the height over the ground under
    the standing feet, integrated while no foot stands. So z does not count stairs climbed."""

    def __init__(self, parameters: OdometryParameters | None = None) -> None:
        self._p = parameters or OdometryParameters()
        self.reset()

    def reset(self) -> None:
        """Starts anew at x = y = 0; z is taken from the first standing feet."""
        self.position = np.zeros(3)
        """x, y, z [m]."""
        self.covariance = np.zeros((3, 3))
        """Shape (3, 3) [m²]."""
        self._height_known = False

    def advance(self, velocity_world: np.ndarray, velocity_cov_world: np.ndarray, dt: float) -> None:
        """Moves by `velocity_world * dt`.

        An error of variance P that keeps its sign for a time T makes a random walk of variance 2 T P per second.

        Args:
            velocity_world: Shape (3,) [m/s].
            velocity_cov_world: Its covariance, shape (3, 3) [m²/s²].
            dt: Time passed [s].
        """
        p = self._p
        self.position = self.position + velocity_world * dt
        self.covariance = self.covariance + 2.0 * dt * p.correlation_time * velocity_cov_world
        vx, vy, _ = velocity_world.tolist()
        self.covariance.ravel()[:5:4] += 2.0 * dt * p.drift_time * p.drift**2 * (vx * vx + vy * vy)  # x and y

    def correct_height(self, heights: Sequence[float], weights: Sequence[float], dt: float) -> None:
        """Draws z towards the height of the base over its feet.

        Args:
            heights: Height over the contact point of each standing foot [m].
            weights: Trust in each.
            dt: Time passed [s].
        """
        total = sum(weights)
        if not total > 0.1:
            return
        gain = min(1.0, dt / self._p.height_time) if self._height_known else 1.0
        self._height_known = True
        mean = sum(map(mul, weights, heights)) / total
        self.position[2] += gain * (mean - self.position.item(2))
        self.covariance[2, 2] += gain * (self._p.height_sigma**2 - self.covariance.item(2, 2))
