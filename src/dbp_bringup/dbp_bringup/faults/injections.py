"""Faults as data: what is done to the stack, which reaction it has to cause, and within what time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dbp_bringup.faults.start_states import MODES
from dbp_bringup.lockstep import Lockstep
from dbp_policy import go2
from dbp_policy.estop_client import Endpoint
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch
from dbp_policy.guard.faults import Severity
from dbp_policy.guard.guard import Guard
from dbp_policy.types import JointTarget, Request
from dbp_policy.unitree.remote import Remote

_KEY = bytes(range(32))
PERIOD_MS = 1000 // go2.LOWSTATE_HZ
READER_DEPTH = 16
"""Lowstates that the guard's reader keeps for it (unitree.channels)."""
Inject = Callable[[Lockstep, np.random.Generator], None]
"""Prepares a stack: sets its taps, breaks a part, asks."""


@dataclass(frozen=True)
class Injection:
    """One fault."""

    key: str
    reaction: Severity
    bound: float
    """From the injection to the reaction on the wire [s]."""
    inject: Inject
    modes: Sequence[str] = MODES
    """Where the fault can happen and the reaction is demanded."""
    sensors_lie: bool = False
    """The joints are not where the guard is told."""
    lasts: bool = True
    """The fault is present until the end of the run; one that passes refuses no start."""
    asked: tuple[Request, ...] = ()
    """Of the guard, in the first tick."""
    no_start: bool = False
    """Though it stops nothing, nobody may stand up or start the policy."""


# The policy ----------------------------------------------------------------------------------------------------------


def answers(change: Callable[[JointTarget, int], JointTarget | None]) -> Inject:
    """Every answer of the policy is changed, or lost (None)."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        count = 0

        def tap(target: JointTarget) -> Sequence[JointTarget]:
            nonlocal count
            changed = change(target, count)
            count += 1
            return () if changed is None else (changed,)

        stack.target_tap = tap

    return inject


def slow(milliseconds: int) -> Inject:
    """Answers come this much later than they do."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        under_way: list[JointTarget] = []

        def tap(target: JointTarget) -> Sequence[JointTarget]:
            under_way.append(target)
            due = [t for t in under_way if target.state_tick_ms - t.state_tick_ms >= milliseconds]
            under_way[:] = under_way[len(due) :]
            return due

        stack.target_tap = tap

    return inject


def jumping(times: int) -> Inject:
    """Targets a radian apart, a new one in every answer; a policy of 50 Hz takes 100 ms for five of them."""

    def change(target: JointTarget, count: int) -> JointTarget:
        if count >= times:
            return target
        wanted = target.q_sdk + np.where(np.arange(12) % 3 == 1, 0.5 if count % 2 else -0.5, 0.0)
        return replace(target, q_sdk=np.clip(wanted, go2.Q_MIN, go2.Q_MAX))

    return answers(change)


def killed(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.policy_alive = False


# Operator and guard --------------------------------------------------------------------------------------------------


def remote_pressed(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.robot.remote = Remote(present=True, buttons=frozenset({"l2_button", "b"}))


def guard_restarts(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.guard = Guard()


def guard_stopped(milliseconds: int) -> Inject:
    """The guard does not run for so long, and then finds everything that came meanwhile and was kept for it."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        kept: list[bytes] = []
        for _ in range(milliseconds // PERIOD_MS):
            stack.robot.step(PERIOD_MS)
            stack.now += 1e-3 * PERIOD_MS
            kept.append(stack.robot.lowstate())
        once = [tuple(kept[-READER_DEPTH:])]
        stack.lowstate_tap = lambda payload: (*(once.pop() if once else ()), payload)

    return inject


# Others beside the guard ---------------------------------------------------------------------------------------------


def around(**fields: object) -> Inject:
    """Something else that reaches the guard in every tick: fields of its input."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        stack.input_tap = lambda heard: replace(heard, **fields)

    return inject


def foreign_command(stack: Lockstep, rng: np.random.Generator) -> None:
    """One command of somebody else's, on the wire once."""
    counts = iter((1,))
    stack.input_tap = lambda heard: replace(heard, foreign=next(counts, 0))


def endpoint(send: Callable[[list[bytes]], bytes | None]) -> Inject:
    """A remote e-stop endpoint that has checked in so far: what it sends now is chosen from all its check-ins."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        watch, client = EndpointWatch(("bench",), _KEY, rng.bytes), Endpoint("bench", _KEY)
        check_ins: list[bytes] = []

        def exchange(now: float, choose: Callable[[list[bytes]], bytes | None]) -> EndpointReport:
            check_in = client.check_in(now)
            if check_in is not None:
                check_ins.append(check_in)
                datagram = choose(check_ins)
                answer = None if datagram is None else watch.receive(datagram, now)
                if answer is not None:
                    client.receive(answer, now)
            return watch.report(now)

        for step in range(100, 0, -1):
            exchange(stack.now - 1e-3 * PERIOD_MS * step, lambda sent: sent[-1])
        stack.input_tap = lambda heard: replace(heard, endpoints=exchange(stack.now, send))

    return inject


def both(first: Inject, second: Inject) -> Inject:
    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        first(stack, rng)
        second(stack, rng)

    return inject
