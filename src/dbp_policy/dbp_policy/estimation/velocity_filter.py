"""Six-state filter of velocity and accelerometer bias: the algebra of the state estimator, no robot in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_EYE3, _EYE6 = np.eye(3), np.eye(6)


@dataclass(frozen=True)
class FilterParameters:
    """Noise that the filter expects. The accelerometer's is several times its datasheet noise, because footfalls alias
    into it at 500 Hz and errors of the attitude show up as acceleration."""

    velocity_sigma: float = 1.0
    """Standard deviation of the velocity at the start [m/s]."""
    bias_sigma: float = 0.3
    """Standard deviation of the accelerometer bias at the start [m/s²]."""
    acceleration_noise: float = 0.04
    """White noise of the acceleration [m/s²/√Hz]."""
    bias_walk: float = 0.02
    """Random walk of the accelerometer bias [m/s³/√Hz]."""
    gap_acceleration: float = 4.0
    """Acceleration that may go unseen while lowstates are missing [m/s²]."""
    surprise: float = 0.02
    """Velocity error added for each step in which the feet agree that the prediction is wrong [m/s]."""
    foot_sigma: float = 0.1
    """Velocity error of one standing foot [m/s]: joint velocity noise, compliance and small slips."""
    gate: float = 7.81
    """Squared Mahalanobis distance, 95 % of chi² with 3 degrees of freedom, beyond which a measurement is inflated."""


def skew(v: np.ndarray) -> np.ndarray:
    """Matrix with skew(a) @ b = a x b, shape (3, 3)."""
    x, y, z = v.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive matrix, shape (3, 3), by cofactors: half the time of np.linalg.inv."""
    (a, b, c), (_, d, e), (_, _, f) = matrix.tolist()
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    inverse = np.array([[aa, bb, cc], [bb, a * f - c * c, b * c - a * e], [cc, b * c - a * e, a * d - b * b]])
    return inverse / (a * aa + b * bb + c * cc)


class VelocityFilter:
    """Velocity u of a point of a rigid body, in body axes, and the bias b of the accelerometer at that point.

        u' = f - b + g - w x u        f specific force, g gravity, both in body axes
        b' = white noise

    Measurements are of u itself, several at a time; each is as good as its weight and as plausible as its distance.
    """

    def __init__(self, parameters: FilterParameters | None = None) -> None:
        self._p = parameters or FilterParameters()
        self.bias = np.zeros(3)
        """Accelerometer bias [m/s²]."""
        self._bias_cov = self._p.bias_sigma**2 * np.eye(3)
        self.restart()

    def restart(self) -> None:
        """Forgets the velocity; the bias stays what it was."""
        self.velocity = np.zeros(3)
        """Velocity in body axes [m/s]."""
        self.covariance = np.zeros((6, 6))
        """Covariance of (velocity, bias)."""
        self.covariance[:3, :3] = self._p.velocity_sigma**2 * np.eye(3)
        self.covariance[3:, 3:] = self._bias_cov

    def predict(self, acceleration: np.ndarray, gyro: np.ndarray, dt: float, gap: float = 0.0) -> None:
        """Moves on by `dt`.

        Args:
            acceleration: f + g over the step, shape (3,) [m/s²]; the bias is taken off here.
            gyro: w over the step, shape (3,) [rad/s].
            dt: Length of the step [s].
            gap: Part of the step in which nothing was measured [s].
        """
        p = self._p
        turn = skew(gyro)
        push = acceleration - self.bias
        middle = self.velocity + 0.5 * dt * (push - turn @ self.velocity)
        self.velocity = self.velocity + dt * (push - turn @ middle)
        transition = _EYE6.copy()
        transition[:3, :3] -= dt * turn
        transition[:3, 3:] = -dt * _EYE3
        self.covariance = transition @ self.covariance @ transition.T
        velocity_noise = p.acceleration_noise**2 * dt + (p.gap_acceleration * gap) ** 2
        bias_noise = p.bias_walk**2 * dt
        self.covariance.ravel()[::7] += (velocity_noise,) * 3 + (bias_noise,) * 3  # every seventh: the diagonal

    def update(self, measured: np.ndarray, weights: np.ndarray, sigma: float | None = None) -> np.ndarray:
        """Takes in measurements of the velocity.

        Since each measures the velocity itself with the same covariance in all directions, n of them are one, their
        weighted mean; 1/R = sum of weight_i / (inflation_i sigma²), inflation_i = max(1, distance²_i / gate).

        Args:
            measured: Shape (n, 3) [m/s].
            weights: Trust in each, 0 to 1, shape (n,).
            sigma: Standard deviation of one of full weight [m/s], by default that of a foot.

        Returns:
            Squared Mahalanobis distance of each from the prediction, shape (n,).
        """
        variance = (self._p.foot_sigma if sigma is None else sigma) ** 2
        innovations = measured - self.velocity
        velocity_cov = self.covariance[:3, :3]
        distances = ((innovations @ _inverse(velocity_cov + variance * _EYE3)) * innovations).sum(axis=1)
        if self._prediction_is_wrong(innovations, distances, weights):
            self.covariance.ravel()[:15:7] += self._p.surprise**2
            velocity_cov = self.covariance[:3, :3]
        information = weights / (variance * np.maximum(1.0, distances / self._p.gate))
        total = float(information.sum())
        if not total > 1e-9:
            return distances
        spread = velocity_cov + _EYE3 / total
        gain = self.covariance[:, :3] @ _inverse(spread)
        correction = gain @ (information @ innovations / total)
        self.velocity = self.velocity + correction[:3]
        self.bias = self.bias + correction[3:]
        covariance = self.covariance - gain @ (spread @ gain.T)
        self.covariance = 0.5 * (covariance + covariance.T)  # rounding's asymmetry would double every minute or so
        self._bias_cov = self.covariance[3:, 3:]
        return distances

    def _prediction_is_wrong(self, innovations: np.ndarray, distances: np.ndarray, weights: np.ndarray) -> bool:
        """Two or more trusted measurements agree with each other and none with the prediction: a blow that saturated
        the accelerometer rather than feet that slip."""
        if not float(distances.max()) > self._p.gate:  # almost always
            return False
        trusted = weights > 0.5
        if np.count_nonzero(trusted) < 2 or not (distances[trusted] > self._p.gate).all():
            return False
        return float(np.ptp(innovations[trusted], axis=0).max()) < 3.0 * self._p.foot_sigma
