"""Which feet stand: the force the joint torques imply, fused with the robot's uncalibrated foot sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ContactParameters:
    """What counts as standing on a foot. The forces are shares of a Go2's weight, about 37 N a foot at rest."""

    force_threshold: float = 22.0
    """Vertical force at which standing and swinging are equally likely [N]; a swinging leg's own weight and inertia
    look like up to 15 N."""
    force_width: float = 6.0
    """Change of force that changes the log-odds by one [N]."""
    sensor_threshold: float = 0.35
    """Foot sensor, scaled to 0 in swing and 1 in stance, at which both are equally likely."""
    sensor_width: float = 0.1
    """Change of the scaled sensor that changes the log-odds by one."""
    sensor_contrast: float = 8.0
    """Least difference between stance and swing level for a sensor to be believed [counts]; public Go2 code takes
    thresholds of 10 to 60 counts (inria go2_odometry, Leg-KILO)."""
    learning_time: float = 0.3
    """Time constant with which a sensor's stance and swing levels are learned [s]."""
    learning_odds: float = 2.0
    """Log-odds by force from which on a foot's sensor is taught what swing or stance looks like."""
    evidence_limit: float = 4.0
    """Most that one kind of evidence may say, in log-odds, so that neither silences the other."""
    hysteresis: float = 0.7
    """Log-odds beyond zero needed to change the verdict."""


class ContactDetector:
    """Stance probability of each foot, from torque alone until a foot sensor has shown what its counts mean.

    A sensor's level in swing (its offset) and in stance are learned while the torques leave no doubt about which of the
    two it is. A sensor that is absent, stuck or without contrast therefore never gets a say.
    """

    def __init__(self, parameters: ContactParameters | None = None) -> None:
        self._p = parameters or ContactParameters()
        self.reset()

    def reset(self) -> None:
        """Forgets the verdicts and what was learned of the sensors."""
        self._stance = [False] * 4
        self.probability = np.zeros(4)
        """What `update` returned last, shape (4,)."""
        self._swing_level: list[float | None] = [None] * 4
        self._stance_level: list[float | None] = [None] * 4
        self._believed = [False] * 4

    @property
    def stance(self) -> np.ndarray:
        """Verdict with hysteresis, shape (4,), bool."""
        return np.array(self._stance)

    @property
    def sensors_believed(self) -> np.ndarray:
        """Which foot sensors have a say, shape (4,), bool."""
        return np.array(self._believed)

    def update(self, vertical_force: Sequence[float], foot_force: np.ndarray, dt: float) -> np.ndarray:
        """One step.

        Args:
            vertical_force: Of the ground on each foot by the torques, `legs.measure`, one each [N]; a foot whose value
                is not finite has no say.
            foot_force: Sensor counts, shape (4,); likewise.
            dt: Time since the last step [s].

        Returns:
            Probability of standing, shape (4,); `stance` holds the verdicts.
        """
        p = self._p
        gain = min(1.0, dt / p.learning_time)
        probabilities = [0.0] * 4
        # Plain floats: for four feet they are three times as fast as arrays.
        for foot, (force, counts) in enumerate(zip(vertical_force, foot_force.tolist(), strict=True)):
            odds = self._limited((force - p.force_threshold) / p.force_width)
            if math.isfinite(counts):
                self._learn(foot, odds, counts, gain)
                contrast = self._contrast(foot)
                self._believed[foot] = contrast > p.sensor_contrast
                if self._believed[foot]:
                    scaled = (counts - self._swing_level[foot]) / contrast
                    odds += self._limited((scaled - p.sensor_threshold) / p.sensor_width)
            self._stance[foot] = odds > (-p.hysteresis if self._stance[foot] else p.hysteresis)
            probabilities[foot] = 1.0 / (1.0 + math.exp(-odds))
        self.probability = np.array(probabilities)
        return self.probability

    def _learn(self, foot: int, odds_by_force: float, counts: float, gain: float) -> None:
        if abs(odds_by_force) > self._p.learning_odds:
            levels = self._stance_level if odds_by_force > 0.0 else self._swing_level
            old = levels[foot]
            levels[foot] = counts if old is None else old + gain * (counts - old)

    def _contrast(self, foot: int) -> float:
        """Stance level minus swing level of a foot's sensor [counts], 0 before both are known."""
        swing, stance = self._swing_level[foot], self._stance_level[foot]
        return 0.0 if swing is None or stance is None else stance - swing

    def _limited(self, odds: float) -> float:
        limit = self._p.evidence_limit
        return min(max(odds, -limit), limit) if math.isfinite(odds) else 0.0
