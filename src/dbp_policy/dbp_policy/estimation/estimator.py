"""State estimation on every lowstate: base velocity, accelerometer bias, contact and planar odometry.

The accelerometer drives an error-state filter (velocity_filter.py), standing feet correct it: the point of a foot that
touches the ground does not move, so the legs' motion tells the body's. Attitude, and with it yaw, is the IMU's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dbp_policy import go2
from dbp_policy.estimation import legs
from dbp_policy.estimation.contact import ContactDetector, ContactParameters
from dbp_policy.estimation.odometry import Odometry, OdometryParameters
from dbp_policy.estimation.velocity_filter import FilterParameters, VelocityFilter, skew
from dbp_policy.rotations import rotation_matrix
from dbp_policy.types import RobotState

_Vector = tuple[float, float, float]
_IMU_X, _IMU_Y, _IMU_Z = go2.IMU_POSITION.tolist()
_IMU_CROSS = skew(go2.IMU_POSITION)  # m x w as a matrix, constant where that of w x m is not
_PERIOD = 1.0 / go2.LOWSTATE_HZ
_MEAN_DISTANCE = 2.0  # of chi² with two degrees of freedom, x and y
_TICK_WRAP = 2**32  # tick is an unsigned 32-bit counter of milliseconds


@dataclass(frozen=True)
class EstimatorParameters:
    """Settings of the estimator's parts and what it takes for granted about its input."""

    contact: ContactParameters = field(default_factory=ContactParameters)
    filter: FilterParameters = field(default_factory=FilterParameters)
    odometry: OdometryParameters = field(default_factory=OdometryParameters)
    longest_gap: float = 0.1
    """Lowstates missing for longer than this end the knowledge of the velocity [s]."""
    restart_after: int = 3
    """So many lowstates in a row with a tick from the past are a robot that has restarted, fewer are stragglers."""
    settle_time: float = 0.04
    """How long a foot that has just touched down is not fully trusted [s]: the leg still swings and the foot slips."""
    model_sigma: tuple[float, float, float] = (0.005, 0.005, 0.005)
    """Velocity error that more samples do not average out, of encoder offsets and rolling feet, per body axis [m/s]; it
    is part of the covariance reported, not of the filter's."""
    tilt_sigma: float = 0.01
    """Error of the IMU's roll and pitch [rad]."""
    yaw_walk: float = 0.003
    """Random walk of the IMU's yaw [rad/√s]; 2.2 m off after a 120 m loop of a Go2 (CAPO, arXiv 2602.17393) is 0.03 rad
    or so after two minutes."""
    slip_time: float = 0.5
    """Time over which the feet's disagreement with the filter is averaged [s]; while it is more than noise explains,
    many feet slip, and the covariance reported grows in proportion."""
    at_rest_sigma: float = 0.1
    """Velocity error of a robot that lies still, no foot loaded [m/s]."""
    at_rest_after: float = 0.25
    """How long nothing may move, no foot loaded, before the robot counts as lying still [s]; longer than any flight."""
    highest_speed: float = 4.0
    """A velocity beyond this is a diverged filter [m/s]; a Go2 runs at 3.7 m/s at most by its data sheet."""


@dataclass(frozen=True)
class Estimate:
    """What the estimator says after one lowstate. Body frame: x forward, y left, z up, origin in the trunk's centre."""

    velocity_body: np.ndarray
    """Velocity of the base, shape (3,) [m/s]."""
    velocity_cov: np.ndarray
    """Its covariance in body axes, shape (3, 3) [m²/s²]."""
    position_odom: np.ndarray
    """x, y since the start and height over the standing feet, shape (3,) [m]."""
    position_cov: np.ndarray
    """Its covariance in odom axes, shape (3, 3) [m²]."""
    quat_wxyz: np.ndarray
    """Attitude as the IMU gives it, body to odom."""
    attitude_variance: np.ndarray
    """Of its roll, pitch and yaw, shape (3,) [rad²]; that of yaw grows from the start on."""
    gyro_body: np.ndarray
    """Angular velocity as the IMU gives it, shape (3,) [rad/s]."""
    acc_bias_body: np.ndarray
    """Accelerometer bias, shape (3,) [m/s²]."""
    contact: np.ndarray
    """Which feet stand, SDK leg order, shape (4,), bool."""
    contact_probability: np.ndarray
    """How likely each stands, shape (4,)."""
    stamp: float
    """Stamp of the lowstate [s]."""
    valid: bool
    """False while there is nothing to rely on: no lowstate yet, one with NaN in it (the rest is then the last good
    estimate), or a filter that has just been restarted and waits for a foot."""


class TickClock:
    """Time between lowstates by the robot's own counter, which neither the network nor this computer can jitter."""

    def __init__(self, restart_after: int) -> None:
        self._restart_after = restart_after
        self._last: int | None = None
        self._from_the_past = 0

    def advance(self, tick_ms: int) -> float | None:
        """Seconds since the newest lowstate so far; 0 for a duplicate or straggler, None after a (re)start."""
        ahead = 0 if self._last is None else (int(tick_ms) - self._last) % _TICK_WRAP
        if self._last is not None and ahead >= _TICK_WRAP // 2:
            self._from_the_past += 1
            if self._from_the_past < self._restart_after:
                return 0.0
            self._last = None
        restarted = self._last is None
        self._from_the_past = 0
        self._last = int(tick_ms)
        return None if restarted else ahead / 1000.0


class Estimator:
    """The state estimator of one robot.

    Args:
        parameters: Settings, by default those tuned on the MuJoCo Go2.
        contact: The detector of contacts, to try another one.
    """

    def __init__(self, parameters: EstimatorParameters | None = None, contact: ContactDetector | None = None) -> None:
        self._p = parameters or EstimatorParameters()
        self._contact = contact or ContactDetector(self._p.contact)
        self._model_cov = np.diag(np.square(self._p.model_sigma))
        self.reset()

    def reset(self) -> None:
        """Forgets everything: velocity, bias, position, contact and what was learned of the foot sensors."""
        self._clock = TickClock(self._p.restart_after)
        self._contact.reset()
        self._filter = VelocityFilter(self._p.filter)
        self._odometry = Odometry(self._p.odometry)
        self._stance_time = [0.0] * 4
        self._stance = np.zeros(4, dtype=bool)
        self._still_time = 0.0
        self._disagreement = 0.0
        self._attitude_variance = np.array([self._p.tilt_sigma**2] * 2 + [0.0])
        self._restart()
        self._estimate = Estimate(
            velocity_body=np.zeros(3),
            velocity_cov=self._filter.covariance[:3, :3] + self._model_cov,
            position_odom=np.zeros(3),
            position_cov=np.zeros((3, 3)),
            quat_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
            attitude_variance=self._attitude_variance.copy(),
            gyro_body=np.zeros(3),
            acc_bias_body=np.zeros(3),
            contact=self._stance,
            contact_probability=np.zeros(4),
            stamp=0.0,
            valid=False,
        )

    def _restart(self) -> None:
        """Forgets the velocity, after a restart of the robot or a long silence; bias and position go on."""
        self._filter.restart()
        self._known = False
        self._last_inertial: tuple[list[float], list[float]] | None = None

    def update(self, state: RobotState) -> Estimate:
        """Takes in one lowstate. One with bad numbers raises nothing: it holds the last estimate, not `valid`, and the
        next good one goes on as after a gap."""
        if not _usable(state):
            self._estimate = replace(self._estimate, stamp=state.stamp, valid=False)
            return self._estimate
        dt = self._clock.advance(state.tick_ms)
        if dt == 0.0:
            return self._estimate
        if dt is None or dt > self._p.longest_gap:
            self._restart()
            dt = _PERIOD
        to_odom = rotation_matrix(state.quat_wxyz)
        up = to_odom[2]
        self._predict(state, up.tolist(), dt)
        heights, weights = self._correct(state, up, dt)
        if not self._filter.velocity.dot(self._filter.velocity) < self._p.highest_speed**2:
            self._restart()
        self._estimate = self._summarise(state, to_odom, heights, weights, dt)
        return self._estimate

    def _predict(self, state: RobotState, up: list[float], dt: float) -> None:
        acceleration = [f - go2.GRAVITY * u for f, u in zip(state.acc_body.tolist(), up, strict=True)]
        gyro = state.gyro_body.tolist()
        last_acceleration, last_gyro = self._last_inertial or (acceleration, gyro)
        self._last_inertial = acceleration, gyro
        # The mean over the step: half the aliasing of footfalls.
        self._filter.predict(
            [0.5 * (a + b) for a, b in zip(acceleration, last_acceleration, strict=True)],
            [0.5 * (a + b) for a, b in zip(gyro, last_gyro, strict=True)],
            dt,
            gap=max(0.0, dt - 1.5 * _PERIOD),
        )

    def _correct(self, state: RobotState, up: np.ndarray, dt: float) -> tuple[list[float], list[float]]:
        """Leg odometry: the calf's point c of a standing foot that touches the ground is at rest,

            0 = v + w x c + c'    with c' its velocity relative to the base

        and the filter's velocity is that of the IMU at m:  u = v + w x m. Returns the base's height over the
        contact point of each standing foot and the weight of each.

        Along z a foot has its full weight from the first moment on: it sinks as it lands and rises again as the load
        goes, so that its mean velocity is zero over a whole stance, but not over one without its beginning. Torque
        alone does not tell that moment, and a foot without a sensor has to settle first along z, too.
        """
        leg = legs.measure(state.q_sdk, state.dq_sdk, state.tau_sdk, up)
        self._contact.update(leg.vertical_forces, state.foot_force, dt)
        self._stance = self._contact.stance
        feet, settled, vertical = self._standing(dt)
        points = [leg.contact_points[foot] for foot in feet]
        if feet:
            measured = _imu_velocities(points, [leg.velocities[foot] for foot in feet], state.gyro_body)
            self._note_disagreement(self._filter.update(measured, settled, vertical), settled, dt)
            self._known = True
        self._still_time = self._still_time + dt if not feet and _is_still(state) else 0.0
        if self._still_time > self._p.at_rest_after:
            self._filter.update([(0.0, 0.0, 0.0)], [1.0], [1.0], (self._p.at_rest_sigma,) * 3)
            self._known = True
        up_x, up_y, up_z = up.tolist()
        return [-(x * up_x + y * up_y + z * up_z) for x, y, z in points], settled

    def _standing(self, dt: float) -> tuple[list[int], list[float], list[float]]:
        """The feet that stand, and the trust in each along x and y, and along z."""
        probability, believed = self._contact.probability.tolist(), self._contact.sensors_believed.tolist()
        feet, settled, vertical = [], [], []
        for foot, stands in enumerate(self._stance.tolist()):
            self._stance_time[foot] = self._stance_time[foot] + dt if stands else 0.0
            if stands:
                trust = probability[foot] * min(1.0, self._stance_time[foot] / self._p.settle_time)
                feet.append(foot)
                settled.append(trust)
                vertical.append(probability[foot] if believed[foot] else trust)
        return feet, settled, vertical

    def _note_disagreement(self, distances: list[float], weights: list[float], dt: float) -> None:
        """Averages the squared distances of trusted feet from the filter's velocity, by what noise explains of them."""
        trusted = [d for d, weight in zip(distances, weights, strict=True) if weight > 0.5]
        if trusted:
            excess = sum(trusted) / (len(trusted) * _MEAN_DISTANCE) - self._disagreement
            self._disagreement += min(1.0, dt / self._p.slip_time) * excess

    def _summarise(
        self,
        state: RobotState,
        to_odom: np.ndarray,
        heights: list[float],
        weights: list[float],
        dt: float,
    ) -> Estimate:
        self._attitude_variance[2] += self._p.yaw_walk**2 * dt
        velocity = self._filter.velocity + _IMU_CROSS.dot(state.gyro_body)  # v = u + m x w
        # Copied first: arithmetic on a part of a matrix takes four times as long as on a whole one.
        velocity_cov = max(1.0, self._disagreement) * self._filter.covariance[:3, :3].copy() + self._model_cov
        if self._known:
            self._odometry.advance(to_odom.dot(velocity), to_odom.dot(velocity_cov).dot(to_odom.T), dt)
        self._odometry.correct_height(heights, weights, dt)
        return Estimate(
            velocity_body=velocity,
            velocity_cov=velocity_cov,
            position_odom=self._odometry.position.copy(),
            position_cov=self._odometry.covariance.copy(),
            quat_wxyz=state.quat_wxyz,
            attitude_variance=self._attitude_variance.copy(),
            gyro_body=state.gyro_body,
            acc_bias_body=self._filter.bias.copy(),
            contact=self._stance,
            contact_probability=self._contact.probability,
            stamp=state.stamp,
            valid=self._known,
        )


def _usable(state: RobotState) -> bool:
    """The numbers that the filter rests on are finite and the quaternion has unit length."""
    numbers = np.concatenate((state.q_sdk, state.dq_sdk, state.quat_wxyz, state.gyro_body, state.acc_body))
    norm_squared = state.quat_wxyz.dot(state.quat_wxyz)
    # A sum of squares is finite only if all its terms are, in a quarter of the time of isfinite().all().
    return math.isfinite(numbers.dot(numbers)) and 0.98 <= norm_squared <= 1.02


def _imu_velocities(points: list[_Vector], velocities: list[_Vector], gyro: np.ndarray) -> list[_Vector]:
    """Velocity of the IMU at m if a contact point c, which moves with c' in the body, is at rest: w x (m - c) - c'."""
    wx, wy, wz = gyro.tolist()
    at_imu = []
    for (x, y, z), (vx, vy, vz) in zip(points, velocities, strict=True):
        x, y, z = _IMU_X - x, _IMU_Y - y, _IMU_Z - z
        at_imu.append((wy * z - wz * y - vx, wz * x - wx * z - vy, wx * y - wy * x - vz))
    return at_imu


def _is_still(state: RobotState) -> bool:
    """Nothing moves and the accelerometer feels gravity alone."""
    quiet = float(np.abs(state.dq_sdk).max()) < 0.5 and float(np.abs(state.gyro_body).max()) < 0.1
    return quiet and abs(float(np.sqrt(state.acc_body @ state.acc_body)) - go2.GRAVITY) < 0.5
