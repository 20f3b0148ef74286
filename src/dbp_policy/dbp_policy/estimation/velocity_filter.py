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
    acceleration_noise: float = 0.025
    """White noise of the acceleration [m/s²/√Hz]."""
    bias_walk: float = 0.012
    """Random walk of the accelerometer bias [m/s³/√Hz]."""
    gap_acceleration: float = 4.0
    """Acceleration that may go unseen while lowstates are missing [m/s²]."""
    surprise: float = 0.02
    """Velocity error added for each step in which the feet agree that the prediction is wrong [m/s]."""
    foot_sigma: tuple[float, float, float] = (0.07, 0.07, 0.6)
    """Velocity error of one standing foot, per body axis [m/s]: joint velocity noise, compliance and small slips; along
    z a foot and its ground give way at touchdown and rise again later, by centimetres in all."""
    gate: float = 5.99
    """Squared Mahalanobis distance in x and y, 95 % of chi² with 2 degrees of freedom, beyond which a measurement's
    variance is inflated, by the square of the excess: a foot that swings is soon out of the game. Not in z: a foot
    sinks in fast and rises slowly, and a gate would drop the one and believe the other."""


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
        self._noise = np.repeat(np.square([self._p.acceleration_noise, self._p.bias_walk]), 3)  # variance per second
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
        turn = dt * skew(gyro)
        push = dt * (acceleration - self.bias)
        middle = self.velocity + 0.5 * (push - turn.dot(self.velocity))
        self._state[:3] += push - turn.dot(middle)
        transition = self._transition
        transition[:3, :3] = -turn
        transition.ravel()[:15:7] = 1.0  # every seventh is the diagonal
        transition.ravel()[3:18:7] = -dt
        # By dot, here and in the estimator: `@` takes three times as long for so small ones.
        covariance = transition.dot(self.covariance).dot(transition.T)
        covariance.ravel()[::7] += dt * self._noise
        if gap > 0.0:
            covariance.ravel()[:15:7] += (self._p.gap_acceleration * gap) ** 2
        self.covariance = 0.5 * (covariance + covariance.T)  # rounding's asymmetry would double every minute or so

    def update(
        self,
        measured: np.ndarray,
        sideways: np.ndarray,
        vertical: np.ndarray,
        sigma: tuple[float, float, float] | None = None,
    ) -> np.ndarray:
        """Takes in measurements of the velocity.

        Since each measures the velocity itself, n of them are one along each axis, their weighted mean;
        1/R = sum of weight_i / (inflation_i sigma²), inflation_i = max(1, distance²_i / gate)² in x and y, 1 in z.

        Args:
            measured: Shape (n, 3) [m/s].
            sideways: Trust in each along x and y, 0 to 1, shape (n,).
            vertical: Trust in each along z, likewise.
            sigma: Standard deviation of one of full trust, per axis [m/s], by default that of a foot.

        Returns:
            Squared Mahalanobis distance of each from the prediction in x and y, shape (n,).
        """
        sigma, gate = sigma or self._p.foot_sigma, self._p.gate
        velocity_x, velocity_y, _ = self.velocity.tolist()
        (xx, xy), (_, yy) = self.covariance[:2, :2].tolist()
        xx, yy = xx + sigma[0] ** 2, yy + sigma[1] ** 2
        determinant = xx * yy - xy * xy
        distances, trusted, total_xy, total_z, sum_x, sum_y, sum_z = [], [], 0.0, 0.0, 0.0, 0.0, 0.0
        # Plain floats: for four feet they are three times as fast as arrays.
        for (x, y, z), weight, weight_z in zip(measured.tolist(), sideways.tolist(), vertical.tolist(), strict=True):
            dx, dy = x - velocity_x, y - velocity_y
            distance = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant
            distances.append(distance)
            if weight > 0.5:
                trusted.append(distance)
            weight /= max(1.0, distance / gate) ** 2
            total_xy, sum_x, sum_y = total_xy + weight, sum_x + weight * x, sum_y + weight * y
            total_z, sum_z = total_z + weight_z, sum_z + weight_z * z
        if len(trusted) > 1 and min(trusted) > gate and self._agree(measured[sideways > 0.5]):
            self.covariance.ravel()[:15:7] += self._p.surprise**2
        # The axes' errors are independent: one after the other, each a division instead of a matrix inverse.
        for axis, total, weighted in ((0, total_xy, sum_x), (1, total_xy, sum_y), (2, total_z, sum_z)):
            if total > 1e-9:
                self._update_axis(axis, weighted / total, sigma[axis] ** 2 / total)
        return np.array(distances)

    def _update_axis(self, axis: int, measured: float, variance: float) -> None:
        """The textbook update by one number, a measurement of one component of the state."""
        row = self.covariance[axis]
        gain = row * (1.0 / (row.item(axis) + variance))
        self._state += gain * (measured - self._state.item(axis))
        self.covariance -= row[:, None] * gain

    def _agree(self, trusted: np.ndarray) -> bool:
        """Measurements, shape (n, 3), of which none agrees with the prediction, agree with each other: a blow that
        saturated the accelerometer rather than feet that slip."""
        return bool((np.ptp(trusted, axis=0) < 3.0 * np.array(self._p.foot_sigma)).all())
