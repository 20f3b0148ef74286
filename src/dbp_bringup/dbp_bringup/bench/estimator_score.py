"""The estimator over a sequence of lowstates, and how far from the truth it is. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dbp_policy import go2
from dbp_policy.estimation.contact import ContactDetector
from dbp_policy.estimation.estimator import Estimator
from dbp_policy.types import RobotState

SKIPPED = 1.0
"""The filter's first second does not count [s]."""
FLIP_TIME = 0.05
"""Mean length of a stretch of wrong contact [s]."""
_YARDSTICK_EVERY = 50
_YARDSTICK = np.eye(6)


@dataclass(frozen=True)
class Track:
    """What the estimator said of n lowstates."""

    velocity_body: np.ndarray
    """Shape (n, 3) [m/s]."""
    velocity_cov: np.ndarray
    """Shape (n, 3, 3) [m²/s²]."""
    position_odom: np.ndarray
    """Shape (n, 3) [m]."""
    contact: np.ndarray
    """Shape (n, 4), bool."""
    valid: np.ndarray
    """Shape (n,), bool."""
    update_us: float
    """Median time of an update [us]."""
    yardstick_us: float
    """Median time of a product of two 6 x 6 matrices meanwhile [us]; the ratio of the two hardly knows of the load."""


def follow(states: Iterable[RobotState], estimator: Estimator | None = None) -> Track:
    """Runs the estimator over lowstates, simulated or recorded, in their order."""
    estimator = estimator or Estimator()
    estimates, updates, yardsticks = [], [], []
    for i, state in enumerate(states):
        begin = time.perf_counter()
        estimate = estimator.update(state)
        end = time.perf_counter()
        estimates.append(estimate)
        updates.append(end - begin)
        if i % _YARDSTICK_EVERY == 0:
            begin = time.perf_counter()
            _YARDSTICK @ _YARDSTICK
            yardsticks.append(time.perf_counter() - begin)
    return Track(
        velocity_body=np.array([e.velocity_body for e in estimates]),
        velocity_cov=np.array([e.velocity_cov for e in estimates]),
        position_odom=np.array([e.position_odom for e in estimates]),
        contact=np.array([e.contact for e in estimates]),
        valid=np.array([e.valid for e in estimates]),
        update_us=1e6 * float(np.median(updates)),
        yardstick_us=1e6 * float(np.median(yardsticks)),
    )


def velocity_error(track: Track, velocity_body: np.ndarray) -> np.ndarray:
    """Estimate minus truth after the first second, shape (n, 3) [m/s]."""
    return (track.velocity_body - velocity_body)[round(SKIPPED * go2.LOWSTATE_HZ) :]


def nees(track: Track, velocity_body: np.ndarray) -> np.ndarray:
    """Normalised estimation error squared e^T P^-1 e of the velocity after the first second, shape (n,)."""
    error = velocity_error(track, velocity_body)
    covariance = track.velocity_cov[-len(error) :]
    return (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=1)


def nees_band(runs: int) -> tuple[float, float]:
    """Where the mean NEES of so many independent runs lies 95 % of the time if the covariance is right: chi² with three
    degrees of freedom a run, by Wilson and Hilferty's approximation (within 0.03 from two runs on)."""
    degrees = 3.0 * runs
    spread = 2.0 / (9.0 * degrees)
    low, high = (degrees * max(0.0, 1.0 - spread + z * math.sqrt(spread)) ** 3 for z in (-1.96, 1.96))
    return low / runs, high / runs


def drift(track: Track, position: np.ndarray) -> tuple[float, float]:
    """Error of the planar position at the end, and the length of the way [m]."""
    moved = track.position_odom[-1] - track.position_odom[0]
    error = moved[:2] - (position[-1] - position[0])[:2]
    return float(np.hypot(*error)), way(position)


def way(position: np.ndarray) -> float:
    """Length of a path over the ground, sampled at 10 Hz so that swaying does not count [m]."""
    steps = np.diff(position[:: go2.LOWSTATE_HZ // 10, :2], axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def agreement(contact: np.ndarray, truth: np.ndarray) -> float:
    """Share of right contacts."""
    return float(np.mean(contact == truth))


def flips_for(accuracy: float, wanted: float) -> float:
    """Share of verdicts to flip at random so that a detector right in `accuracy` of cases is right in `wanted`."""
    return max(0.0, (accuracy - wanted) / (2.0 * accuracy - 1.0))


class FlippedContacts(ContactDetector):
    """The detector with verdicts turned into their opposite at random, for stretches of time.

    Args:
        share: Of the time that each foot is wrong.
        seed: Of the random numbers.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        mean = FLIP_TIME * go2.LOWSTATE_HZ
        self._starts, self._ends = share / ((1.0 - share) * mean), 1.0 / mean
        self._flipped = np.zeros(4, dtype=bool)
        super().__init__()

    @property
    def stance(self) -> np.ndarray:
        return super().stance ^ self._flipped

    def update(self, vertical_force: np.ndarray, foot_force: np.ndarray, dt: float) -> np.ndarray:
        right = super().update(vertical_force, foot_force, dt)
        toggles = self._rng.random(4) < np.where(self._flipped, self._ends, self._starts)
        self._flipped = self._flipped ^ toggles
        self.probability = np.where(self._flipped, 1.0 - right, right)
        return self.probability


def pooled_rmse(errors: Sequence[np.ndarray]) -> list[float]:
    """Root mean square of several runs' errors together, per axis [m/s]."""
    return np.sqrt(np.mean(np.square(np.concatenate(errors)), axis=0)).tolist()
