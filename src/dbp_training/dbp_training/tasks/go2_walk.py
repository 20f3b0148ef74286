"""The Go2 trots at a commanded velocity on flat ground.

One file holds the task: observation, differentiable reward, termination, randomisation and command. The reward's terms
are those of gait-clocked quadruped walking (Margolis and Agrawal, Walk These Ways, 2022) without contact forces, which
give a first-order method no slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
import torch
from torch import Tensor

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.kinematics import foot_positions
from dbp_policy.observation import ObservationTerm, Observer, Signals, advance_phase, observation_size, term
from dbp_policy.rotations import gravity_body
from dbp_training.env import Episodes, Memory
from dbp_training.evaluate import episode_means, settled
from dbp_training.go2_model import PhysicsConfig, picture_model, training_model
from dbp_training.sim import MujocoBatch, MujocoSim, to_body
from dbp_training.warp_sim import WarpBatch

VELOCITY, GYRO, GRAVITY, Q, DQ = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 21), slice(21, 33)
HEIGHT = 33
"""Layout of the state: velocity, angular velocity, gravity (all in body axes), joint angles and velocities, height."""

LEG_PHASE = torch.tensor([0.0, 0.5, 0.5, 0.0])
"""Lag of each leg (FR, FL, RR, RL) behind the clock in cycles: the trot."""

OBSERVATION = (
    term("gyro_body", 0.25),
    term("gravity_body"),
    term("command"),
    term("joint_position"),
    term("joint_velocity", 0.05),
    term("last_action"),
    term("clock"),
)
"""What a robot without a velocity estimator has."""

WITH_VELOCITY = (*OBSERVATION, term("velocity_body"))
"""What one with an estimator has."""

CORNERS = ((0, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), (0, 0.3, 0), (0, -0.3, 0), (0, 0, 0.8), (0, 0, -0.8))
"""Commands of the evaluation that a person would ask for; the largest in all directions at once comes after them."""


@dataclass(frozen=True)
class Weights:
    """Factors of the reward's terms, per step."""

    velocity: float = 1.0
    yaw_rate: float = 0.5
    foot_placement: float = 10.0
    swing_height: float = 100.0
    stance_height: float = 100.0
    base_height: float = 10.0
    tilt: float = 5.0
    vertical_velocity: float = 0.02
    roll_pitch_rate: float = 0.001
    joint_velocity: float = 1e-4
    torque: float = 1e-4
    action_rate: float = 0.025


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
class Go2WalkConfig:
    """The task's numbers."""

    kp: float = 25.0
    """Stiffness [N·m/rad] (IsaacLab's Go2 velocity task)."""
    kd: float = 0.5
    """Damping [N·m·s/rad] (same source)."""
    action_scale: float = 0.5
    """Target angle per unit of action [rad]."""
    rate_hz: float = 50.0
    gait_hz: float = 3.0
    swing_height: float = 0.07
    """Clearance of a foot in mid-swing [m]."""
    base_height: float = 0.30
    """Of the trunk's centre [m]."""
    contact_softness: float = 0.07
    """Width of the change between swing and stance, in cycles."""
    episode_s: float = 10.0
    command_max: tuple[float, float, float] = (0.6, 0.6, 1.0)
    """Largest vx, vy [m/s] and wz [rad/s]; the range is symmetric."""
    command_interval: float = 5.0
    """Mean time between new commands [s]."""
    observe_velocity: bool = False
    """Whether the policy is told the estimated velocity of the trunk."""
    zero_command: float = 0.1
    """Share of commands that ask to stay on the spot."""
    tracking_width: float = 0.25
    """Of the velocity rewards exp(-error² / width) [m²/s², rad²/s²]."""
    min_height: float = 0.15
    """Below this height of the trunk's centre the robot has fallen [m]."""
    max_tilt: float = 1.0
    """Beyond this tilt the robot has fallen [rad]."""
    weights: Weights = Weights()
    physics: PhysicsConfig = PhysicsConfig()
    randomisation: Randomisation = field(default_factory=no_randomisation)


class Go2Walk:
    """`dbp_training.env.Task`; joints and actions in SDK order, actions scaled around `go2.STAND_Q`."""

    name = "go2_walk"
    state_size = 34
    action_size = 12
    settling_s = 1.0  # the robot starts at rest

    def __init__(self, config: Go2WalkConfig | None = None) -> None:
        self.config = c = config or Go2WalkConfig()
        self.dt = 1.0 / c.rate_hz
        self.episode_steps = round(c.episode_s * c.rate_hz)
        self.observation_terms = WITH_VELOCITY if c.observe_velocity else OBSERVATION
        self.observation_size = observation_size(self.observation_terms)
        self.observation_noise = _noise_vector(self.observation_terms, c.randomisation)
        self._observer = Observer(self.observation_terms, torch)
        self._default_q = torch.tensor(go2.STAND_Q, dtype=torch.float32)
        self._nominal_foot = foot_positions(self._default_q, torch)
        self._command_max = np.array(c.command_max, dtype=np.float32)
        if not math.isclose(c.physics.timestep * c.physics.substeps, self.dt):
            raise ValueError(f"expected substeps that fill {self.dt} s, got {c.physics}")

    # Simulation ------------------------------------------------------------------------------------------------------

    def make_sim(self, num_envs: int, threads: int) -> MujocoSim:
        self.model = training_model(self.config.kp, self.config.kd, self.config.physics)
        names = tuple(self.model.joint(i).name for i in range(1, self.model.njnt))
        if names != go2.JOINT_NAMES:
            raise DbpError(f"go2.xml: expected the joints {list(go2.JOINT_NAMES)}, got {list(names)}")
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
            feet = [model.geom(f"{leg}_foot").id for leg in go2.LEGS]
            sim.field("geom_friction")[envs[:, None], feet, 0] = rng.uniform(*r.friction, (num, 1))
        joints = model.jnt_dofadr[[model.joint(name).id for name in go2.JOINT_NAMES]]
        for name, span in (
            ("dof_frictionloss", r.joint_friction),
            ("dof_damping", r.joint_damping),
            ("dof_armature", r.armature),
        ):
            if span is not None:
                sim.field(name)[envs[:, None], joints] = rng.uniform(*span, (num, 12))
        if r.gain:
            kp = self.config.kp * rng.uniform(1.0 - r.gain, 1.0 + r.gain, (num, 12))
            kd = self.config.kd * rng.uniform(1.0 - r.gain, 1.0 + r.gain, (num, 12))
            sim.field("actuator_gainprm")[envs, :, 0] = kp
            sim.field("actuator_biasprm")[envs, :, 1:3] = np.stack([-kp, -kd], -1)
        base = model.body("base").id
        if r.payload is not None:
            sim.field("body_mass")[envs, base] = model.body_mass[base] + rng.uniform(*r.payload, num)
        if r.com:
            sim.field("body_ipos")[envs, base] = model.body_ipos[base] + rng.uniform(-r.com, r.com, (num, 3))
        if r.payload is not None or r.com or r.armature is not None:
            sim.commit(envs)

    def new_delays(self, num: int, rng: np.random.Generator) -> np.ndarray:
        longest = round(self.config.randomisation.delay / self.config.physics.timestep)
        return rng.integers(0, longest + 1, num)

    def controls(self, memory: Memory, action: Tensor, delays: np.ndarray) -> np.ndarray:
        new, old = (go2.STAND_Q + self.config.action_scale * a.numpy() for a in (action, memory.last_action))
        late = np.arange(self.config.physics.substeps) < delays[:, None]
        return np.where(late[..., None], old[:, None], new[:, None])

    def disturb(self, sim: MujocoSim, rng: np.random.Generator) -> bool:
        r = self.config.randomisation
        if not r.push:
            return False
        pushed = np.flatnonzero(rng.random(sim.num_sims) < self.dt / r.push_interval)
        sim.qvel[pushed, :2] += rng.uniform(-r.push, r.push, (len(pushed), 2))
        return len(pushed) > 0

    def read_state(self, sim: MujocoSim) -> Tensor:
        quat = sim.qpos[:, 3:7]
        parts = (
            to_body(quat, sim.qvel[:, :3]),
            sim.qvel[:, 3:6],
            gravity_body(quat),
            sim.qpos[:, 7:],
            sim.qvel[:, 6:],
            sim.qpos[:, 2:3],
        )
        return torch.from_numpy(np.concatenate(parts, axis=-1, dtype=np.float32))

    # Memory ----------------------------------------------------------------------------------------------------------

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        zero = torch.zeros(num, 12)
        phase = torch.from_numpy(rng.random((num, 1), dtype=np.float32))
        if not self.config.randomisation.start:
            phase = torch.zeros(num, 1)
        return Memory(zero, zero, self._new_commands(num, rng), phase)

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        command = memory.command
        changed = np.flatnonzero(rng.random(len(command)) < self.dt / self.config.command_interval)
        if len(changed):
            command = command.index_copy(0, torch.from_numpy(changed), self._new_commands(len(changed), rng))
        return Memory(action, memory.last_action, command, self._next_phase(memory))

    def _next_phase(self, memory: Memory) -> Tensor:
        return advance_phase(memory.phase, self.config.gait_hz, self.config.rate_hz)

    def _new_commands(self, num: int, rng: np.random.Generator) -> Tensor:
        command = rng.uniform(-1.0, 1.0, (num, 3)) * (rng.random((num, 1)) >= self.config.zero_command)
        return torch.from_numpy((command * self._command_max).astype(np.float32))

    # The task itself -------------------------------------------------------------------------------------------------

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

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        c, w = self.config, self.config.weights
        velocity, gyro, gravity, dq = (reached[..., part] for part in (VELOCITY, GYRO, GRAVITY, DQ))
        foot, clearance = _feet(reached)
        stance, swing_shape, stride = self._gait(self._next_phase(memory))
        jerk = action - 2.0 * memory.last_action + memory.previous_action
        reward = w.velocity * torch.exp(-_square(velocity[..., :2] - memory.command[..., :2]) / c.tracking_width)
        reward = reward + w.yaw_rate * torch.exp(-((gyro[..., 2] - memory.command[..., 2]) ** 2) / c.tracking_width)
        reward = reward - w.foot_placement * _square(
            (foot[..., :2] - self._foot_targets(memory.command, stride)).flatten(-2)
        )
        reward = reward - w.swing_height * ((c.swing_height * swing_shape - clearance) ** 2 * (1.0 - stance)).sum(-1)
        reward = reward - w.stance_height * (clearance**2 * stance).sum(-1)
        reward = reward - w.base_height * (reached[..., HEIGHT] - c.base_height) ** 2
        reward = reward - w.tilt * _square(gravity[..., :2])
        reward = reward - w.vertical_velocity * velocity[..., 2] ** 2 - w.roll_pitch_rate * _square(gyro[..., :2])
        reward = reward - w.joint_velocity * _square(dq) - w.torque * _square(self.torque(reached, action))
        return reward - w.action_rate * (_square(action - memory.last_action) + _square(jerk))

    def torque(self, state: Tensor, action: Tensor) -> Tensor:
        """Joint torques that the gains ask for at `state`, before the motor's limit, (..., 12) [N·m]."""
        c = self.config
        return c.kp * (self._default_q + c.action_scale * action - state[..., Q]) - c.kd * state[..., DQ]

    def terminated(self, reached: Tensor) -> Tensor:
        standing = (reached[..., HEIGHT] > self.config.min_height) & (
            reached[..., GRAVITY][..., 2] < -math.cos(self.config.max_tilt)
        )
        return ~standing

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        velocity, yaw_rate = reached[..., VELOCITY], reached[..., GYRO][..., 2]
        _, clearance = _feet(reached)
        stance, _, _ = self._gait(self._next_phase(memory))
        agreement = ((clearance < 0.008) == (stance > 0.5)).float().mean(-1)
        return {
            "planar_velocity_error": (velocity[..., :2] - memory.command[..., :2]).norm(dim=-1),
            "yaw_rate_error": (yaw_rate - memory.command[..., 2]).abs(),
            "trot_agreement": agreement,
        }

    def summary(self, figures: dict[str, float]) -> str:
        return (
            f"velocity error {figures['planar_velocity_error']:.3f} m/s"
            f" {figures['yaw_rate_error']:.3f} rad/s | trot {figures['trot_agreement']:.2f}"
        )

    @property
    def randomised(self) -> bool:
        return bool(self.config.randomisation.delay)

    def nominal(self) -> Go2Walk:
        return Go2Walk(replace(self.config, randomisation=Randomisation()))

    def evaluation_commands(self, num: int = 64) -> Tensor:
        spread = np.random.default_rng(2024).uniform(-1.0, 1.0, (num, 3)) * self.config.command_max
        corners = (*CORNERS, self.config.command_max)
        spread[: len(corners)] = corners
        return torch.tensor(spread, dtype=torch.float32)

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """`worst_planar_velocity_error`: of the episode means; `mean_velocity_error`: planar error of each episode's
        mean velocity; `peak_torque`: 99.9 % quantile of the joint torques asked for [N·m]."""
        counted = settled(self, episodes)
        steps = counted.sum(0)
        velocity = (episodes.reached[..., :2] * counted[..., None]).sum(0) / steps.clamp(min=1)[:, None]
        drift = (velocity - episodes.memory.command[0, :, :2]).norm(dim=-1)[steps > 0]
        errors = episode_means(self, episodes)["planar_velocity_error"]
        standing = torch.cat([torch.ones_like(episodes.alive[:1]), episodes.alive[:-1]])
        torque = self.torque(episodes.state, episodes.action).abs()[standing]
        return {
            "worst_planar_velocity_error": errors.max().item() if len(errors) else float("nan"),
            "mean_velocity_error": drift.mean().item(),
            "peak_torque": torch.quantile(torque.flatten(), 0.999).item(),
        }

    def _gait(self, phase: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the clock asks of each leg, each (..., 4): share of stance, shape of the swing's height, stride.

        A leg stands in the first half of its cycle, moving back from stride +1 to -1, and swings forth in the second.
        """
        leg = (phase + LEG_PHASE) % 1.0
        wave = torch.sin(2.0 * math.pi * leg)
        stance = torch.special.ndtr(wave / (2.0 * math.pi * self.config.contact_softness))
        stride = 1.0 - 4.0 * torch.minimum(leg, 1.0 - leg)
        return stance, torch.clamp(-wave, min=0.0), stride

    def _foot_targets(self, command: Tensor, stride: Tensor) -> Tensor:
        """Where the feet belong under the base, (..., 4, 2) [m]: half a stance's travel ahead of or behind nominal."""
        reach = 0.25 / self.config.gait_hz
        nominal = self._nominal_foot[:, :2]
        vx, vy, wz = (command[..., i : i + 1] for i in range(3))
        travel = torch.stack([vx - wz * nominal[:, 1], vy + wz * nominal[:, 0]], -1)
        return nominal + reach * stride[..., None] * travel


def _feet(state: Tensor) -> tuple[Tensor, Tensor]:
    """Foot centres in base axes, (..., 4, 3), and clearance of the soles above the ground, (..., 4) [m]."""
    foot = foot_positions(state[..., Q], torch)
    height = state[..., HEIGHT, None] - (foot * state[..., None, GRAVITY]).sum(-1)
    return foot, height - go2.FOOT_RADIUS


def _square(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


def _noise_vector(terms: Sequence[ObservationTerm], r: Randomisation) -> Tensor:
    names = ("gyro_body", "gravity_body", "joint_position", "joint_velocity", "velocity_body")
    std = dict(zip(names, (*r.noise, r.velocity_noise), strict=True))
    parts = [torch.tensor(t.scale, dtype=torch.float32) * std.get(t.name, 0.0) for t in terms]
    return torch.cat(parts)
