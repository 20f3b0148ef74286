"""The policy contract: what has to be known to run a policy, as JSON at full precision inside the ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.observation import ObservationTerm, observation_size, term

METADATA_KEY = "dbp_contract"
SCHEMA = 1
MAX_HIDDEN = 4096
"""Numbers of a recurrent state at most."""

COMMAND_AXES = ("vx", "vy", "wz")

GOLDEN_INPUTS = {"q_sdk": 12, "dq_sdk": 12, "quat_wxyz": 4, "gyro_body": 3, "command": 3, "velocity_body": 3}
GOLDEN_OUTPUT = "target_q_sdk"


@dataclass(frozen=True)
class Contract:
    """All of a policy but its weights. Joint arrays are in the order of `joint_names`."""

    joint_names: tuple[str, ...]
    default_q: tuple[float, ...]
    """Joint angles at zero action [rad]."""
    action_scale: tuple[float, ...]
    """Target angle = default_q + action_scale * action [rad]; actions lie in [-1, 1]."""
    kp: tuple[float, ...]
    """Stiffness while the policy runs [N·m/rad]."""
    kd: tuple[float, ...]
    """Damping while the policy runs [N·m·s/rad]."""
    rate_hz: float
    observation: tuple[ObservationTerm, ...]
    command_min: tuple[float, float, float]
    command_max: tuple[float, float, float]
    """Range of the velocity command vx, vy, wz [m/s, m/s, rad/s]."""
    gait_hz: float = 0.0
    """Frequency of the gait clock; 0 for a policy without one."""
    hidden_size: int = 0
    """Length of the recurrent state; 0 for a policy without one."""
    posture: str = "four_legs"
    """How it holds the trunk, of `go2.POSTURES`; any but the first the operator has to allow."""
    golden: dict[str, Any] = field(default_factory=dict)
    """A sequence from reset, arrays (T, n): `GOLDEN_INPUTS` and the resulting `GOLDEN_OUTPUT`."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How the policy was made: task, algorithm, configuration, git hash, evaluation."""
    robot: str = "go2"

    def __post_init__(self) -> None:
        _check(self)

    def check_posture(self, allowed: str) -> None:
        """Raises `DbpError` if the policy would hold the robot in a way that was not allowed, or nobody knows."""
        if allowed not in go2.POSTURES:
            raise DbpError(f"expected a posture of {', '.join(go2.POSTURES)}, got {allowed!r}")
        if go2.POSTURES[self.posture] > go2.POSTURES[allowed]:
            raise DbpError(f"expected a policy of posture {allowed}, got one of {self.posture}: that has to be allowed")

    @property
    def observation_size(self) -> int:
        return observation_size(self.observation)

    @property
    def reads_velocity(self) -> bool:
        """The policy is told the estimated velocity of the trunk."""
        return any(term.name == "velocity_body" for term in self.observation)

    def to_json(self) -> str:
        """JSON with every number at full precision."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Reads and checks a contract.

        Raises:
            DbpError: The text is no contract of this schema; the message names the field, what was expected and found.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise DbpError(f"contract: expected JSON, got {text[:40]!r} ({error})") from None
        if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
            raise DbpError(f"contract: expected an object with schema {SCHEMA}, got {text[:40]!r}")
        data.setdefault("posture", "four_legs")  # files made before there was a choice
        names = set(cls.__dataclass_fields__)
        if set(data) != names:
            raise DbpError(f"contract: expected the fields {sorted(names)}, got {sorted(data)}")
        try:
            data["observation"] = tuple(term(t["name"], t["scale"], t["history"]) for t in data["observation"])
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DbpError(f"contract: a field has the wrong form ({error})") from None


def _check(c: Contract) -> None:
    if not isinstance(c.golden, dict):
        raise DbpError(f"contract: expected golden vectors by name, got {type(c.golden).__name__}")
    if c.robot != "go2":
        raise DbpError(f"contract: expected robot 'go2', got {c.robot!r}")
    if c.posture not in go2.POSTURES:
        raise DbpError(f"contract: expected a posture of {', '.join(go2.POSTURES)}, got {c.posture!r}")
    to_policy = go2.permutation(go2.JOINT_NAMES, c.joint_names)
    for name, low, high in (("action_scale", 0.0, 3.0), ("kp", 0.0, go2.KP_MAX), ("kd", 0.0, go2.KD_MAX)):
        _check_joints(c, name, np.full(12, low), np.full(12, high))
    _check_joints(c, "default_q", go2.Q_MIN[to_policy], go2.Q_MAX[to_policy])
    for name, low, high in (("rate_hz", 10.0, 500.0), ("gait_hz", 0.0, 10.0), ("hidden_size", 0, MAX_HIDDEN)):
        value = getattr(c, name)
        kinds = int if isinstance(low, int) else (int, float)
        if isinstance(value, bool) or not (isinstance(value, kinds) and low <= value <= high):
            raise DbpError(f"contract: expected {name} in [{low}, {high}], got {value!r}")
    if go2.LOWSTATE_HZ % c.rate_hz:
        raise DbpError(f"contract: expected a rate_hz that divides {go2.LOWSTATE_HZ}, got {c.rate_hz}")
    low, high = np.asarray(c.command_min, dtype=float), np.asarray(c.command_max, dtype=float)
    if not (low.shape == high.shape == (3,) and np.all(low <= 0.0) and np.all(high >= 0.0)):
        raise DbpError(f"contract: expected a command range around zero, got {c.command_min} to {c.command_max}")


def _check_joints(c: Contract, name: str, low: np.ndarray, high: np.ndarray) -> None:
    values = np.asarray(getattr(c, name), dtype=float)
    if values.shape != (12,):
        raise DbpError(f"contract: expected 12 values of {name}, got shape {values.shape}")
    for joint, value, lo, hi in zip(c.joint_names, values, low, high, strict=True):
        if not lo <= value <= hi:
            raise DbpError(f"contract: expected {name} of {joint} in [{lo:g}, {hi:g}], got {value:g}")
