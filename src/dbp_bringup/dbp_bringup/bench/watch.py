"""A soak's eyes: follows the stack's diagnostics and the robot's ground truth, in bounded memory."""

from __future__ import annotations

from dbp_bringup.bench.core_watch import CoreWatch
from dbp_bringup.bench.processes import memory_kib
from dbp_bringup.bench.verdict import Soak
from dbp_bringup.bench.walking import WalkingStack
from dbp_bringup.report import FALLEN_UP_Z
from dbp_bringup.robot import local_channel
from dbp_policy.clock import now

_BEFORE = 0.5
"""A fault is seen here some 0.1 s after it was raised; a stall that began longer ago [s] has not to do with it."""


class Watch:
    """Observes a walking stack; use as a context.

    Args:
        walking: The stack.
        cores: Timers that run already: their processes' start would hold up a stack that walks.
    """

    def __init__(self, walking: WalkingStack, cores: CoreWatch) -> None:
        self.seen = Soak()
        self._session = walking.session
        self._ids = walking.process_ids
        self._truth = local_channel.Channel(walking.folder, local_channel.TRUTH_SOCKET)
        self._cores = cores
        self._worst = 0.0
        self._cause = 0.0
        self._interrupted = False
        self._present: set[str] = set()
        self._overruns = int(self._session.diagnostics["guard_overruns"])
        self._late_before = int(self._session.diagnostics["late_ticks"])
        self._begin = 0.0

    @property
    def elapsed(self) -> float:
        """Since the start [s]."""
        return now() - self._begin

    @property
    def walks(self) -> bool:
        """The robot follows the policy."""
        return self._session.mode == "policy"

    def look(self) -> None:
        """Notes what is new; to be called every 50 ms or so.

        A fault counts once each time it begins. One that is there for less than the node's 20 ms may go unseen; those
        that stop the robot stay until it is reset. A robot that is settled for a fault and lies down has not fallen.
        """
        for core, seconds in self._cores.look():
            self._worst = max(self._worst, seconds)
            self.seen.stalls.note(self.elapsed, f"core {core}", stall_ms=round(1e3 * seconds, 1))
        diagnostics = self._session.diagnostics
        begun = self._session.faults - self._present
        self._present = set(filter(None, diagnostics["faults"].split(",")))
        self._session.forget_faults()
        walked_on = self.walks and not self._interrupted
        if not self._interrupted:  # else what comes until it walks again is laid to what interrupted it
            self._cause = self._cores.worst(_BEFORE)
            if not self.walks:
                self.seen.interruptions.note(self.elapsed, self._session.mode, stall_ms=round(1e3 * self._cause, 1))
        self._interrupted = not self.walks
        self.seen.note_faults(self.elapsed, begun, self._cause)
        overruns = int(diagnostics["guard_overruns"])
        if overruns != self._overruns:
            self.seen.overruns.note(self.elapsed, f"{overruns - self._overruns} ticks")
            self._overruns = overruns
        for sample in local_channel.read_truth(self._truth):
            if walked_on and (sample.trunk_contact or not sample.up_z >= FALLEN_UP_Z):
                self.seen.fell = True

    def sample(self) -> dict:
        """Takes and keeps a sample: memory of all processes, and what the stack says of itself.

        Raises:
            DbpError: A process has ended.
        """
        diagnostics = self._session.diagnostics
        sample = {
            "t": round(self.elapsed, 2),
            "mode": self._session.mode,
            "lowstate_hz": float(diagnostics["lowstate_hz"]),
            "policy_hz": float(diagnostics["policy_hz"]),
            "overruns": int(diagnostics["guard_overruns"]),
            "late_ticks": int(diagnostics["late_ticks"]) - self._late_before,
            "machine_stall_ms": round(1e3 * self._worst, 1),
            "memory_kib": {name: memory_kib(pid) for name, pid in self._ids.items()},
        }
        self._worst = 0.0
        self.seen.samples.append(sample)
        return sample

    def __enter__(self) -> Watch:
        self._cores.look()  # what was before
        self._session.forget_faults()
        self._begin = now()
        return self

    def __exit__(self, *_) -> None:
        self._truth.close()
