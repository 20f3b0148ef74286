"""The estimator on a Go2 that walks in MuJoCo, against ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from dbp_bringup.bench.estimator_score import FlippedContacts, agreement, flips_for  # noqa: E402
from dbp_bringup.lockstep import Lockstep  # noqa: E402
from dbp_bringup.robot.physics import Go2Physics, PhysicsOptions  # noqa: E402
from dbp_policy import go2  # noqa: E402
from dbp_policy.estimation.estimator import Estimate, Estimator  # noqa: E402
from dbp_policy.kinematics import foot_jacobians, foot_positions  # noqa: E402
from dbp_policy.onnx_policy import load_runner  # noqa: E402
from dbp_policy.types import Mode, RobotState  # noqa: E402

GAIT_HZ, SWING_SHARE, LIFT, STAND_HEIGHT = 2.5, 0.45, 0.10, 0.29
PHASE_OFFSET = np.array([0.0, 0.5, 0.5, 0.0])  # a trot: FR with RL, FL with RR
COMMANDS = ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.3, 0.0, 0.8), (-0.3, 0.1, 0.0), (0.0, 0.2, -0.5), (0.4, -0.1, 0.3))
ATTITUDE_NOISE_DEG = 0.5

Controller = Callable[[RobotState, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Robot state and command (vx, vy, wz) to joint targets [rad], kp and kd, in SDK order, at 50 Hz."""


class ScriptedTrot:
    """Feet on fixed paths, nothing fed back: walks on flat ground well enough to be estimated."""

    def __init__(self) -> None:
        self._q = go2.STAND_Q.copy()
        self._nominal = foot_positions(go2.STAND_Q)
        self._nominal[:, 2] = -STAND_HEIGHT

    def joint_target(self, time: float, command: np.ndarray) -> np.ndarray:
        """Joint angles at `time` [s] for a command (vx, vy, wz), shape (12,) [rad]."""
        vx, vy, wz = command
        phase = (time * GAIT_HZ + PHASE_OFFSET) % 1.0
        swing = np.clip(phase / SWING_SHARE, 0.0, 1.0)
        stance = np.clip((phase - SWING_SHARE) / (1.0 - SWING_SHARE), 0.0, 1.0)
        ahead = np.where(phase < SWING_SHARE, -0.5 * np.cos(np.pi * swing), 0.5 - stance)  # share of a step
        step = (
            (1.0 - SWING_SHARE)
            / GAIT_HZ
            * np.stack([vx - wz * self._nominal[:, 1], vy + wz * self._nominal[:, 0]], axis=-1)
        )
        feet = self._nominal.copy()
        feet[:, :2] += ahead[:, None] * step
        feet[:, 2] += LIFT * np.sin(np.pi * swing) * (phase < SWING_SHARE)
        for _ in range(3):  # Newton, from the last solution
            error = feet - foot_positions(self._q)
            self._q += np.linalg.solve(foot_jacobians(self._q), error[..., None]).ravel()
        return self._q


@dataclass
class Walk:
    """What was sensed and what was true, one entry per lowstate."""

    states: list[RobotState]
    velocity_body: np.ndarray
    position: np.ndarray
    contact: np.ndarray


def scripted() -> Controller:
    """The trot on stiff joints."""
    trot, kp, kd = ScriptedTrot(), np.full(12, 100.0), np.full(12, 2.0)
    return lambda state, command: (trot.joint_target(state.stamp, command), kp, kd)


def policy(path: Path) -> Controller:
    """A policy by its contract, for one without velocity in its observation."""
    runner = load_runner(path)

    def control(state: RobotState, command: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        target = runner.step(state, command, np.zeros(3), state.stamp)
        return target.q_sdk, target.kp_sdk, target.kd_sdk

    return control


def walk(controller: Controller, seconds: float, friction: float, seed: int = 0) -> Walk:
    """A noisy walk through COMMANDS from the standing pose."""
    options = PhysicsOptions(
        start="home", friction=friction, noise=1.0, attitude_noise_deg=ATTITUDE_NOISE_DEG, seed=seed
    )
    physics = Go2Physics(options)
    states, truths = [], []
    for i in range(int(seconds * 500)):
        time = i / 500.0
        sensed = physics.sense()
        state = RobotState(
            tick_ms=sensed.tick_ms,
            stamp=time,
            q_sdk=sensed.q,
            dq_sdk=sensed.dq,
            tau_sdk=sensed.tau_est,
            quat_wxyz=sensed.quat_wxyz,
            gyro_body=sensed.gyro_body,
            acc_body=sensed.acc_body,
            foot_force=sensed.foot_force,
        )
        states.append(state)
        truths.append(physics.truth())
        if i % 10 == 0:
            command = COMMANDS[int(time / seconds * len(COMMANDS))]
            q, kp, kd = controller(state, min(1.0, time) * np.array(command))
            physics.set_command(q, np.zeros(12), kp, kd, np.zeros(12))
        physics.step_ms(2)
    return Walk(
        states=states,
        velocity_body=np.array([t.velocity_body for t in truths]),
        position=np.array([t.position for t in truths]),
        contact=np.array([t.foot_contact for t in truths]),
    )


def estimate(states: list[RobotState]) -> list[Estimate]:
    estimator = Estimator()
    return [estimator.update(s) for s in states]


def velocity_rmse(estimates: list[Estimate], truth: Walk) -> np.ndarray:
    """Root mean square error after the first second, per body axis, shape (3,) [m/s]."""
    error = np.array([e.velocity_body for e in estimates]) - truth.velocity_body
    return np.sqrt(np.mean(error[500:] ** 2, axis=0))


@dataclass
class Estimated:
    """A walk and what the estimator made of it."""

    truth: Walk
    estimates: list[Estimate]


@pytest.fixture(scope="module")
def firm() -> Estimated:
    truth = walk(scripted(), 12.0, friction=0.8)
    return Estimated(truth, estimate(truth.states))


@pytest.fixture(scope="module")
def slippery() -> Estimated:
    truth = walk(scripted(), 12.0, friction=0.25, seed=1)
    return Estimated(truth, estimate(truth.states))


def test_the_robot_really_walks(firm):
    assert np.max(firm.truth.position[:, 2]) < 0.36 and np.min(firm.truth.position[:, 2]) > 0.22
    assert np.linalg.norm(np.diff(firm.truth.position[::100, :2], axis=0), axis=1).sum() > 3.0


def test_velocity_on_firm_ground(firm):
    rmse = velocity_rmse(firm.estimates, firm.truth)
    assert np.all(rmse <= [0.03, 0.03, 0.06]), rmse


def test_velocity_on_slippery_ground(slippery):
    rmse = velocity_rmse(slippery.estimates, slippery.truth)
    assert np.all(rmse <= [0.05, 0.05, 0.06]), rmse


@pytest.mark.parametrize(
    "sensor",
    [lambda counts: 0.0 * counts, lambda counts: np.nan * counts, lambda counts: counts // 4 + [20, -15, 40, 5]],
    ids=["absent", "broken", "other scale and offset"],
)
def test_velocity_does_not_hang_on_the_foot_sensors(firm, sensor):
    states = [replace(s, foot_force=sensor(s.foot_force)) for s in firm.truth.states]
    rmse = velocity_rmse(estimate(states), firm.truth)
    assert np.all(rmse <= [0.03, 0.03, 0.06]), rmse


def test_velocity_with_one_contact_in_seven_wrong(firm, slippery):
    for recorded, bounds in ((firm, [0.036, 0.036, 0.072]), (slippery, [0.072, 0.072, 0.072])):
        contact = np.array([e.contact for e in recorded.estimates])
        share = flips_for(agreement(contact, recorded.truth.contact), 0.85)
        estimator = Estimator(contact=FlippedContacts(share, seed=0))
        estimates = [estimator.update(s) for s in recorded.truth.states]
        rmse = velocity_rmse(estimates, recorded.truth)
        assert np.all(rmse <= bounds), rmse


def test_contact_agrees_with_the_truth(firm):
    contact = np.array([e.contact for e in firm.estimates])[500:]
    truth = firm.truth.contact[500:]
    assert np.mean(truth[contact]) >= 0.95  # precision
    assert np.mean(contact[truth]) >= 0.90  # recall


@pytest.mark.parametrize("lost", [0.05, 0.2], ids=["5 % lost", "20 % lost"])
def test_lost_and_doubled_lowstates_cost_little(firm, lost):
    rng = np.random.default_rng(3)
    estimator, error = Estimator(), []
    for i, state in enumerate(firm.truth.states):
        if rng.random() < lost:
            continue
        for _ in range(1 + (rng.random() < lost)):
            latest = estimator.update(state)
        error.append(latest.velocity_body - firm.truth.velocity_body[i])
    rmse = np.sqrt(np.mean(np.square(error[500:]), axis=0))
    assert np.all(rmse <= [0.04, 0.04, 0.07]), rmse


def test_odometry_drifts_little_and_says_how_much(firm, slippery):
    for recorded in (firm, slippery):
        last = recorded.estimates[-1]
        moved = recorded.truth.position[-1] - recorded.truth.position[0]
        distance = np.linalg.norm(np.diff(recorded.truth.position[::100, :2], axis=0), axis=1).sum()
        error = (last.position_odom - moved)[:2]
        assert np.linalg.norm(error) <= 0.03 * distance, error / distance
        assert np.all(np.abs(error) <= 3.0 * np.sqrt(np.diag(last.position_cov)[:2])), error
        assert last.position_odom[2] == pytest.approx(recorded.truth.position[-1, 2], abs=0.02)


def test_the_covariance_is_of_the_size_of_the_error(firm, slippery):
    for recorded in (firm, slippery):
        estimates = recorded.estimates[500:]
        error = np.array([e.velocity_body for e in estimates]) - recorded.truth.velocity_body[500:]
        covariance = np.array([e.velocity_cov for e in estimates])
        nees = np.einsum("ni,ni->n", error, np.linalg.solve(covariance, error[..., None])[..., 0]).mean()
        assert 0.5 <= nees <= 6.0, nees  # 3 degrees of freedom: 3 were perfect


@pytest.mark.parametrize("friction", [0.8, 0.4])
def test_velocity_and_drift_while_the_shipped_policy_walks(walk_policy_path, friction):
    truth = walk(policy(walk_policy_path), 12.0, friction=friction, seed=2)
    assert np.min(truth.position[:, 2]) > 0.2, "the policy fell"
    estimates = estimate(truth.states)
    rmse = velocity_rmse(estimates, truth)
    assert np.all(rmse <= [0.05, 0.05, 0.08]), rmse
    distance = np.linalg.norm(np.diff(truth.position[::100, :2], axis=0), axis=1).sum()
    error = estimates[-1].position_odom - (truth.position[-1] - truth.position[0])
    assert np.linalg.norm(error[:2]) <= 0.03 * distance, error / distance


@pytest.mark.parametrize("friction", [0.8, 0.4])
def test_a_velocity_loop_closed_over_the_estimate_walks_as_over_the_truth(walk_policy_path, friction):
    """The shipped policy reads no velocity itself, so its command is corrected by the velocity's error."""
    wanted, ends = np.array([0.3, 0.1]), []
    for source in ("estimate", "truth"):
        options = PhysicsOptions(friction=friction, noise=1.0, attitude_noise_deg=ATTITUDE_NOISE_DEG, seed=4)
        lockstep = Lockstep(load_runner(walk_policy_path), options)
        assert lockstep.stand_up() and lockstep.start()
        velocities = []
        for _ in range(3000):
            velocity = (lockstep.policy.estimate if source == "estimate" else lockstep.truth).velocity_body[:2]
            lockstep.command = np.append(np.clip(wanted + 1.0 * (wanted - velocity), -0.6, 0.6), 0.0)
            assert lockstep.tick().status.mode == Mode.POLICY, f"it fell on the {source}"
            velocities.append(lockstep.truth.velocity_body[:2])
        ends.append(np.mean(velocities[1000:], axis=0))
    assert ends[0] == pytest.approx(ends[1], abs=0.03)
