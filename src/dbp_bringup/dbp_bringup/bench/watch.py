"""A soak's eyes: follows the stack's diagnostics and the robot's ground truth, in bounded memory."""

from __future__ import annotations

from dbp_bringup.bench.processes import memory_kib
from dbp_bringup.bench.verdict import Soak
from dbp_bringup.bench.walking import WalkingStack
from dbp_bringup.report import FALLEN_UP_Z
from dbp_bringup.robot import local_channel
from dbp_bringup.stall_watch import StallWatch
from dbp_policy.clock import now


class Watch:
    """Observes a walking stack; use as a context.

    Args:
        walking: The stack.
    """

    def __init__(self, walking: WalkingStack) -> None:
        self.seen = Soak()
        self._session = walking.session
        self._ids = walking.process_ids
        self._truth = local_channel.Channel(walking.folder, local_channel.TRUTH_SOCKET)
        self._stalls = StallWatch()
        self._present: set[str] = set()
        self._session.forget_faults()
        self._overruns = int(self._session.diagnostics["guard_overruns"])
        self._late_before = int(self._session.diagnostics["late_ticks"])
        self._begin = now()

    @property
    def elapsed(self) -> float:
        """Since the start [s]."""
        return now() - self._begin

    def look(self) -> None:
        """Notes what is new; to be called every 50 ms or so.

        A fault counts once each time it begins. One that is there for less than the node's 20 ms may go unseen; those
        that stop the robot stay until it is reset.
        """
        diagnostics = self._session.diagnostics
        begun = self._session.faults - self._present
        self._present = set(filter(None, diagnostics["faults"].split(",")))
        self._session.forget_faults()
        self.seen.note_faults(self.elapsed, begun)
        overruns = int(diagnostics["guard_overruns"])
        if overruns != self._overruns:
            self.seen.overruns.note(self.elapsed, f"{overruns - self._overruns} ticks")
            self._overruns = overruns
        self.seen.machine_stall_ms = max(self.seen.machine_stall_ms, round(1e3 * self._stalls.worst, 1))
        for sample in local_channel.read_truth(self._truth):
            if sample.trunk_contact or not sample.up_z >= FALLEN_UP_Z:
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
            "machine_stall_ms": round(1e3 * self._stalls.worst, 1),
            "memory_kib": {name: memory_kib(pid) for name, pid in self._ids.items()},
        }
        self._stalls.worst = 0.0
        self.seen.samples.append(sample)
        return sample

    def __enter__(self) -> Watch:
        self._stalls.__enter__()
        return self

    def __exit__(self, *_) -> None:
        self._stalls.__exit__()
        self._truth.close()
