"""The physics half of the MuJoCo robot: motors that hold a command, and what the robot's sensors read.

No DDS, no clock and no thread: the caller says how many milliseconds pass.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from dbp_bringup.robot import model as robot_model
from dbp_bringup.robot.sensor_noise import SensorNoise
from dbp_policy import go2, pd, rotations
from dbp_policy.errors import DbpError

TIMESTEP = 0.001
"""One physics step and one evaluation of the PD law [s]."""

AMBIENT_C, FULL_TORQUE_RISE_C, WARMING_TIME = 25.0, 200.0, 300.0
"""Motor heat, invented: copper loss grows with torque squared; holding TAU_MAX for ever would end 200 °C above the
room, with a time constant of 300 s. So standing adds 3 °C, and a motor at its limit reaches 80 °C in 97 s."""

BATTERY_RUNTIME, BATTERY_CELLS, CELL_FULL_V, CELL_EMPTY_V, BATTERY_A = 7200.0, 8, 4.15, 3.45, 3.0
"""Battery, invented: eight cells discharged evenly over two hours at a constant current [s], [V], [V], [A]."""


@dataclass(frozen=True)
class PhysicsOptions:
    """What differs between one run of the robot and the next."""

    start: Literal["lying", "home"] = "lying"
    """Keyframe of go2.xml to start from."""
    friction: float = 0.8
    """Sliding friction of feet and ground."""
    payload_kg: float = 0.0
    """Mass fixed to the trunk [kg]."""
    payload_position: tuple[float, float, float] = (0.0, 0.0, 0.09)
    """Centre of the payload in the base frame [m]."""
    command_delay_ms: int = 0
    """Added time between a command's arrival and the motors' following it [ms]."""
    on_silence: Literal["hold", "limp"] = "hold"
    """What the motors do when commands stop. The robot's own behaviour is not documented: test both."""
    silence_after: float = 0.1
    """Age of the command at which `on_silence` applies [s]."""
    noise: float = 0.0
    """Scale of the sensor noise: 0 none but the IMU's floor, 1 as the constants of `sensor_noise` say."""
    attitude_noise_deg: float = 0.0
    """Standard deviation of the attitude's error about each body axis [deg]; it wanders within
    some seconds (`sensor_noise`)."""
    seed: int = 0
    """Seed of the sensor noise."""

    def __post_init__(self) -> None:
        if self.start not in ("lying", "home"):
            raise DbpError(f"start: expected lying or home, got {self.start}")
        if self.on_silence not in ("hold", "limp"):
            raise DbpError(f"on_silence: expected hold or limp, got {self.on_silence}")
        if not 0 <= self.command_delay_ms <= 1000:
            raise DbpError(f"command_delay_ms: expected 0 to 1000, got {self.command_delay_ms}")
        if not self.silence_after > 0.0:
            raise DbpError(f"silence_after: expected more than 0 s, got {self.silence_after}")
        if not 0.0 <= self.noise <= 100.0:
            raise DbpError(f"noise: expected 0 to 100, got {self.noise}")
        if not 0.0 <= self.attitude_noise_deg <= 10.0:
            raise DbpError(f"attitude_noise_deg: expected 0 to 10, got {self.attitude_noise_deg}")


@dataclass(frozen=True)
class Sensed:
    """What one lowstate carries, in SI units and SDK order, all of it of one instant."""

    tick_ms: int
    """Milliseconds since the robot was switched on, at that instant."""
    q: np.ndarray
    """Joint angles, shape (12,) [rad]."""
    dq: np.ndarray
    """Joint velocities, shape (12,) [rad/s]."""
    ddq: np.ndarray
    """Joint accelerations, shape (12,) [rad/s²]."""
    tau_est: np.ndarray
    """Motor torques at the joints, shape (12,) [N·m]."""
    temperature: np.ndarray
    """Motor temperatures, shape (12,) [°C]."""
    quat_wxyz: np.ndarray
    """Attitude, body to world, shape (4,)."""
    gyro_body: np.ndarray
    """Angular velocity in body axes, shape (3,) [rad/s]."""
    acc_body: np.ndarray
    """Specific force at the IMU in body axes, (0, 0, +9.81) at rest, shape (3,) [m/s²]."""
    rpy: np.ndarray
    """Roll, pitch, yaw, shape (3,) [rad]."""
    foot_force: np.ndarray
    """Feet FR, FL, RR, RL, shape (4,), int16 [N]. The real sensors give uncalibrated counts."""
    battery_soc: float
    """State of charge [%]."""
    battery_v: float
    """Battery voltage [V]."""
    battery_a: float
    """Current drawn [A]."""


@dataclass(frozen=True)
class Truth:
    """What no robot knows of itself, for tests and reports; of the same instant as `Sensed`."""

    time: float
    """Seconds since switching on."""
    position: np.ndarray
    """Base origin in the world, shape (3,) [m]."""
    quat_wxyz: np.ndarray
    """Attitude, body to world, shape (4,)."""
    velocity_world: np.ndarray
    """Velocity of the base origin in world axes, shape (3,) [m/s]."""
    velocity_body: np.ndarray
    """The same in body axes, shape (3,) [m/s]."""
    yaw_rate: float
    """Angular velocity about the body's z axis [rad/s]."""
    foot_contact: np.ndarray
    """Which feet carry load, FR, FL, RR, RL, shape (4,), bool."""
    trunk_contact: bool
    """Trunk or head touches the ground: a fall, unless it lies down on purpose."""
    up_z: float
    """Cosine of the tilt: 1 upright, 0 on its side, -1 on its back."""


@dataclass(frozen=True)
class PhysicsState:
    """A robot at one instant."""

    data: mujoco.MjData
    fields: dict[str, object]


_CHANGING = (
    "_noise",
    "_now_ms",
    "_sensed_ms",
    "_temperature",
    "_pending",
    "_held",
    "_silent_at_ms",
)
"""Attributes of a `Go2Physics` that time changes, besides MuJoCo's data."""


class Go2Physics:
    """A Go2 in MuJoCo, from motor commands to sensor readings.

    Switched on it is limp, as a robot whose motors have had no command. From then on the latest of `set_command`,
    `hold_pose` and `limp` rules the motors.

    Attributes:
        model: The MuJoCo model, for a viewer or a renderer.
        data: Its state, likewise.
        lying_q: Angles of the lying pose, shape (12,), SDK order [rad].
    """

    def __init__(self, options: PhysicsOptions | None = None) -> None:
        self.options = options or PhysicsOptions()
        self.model = robot_model.load(self.options.friction, self.options.payload_kg, self.options.payload_position)
        self.data = mujoco.MjData(self.model)
        if self.model.opt.timestep != TIMESTEP:
            raise DbpError(f"go2.xml: expected a timestep of {TIMESTEP} s, got {self.model.opt.timestep}")
        # A diverging simulation must not jump back to the start unseen.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self._base = self.model.body("base").id
        self._keyframe = self.model.key(self.options.start).id
        self.lying_q = self.model.key("lying").qpos[7:].copy()
        joints = go2.JOINT_NAMES
        self._q_at = self._sensors(f"{name.removesuffix('_joint')}_q" for name in joints)
        self._dq_at = self._sensors(f"{name.removesuffix('_joint')}_dq" for name in joints)
        self._foot_at = self._sensors(f"{leg}_foot_force" for leg in go2.LEGS)
        self._quat_at, self._gyro_at, self._acc_at = (self._sensors([f"imu_{x}"]) for x in ("quat", "gyro", "acc"))
        self._position_at, self._base_quat_at, self._velocity_at = (
            self._sensors([f"base_{x}"]) for x in ("pos", "quat", "linvel")
        )
        self._q, self._dq = self.data.qpos[7:], self.data.qvel[6:]
        self._sensor_data, self._ctrl = self.data.sensordata, self.data.ctrl
        self.reset()

    def _sensors(self, names) -> slice:
        """Where these sensors lie in sensordata; go2.xml lists them one after the other in SDK order."""
        sensors = [self.model.sensor(name) for name in names]
        starts = [int(sensor.adr[0]) for sensor in sensors]
        ends = [start + int(sensor.dim[0]) for start, sensor in zip(starts, sensors, strict=True)]
        if starts[1:] != ends[:-1]:
            raise DbpError(f"go2.xml: expected sensors in SDK order, got {[s.name for s in sensors]} at {starts}")
        return slice(starts[0], ends[-1])

    def reset(self) -> None:
        """Switches the robot off and on: start pose, limp, tick 0, cold motors, full battery."""
        mujoco.mj_resetDataKeyframe(self.model, self.data, self._keyframe)
        self._noise = SensorNoise(self.options.noise, self.options.attitude_noise_deg, self.options.seed)
        self._now_ms = 0
        self._temperature = np.full(12, AMBIENT_C)
        self.limp()
        mujoco.mj_forward(self.model, self.data)
        self._sensed_ms = 0

    # Motors --------------------------------------------------------------------------------------------------------

    def limp(self) -> None:
        """Takes the torque off all motors and forgets the commands under way."""
        self._pending: deque[tuple[int, np.ndarray]] = deque()
        self._held: np.ndarray | None = None
        self._silent_at_ms: float = np.inf

    def hold_pose(self, q_sdk: np.ndarray, kp: float = go2.STAND_KP, kd: float = go2.STAND_KD) -> None:
        """The robot's own mode holds a pose by itself: no delay, no silence.

        Raises:
            DbpError: The pose is not twelve finite angles.
        """
        command = _checked(q_sdk, np.zeros(12), np.full(12, kp), np.full(12, kd), np.zeros(12))
        self.limp()
        self._held = command

    def set_command(
        self, q_sdk: np.ndarray, dq_sdk: np.ndarray, kp: np.ndarray, kd: np.ndarray, tau: np.ndarray
    ) -> None:
        """Gives the motors a command to hold, `command_delay_ms` from now. All shapes (12,), SDK order.

        Args:
            q_sdk: Target angles [rad].
            dq_sdk: Target velocities [rad/s].
            kp: Stiffness [N·m/rad].
            kd: Damping [N·m·s/rad].
            tau: Feed-forward torque [N·m].

        Raises:
            DbpError: A shape is wrong or a number is not finite; the motors keep the command they had.
        """
        self._pending.append((self._now_ms + self.options.command_delay_ms, _checked(q_sdk, dq_sdk, kp, kd, tau)))

    def step_ms(self, n: int = 1) -> None:
        """Lets n milliseconds pass; the PD law is evaluated anew on the held command in each.

        Raises:
            DbpError: The simulation diverged.
        """
        for _ in range(n):
            self._admit()
            if self._held is None:
                self._ctrl[:] = 0.0
            else:
                q, dq, kp, kd, tau = self._held
                asked = pd.pd_torque(self._q, self._dq, q, dq, kp, kd, tau)
                self._ctrl[:] = pd.limit_torque(asked, self._dq)
            mujoco.mj_step(self.model, self.data)
            self._sensed_ms = self._now_ms
            self._now_ms += 1
        if not np.isfinite(self.data.qacc).all():
            raise DbpError(f"the simulation diverged at {self._now_ms} ms: expected finite accelerations")
        heat = FULL_TORQUE_RISE_C * np.square(self._ctrl / go2.TAU_MAX)
        self._temperature += n * TIMESTEP / WARMING_TIME * (AMBIENT_C + heat - self._temperature)

    def _admit(self) -> None:
        """Follows the commands that are due, and the silence after them."""
        while self._pending and self._pending[0][0] <= self._now_ms:
            due_ms, self._held = self._pending.popleft()
            self._silent_at_ms = due_ms + 1000.0 * self.options.silence_after
        if self.options.on_silence == "limp" and self._now_ms >= self._silent_at_ms:
            self._held = None

    # Saved states --------------------------------------------------------------------------------------------------

    def save(self) -> PhysicsState:
        """All that changes, to come back to with `restore`."""
        fields = {name: copy.deepcopy(getattr(self, name)) for name in _CHANGING}
        return PhysicsState(copy.copy(self.data), fields)

    def restore(self, state: PhysicsState) -> None:
        """Goes back to a saved state of this robot; it can be gone back to any number of times."""
        mujoco.mj_copyData(self.data, self.model, state.data)
        for name, value in state.fields.items():
            setattr(self, name, copy.deepcopy(value))

    # World ---------------------------------------------------------------------------------------------------------

    def push(self, dv_xyz: np.ndarray) -> None:
        """Kicks the base: adds to its velocity, in world axes, shape (3,) [m/s]."""
        self.data.qvel[:3] += dv_xyz

    def set_friction(self, friction: float) -> None:
        """Changes the ground from now on; no part of a saved state."""
        robot_model.set_friction(self.model, friction)

    def heat(self, celsius: float) -> None:
        """Sets the temperature of all motors [°C]."""
        self._temperature = np.full(12, float(celsius))

    def sense(self) -> Sensed:
        """Reads the sensors as they were at the start of the last millisecond (at once after a reset)."""
        values = self._sensor_data.copy()
        q, dq, gyro, acc = values[self._q_at], values[self._dq_at], values[self._gyro_at], values[self._acc_at]
        quat = values[self._quat_at]
        self._noise.add(self._sensed_ms, q, dq, gyro, acc, quat)
        charge = max(0.0, 1.0 - self._sensed_ms * TIMESTEP / BATTERY_RUNTIME)
        return Sensed(
            tick_ms=self._sensed_ms,
            q=q,
            dq=dq,
            ddq=self.data.qacc[6:].copy(),
            tau_est=self.data.actuator_force.copy(),
            temperature=self._temperature.copy(),
            quat_wxyz=quat,
            gyro_body=gyro,
            acc_body=acc,
            rpy=rotations.rpy(quat),
            foot_force=np.minimum(np.rint(values[self._foot_at]), 32767.0).astype(np.int16),
            battery_soc=100.0 * charge,
            battery_v=BATTERY_CELLS * (CELL_EMPTY_V + charge * (CELL_FULL_V - CELL_EMPTY_V)),
            battery_a=BATTERY_A,
        )

    def trunk_force(self) -> float:
        """Force of the ground on trunk and head together, along the contacts' normals [N]."""
        total, force = 0.0, np.zeros(6)
        for i in range(self.data.ncon):
            contact = self.data.contact[i]
            if sorted(self.model.geom_bodyid[contact.geom].tolist()) == [0, self._base]:
                mujoco.mj_contactForce(self.model, self.data, i, force)
                total += force[0]
        return total

    def truth(self) -> Truth:
        """Where the robot really is and what it touches."""
        values = self._sensor_data.copy()
        quat, velocity = values[self._base_quat_at], values[self._velocity_at]
        body_axes = rotations.rotation_matrix(quat)
        # Bodies of each contact's two geoms; body 0 is the world.
        bodies = np.sort(self.model.geom_bodyid[self.data.contact.geom.reshape(-1, 2)], axis=1)
        return Truth(
            time=self._sensed_ms * TIMESTEP,
            position=values[self._position_at],
            quat_wxyz=quat,
            velocity_world=velocity,
            velocity_body=velocity @ body_axes,
            yaw_rate=float(values[self._gyro_at][2]),
            foot_contact=values[self._foot_at] > 1.0,
            trunk_contact=bool(np.any((bodies[:, 0] == 0) & (bodies[:, 1] == self._base))),
            up_z=float(body_axes[2, 2]),
        )


def _checked(*rows: np.ndarray) -> np.ndarray:
    """The five rows q, dq, kp, kd, tau of a command as one array of shape (5, 12), copied.

    Raises:
        DbpError: A shape is wrong or a number is not finite.
    """
    if any(np.shape(row) != (12,) for row in rows):
        raise DbpError(f"motor command: expected five arrays of shape (12,), got {[np.shape(row) for row in rows]}")
    command = np.array(rows, dtype=float)
    if not np.isfinite(command).all():
        raise DbpError("motor command: expected finite numbers, got NaN or infinity")
    return command
