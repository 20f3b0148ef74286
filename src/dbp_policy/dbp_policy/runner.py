"""The pure policy runner: robot state and velocity command in, joint target out."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from dbp_policy import go2
from dbp_policy.contract import GOLDEN_INPUTS, GOLDEN_OUTPUT, Contract
from dbp_policy.errors import DbpError
from dbp_policy.observation import Observer, Signals, advance_phase
from dbp_policy.pd import clip_to_reach, clip_to_speed
from dbp_policy.rotations import gravity_body
from dbp_policy.types import JointTarget, RobotState


class Network(Protocol):
    """The network behind a policy; an adapter runs it."""

    def __call__(self, observation: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Observation (n,) and recurrent state (h,), both float32, to action (12,) and the next recurrent state."""


class Runner:
    """Runs one policy by its contract.

    Args:
        network: The network.
        contract: Its contract.
    """

    def __init__(self, network: Network, contract: Contract) -> None:
        self.contract = contract
        self.network = network
        self.policy: bytes = getattr(network, "sha256", bytes(32))
        """SHA-256 of the policy's file; zeros for a network that came from none."""
        self._to_policy = go2.permutation(go2.JOINT_NAMES, contract.joint_names)
        self._to_sdk = go2.permutation(contract.joint_names, go2.JOINT_NAMES)
        self._default_q = np.array(contract.default_q)
        self._scale = np.array(contract.action_scale)
        self._kp_sdk = np.array(contract.kp)[self._to_sdk]
        self._kd_sdk = np.array(contract.kd)[self._to_sdk]
        self._command_min = np.array(contract.command_min)
        self._command_max = np.array(contract.command_max)
        self._observer = Observer(contract.observation)
        self._sequence = 0
        self.observation = np.zeros(contract.observation_size, np.float32)
        """What the network was given last."""
        self.reset()

    def reset(self) -> None:
        """Starts an episode: phase 0, no last action or target, no history, empty recurrent state."""
        self._phase = np.zeros(1)
        self._last_action = np.zeros(12, dtype=np.float32)
        self._last_target: np.ndarray | None = None
        self._hidden = np.zeros(self.contract.hidden_size, dtype=np.float32)
        self._observer.reset()

    def step(self, state: RobotState, command: np.ndarray, velocity_body: np.ndarray, now: float) -> JointTarget:
        """One policy step: `answer`, whose targets move no faster than a joint can, unless what the motors reach does;
        the guard would shorten what jumps farther."""
        target = self.answer(state, command, velocity_body, now)
        before = state.q_sdk if self._last_target is None else self._last_target
        near = clip_to_speed(target.q_sdk, before, 1.0 / self.contract.rate_hz)
        self._last_target = self._within_reach(near, state)
        return replace(target, q_sdk=self._last_target)

    def answer(self, state: RobotState, command: np.ndarray, velocity_body: np.ndarray, now: float) -> JointTarget:
        """What the policy asks for, as in training and in the golden vectors, however far it jumps.

        Args:
            state: The newest robot state.
            command: vx, vy, wz in body axes, shape (3,) [m/s, m/s, rad/s]; clipped to the contract's range.
            velocity_body: The estimator's velocity, shape (3,) [m/s].
            now: Stamp of the target [s].

        Raises:
            DbpError: The network's output is not twelve finite numbers.
        """
        signals = Signals(
            gyro_body=state.gyro_body,
            gravity_body=gravity_body(state.quat_wxyz),
            command=np.clip(command, self._command_min, self._command_max),
            q_error=state.q_sdk[self._to_policy] - self._default_q,
            dq=state.dq_sdk[self._to_policy],
            last_action=self._last_action,
            phase=self._phase,
            velocity_body=velocity_body,
        )
        self.observation = self._observer.observe(signals).astype(np.float32)
        action, self._hidden = self.network(self.observation, self._hidden)
        if not (np.shape(action) == (12,) and np.all(np.isfinite(action))):
            raise DbpError(f"policy output: expected 12 finite numbers, got {np.array2string(np.asarray(action))}")
        self._last_action = np.clip(action, -1.0, 1.0)
        self._phase = advance_phase(self._phase, self.contract.gait_hz, self.contract.rate_hz)
        self._sequence += 1
        wanted = (self._default_q + self._scale * self._last_action)[self._to_sdk]
        return JointTarget(
            sequence=self._sequence,
            stamp=now,
            state_tick_ms=state.tick_ms,
            q_sdk=self._within_reach(wanted, state),
            kp_sdk=self._kp_sdk,
            kd_sdk=self._kd_sdk,
        )

    def _within_reach(self, q_sdk: np.ndarray, state: RobotState) -> np.ndarray:
        return clip_to_reach(q_sdk, state.q_sdk, state.dq_sdk, self._kp_sdk, self._kd_sdk)


def _golden_array(golden: dict, name: str) -> np.ndarray:
    try:
        return np.asarray(golden.get(name, ()), dtype=float)
    except (TypeError, ValueError):
        raise DbpError(f"golden vectors: expected {name} to be rows of numbers of equal length") from None


def run_golden(runner: Runner, golden: dict) -> np.ndarray:
    """Plays the golden inputs from reset; the targets, shape (T, 12) [rad]."""
    inputs = {name: _golden_array(golden, name) for name in GOLDEN_INPUTS}
    steps = len(inputs["q_sdk"])
    for name, size in GOLDEN_INPUTS.items():
        if inputs[name].shape != (steps, size) or not steps:
            expected = f"{name} of shape ({steps or 'T'}, {size})"
            raise DbpError(f"golden vectors: expected {expected}, got {inputs[name].shape}")
    runner.reset()
    targets = []
    for q, dq, quat, gyro, command, velocity in zip(*inputs.values(), strict=True):
        state = RobotState(q_sdk=q, dq_sdk=dq, quat_wxyz=quat, gyro_body=gyro)
        targets.append(runner.answer(state, command, velocity, 0.0).q_sdk)
    runner.reset()
    return np.array(targets)


def check_golden(runner: Runner, tolerance: float = 1e-4) -> None:
    """Replays the contract's golden vectors.

    Raises:
        DbpError: A target differs from the recorded one by more than `tolerance` [rad]: the file's joint order, scale,
            gains or weights are not those it was exported with.
    """
    golden = runner.contract.golden
    expected = _golden_array(golden, GOLDEN_OUTPUT)
    found = run_golden(runner, golden)
    if expected.shape != found.shape:
        raise DbpError(f"golden vectors: expected targets of shape {found.shape}, got {expected.shape}")
    off = ~(np.abs(found - expected) <= tolerance)
    if np.any(off):
        step, joint = np.argwhere(off)[0]
        raise DbpError(
            f"golden vectors: expected {go2.JOINT_NAMES[joint]} target {expected[step, joint]:.4f} rad at step {step}, "
            f"found {found[step, joint]:.4f} (joint order of the file: {', '.join(runner.contract.joint_names)})"
        )
