"""What a soak has to show: no growth of memory, no fault, no fall. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dbp_bringup.bench.growth import Growth, growth
from dbp_policy.guard.faults import FAULTS, Severity

STALL = 0.010
"""A core that stands still for so long [s] leaves the policy less than the half of the 25 ms in which it has to answer
(`POLICY_SLOW`), its own work included."""
EVENTS_LISTED = 1000
"""So many events of a kind are listed, the others only counted: a soak must not grow itself."""


@dataclass
class Events:
    """Things that happened, with their times; the list has an end, the count has none."""

    count: int = 0
    listed: list[dict] = field(default_factory=list)

    def note(self, seconds: float, what: str, **more: float) -> None:
        """Adds one that happened so long after the start, with what else is known of it."""
        self.count += 1
        if len(self.listed) < EVENTS_LISTED:
            self.listed.append({"t": round(seconds, 2), "what": what, **more})


@dataclass
class Soak:
    """What was observed."""

    samples: list[dict] = field(default_factory=list)
    """Each with `t` [s] and `memory_kib`, by process and kind, besides what is only shown."""
    walked: float = 0.0
    """In the policy's mode [s]."""
    interruptions: Events = field(default_factory=Events)
    """Of the walk, each with `stall_ms`: how long a core of the machine had stood still just before, at worst."""
    faults: Events = field(default_factory=Events)
    """From `Severity.ZERO` on, with `stall_ms` too."""
    warnings: Events = field(default_factory=Events)
    overruns: Events = field(default_factory=Events)
    """Ticks of the guard that came late, as it counts them."""
    fell: bool = False
    stalls: Events = field(default_factory=Events)
    """Of a core of the machine, of `STALL` and more; a fault of that moment says nothing of the stack."""
    finished: bool = False
    """It walked for the whole time and sat down."""
    problem: str = ""
    """Why it did not."""

    def note_faults(self, seconds: float, names: Iterable[str], stall: float = 0.0) -> None:
        """Sorts faults that begin now into faults and warnings; one that the table does not know is a fault.

        Args:
            seconds: Since the start [s].
            names: Of the faults.
            stall: Of the machine just before [s].
        """
        for name in sorted(names):
            grave = name not in FAULTS or FAULTS[name].severity >= Severity.ZERO
            (self.faults if grave else self.warnings).note(seconds, name, stall_ms=round(1e3 * stall, 1))


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
        names = ", ".join(sorted({e["what"] for e in soak.faults.listed}))
        beside = sum(e["stall_ms"] >= 1e3 * STALL for e in soak.faults.listed)
        found.append(f"{soak.faults.count} faults, {beside} of them as the machine stood still: {names}")
    if soak.interruptions.count:
        found.append(f"the walk was interrupted {soak.interruptions.count} times")
    if soak.fell:
        found.append("the robot fell")
    if soak.problem:
        found.append(soak.problem)
    elif not soak.finished:
        found.append("it has not finished")
    return found
