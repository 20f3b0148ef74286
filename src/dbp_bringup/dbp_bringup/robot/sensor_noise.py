"""What the MuJoCo robot's sensors read beside the truth: noise, encoder offsets, an attitude that errs slowly."""

from __future__ import annotations

import numpy as np

from dbp_policy import rotations

GYRO_NOISE, ACC_NOISE, DQ_NOISE, ENCODER_BIAS = 0.02, 0.2, 0.15, 0.01
"""Sensor noise at scale 1, invented: standard deviations [rad/s], [m/s²], [rad/s], and the bound of each encoder's
constant offset [rad]."""

GYRO_FLOOR, ACC_FLOOR = 0.001, 0.01
"""Noise that the IMU always has, invented: no real one reads the very same numbers twice, and a guard may take one that
does for broken [rad/s], [m/s²]."""

ATTITUDE_TIME = 5.0
"""How long the error of the attitude keeps its direction, invented: an IMU's own filter errs slowly [s]."""


class SensorNoise:
    """The errors of one robot's sensors, from its switching on.

    Args:
        scale: 0 none but the IMU's floor, 1 as the constants of this file say.
        attitude_deg: Standard deviation of the attitude's error about each body axis [deg].
        seed: Of everything random.
    """

    def __init__(self, scale: float, attitude_deg: float, seed: int) -> None:
        self._scale = scale
        self._rng = np.random.default_rng(seed)
        self._encoder_bias = scale * self._rng.uniform(-ENCODER_BIAS, ENCODER_BIAS, 12)
        self._attitude_rng = np.random.default_rng((seed, 1))  # its own, so that it changes no other
        self._attitude_sigma = np.deg2rad(attitude_deg)
        self._attitude_error = self._attitude_sigma * self._attitude_rng.standard_normal(3)
        self._drawn, self._drawn_ms = np.zeros(18), -1

    def add(
        self, tick_ms: int, q: np.ndarray, dq: np.ndarray, gyro: np.ndarray, acc: np.ndarray, quat: np.ndarray
    ) -> None:
        """Adds the errors of the instant `tick_ms` to true readings, in place.

        Drawn once per instant, so that one instant always reads the same.

        Args:
            tick_ms: Milliseconds since switching on; never less than before.
            q: Joint angles, shape (12,) [rad].
            dq: Joint velocities, shape (12,) [rad/s].
            gyro: Angular velocity in body axes, shape (3,) [rad/s].
            acc: Specific force in body axes, shape (3,) [m/s²].
            quat: Attitude wxyz, shape (4,).
        """
        if self._drawn_ms != tick_ms:
            self._wander_attitude(0.001 * (tick_ms - max(0, self._drawn_ms)))
            self._drawn, self._drawn_ms = self._rng.standard_normal(18), tick_ms
        gyro += max(GYRO_FLOOR, self._scale * GYRO_NOISE) * self._drawn[:3]
        acc += max(ACC_FLOOR, self._scale * ACC_NOISE) * self._drawn[3:6]
        if self._scale > 0.0:
            q += self._encoder_bias
            dq += self._scale * DQ_NOISE * self._drawn[6:]
        if self._attitude_sigma > 0.0:
            quat[:] = rotations.turned(quat, self._attitude_error)

    def _wander_attitude(self, seconds: float) -> None:
        """First-order Gauss-Markov process."""
        if self._attitude_sigma > 0.0:
            kept = np.exp(-seconds / ATTITUDE_TIME)
            fresh = self._attitude_sigma * np.sqrt(1.0 - kept**2) * self._attitude_rng.standard_normal(3)
            self._attitude_error = kept * self._attitude_error + fresh
