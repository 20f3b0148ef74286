"""The guided check of joint order and signs: a hand moves the joint that is named, and its number has to follow. Pure.

No motor is commanded: the robot hangs in its sling, limp or damped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dbp_bringup.doctor.finding import Finding, fault, ok
from dbp_policy import go2

MOVED = 0.15
"""A joint that a hand has moved on purpose has moved by this [rad], 9°."""
ALONE = 0.5
"""The other joints move by less than this share of it, or the hand has to begin again."""
_AT_REST = 0.02
"""Joints that swing by less than this [rad] hang still."""
_REST = 0.3
"""How long they have to [s]."""


@dataclass(frozen=True)
class Step:
    """One joint and the way to move it."""

    joint: int
    """SDK index."""
    words: str
    """What the hand does."""
    sign: float
    """+1 if the joint's angle grows by it."""

    @property
    def name(self) -> str:
        return go2.JOINT_NAMES[self.joint]


def steps() -> tuple[Step, ...]:
    """All twelve joints in SDK order."""
    found = []
    for leg, name in enumerate(go2.LEGS):
        outward = float(np.sign(go2.HIP_OFFSET_Y[leg]))  # hips turn about the forward axis: left legs swing out by +
        found += [
            Step(3 * leg, f"swing the whole {_LEG[name]} leg out, away from the trunk", outward),
            Step(3 * leg + 1, f"swing the {_LEG[name]} thigh back, its knee to the tail", 1.0),
            Step(3 * leg + 2, f"stretch the {_LEG[name]} knee, the thigh at rest", 1.0),
        ]
    return tuple(found)


_LEG = {"FR": "front right", "FL": "front left", "RR": "rear right", "RL": "rear left"}


class Rest:
    """Waits for the joints to hang still: where a movement is measured from."""

    def __init__(self) -> None:
        self._since = 0.0
        self._q: np.ndarray | None = None

    def is_still(self, q_sdk: np.ndarray, now: float) -> bool:
        """Whether the joints have stayed where they are for `_REST`; to be asked at every lowstate.

        Args:
            q_sdk: Joint angles, shape (12,) [rad].
            now: Time of this process's clock [s].
        """
        if self._q is None or not np.abs(q_sdk - self._q).max() <= _AT_REST:
            self._q, self._since = q_sdk, now
        return now - self._since >= _REST


def judge(step: Step, before_sdk: np.ndarray, q_sdk: np.ndarray) -> Finding | None:
    """What the joints say of one movement; None as long as it is too small, or not of one joint alone.

    Args:
        step: What the hand was asked to do.
        before_sdk: Joint angles before it, shape (12,) [rad].
        q_sdk: Joint angles now, shape (12,) [rad].
    """
    change = q_sdk - before_sdk
    by_size = np.argsort(np.abs(change))
    moved, next_one = int(by_size[-1]), int(by_size[-2])
    amount = float(change[moved])
    if not abs(amount) >= MOVED or not abs(change[next_one]) <= ALONE * abs(amount):
        return None
    name, text = step.name, f"{go2.JOINT_NAMES[moved]} went by {amount:+.2f} rad"
    if moved != step.joint:
        mend = f"motor slot {moved} holds the joint that was moved: mend the joint order before any motor is commanded"
        return fault(name, f"{text} in its place", mend)
    if amount * step.sign < 0.0:
        return fault(name, f"{text}, the wrong way", "the sign of this joint is inverted: mend it before any command")
    return ok(name, text)
