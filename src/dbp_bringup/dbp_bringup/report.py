"""What a walk was like, from a recording of the wire and of ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dbp_policy.errors import DbpError

FALLEN_TILT = np.radians(60.0)
FALLEN_UP_Z = 0.5
"""A trunk tilted by more than 60 degrees [rad], and the cosine of that, has fallen."""

KP = 2
"""Row of the stiffness in a recorded command (q, dq, kp, kd, tau)."""


@dataclass(frozen=True)
class Recorded:
    """A recorder's file."""

    lowstate_t: np.ndarray
    """Arrival of each rt/lowstate, shape (n,) [s]."""
    lowcmd_t: np.ndarray
    """Arrival of each rt/lowcmd, shape (m,) [s]."""
    lowcmd: np.ndarray
    """q, dq, kp, kd, tau of each, shape (m, 5, 12)."""
    truth: np.ndarray
    """stamp, position (3), velocity_body (3), yaw rate, up_z, trunk contact; shape (k, 10)."""

    @classmethod
    def load(cls, path: Path) -> Recorded:
        """Reads a file of the recorder.

        Raises:
            DbpError: There is none.
        """
        try:
            with np.load(path) as data:
                return cls(**{name: data[name] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError) as error:
            raise DbpError(f"expected a recording at {path}, got {error}") from None


def rate(times: np.ndarray, begin: float, end: float) -> float:
    """Mean rate of events in a window [1/s]."""
    return float(np.count_nonzero((times >= begin) & (times < end)) / (end - begin))


def target_rate(recorded: Recorded, begin: float, end: float) -> float:
    """How often the commanded pose changed in a window [1/s]: the policy's rate, as the motors see it."""
    window = (recorded.lowcmd_t >= begin) & (recorded.lowcmd_t < end)
    q = recorded.lowcmd[window, 0]
    return float(np.count_nonzero((np.diff(q, axis=0) != 0.0).any(axis=1)) / (end - begin))


def walk_report(
    recorded: Recorded,
    command: np.ndarray,
    up: tuple[float, float],
    walk: tuple[float, float],
    nose_down: float = 0.0,
) -> dict:
    """Figures of a walk.

    Args:
        recorded: The recording.
        command: vx, vy, wz that was walked, shape (3,).
        up: When the robot was on its legs, from the end of standing up to the start of sitting down [s].
        walk: The steady part of the walk, over which means are taken [s].
        nose_down: How far nose down the trunk was to be held, `go2.POSTURES` [rad]; where it is, body axes tell no
            velocity along the ground, and there are no figures of it.

    Raises:
        DbpError: Nothing was recorded in a window.
    """
    t = recorded.truth[:, 0]
    on_legs = recorded.truth[(t >= up[0]) & (t < up[1])]
    steady = recorded.truth[(t >= walk[0]) & (t < walk[1])]
    if not len(on_legs) or not len(steady):
        raise DbpError("expected ground truth of the walk, got none: did the recorder run?")
    fallen = on_legs[:, 8] < np.cos(FALLEN_TILT + nose_down)
    return {
        "fell": bool(fallen.any() or (on_legs[:, 9] > 0.5).any()),
        "tilt_degrees": round(float(np.degrees(np.arccos(np.clip(steady[:, 8], -1.0, 1.0))).mean()), 2),
        "walking_seconds": round(walk[1] - walk[0], 3),
        **(_velocity(steady[:, (4, 5, 7)], command) if nose_down == 0.0 else {}),
        "lowstate_hz": round(rate(recorded.lowstate_t, *walk), 2),
        "lowcmd_hz": round(rate(recorded.lowcmd_t, *walk), 2),
        "policy_hz": round(target_rate(recorded, *walk), 2),
    }


def _velocity(velocity: np.ndarray, command: np.ndarray) -> dict:
    return {
        "velocity_mean": velocity.mean(axis=0).round(4).tolist(),
        "velocity_rmse": np.sqrt(((velocity - command) ** 2).mean(axis=0)).round(4).tolist(),
    }
