"""What is done to the processes, and what has to be seen on the wire then; data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbp_policy.types import Mode, Request

TWENTY_MS = 0.020
"""The bound on damping after a process has died or a robot fallen silent [s]."""
HUNG_SETTLES, HUNG_DAMPS = 0.032, 0.070
"""A policy that hangs: settling at 25 ms, damping at 60 ms, each with the age of the last answer and a tick [s]."""
SETTLED = 1.7
"""A settling ends in damping [s]: 1.55 s of motion."""


class Expected(Enum):
    """What has to be seen."""

    DAMPS = "damps"
    SETTLES = "settles, then damps"
    GOES_ON = "goes on"


@dataclass(frozen=True)
class ProcessFault:
    """One kind of injection."""

    key: str
    count: int
    """Injections of it at scale 1."""
    mode: Mode
    """POLICY for a walking robot, or STANDING."""
    targets: tuple[str, ...]
    """Processes that it hits."""
    expected: Expected
    stopped: float | None = None
    """They are stopped for so long and then continued [s]; None: they are killed."""
    bound: float = TWENTY_MS
    """On the time from the injection to the reaction [s]."""
    damped_within: float = TWENTY_MS
    """The same to the damping [s]."""
    pooled: bool = False
    """Counts for the p99 of the excess over the machine's own stalls."""
    from_continue: bool = False
    """Nobody is there to react before the targets go on: time counts from then."""
    refused: Request | None = None
    """What the guard then has to refuse,"""
    says: str = ""
    """naming this fault."""
    flooded: bool = False
    """Beside a flood of other messages."""


D, S, ON = Expected.DAMPS, Expected.SETTLES, Expected.GOES_ON
WALKING, STANDING = Mode.POLICY, Mode.STANDING


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1.0 else f"{1e3 * value:g} ms"


def _guard() -> list[ProcessFault]:
    stopped = ((0.05, 6), (0.2, 6), (1.0, 3), (10.0, 1))
    both = ("guard", "standby")
    return [
        ProcessFault("guard killed", 20, WALKING, ("guard",), D, pooled=True),
        ProcessFault("guard killed, standing", 8, STANDING, ("guard",), D, pooled=True),
        ProcessFault("flood: guard killed", 4, WALKING, ("guard",), D, pooled=True, flooded=True),
        *(
            ProcessFault(f"guard stopped {_seconds(s)}", n, WALKING, ("guard",), D, stopped=s, pooled=True)
            for s, n in stopped
        ),
        ProcessFault("guard stopped 200 ms, standing", 3, STANDING, ("guard",), D, stopped=0.2, pooled=True),
        *(
            ProcessFault(f"guard and standby stopped {_seconds(s)}", n, WALKING, both, D, s, from_continue=True)
            for s, n in ((0.2, 4), (1.0, 2))
        ),
    ]


def _policy() -> list[ProcessFault]:
    node = ("policy_node",)
    hung = {"bound": HUNG_SETTLES, "refused": Request.STAND_UP}
    gone = {"pooled": True, "refused": Request.STAND_UP, "says": "policy_gone"}
    return [
        ProcessFault("policy killed", 18, WALKING, node, D, **gone),
        ProcessFault("flood: policy killed", 4, WALKING, node, D, flooded=True, **gone),
        ProcessFault("policy killed, standing", 2, STANDING, node, ON, refused=Request.START),
        ProcessFault("policy stopped 45 ms", 3, WALKING, node, S, 0.045, damped_within=SETTLED, **hung),
        *(
            ProcessFault(f"policy stopped {_seconds(s)}", n, WALKING, node, S, s, damped_within=HUNG_DAMPS, **hung)
            for s, n in ((0.1, 4), (0.2, 6), (1.0, 2), (10.0, 1))
        ),
    ]


def _standby() -> list[ProcessFault]:
    gone = {"refused": Request.STAND_UP, "says": "standby_gone"}
    return [
        ProcessFault("standby killed", 4, WALKING, ("standby",), ON, **gone),
        ProcessFault("standby killed, standing", 2, STANDING, ("standby",), ON, **{**gone, "refused": Request.START}),
        ProcessFault("standby stopped 50 ms", 3, WALKING, ("standby",), ON, 0.05),
        ProcessFault("standby stopped 200 ms", 4, WALKING, ("standby",), ON, 0.2, **gone),
        ProcessFault("standby stopped 1 s", 2, WALKING, ("standby",), ON, 1.0, **gone),
    ]


def _robot() -> list[ProcessFault]:
    return [
        ProcessFault("robot stopped 10 ms", 4, WALKING, ("robot",), ON, 0.01),
        ProcessFault("robot stopped 100 ms", 8, WALKING, ("robot",), D, 0.1, pooled=True),
        ProcessFault("robot stopped 1 s", 4, WALKING, ("robot",), D, 1.0, pooled=True),
        ProcessFault("robot stopped 100 ms, standing", 3, STANDING, ("robot",), D, 0.1, pooled=True),
        ProcessFault("robot killed", 3, WALKING, ("robot",), D, pooled=True),
    ]


def process_faults(scale: float = 1.0) -> list[ProcessFault]:
    """All kinds, each with its count at a scale, at least one."""
    kinds = [*_guard(), *_policy(), *_standby(), *_robot()]
    return [_scaled(kind, scale) for kind in kinds]


def disk_full_faults(scale: float = 1.0) -> list[ProcessFault]:
    """What is tried where nothing that is printed or written finds room."""
    gone = {"pooled": True, "refused": Request.STAND_UP, "says": "policy_gone"}
    kinds = [
        ProcessFault("disk full: guard killed", 3, WALKING, ("guard",), D, pooled=True),
        ProcessFault("disk full: policy killed", 3, WALKING, ("policy_node",), D, **gone),
        ProcessFault("disk full: robot stopped 100 ms", 2, WALKING, ("robot",), D, 0.1, pooled=True),
    ]
    return [_scaled(kind, scale) for kind in kinds]


def _scaled(kind: ProcessFault, scale: float) -> ProcessFault:
    return ProcessFault(**{**vars(kind), "count": max(1, round(scale * kind.count))})
