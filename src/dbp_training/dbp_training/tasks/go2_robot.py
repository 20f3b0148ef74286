"""What the tasks of a Go2 share: the robot on flat ground in MuJoCo, its state, and what differs between episodes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
import torch
from torch import Tensor

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.kinematics import foot_positions, knee_positions
from dbp_policy.observation import ObservationTerm, Observer, Signals, advance_phase, observation_size
from dbp_policy.pd import clip_to_reach
from dbp_policy.rotations import gravity_body
from dbp_training.env import EVERYONE, NOBODY, Episodes, Memory
from dbp_training.go2_model import PhysicsConfig, picture_model, training_model
from dbp_training.networks import Switch
from dbp_training.sim import MujocoBatch, MujocoSim, to_body
from dbp_training.warp_sim import WarpBatch

VELOCITY, GYRO, GRAVITY, Q, DQ = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 21), slice(21, 33)
HEIGHT = 33
"""Layout of the state: velocity, angular velocity, gravity (all in body axes), joint angles and velocities, height."""


@dataclass(frozen=True)
class Randomisation:
    """Half-widths and ranges of what differs between episodes; all zero or neutral means none.

    Sources of the ranges: mujoco_playground and unitree_rl_mjlab randomisation, the friction and armature that
    gym-quadruped identified on a Go2, and delays up to one control period as in RoboGauge.
    """

    friction: tuple[float, float] | None = None
    """Of the feet on the ground."""
    joint_friction: tuple[float, float] | None = None
    """Dry friction of each joint [N·m]."""
    joint_damping: tuple[float, float] | None = None
    """Viscous friction of each joint [N·m·s/rad]."""
    armature: tuple[float, float] | None = None
    """Rotor inertia at each joint [kg·m²]."""
    payload: tuple[float, float] | None = None
    """Added to the trunk's mass [kg]."""
    com: float = 0.0
    """Shift of the trunk's centre of mass along each axis [m]."""
    gain: float = 0.0
    """Relative error of each joint's kp and kd."""
    delay: float = 0.0
    """Longest delay of an action [s]."""
    push: float = 0.0
    """Jump of the horizontal velocity along each axis [m/s]."""
    push_interval: float = 4.0
    """Mean time between pushes [s]."""
    noise: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Standard deviation of gyro [rad/s], gravity direction, joint angles [rad] and joint velocities [rad/s]."""
    velocity_noise: float = 0.0
    """Standard deviation of the estimated velocity, where it is observed [m/s]."""
    start: float = 0.0
    """Scale of the spread of starting states."""


def no_randomisation() -> Randomisation:
    """The nominal robot; only starting states differ."""
    return Randomisation(start=1.0)


def full_randomisation() -> Randomisation:
    """For a policy meant for another simulator or a robot.

    The passive joint parameters spread around both unitree_mujoco's figures and the larger ones identified on a robot.
    Much wider ranges cost speed accuracy: an actor that is not told its velocity walks for the average joint. The noise
    of the velocity is about the estimator's RMSE (`./dbp bench estimator`).
    """
    return Randomisation(
        friction=(0.4, 1.25),
        joint_friction=(0.0, 0.6),
        joint_damping=(0.0, 0.3),
        armature=(0.005, 0.025),
        payload=(-1.0, 2.0),
        com=0.03,
        gain=0.1,
        delay=0.02,
        push=0.5,
        noise=(0.1, 0.03, 0.01, 0.5),
        velocity_noise=0.05,
        start=1.0,
    )


@dataclass(frozen=True)
class Go2Config:
    """The numbers that the tasks of a Go2 share."""

    kp: float = 25.0
    """Stiffness [N·m/rad] (IsaacLab's Go2 velocity task)."""
    kd: float = 0.5
    """Damping [N·m·s/rad] (same source)."""
    action_scale: float = 0.5
    """Target angle per unit of action [rad]."""
    within_reach: bool = False
    """Shorten targets as the robot does, to what the motors reach at the beginning of a step; where the gains ask for
    less than the motors' torque in any case it changes nothing."""
    rate_hz: float = 50.0
    episode_s: float = 10.0
    command_interval: float = 5.0
    """Mean time between new commands [s]."""
    physics: PhysicsConfig = PhysicsConfig()
    randomisation: Randomisation = field(default_factory=no_randomisation)


class Go2Task(ABC):
    """The robot's part of a `dbp_training.env.Task`, and what the policy's contract says of the task; joints and
    actions in SDK order.

    Args:
        config: The task's numbers.
        observation_terms: What the actor sees.
        default_q: Joint angles at zero action, shape (12,) [rad].
    """

    name: str
    state_size = 34
    action_size = 12
    switch: Switch | None = None
    gait_hz = 0.0
    """Of the gait clock; 0 without one."""
    posture = "four_legs"
    """How a policy of this task holds the trunk, of `go2.POSTURES`."""
    command_range: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Least and largest vx, vy, wz of a command."""
    ability: str
    """What a policy of this task does with a robot, in one sentence for its card."""

    def __init__(
        self, config: Go2Config, observation_terms: Sequence[ObservationTerm], default_q: np.ndarray = go2.STAND_Q
    ) -> None:
        self.config = c = config
        self.dt = 1.0 / c.rate_hz
        self.episode_steps = round(c.episode_s * c.rate_hz)
        self.observation_terms = observation_terms
        self.observation_size = observation_size(observation_terms)
        self.observation_noise = _noise_vector(observation_terms, c.randomisation)
        self._observer = Observer(observation_terms, torch)
        self.default_q = default_q
        self._default_q = torch.tensor(default_q, dtype=torch.float32)
        if not math.isclose(c.physics.timestep * c.physics.substeps, self.dt):
            raise ValueError(f"expected substeps that fill {self.dt} s, got {c.physics}")

    def make_sim(self, num_envs: int, threads: int) -> MujocoSim:
        self.model = training_model(self.config.kp, self.config.kd, self.config.physics)
        names = tuple(self.model.joint(i).name for i in range(1, self.model.njnt))
        if names != go2.JOINT_NAMES:
            raise DbpError(f"go2.xml: expected the joints {list(go2.JOINT_NAMES)}, got {list(names)}")
        self._feet = [self.model.geom(f"{leg}_foot").id for leg in go2.LEGS]
        self._joints = self.model.jnt_dofadr[[self.model.joint(name).id for name in go2.JOINT_NAMES]]
        self._base = self.model.body("base").id
        device = self.config.physics.warp_device
        return MujocoBatch(self.model, num_envs, threads) if device is None else WarpBatch(self.model, num_envs, device)

    def picture_model(self) -> mujoco.MjModel:
        return picture_model()

    def reset(self, sim: MujocoSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        num, spread = len(envs), self.config.randomisation.start
        sim.reset(envs)
        self._randomise(sim, envs, rng)
        q = go2.STAND_Q + spread * rng.uniform(-0.1, 0.1, (num, 12))
        quat = np.ones((num, 4))
        quat[:, 1:] = spread * rng.uniform(-0.05, 0.05, (num, 3))
        qpos = np.zeros((num, 19))
        qpos[:, 2] = go2.FOOT_RADIUS - foot_positions(q)[..., 2].min(axis=-1)
        qpos[:, 3:7] = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
        qpos[:, 7:] = q
        sim.qpos[envs] = qpos
        sim.qvel[envs] = spread * rng.uniform(-0.2, 0.2, (num, 18))

    def _randomise(self, sim: MujocoSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        r, model, num = self.config.randomisation, self.model, len(envs)
        if r.friction is not None:
            sim.field("geom_friction")[envs[:, None], self._feet, 0] = rng.uniform(*r.friction, (num, 1))
        for name, span in (
            ("dof_frictionloss", r.joint_friction),
            ("dof_damping", r.joint_damping),
            ("dof_armature", r.armature),
        ):
            if span is not None:
                sim.field(name)[envs[:, None], self._joints] = rng.uniform(*span, (num, 12))
        if r.gain:
            kp = self.config.kp * rng.uniform(1.0 - r.gain, 1.0 + r.gain, (num, 12))
            kd = self.config.kd * rng.uniform(1.0 - r.gain, 1.0 + r.gain, (num, 12))
            sim.field("actuator_gainprm")[envs, :, 0] = kp
            sim.field("actuator_biasprm")[envs, :, 1:3] = np.stack([-kp, -kd], -1)
        base = self._base
        if r.payload is not None:
            sim.field("body_mass")[envs, base] = model.body_mass[base] + rng.uniform(*r.payload, num)
        if r.com:
            sim.field("body_ipos")[envs, base] = model.body_ipos[base] + rng.uniform(-r.com, r.com, (num, 3))
        if r.payload is not None or r.com or r.armature is not None:
            sim.commit(envs)

    def new_delays(self, num: int, rng: np.random.Generator) -> np.ndarray:
        longest = round(self.config.randomisation.delay / self.config.physics.timestep)
        return rng.integers(0, longest + 1, num)

    def controls(self, state: Tensor, memory: Memory, action: Tensor, delays: np.ndarray) -> np.ndarray:
        c = self.config
        new, old = (self.default_q + c.action_scale * a.numpy() for a in (action, memory.last_action))
        if c.within_reach:
            q, dq = state[:, Q].numpy(), state[:, DQ].numpy()
            new, old = (clip_to_reach(target, q, dq, c.kp, c.kd) for target in (new, old))
        substeps = self.config.physics.substeps
        if not delays.any():
            return np.broadcast_to(new[:, None], (len(new), substeps, new.shape[-1]))
        late = np.arange(substeps) < delays[:, None]
        return np.where(late[..., None], old[:, None], new[:, None])

    def disturb(self, sim: MujocoSim, rng: np.random.Generator) -> np.ndarray:
        r = self.config.randomisation
        if not r.push:
            return NOBODY
        pushed = np.flatnonzero(rng.random(sim.num_sims) < self.dt / r.push_interval)
        sim.qvel[pushed, :2] += rng.uniform(-r.push, r.push, (len(pushed), 2))
        return pushed

    def read_state(self, sim: MujocoSim, envs: np.ndarray | slice = EVERYONE) -> Tensor:
        qpos, qvel = sim.qpos[envs], sim.qvel[envs]
        quat = qpos[:, 3:7]
        parts = (to_body(quat, qvel[:, :3]), qvel[:, 3:6], gravity_body(quat), qpos[:, 7:], qvel[:, 6:], qpos[:, 2:3])
        return torch.from_numpy(np.concatenate(parts, axis=-1, dtype=np.float32))

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        zero = torch.zeros(num, 12)
        phase = torch.from_numpy(rng.random((num, 1), dtype=np.float32))
        if not self.config.randomisation.start:
            phase = torch.zeros(num, 1)
        return Memory(zero, zero, self.new_commands(num, rng), phase, torch.zeros(num, 1))

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        command = memory.command
        changed = np.flatnonzero(rng.random(len(command)) < self.dt / self.config.command_interval)
        if len(changed):
            command = command.index_copy(0, torch.from_numpy(changed), self.new_commands(len(changed), rng))
        return Memory(action, memory.last_action, command, self.next_phase(memory), memory.age + 1.0)

    def next_phase(self, memory: Memory) -> Tensor:
        """The clock's phase one step on, (..., 1)."""
        return advance_phase(memory.phase, self.gait_hz, self.config.rate_hz)

    @abstractmethod
    def new_commands(self, num: int, rng: np.random.Generator) -> Tensor:
        """Commands as they change between and during episodes, (num, 3)."""

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        return self._observer.observe(
            Signals(
                gyro_body=state[..., GYRO],
                gravity_body=state[..., GRAVITY],
                command=memory.command,
                q_error=state[..., Q] - self._default_q,
                dq=state[..., DQ],
                last_action=memory.last_action,
                phase=memory.phase,
                velocity_body=state[..., VELOCITY],
            )
        )

    def torque(self, state: Tensor, action: Tensor) -> Tensor:
        """Joint torques that the gains ask for at `state`, before the motor's limit, (..., 12) [N·m]."""
        c = self.config
        return c.kp * (self._default_q + c.action_scale * action - state[..., Q]) - c.kd * state[..., DQ]

    def peak_torque(self, episodes: Episodes) -> float:
        """99.9 % quantile of the joint torques asked for before a failure [N·m]."""
        standing = torch.cat([torch.ones_like(episodes.alive[:1]), episodes.alive[:-1]])
        torque = self.torque(episodes.state, episodes.action).abs()[standing]
        return torch.quantile(torque.flatten(), 0.999).item()

    @property
    def randomised(self) -> bool:
        return bool(self.config.randomisation.delay)

    def nominal(self) -> Go2Task:
        return type(self)(replace(self.config, randomisation=Randomisation()))


def feet(state: Tensor) -> tuple[Tensor, Tensor]:
    """Foot centres in base axes, (..., 4, 3), and clearance of the soles above the ground, (..., 4) [m]."""
    foot = foot_positions(state[..., Q], torch)
    height = state[..., HEIGHT, None] - (foot * state[..., None, GRAVITY]).sum(-1)
    return foot, height - go2.FOOT_RADIUS


def knee_heights(state: Tensor) -> Tensor:
    """Of the knees' centres above the ground, (..., 4) [m]."""
    knee = knee_positions(state[..., Q], torch)
    return state[..., HEIGHT, None] - (knee * state[..., None, GRAVITY]).sum(-1)


def gait(leg_phase: Tensor, softness: float) -> tuple[Tensor, Tensor]:
    """What a clock asks of a leg that stands in the first half of its cycle and swings in the second.

    Args:
        leg_phase: Cycles, (...).
        softness: Width of the change between the two, in cycles.

    Returns:
        Share of stance and shape of the swing's height, from 0 to 1, each (...).
    """
    wave = torch.sin(2.0 * math.pi * leg_phase)
    return torch.special.ndtr(wave / (2.0 * math.pi * softness)), torch.clamp(-wave, min=0.0)


def square(x: Tensor) -> Tensor:
    """Sum of squares over the last axis."""
    return (x * x).sum(-1)


def _noise_vector(terms: Sequence[ObservationTerm], r: Randomisation) -> Tensor:
    names = ("gyro_body", "gravity_body", "joint_position", "joint_velocity", "velocity_body")
    std = dict(zip(names, (*r.noise, r.velocity_noise), strict=True))
    parts = [torch.tensor(t.scale, dtype=torch.float32) * std.get(t.name, 0.0) for t in terms]
    return torch.cat(parts)
