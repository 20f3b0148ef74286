"""One scenario of the battery in lockstep, and what it measured."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from dbp_bringup.lockstep import Lockstep
from dbp_bringup.report import FALLEN_UP_Z
from dbp_bringup.robot.physics import PhysicsOptions, Truth
from dbp_bringup.validation.battery import PUSH_TIMES, Scenario
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.rotations import gravity_body, rotation_matrix
from dbp_policy.runner import Runner
from dbp_policy.types import Mode

FALLEN_HEIGHT = 0.15
"""A base lower than this lies on its legs; walking and standing keep it near 0.3 [m]."""

SAMPLE_TICKS = 5
"""Ground truth is read every so many ticks: at 100 Hz."""

SETTLING: dict[go2.Posture, float] = {"four_legs": 1.0, "front_legs": 2.0}
"""After a change of the command velocity and posture do not count for so long [s]."""

POSTURE_COSINE = 0.9
"""Of the angle between the trunk and where the command wants it, from which on it is as asked."""

WINDOW = 0.5
"""The velocity is averaged over this time, a gait cycle or so, before it is compared with the command [s]."""

_TICK = 1.0 / go2.LOWSTATE_HZ


@dataclass(frozen=True)
class Outcome:
    """What happened in one scenario."""

    scenario: Scenario
    walked: bool
    """The guard got the robot onto its legs and granted the policy."""
    fell: bool
    faults: tuple[str, ...]
    """All that the guard raised, in the order of their first appearance."""
    sat_down: bool
    """It got back to lying by itself."""
    survival: float
    """Share of the walk before a fall or a fault of standing or damping severity."""
    planar_velocity_error: float
    yaw_rate_error: float
    """Mean distance from the command [m/s], [rad/s]; NaN if it did not last long enough to tell."""
    as_asked: float
    """Share of the time, each change's settling left out, in which the trunk was held as the command asks; NaN if it
    did not last long enough to tell."""
    tilt_max: float
    """[rad]."""
    torque_peak: float
    speed_peak: float
    """Of any joint, over the motor's limit at standstill and its no-load speed."""
    joint_limit_margin: float
    """Of any joint, negative beyond the limit [rad]."""
    simulated_seconds: float
    cpu_seconds: float


def run_trial(runner: Runner, scenario: Scenario) -> Outcome:
    """Stands up, walks, sits down; a fall or a fault ends the walk."""
    begin = time.process_time()
    options = PhysicsOptions(
        friction=scenario.friction,
        payload_kg=scenario.payload_kg,
        payload_position=scenario.payload_position,
        command_delay_ms=scenario.delay_ms,
        noise=scenario.noise,
    )
    lockstep = Lockstep(runner, options, estimate=False)
    walk = _Walk(runner, scenario)
    walked = sat_down = False
    try:
        walked = lockstep.stand_up() and lockstep.start()
        if walked:
            lockstep.run_while(walk.goes_on, scenario.walk_seconds)
        else:
            walk.note_faults(lockstep)
        sat_down = not walk.fell and lockstep.sit_down()
    except DbpError:  # the simulation itself broke under what the policy did
        walk.fell = True
    walk.note_faults(lockstep)
    return Outcome(
        scenario=scenario,
        walked=walked,
        fell=walk.fell,
        faults=tuple(walk.faults),
        sat_down=sat_down,
        survival=walk.seconds / scenario.walk_seconds,
        **walk.errors(),
        tilt_max=walk.tilt_max,
        torque_peak=float((walk.torque_peak / go2.TAU_MAX).max()),
        speed_peak=float((walk.speed_peak / go2.DQ_MAX).max()),
        joint_limit_margin=float(min((go2.Q_MAX - walk.q_max).min(), (walk.q_min - go2.Q_MIN).min())),
        simulated_seconds=lockstep.now,
        cpu_seconds=time.process_time() - begin,
    )


class _Walk:
    """Gives commands and pushes at their times, and keeps what is to be judged."""

    def __init__(self, runner: Runner, scenario: Scenario) -> None:
        contract = runner.contract
        self._scenario = scenario
        self._commands = np.clip(scenario.commands, contract.command_min, contract.command_max)
        self._pushes = [round(t / _TICK) for t in PUSH_TIMES] if any(scenario.push) else []
        self._ticks = 0
        self._velocities: list[tuple[float, float, float]] = []
        self._as_asked: list[bool] = []
        self._heading: float | None = None
        self.fell = False
        self.faults: dict[str, None] = {}
        self.tilt_max = 0.0
        self.torque_peak, self.speed_peak = np.zeros(12), np.zeros(12)
        self.q_min, self.q_max = go2.STAND_Q.copy(), go2.STAND_Q.copy()

    @property
    def seconds(self) -> float:
        return self._ticks * _TICK

    def goes_on(self, lockstep: Lockstep) -> bool:
        """Called after every tick of the walk."""
        self._ticks += 1
        lockstep.command = self._commands[self._command_at(self.seconds)]
        if self._ticks in self._pushes:
            push = rotation_matrix(lockstep.truth.quat_wxyz) @ (*self._scenario.push, 0.0)
            lockstep.robot.physics.push(push)
        self._note_joints(lockstep)
        if lockstep.output.status.faults:
            self.note_faults(lockstep)
        if self._ticks % SAMPLE_TICKS == 0:
            self._note_truth(lockstep.truth)
        return lockstep.guard.mode == Mode.POLICY and not self.fell

    def note_faults(self, lockstep: Lockstep) -> None:
        """Keeps the faults that the guard shows now."""
        self.faults.update(dict.fromkeys(lockstep.output.status.faults))
        self.fell = self.fell or "tilt" in self.faults  # the guard damps a toppling robot before it lies

    def errors(self) -> dict[str, float]:
        """Mean distance of the smoothed velocity from each command and share of the time with the trunk as asked, from
        `SETTLING` after each change on."""
        rate = go2.LOWSTATE_HZ // SAMPLE_TICKS
        window, settling = round(WINDOW * rate), round(SETTLING[self._scenario.posture] * rate)
        per_command = round(self._scenario.walk_seconds * rate) // len(self._commands)
        velocities, errors, as_asked = np.array(self._velocities).reshape(-1, 3), [], []
        for i, command in enumerate(self._commands):
            counted = slice(i * per_command + settling, (i + 1) * per_command)
            part = velocities[counted]
            if len(part) >= window:
                sums = np.cumsum(np.vstack([np.zeros(3), part]), axis=0)
                errors.append((sums[window:] - sums[:-window]) / window - self._velocity_asked(command))
                as_asked += self._as_asked[counted]
        if not errors:
            return dict.fromkeys(("planar_velocity_error", "yaw_rate_error", "as_asked"), float("nan"))
        error = np.concatenate(errors)
        return {
            "planar_velocity_error": float(np.hypot(error[:, 0], error[:, 1]).mean()),
            "yaw_rate_error": float(np.abs(error[:, 2]).mean()),
            "as_asked": float(np.mean(as_asked)),
        }

    def _velocity_asked(self, command: np.ndarray) -> np.ndarray:
        """vx, vy, wz: on the front legs it turns on the spot."""
        return command if self._scenario.posture == "four_legs" else command * (0.0, 0.0, 1.0)

    def _command_at(self, seconds: float) -> int:
        share = seconds / self._scenario.walk_seconds
        return min(int(share * len(self._commands)), len(self._commands) - 1)

    def _note_joints(self, lockstep: Lockstep) -> None:
        state = lockstep.output.state
        np.maximum(self.torque_peak, np.abs(state.tau_sdk), out=self.torque_peak)
        np.maximum(self.speed_peak, np.abs(state.dq_sdk), out=self.speed_peak)
        np.minimum(self.q_min, state.q_sdk, out=self.q_min)
        np.maximum(self.q_max, state.q_sdk, out=self.q_max)

    def _note_truth(self, truth: Truth) -> None:
        self.tilt_max = max(self.tilt_max, float(np.arccos(np.clip(truth.up_z, -1.0, 1.0))))
        command = self._commands[self._command_at(self.seconds)]
        walks = self._scenario.posture == "four_legs"
        nose_down = 0.0 if walks or command[0] < 0.5 else go2.POSTURES["front_legs"]
        wanted = np.array([np.sin(nose_down), 0.0, -np.cos(nose_down)])  # direction of gravity in body axes
        self._as_asked.append(bool(gravity_body(truth.quat_wxyz) @ wanted >= POSTURE_COSINE))
        self._velocities.append((*truth.velocity_body[:2], truth.yaw_rate) if walks else self._about_vertical(truth))
        upright = truth.position[2] >= FALLEN_HEIGHT and (not walks or truth.up_z >= FALLEN_UP_Z)
        self.fell = self.fell or truth.trunk_contact or not upright

    def _about_vertical(self, truth: Truth) -> tuple[float, float, float]:
        """Horizontal velocity in the world, and how fast the trunk's lateral axis turns, wherever its nose points."""
        lateral = rotation_matrix(truth.quat_wxyz)[:, 1]
        heading = float(np.arctan2(-lateral[0], lateral[1]))
        turned = 0.0 if self._heading is None else (heading - self._heading + np.pi) % (2.0 * np.pi) - np.pi
        self._heading = heading
        return (*truth.velocity_world[:2], turned * go2.LOWSTATE_HZ / SAMPLE_TICKS)
