"""Where two runs of the same quantities differ, tick by tick. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dbp_policy import go2
from dbp_policy.contract import Contract
from dbp_policy.observation import TERMS

_AXES = {"gyro_body": "xyz", "gravity_body": "xyz", "velocity_body": "xyz"}
_NAMED = {"command": ("vx", "vy", "wz"), "clock": ("sin", "cos")}


@dataclass
class Comparison:
    """Two series of one quantity, recorded and replayed."""

    name: str
    elements: Sequence[str]
    """Names of its elements."""
    tolerance: float
    """A larger difference is one, in the quantity's own unit."""
    compared: int = 0
    """Ticks."""
    differing: int = 0
    """Ticks in which any element differs."""
    largest: float = 0.0
    first: dict | None = None
    """The first tick that differs: its number, the time since the recording's first tick [s] and the elements."""
    counts: Counter = field(default_factory=Counter)
    """Ticks in which each element differs."""

    def add(self, recorded: np.ndarray, replayed: np.ndarray, number: int, time: float) -> None:
        """Compares one tick; NaN equals NaN and nothing else."""
        recorded, replayed = np.asarray(recorded, float), np.asarray(replayed, float)
        difference = np.abs(recorded - replayed)
        difference[np.isnan(recorded) & np.isnan(replayed)] = 0.0
        off = ~(difference <= self.tolerance)
        self.compared += 1
        self.largest = max(self.largest, float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0)))
        if not off.any():
            return
        names = [name for name, is_off in zip(self.elements, off, strict=True) if is_off]
        self.differing += 1
        self.counts.update(names)
        self.first = self.first or {"tick": number, "seconds": round(time, 3), "elements": names}

    def report(self) -> dict:
        """As plain numbers and texts."""
        return {
            "compared": self.compared,
            "differing": self.differing,
            "largest": None if np.isinf(self.largest) else self.largest,
            "first": self.first,
        }


def observation_elements(contract: Contract) -> list[str]:
    """Names of the elements of a policy's observation, such as `joint_velocity FL_hip_joint`."""
    names = []
    for term in contract.observation:
        axes = contract.joint_names if term.size == go2.NUM_JOINTS else _NAMED.get(term.name) or _AXES[term.name]
        for age in reversed(range(term.history)):
            names += [f"{term.name} {axis}" + (f" ({age} ticks ago)" if age else "") for axis in axes]
    return names


class SignWatch:
    """Finds joints whose recorded observation is the replayed one with the opposite sign.

    Args:
        contract: The policy's.
    """

    def __init__(self, contract: Contract, tolerance: float) -> None:
        self._joints = contract.joint_names
        self._tolerance = tolerance
        self._slices = []
        start = 0
        for term in contract.observation:
            start += term.size * term.history
            if term.name in ("joint_position", "joint_velocity"):
                offset = np.array(contract.default_q) if term.name == "joint_position" else np.zeros(go2.NUM_JOINTS)
                self._slices.append((slice(start - term.size, start), np.array(term.scale), offset))
        self._differing = np.zeros(go2.NUM_JOINTS)
        self._opposite = np.zeros(go2.NUM_JOINTS)

    def add(self, recorded: np.ndarray, replayed: np.ndarray) -> None:
        """Takes in the observations of one tick."""
        for part, scale, offset in self._slices:
            a, b = (values[part] / scale + offset for values in (recorded, replayed))
            slack = self._tolerance / np.abs(scale)
            differing = ~(np.abs(a - b) <= slack)
            self._differing += differing
            self._opposite += differing & (np.abs(a + b) <= 4.0 * slack)  # of float32

    @property
    def joints(self) -> list[str]:
        """Their names."""
        flipped = (self._differing > 0) & (self._opposite >= 0.95 * self._differing)
        return [name for name, is_flipped in zip(self._joints, flipped, strict=True) if is_flipped]


assert set(_AXES) | set(_NAMED) == {name for name, (size, _) in TERMS.items() if size != go2.NUM_JOINTS}
