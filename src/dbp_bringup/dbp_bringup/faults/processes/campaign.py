"""Injects faults of processes one by one into one running stack, under load, and judges what the ear heard."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from dbp_bringup.child import Child
from dbp_bringup.faults.processes import disturbers
from dbp_bringup.faults.processes.ear import Heard, listen
from dbp_bringup.faults.processes.judge import Verdict, WireRecord, judge, undisturbed
from dbp_bringup.faults.processes.plan import Expected, ProcessFault
from dbp_bringup.faults.processes.stack_under_test import StackUnderTest
from dbp_bringup.faults.recorder import rows_of
from dbp_bringup.time_keeper import keep_time, stall
from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import damping_command
from dbp_policy.unitree import wire

T = TypeVar("T")

WALK = (0.5, 0.0, 0.0)
HOGS = 4
SPOILING_STALL = 0.003
"""A machine that stood still for so long [s] may itself have damped a robot that was to walk on: such a run proves
nothing and is repeated."""
ATTEMPTS = 4
_WALKED = (0.5, 1.0)
"""A robot walks or stands for so long before the injection [s]: another phase of the gait each time."""
_AFTER = 0.5
"""How long the ear listens after the last act [s]."""
_ASK_AFTER = 0.3
"""A request that has to be refused is made so long after a process was killed [s]."""


@dataclass(frozen=True)
class Result:
    """One injection and what came of it; times in seconds, NaN where none is demanded."""

    key: str
    injected: bool
    """A process was killed or stopped."""
    verdict: Verdict
    bound: float
    pooled: bool
    stall: float = 0.0
    """Of the machine itself, between injection and reaction."""
    damped_within: float = np.inf
    by: str = ""
    """Who damped."""
    seconds: float = 0.0
    """What it took, getting ready included."""

    @property
    def excess(self) -> float:
        """The reaction less the machine's own stall meanwhile."""
        return self.verdict.reaction - self.stall

    @property
    def late(self) -> bool:
        """The reaction, or the damping after it, came after its bound."""
        return bool(self.excess > self.bound or self.verdict.damped - self.stall > self.damped_within)


class Campaign:
    """A stack under test with everything around it; use as a context.

    Args:
        seed: Of the instants of the injections.
        disk_full: See `StackUnderTest`.
        hogs: Processes that compute for ever.
    """

    def __init__(self, seed: int = 0, disk_full: bool = False, hogs: int = HOGS) -> None:
        self.random = random.Random(seed)
        self.stack = StackUnderTest(disk_full)
        self._number_of_hogs = hogs
        self._hogs: list[Child] = []
        self._undo = contextlib.ExitStack()
        self.ticks: list[tuple[float, float]] = []
        """Of the bare timer, all while something was measured."""
        self.ready_seconds: list[float] = []
        """What it took to get the robot ready for each injection."""
        self.spoiled: list[str] = []
        """Injections that were repeated, and why."""

    def __enter__(self) -> Campaign:
        with self._undo:
            for _ in range(self._number_of_hogs):
                self._hogs.append(self._undo.enter_context(Child(disturbers.hog)))
                self.rest()
            self.ear = self._undo.enter_context(Child(listen, self.stack.domain, self.stack.folder))
            self._time_keeper = self._undo.enter_context(Child(keep_time))
            self._driver = Child(disturbers.drive, WALK)
            self._undo.callback(lambda: self._driver.kill())
            self._undo.enter_context(self.stack)
            self._undo = self._undo.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._undo.close()

    def run(self, kind: ProcessFault) -> Result:
        """Injects once; again if the machine itself spoiled it.

        Raises:
            DbpError: The stack does not get ready.
        """
        for attempts_left in reversed(range(ATTEMPTS)):
            result, stalled, calm = self._inject(kind)
            if not calm:
                self.spoiled.append(f"{kind.key}: the robot had begun to stop before the injection")
                continue
            spoiled = result.verdict.unsafe and kind.expected == Expected.GOES_ON and stalled > SPOILING_STALL
            if not spoiled or not attempts_left:
                break
            self.spoiled.append(f"{kind.key}: {result.verdict.unsafe}, the machine stalled {1e3 * stalled:.1f} ms")
        return result

    def patiently(self, what: str, work: Callable[[Campaign], T]) -> T:
        """An injection; again if the stack was not there to be injected, which `spoiled` tells.

        Raises:
            DbpError: It is never there.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return work(self)
            except DbpError as error:
                self.spoiled.append(f"{what}: {error}")
        return work(self)

    def rest(self) -> None:
        """No load, while processes start."""
        for hog in self._hogs:
            hog.signal(signal.SIGSTOP)

    def load(self) -> None:
        """The load under which everything is measured."""
        for hog in self._hogs:
            hog.signal(signal.SIGCONT)

    def new_driver(self) -> Child:
        """Another process that drives, in the place of one that was killed."""
        self._driver = Child(disturbers.drive, WALK)
        return self._driver

    @property
    def driver(self) -> Child:
        """The process that drives."""
        return self._driver

    @contextlib.contextmanager
    def ready(self, kind: ProcessFault) -> Iterator[None]:
        """The robot stands or walks under load, everything is listening."""
        self.rest()
        with contextlib.ExitStack() as disturbed:
            if kind.flooded:
                for work in (disturbers.sink, disturbers.flood):
                    disturbed.enter_context(Child(work, self.stack.domain))
            while True:
                self.ready_seconds.append(self.stack.bring(kind.mode))
                self.load()
                self.hear()
                clock.sleep(self.random.uniform(*_WALKED))
                if self.stack.is_in(kind.mode):
                    break
                self.rest()  # it tripped meanwhile, which the stack notes
            yield
        self.rest()

    def hear(self) -> tuple[Heard, list[tuple[float, float]]]:
        """What ear and timer have gathered since the last time."""
        self.ear.tell("give")
        ticks = self._time_keeper.ask("give")
        return self.ear.answer(), ticks

    def _inject(self, kind: ProcessFault) -> tuple[Result, float, bool]:
        """The result, the machine's worst stall [s], and whether the robot stood or walked when it was injected."""
        begin = now()
        with self.ready(kind):
            roles = {self.stack.process_id(name): name for name in ("guard", "standby")}
            acted = now()
            injected, trouble = self._act(kind)
            clock.sleep(_AFTER if kind.damped_within < 1.0 else kind.damped_within)
            end = now()
            heard, ticks = self.hear()
        self.ticks += ticks
        heard_of = record(heard)
        verdict = judge(kind, heard_of, injected, end)
        verdict = replace(verdict, unsafe=verdict.unsafe or trouble)
        reacted = injected + verdict.reaction if np.isfinite(verdict.reaction) else end
        result = Result(
            kind.key,
            True,
            verdict,
            kind.bound,
            kind.pooled,
            stall(ticks, injected, reacted),
            kind.damped_within,
            roles.get(verdict.writer, "nobody known" if verdict.writer else ""),
            now() - begin,
        )
        return result, stall(ticks, injected, end), undisturbed(heard_of, acted)

    def _act(self, kind: ProcessFault) -> tuple[float, str]:
        """Does it; when [s], and what was granted or not said that should have been."""
        if "guard" in kind.targets and kind.stopped is not None:
            self.stack.expect_end("guard")  # the standby kills it
        injected = now()
        for name in kind.targets:
            self.stack.signal(signal.SIGKILL if kind.stopped is None else signal.SIGSTOP, name)
        clock.sleep(_ASK_AFTER if kind.stopped is None else kind.stopped)
        trouble = self._asked(kind) if kind.refused is not None else ""
        if kind.stopped is not None:
            injected = now() if kind.from_continue else injected
            for name in kind.targets:
                self.stack.signal(signal.SIGCONT, name)
        return injected, trouble

    def _asked(self, kind: ProcessFault) -> str:
        name = kind.refused.name.lower()
        try:
            status = self.stack.ask(kind.refused)
        except DbpError as error:
            return f"{name}: {error}"
        if not status.refusal:
            return f"{name} was granted"
        if kind.says and kind.says not in status.faults:
            return f"{name} was refused for {', '.join(status.faults)}, not {kind.says}: {status.refusal}"
        return ""


def record(heard: Heard) -> WireRecord:
    """What an ear heard, decoded."""
    commands, refused = [], ""
    for _, payload, _ in heard.commands:
        try:
            commands.append(wire.decode_lowcmd(payload))
        except DbpError as error:
            refused = str(error)
            commands.append(damping_command())
    states = [wire.decode_lowstate(payload, t) for t, payload in heard.states]
    return WireRecord(
        t=_array([t for t, _, _ in heard.commands]),
        writer=np.array([writer for _, _, writer in heard.commands], dtype=int),
        rows=rows_of(commands),
        state_t=_array([state.stamp for state in states]),
        q_sdk=_array([state.q_sdk for state in states], 12),
        dq_sdk=_array([state.dq_sdk for state in states], 12),
        refused=refused,
    )


def _array(values: Sequence, *shape: int) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, *shape)
