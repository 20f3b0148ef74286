"""Six-state filter of velocity and accelerometer bias: the algebra of the state estimator, no robot in it."""

from __future__ import annotations

from collections.abc import Sequence
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


_LEAST_WEIGHT = 1e-12
"""An axis without a measurement is one with this weight, so that its variance is finite."""


def skew(v: np.ndarray) -> np.ndarray:
    """Matrix with skew(a) @ b = a x b, shape (3, 3)."""
    x, y, z = v.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _inverse(a: float, b: float, c: float, d: float, e: float, f: float) -> np.ndarray:
    """Inverse of the symmetric matrix ((a, b, c), (b, d, e), (c, e, f)), shape (3, 3), by its cofactors: a quarter of
    the time of `np.linalg.inv` for one so small."""
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    scale = 1.0 / (a * aa + b * bb + c * cc)
    aa, bb, cc = scale * aa, scale * bb, scale * cc
    dd, ee, ff = scale * (a * f - c * c), scale * (b * c - a * e), scale * (a * d - b * b)
    return np.array([aa, bb, cc, bb, dd, ee, cc, ee, ff]).reshape(3, 3)


class VelocityFilter:
    """Velocity u of a point of a rigid body, in body axes, and the bias b of the accelerometer at that point.

        u' = f - b + g - w x u        f specific force, g gravity, both in body axes
        b' = white noise

    Measurements are of u itself, several at a time; each is as good as its weight and as plausible as its distance.
    """

    def __init__(self, parameters: FilterParameters | None = None) -> None:
        self._p = parameters or FilterParameters()
        sigmas = [self._p.acceleration_noise] * 3 + [self._p.bias_walk] * 3
        self._noise = np.diag(np.square(sigmas))  # covariance per second
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

    def predict(self, acceleration: Sequence[float], gyro: Sequence[float], dt: float, gap: float = 0.0) -> None:
        """Moves on by `dt`.

        Args:
            acceleration: f + g over the step, x, y, z [m/s²]; the bias is taken off here.
            gyro: w over the step, likewise [rad/s].
            dt: Length of the step [s].
            gap: Part of the step in which nothing was measured [s].
        """
        x, y, z = (dt * w for w in gyro)
        self._move(acceleration, (x, y, z), dt)
        transition = self._transition  # the upper half is (1 - dt skew(w), -dt), the lower (0, 1)
        transition[:3] = (1.0, z, -y, -dt, 0.0, 0.0), (-z, 1.0, x, 0.0, -dt, 0.0), (y, -x, 1.0, 0.0, 0.0, -dt)
        # By dot, here and in the estimator: `@` takes three times as long for so small ones.
        covariance = transition.dot(self.covariance).dot(transition.T) + dt * self._noise
        if gap > 0.0:
            covariance.ravel()[:15:7] += (self._p.gap_acceleration * gap) ** 2  # every seventh is the diagonal
        self.covariance = 0.5 * (covariance + covariance.T)  # rounding's asymmetry would double every minute or so

    def _move(self, acceleration: Sequence[float], turn: tuple[float, float, float], dt: float) -> None:
        """The velocity after a step in which the body turns by the vector `turn` [rad]."""
        (ax, ay, az), (x, y, z), (ux, uy, uz, bx, by, bz) = acceleration, turn, self._state.tolist()
        # s = dt (f + g - b) - turn x u, the step by what holds at its beginning
        sx = dt * (ax - bx) + z * uy - y * uz
        sy = dt * (ay - by) + x * uz - z * ux
        sz = dt * (az - bz) + y * ux - x * uy
        # u + s - turn x s / 2: the velocity that turns is that in the middle of the step
        self._state[:3] = (
            ux + sx + 0.5 * (z * sy - y * sz),
            uy + sy + 0.5 * (x * sz - z * sx),
            uz + sz + 0.5 * (y * sx - x * sy),
        )

    def update(
        self,
        measured: Sequence[Sequence[float]],
        sideways: Sequence[float],
        vertical: Sequence[float],
        sigma: tuple[float, float, float] | None = None,
    ) -> list[float]:
        """Takes in measurements of the velocity.

        Since each measures the velocity itself, n of them are one along each axis, their weighted mean;
        1/R = sum of weight_i / (inflation_i sigma²), inflation_i = max(1, distance²_i / gate)² in x and y, 1 in z.

        Args:
            measured: n times x, y, z [m/s].
            sideways: Trust in each along x and y, 0 to 1, n of them.
            vertical: Trust in each along z, likewise.
            sigma: Standard deviation of one of full trust, per axis [m/s], by default that of a foot.

        Returns:
            Squared Mahalanobis distance of each from the prediction in x and y.
        """
        sigma, gate = sigma or self._p.foot_sigma, self._p.gate
        velocity_x, velocity_y, velocity_z = self.velocity.tolist()
        (xx, xy), (_, yy) = self.covariance[:2, :2].tolist()
        xx, yy = xx + sigma[0] ** 2, yy + sigma[1] ** 2
        determinant = xx * yy - xy * xy
        distances, trusted, total_xy, total_z, sum_x, sum_y, sum_z = [], [], 0.0, 0.0, 0.0, 0.0, 0.0
        # Plain floats: for four feet they are three times as fast as arrays.
        for (x, y, z), weight, weight_z in zip(measured, sideways, vertical, strict=True):
            dx, dy = x - velocity_x, y - velocity_y
            distance = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant
            distances.append(distance)
            if weight > 0.5:
                trusted.append((distance, x, y, z))
            weight /= max(1.0, distance / gate) ** 2
            total_xy, sum_x, sum_y = total_xy + weight, sum_x + weight * x, sum_y + weight * y
            total_z, sum_z = total_z + weight_z, sum_z + weight_z * z
        if len(trusted) > 1 and min(trusted)[0] > gate and self._agree(np.array(trusted)[:, 1:]):
            self.covariance.ravel()[:15:7] += self._p.surprise**2
        total_xy, total_z = max(total_xy, _LEAST_WEIGHT), max(total_z, _LEAST_WEIGHT)
        self._update_velocity(
            (sum_x / total_xy - velocity_x, sum_y / total_xy - velocity_y, sum_z / total_z - velocity_z),
            (sigma[0] ** 2 / total_xy, sigma[1] ** 2 / total_xy, sigma[2] ** 2 / total_z),
        )
        return distances

    def _update_velocity(self, innovation: tuple[float, float, float], variance: tuple[float, float, float]) -> None:
        """The textbook update by a measurement of the velocity, with H = (1, 0) and independent axes."""
        rows = self.covariance[:3]  # H P
        (xx, xy, xz, *_), (_, yy, yz, *_), (_, _, zz, *_) = rows.tolist()
        # K^T = (H P H^T + R)^-1 H P
        gain = _inverse(xx + variance[0], xy, xz, yy + variance[1], yz, zz + variance[2]).dot(rows)
        self._state += np.array(innovation).dot(gain)
        self.covariance -= rows.T.dot(gain)

    def _agree(self, trusted: np.ndarray) -> bool:
        """Measurements, shape (n, 3), of which none agrees with the prediction, agree with each other: a blow that
        saturated the accelerometer rather than feet that slip."""
        return bool((np.ptp(trusted, axis=0) < 3.0 * np.array(self._p.foot_sigma)).all())
