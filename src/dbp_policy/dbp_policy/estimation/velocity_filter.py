"""Six-state filter of velocity and accelerometer bias: the algebra of the state estimator, no robot in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    foot_sigma: tuple[float, float, float] = (0.1, 0.1, 0.4)
    """Velocity error of one standing foot, per body axis [m/s]: joint velocity noise, compliance and small slips; along
    z a foot and its ground give way at touchdown and rise again later, by centimetres in all."""
    gate: float = 5.99
    """Squared Mahalanobis distance in x and y, 95 % of chi² with 2 degrees of freedom, beyond which a measurement is
    inflated. Not in z: a foot sinks in fast and rises slowly, and a gate that drops the one keeps the other's bias."""


def skew(v: np.ndarray) -> np.ndarray:
    """Matrix with skew(a) @ b = a x b, shape (3, 3)."""
    x, y, z = v.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


class VelocityFilter:
    """Velocity u of a point of a rigid body, in body axes, and the bias b of the accelerometer at that point.

        u' = f - b + g - w x u        f specific force, g gravity, both in body axes
        b' = white noise

    Measurements are of u itself, several at a time; each is as good as its weight and as plausible as its distance.
    """

    def __init__(self, parameters: FilterParameters | None = None) -> None:
        self._p = parameters or FilterParameters()
        self._foot_variance = np.square(self._p.foot_sigma)
        self._state = np.zeros(6)
        self._transition = np.eye(6)
        self.covariance = np.diag([0.0] * 3 + [self._p.bias_sigma**2] * 3)
        """Covariance of (velocity, bias), shape (6, 6)."""
        self.restart()

    @property
    def velocity(self) -> np.ndarray:
        """Velocity in body axes, shape (3,) [m/s]; a view that changes with the filter."""
        return self._state[:3]

    @property
    def bias(self) -> np.ndarray:
        """Accelerometer bias, shape (3,) [m/s²]; likewise."""
        return self._state[3:]

    def restart(self) -> None:
        """Forgets the velocity; the bias stays what it was."""
        self._state[:3] = 0.0
        self.covariance[:3, :] = self.covariance[:, :3] = 0.0
        self.covariance[(0, 1, 2), (0, 1, 2)] = self._p.velocity_sigma**2

    def predict(self, acceleration: np.ndarray, gyro: np.ndarray, dt: float, gap: float = 0.0) -> None:
        """Moves on by `dt`.

        Args:
            acceleration: f + g over the step, shape (3,) [m/s²]; the bias is taken off here.
            gyro: w over the step, shape (3,) [rad/s].
            dt: Length of the step [s].
            gap: Part of the step in which nothing was measured [s].
        """
        p = self._p
        turn = dt * skew(gyro)
        push = dt * (acceleration - self.bias)
        middle = self.velocity + 0.5 * (push - turn @ self.velocity)
        self._state[:3] += push - turn @ middle
        transition = self._transition
        transition[:3, :3] = -turn
        transition.ravel()[:15:7] = 1.0  # every seventh is the diagonal
        transition.ravel()[3:18:7] = -dt
        covariance = transition @ self.covariance @ transition.T
        velocity_noise = p.acceleration_noise**2 * dt + (p.gap_acceleration * gap) ** 2
        bias_noise = p.bias_walk**2 * dt
        covariance.ravel()[::7] += (velocity_noise,) * 3 + (bias_noise,) * 3
        self.covariance = 0.5 * (covariance + covariance.T)  # rounding's asymmetry would double every minute or so

    def update(self, measured: np.ndarray, weights: np.ndarray, sigma: float | None = None) -> np.ndarray:
        """Takes in measurements of the velocity.

        Since each measures the velocity itself, n of them are one along each axis, their weighted mean;
        1/R = sum of weight_i / (inflation_i sigma²), inflation_i = max(1, distance²_i / gate) in x and y, 1 in z.

        Args:
            measured: Shape (n, 3) [m/s].
            weights: Trust in each along each axis, 0 to 1, shape (n, 3).
            sigma: Standard deviation of one of full weight [m/s], by default that of a foot.

        Returns:
            Squared Mahalanobis distance of each from the prediction in x and y, shape (n,).
        """
        variance = self._foot_variance if sigma is None else np.full(3, sigma**2)
        innovations = measured - self.velocity
        distances = self._distances(innovations, variance)
        if self._prediction_is_wrong(innovations, distances, weights[:, 0]):
            self.covariance.ravel()[:15:7] += self._p.surprise**2
        information = weights / variance
        information[:, :2] /= np.maximum(1.0, distances / self._p.gate)[:, None]
        totals = information.sum(axis=0).tolist()
        means = (information * measured).sum(axis=0).tolist()
        # The axes' errors are independent: one after the other, each a division instead of a matrix inverse.
        for axis, (total, mean) in enumerate(zip(totals, means, strict=True)):
            if total > 1e-9:
                self._update_axis(axis, mean / total, 1.0 / total)
        return distances

    def _update_axis(self, axis: int, measured: float, variance: float) -> None:
        """The textbook update by one number, a measurement of one component of the state."""
        row = self.covariance[axis].copy()
        scaled = row / (row[axis] + variance)
        self._state += scaled * (measured - self._state[axis])
        self.covariance -= row[:, None] * scaled

    def _distances(self, innovations: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distances in x and y by the closed inverse of the two by two covariance."""
        (xx, xy), (_, yy) = self.covariance[:2, :2].tolist()
        xx, yy = xx + float(variance[0]), yy + float(variance[1])
        x, y = innovations[:, 0], innovations[:, 1]
        return (yy * x * x - 2.0 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)

    def _prediction_is_wrong(self, innovations: np.ndarray, distances: np.ndarray, weights: np.ndarray) -> bool:
        """Two or more trusted measurements agree with each other and none with the prediction: a blow that saturated
        the accelerometer rather than feet that slip."""
        if not float(distances.max()) > self._p.gate:  # almost always
            return False
        trusted = weights > 0.5
        if np.count_nonzero(trusted) < 2 or not (distances[trusted] > self._p.gate).all():
            return False
        return bool((np.ptp(innovations[trusted], axis=0) < 3.0 * np.sqrt(self._foot_variance)).all())
