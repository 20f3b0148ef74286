"""The Go2 swings up onto its front legs, balances and turns there, and comes down again on request.

The first number of the command says where it is to be, from `UP` on on the front legs, below it on all four: a stick
pushed forward. The third is the rate at which it is to turn about the vertical. So a command that falls silent, and
with it goes to zero, brings the robot down.
The measure of posture, a power of (1 + cos) / 2 between the trunk's axis and (0.2, 0, -1) in its own heading, is that
of stand-up rewards for legged robots (arXiv 2311.05818); it has a slope all the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dbp_policy import go2
from dbp_policy.kinematics import foot_positions
from dbp_policy.observation import observation_size, term
from dbp_policy.pd import FULL_TORQUE_SPEED
from dbp_training.env import Episodes, Memory
from dbp_training.networks import Switch
from dbp_training.sim import MujocoSim
from dbp_training.tasks.go2_robot import (
    DQ,
    GRAVITY,
    GYRO,
    HEIGHT,
    VELOCITY,
    Go2Config,
    Go2Task,
    Q,
    Randomisation,
    feet,
    full_randomisation,
    gait,
    knee_heights,
    square,
)

OBSERVATION = (
    term("gyro_body", 0.25),
    term("gravity_body"),
    term("command"),
    term("joint_position"),
    term("joint_velocity", 0.05),
    term("last_action"),
    term("clock"),
)

PITCH = go2.POSTURES["front_legs"]
"""Of the trunk on the front legs, nose down [rad]."""
UP_Q = np.array([0.0, -0.56, -1.3] * 2 + [0.0, 0.8, -1.5] * 2)
"""Joint angles that put the centre of mass over the front feet at `PITCH` (from go2.xml), the trunk 0.55 m high."""
DEFAULT_Q = np.array([0.0, 0.1, -1.5] * 2 + [0.0, 0.8, -1.5] * 2)
"""Joint angles at zero action: from here a radian reaches what standing takes, and what balancing does."""

UP = 0.3
"""First number of the command from which on the robot is to be on its front legs."""

FRONT_PHASE = torch.tensor([0.0, 0.5])
"""Lag of the front legs (FR, FL) behind the clock in cycles: up there they step in turn."""

_GRAVITY_UP = (0.9806, 0.0, -0.1961)
"""Direction of gravity in body axes at `PITCH`."""
_GRAVITY_DOWN = (0.0, 0.0, -1.0)
_START_PITCH = 0.15
"""From here on [rad] the rear feet are above the ground with the joints as far on their way to `UP_Q`."""
_HIGH = 0.1
"""A rear foot that is to stand costs little more when it is higher than this [m]."""
_NOSE = 0.33
"""From the trunk's centre forward to the end of its head [m]."""


def handstand_randomisation() -> Randomisation:
    """About half of what a walking robot bears, and pushes a fifth as hard: two feet side by side hold little along
    the trunk, and a centre of mass 3 cm off asks for 0.1 rad more pitch, which no sensor tells."""
    return replace(
        full_randomisation(),
        friction=(0.5, 1.25),
        joint_friction=(0.0, 0.3),
        joint_damping=(0.0, 0.15),
        armature=(0.0075, 0.0175),
        payload=(-0.5, 0.5),
        com=0.01,
        gain=0.05,
        delay=0.01,
        push=0.1,
        noise=(0.05, 0.01, 0.005, 0.25),
    )


@dataclass(frozen=True)
class Weights:
    """Factors of the reward's terms, per step."""

    posture: float = 2.0
    rear_lift: float = 0.5
    height: float = 10.0
    yaw_rate: float = 1.0
    velocity: float = 0.3
    feet: float = 20.0
    step: float = 100.0
    joint_limit: float = 50.0
    overspeed: float = 0.005
    knees: float = 100.0
    pose: float = 0.3
    hips: float = 0.5
    rear_pose: float = 0.01
    roll_pitch_rate: float = 0.005
    steady: float = 0.02
    joint_velocity: float = 1e-4
    torque: float = 1e-4
    action_rate: float = 0.02
    slew: float = 10.0


@dataclass(frozen=True)
class Go2HandstandConfig(Go2Config):
    """The task's numbers."""

    kp: float = 30.0
    """Stiffness [N·m/rad]."""
    kd: float = 0.8
    """Damping [N·m·s/rad]."""
    action_scale: float = 1.0
    """Target angle per unit of action [rad]."""
    within_reach: bool = True
    gait_hz: float = 2.5
    """At which the front feet step while they carry the robot."""
    swing_height: float = 0.06
    """Clearance of a front foot in mid-swing [m]."""
    contact_softness: float = 0.07
    """Width of the change between swing and stance, in cycles."""
    limit_margin: float = 0.1
    """Joints keep this far from the ends of their range [rad]; the guard stops a robot that is past one."""
    slew_max: float = 30.0
    """Targets that move faster than this cost [rad/s]; just beyond, on the robot, they are shortened
    (`dbp_policy.pd.TARGET_SPEED`)."""
    yaw_rate_max: float = 0.3
    """Largest rate of turning to both sides [rad/s]."""
    command_interval: float = 2.5
    down: float = 0.5
    """Share of new commands that ask to stand on all four legs: what is learned lasts, so it has to end."""
    start_down: float = 0.1
    """The same where an episode begins: standing is soon learned, going up is not."""
    start_up: float = 0.3
    """Share of training episodes that start on the front legs or on the way there, swinging up; none where
    starts are not randomised."""
    start_balancing: float = 0.2
    """Share of these that start near the balance and nearly at rest."""
    start_swing: tuple[float, float] = (0.0, 5.0)
    """How fast the others turn towards the balance, per radian that is left to it [1/s]; negative: away from it."""
    height_up: float = 0.53
    """Of the trunk's centre on the front legs [m]."""
    height_down: float = 0.30
    """The same on all four [m]."""
    tracking_width: float = 0.25
    """Of the velocity rewards exp(-error² / width) [m²/s², rad²/s²]."""
    min_height: float = 0.14
    """Below this height of the trunk's centre the robot has fallen [m]."""
    min_knee: float = 0.02
    """Below this height of a knee it has hit the ground [m]; the training simulator's knees would go through it."""
    knee_room: float = 0.07
    """Knees stay this high [m]."""
    patience_up: float = 1.5
    """So long after the front legs are asked for a rear foot may still be on the ground [s]; longer is a fall. Leaning
    on the front legs would otherwise be a place to rest, and most of what a training sees."""
    patience_down: float = 1.5
    """So long after standing is asked for the trunk need not be level [s]: staying up there is safer than coming
    down."""
    min_lift: float = 0.02
    """Below this clearance a rear foot is on the ground [m]."""
    min_nose: float = 0.06
    """Below this height the head has hit the ground [m]."""
    max_roll: float = 0.7
    """Sine of the angle to the side beyond which the robot has fallen."""
    max_over: float = 0.5
    """Sine of the pitch past the vertical from which it falls onto its back."""
    balanced: float = 0.9
    """Cosine of the angle to `PITCH` from which on it counts as balancing."""
    weights: Weights = Weights()


class Go2Handstand(Go2Task):
    """`dbp_training.env.Task`."""

    name = "go2_handstand"
    posture = "front_legs"
    switch = Switch(observation_size(OBSERVATION[:2]), UP)  # the command's first number: up and down are two skills
    settling_s = 2.0  # it starts on four legs
    config: Go2HandstandConfig

    def __init__(self, config: Go2HandstandConfig | None = None) -> None:
        config = config or Go2HandstandConfig()
        super().__init__(config, OBSERVATION, DEFAULT_Q)
        self.gait_hz = config.gait_hz
        self.command_range = (0.0, 0.0, -config.yaw_rate_max), (1.0, 0.0, config.yaw_rate_max)
        self.ability = (
            f"Swings a Unitree Go2 up onto its front legs while the first number of the command is {UP:g} to 1, turns"
            f" there at up to {config.yaw_rate_max:g} rad/s (the third), and brings it down onto all four for less;"
            f" a new action {config.rate_hz:g} times a second."
        )
        self._full_torque = torch.tensor(FULL_TORQUE_SPEED * go2.DQ_MAX, dtype=torch.float32)
        self._stand_q = torch.tensor(go2.STAND_Q, dtype=torch.float32)
        self._q_min = torch.tensor(go2.Q_MIN + config.limit_margin, dtype=torch.float32)
        self._q_max = torch.tensor(go2.Q_MAX - config.limit_margin, dtype=torch.float32)
        self._gravity_up, self._gravity_down = torch.tensor(_GRAVITY_UP), torch.tensor(_GRAVITY_DOWN)

    def reset(self, sim: MujocoSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        super().reset(sim, envs, rng)
        if not self.config.randomisation.start:
            return
        up = envs[rng.random(len(envs)) < self.config.start_up]
        zero = np.zeros(len(up))
        balancing = rng.random(len(up)) < self.config.start_balancing
        near, way = PITCH + rng.uniform(-0.15, 0.15, len(up)), rng.uniform(_START_PITCH, PITCH + 0.2, len(up))
        pitch = np.where(balancing, near, way)
        swing = (PITCH - way) * rng.uniform(*self.config.start_swing, len(up))
        rate = np.where(balancing, rng.uniform(-0.5, 0.5, len(up)), swing)
        share = np.clip(pitch / PITCH, 0.0, 1.0)[:, None]
        q = go2.STAND_Q + share * (UP_Q - go2.STAND_Q) + rng.uniform(-0.1, 0.1, (len(up), 12))
        foot = foot_positions(q)[:, :2].mean(axis=1)
        # Where the front feet are from the trunk's centre, in the world's axes; the trunk turns about them.
        foot_x = np.cos(pitch) * foot[:, 0] + np.sin(pitch) * foot[:, 2]
        foot_z = np.cos(pitch) * foot[:, 2] - np.sin(pitch) * foot[:, 0]
        sim.qpos[up, 2] = go2.FOOT_RADIUS - foot_z
        sim.qpos[up, 3:7] = np.stack([np.cos(0.5 * pitch), zero, np.sin(0.5 * pitch), zero], -1)
        sim.qpos[up, 7:] = q
        sim.qvel[up, :3] = np.stack([-rate * foot_z, zero, rate * foot_x], -1)
        sim.qvel[up, 4] = rate

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        return replace(super().new_memory(num, rng), command=self._commands(num, rng, self.config.start_down))

    def new_commands(self, num: int, rng: np.random.Generator) -> Tensor:
        return self._commands(num, rng, self.config.down)

    def _commands(self, num: int, rng: np.random.Generator, down: float) -> Tensor:
        up = rng.random(num) >= down
        stick = np.where(up, rng.uniform(UP + 0.05, 1.0, num), rng.uniform(0.0, UP - 0.05, num))
        turn = rng.uniform(-1.0, 1.0, num) * up
        return torch.from_numpy(np.stack([stick, 0.0 * turn, self.config.yaw_rate_max * turn], -1).astype(np.float32))

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        """An episode begins anew where the robot is asked up or down, so that it has its time for that."""
        new = super().advance(memory, action, rng)
        anew = wanted_up(new) != wanted_up(memory)
        return replace(new, age=torch.where(anew[:, None], 0.0, new.age))

    # The task itself -------------------------------------------------------------------------------------------------

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        c, w = self.config, self.config.weights
        velocity, gyro, gravity, q, dq = (reached[..., part] for part in (VELOCITY, GYRO, GRAVITY, Q, DQ))
        up = wanted_up(memory)
        yaw_rate, rolling = _turning(gyro, gravity)
        _, clearance = feet(reached)
        height = c.height_down + up * (c.height_up - c.height_down)
        # Standing, or leaning on bent front legs, pays little where balancing is asked, so that neither is a place to
        # rest: to turn and to keep still pay with the rear feet in the air only.
        posture = (0.5 + 0.5 * self.alignment(gravity, up)) ** 4
        lift = torch.tanh(clearance[..., 2:] / 0.2).mean(-1)
        turning = torch.exp(-((yaw_rate - memory.command[..., 2]) ** 2) / c.tracking_width)
        still = torch.exp(-square(velocity) / c.tracking_width)
        moving = (1.0 - up + up * lift) * (w.yaw_rate * turning + w.velocity * still)
        reward = posture * (w.posture + moving) + w.rear_lift * up * lift
        # On the way down what belongs to standing counts as far as the trunk is level: asked for at once it makes each
        # step cost more than it pays, and falling is cheaper.
        level = (1.0 - up) * posture
        reward = reward - w.height * (up + level) * (reached[..., HEIGHT] - height) ** 2
        # Feet that are points hold no balance along the trunk: up there it takes steps, and so does turning.
        front, rear, stepping = clearance[..., :2], clearance[..., 2:], up * posture
        stance, swing = gait(self.next_phase(memory) + FRONT_PHASE, c.contact_softness)
        missed = (stance * front**2 + (1.0 - stance) * (c.swing_height * swing - front) ** 2).sum(-1)
        reward = reward - w.step * stepping * missed
        raised = _HIGH * torch.tanh(rear / _HIGH)
        reward = reward - w.feet * ((1.0 - stepping) * square(front) + level * square(raised))
        reward = reward - w.hips * square(q[..., 0::3])
        reward = reward - w.pose * level * square(q - self._stand_q)
        reward = reward - w.rear_pose * up * square(q[..., 6:] - self._stand_q[6:])
        reward = reward - w.joint_limit * square(torch.relu(self._q_min - q) + torch.relu(q - self._q_max))
        reward = reward - (w.roll_pitch_rate + w.steady * stepping) * rolling - w.joint_velocity * square(dq)
        # The training simulator's motors have all of their torque at any speed, the robot's do not.
        reward = reward - w.overspeed * square(torch.relu(dq.abs() - self._full_torque))
        reward = reward - w.knees * square(torch.relu(c.knee_room - knee_heights(reached)))
        reward = reward - w.torque * square(self.torque(reached, action))
        step = action - memory.last_action
        too_far = torch.relu(c.action_scale * step.abs() - self.dt * c.slew_max)
        return reward - w.action_rate * square(step) - w.slew * square(too_far)

    def alignment(self, gravity: Tensor, up: Tensor) -> Tensor:
        """Cosine of the angle between gravity in body axes and where the command wants it, (...)."""
        wanted = up[..., None] * self._gravity_up + (1.0 - up[..., None]) * self._gravity_down
        return (gravity * wanted).sum(-1)

    def terminated(self, reached: Tensor, memory: Memory) -> Tensor:
        c = self.config
        _, clearance = feet(reached)
        up = wanted_up(memory)
        lifted = (clearance[..., 2:] > c.min_lift).all(-1)
        level = self.alignment(reached[..., GRAVITY], up) > c.balanced
        patience = torch.where(up > 0.5, c.patience_up, c.patience_down)
        there = torch.where(up > 0.5, lifted, level) | (self.dt * memory.age[..., 0] < patience)
        gravity, height = reached[..., GRAVITY], reached[..., HEIGHT]
        knees = (knee_heights(reached) > c.min_knee).all(-1)
        safe = knees & (height > c.min_height) & (height - _NOSE * gravity[..., 0] > c.min_nose)
        return ~(there & safe & (gravity[..., 1].abs() < c.max_roll) & (gravity[..., 2] < c.max_over))

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        gravity, up = reached[..., GRAVITY], wanted_up(memory)
        yaw_rate, _ = _turning(reached[..., GYRO], gravity)
        return {
            "as_asked": self._as_asked(reached, up).float(),
            "yaw_rate_error": (yaw_rate - memory.command[..., 2]).abs(),
        }

    def _as_asked(self, reached: Tensor, up: Tensor) -> Tensor:
        """On the front legs with the rear feet in the air, or on all four: where the command wants it, (...) bool."""
        _, clearance = feet(reached)
        in_air = (clearance[..., 2:] > 0.05).all(-1)
        aligned = self.alignment(reached[..., GRAVITY], up) > self.config.balanced
        return aligned & torch.where(up > 0.5, in_air, torch.ones_like(in_air))

    def summary(self, figures: dict[str, float]) -> str:
        return f"as asked {100.0 * figures['as_asked']:.0f} % | turning error {figures['yaw_rate_error']:.3f} rad/s"

    def evaluation_commands(self, num: int = 64) -> Tensor:
        turn = self.config.yaw_rate_max * np.linspace(-1.0, 1.0, num)
        return torch.tensor(np.stack([np.ones(num), np.zeros(num), turn], -1), dtype=torch.float32)

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """`balanced_s`: seconds of an episode on the front legs, median; `balanced_8_s`: share of episodes with 8 and
        more; `peak_torque`: 99.9 % quantile of the joint torques asked for [N·m]."""
        balanced = self._as_asked(episodes.reached, wanted_up(episodes.memory)) & episodes.alive
        seconds = self.dt * balanced.sum(0)
        return {
            "balanced_s": seconds.median().item(),
            "balanced_8_s": (seconds >= 8.0).float().mean().item(),
            "peak_torque": self.peak_torque(episodes),
        }


def wanted_up(memory: Memory) -> Tensor:
    """1 where the command asks for the front legs, else 0, (...)."""
    return (memory.command[..., 0] >= UP).to(memory.command.dtype)


def _turning(gyro: Tensor, gravity: Tensor) -> tuple[Tensor, Tensor]:
    """Rate about the vertical [rad/s], and the square of what is left of the angular velocity [rad²/s²]."""
    yaw_rate = -(gyro * gravity).sum(-1)
    return yaw_rate, square(gyro) - yaw_rate**2
