"""What a soak has to show: no growth of memory, no fault, no fall. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dbp_bringup.bench.growth import Growth, growth
from dbp_policy.guard.faults import FAULTS, Severity

EVENTS_LISTED = 1000
"""So many events of a kind are listed, the others only counted: a soak must not grow itself."""


@dataclass
class Events:
    """Things that happened, with their times; the list has an end, the count has none."""

    count: int = 0
    listed: list[dict] = field(default_factory=list)

    def note(self, seconds: float, what: str) -> None:
        """Adds one that happened so long after the start."""
        self.count += 1
        if len(self.listed) < EVENTS_LISTED:
            self.listed.append({"t": round(seconds, 2), "what": what})


@dataclass
class Soak:
    """What was observed."""

    samples: list[dict] = field(default_factory=list)
    """Each with `t` [s] and `memory_kib`, by process and kind, besides what is only shown."""
    faults: Events = field(default_factory=Events)
    """From `Severity.ZERO` on."""
    warnings: Events = field(default_factory=Events)
    overruns: Events = field(default_factory=Events)
    """Ticks of the guard that came late, as it counts them."""
    fell: bool = False
    machine_stall_ms: float = 0.0
    """The longest that the machine itself stood still; a fault of that moment says nothing of the stack."""
    finished: bool = False
    """It walked for the whole time and sat down."""
    problem: str = ""
    """Why it did not."""

    def note_faults(self, seconds: float, names: Iterable[str]) -> None:
        """Sorts faults that begin now into faults and warnings; one that the table does not know is a fault."""
        for name in sorted(names):
            grave = name not in FAULTS or FAULTS[name].severity >= Severity.ZERO
            (self.faults if grave else self.warnings).note(seconds, name)


def growths(soak: Soak, processes: Sequence[str]) -> dict[str, Growth]:
    """Of each process's anonymous memory; empty before the first sample."""
    times = [sample["t"] for sample in soak.samples]
    curves = {name: [sample["memory_kib"][name]["anonymous"] for sample in soak.samples] for name in processes}
    return {name: growth(times, curve) for name, curve in curves.items() if curve}


def failures(soak: Soak, grown: dict[str, Growth], judged: Sequence[str]) -> list[str]:
    """Why the soak is failed, in sentences; empty if it is passed.

    Args:
        soak: What was observed.
        grown: Of every process.
        judged: The processes whose memory must not grow.
    """
    found = [f"{name} grows by {grown[name].slope_kib_per_hour:.0f} KiB/h" for name in judged if grown[name].grew]
    if soak.faults.count:
        found.append(f"{soak.faults.count} faults: {', '.join(sorted({e['what'] for e in soak.faults.listed}))}")
    if soak.fell:
        found.append("the robot fell")
    if soak.problem:
        found.append(soak.problem)
    elif not soak.finished:
        found.append("it has not finished")
    return found
