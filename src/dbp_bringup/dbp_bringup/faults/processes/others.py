"""Injections that no signal makes: somebody else commands the motors, and nobody drives any more."""

from __future__ import annotations

import os
import signal
import subprocess

import numpy as np

from dbp_bringup.child import Child
from dbp_bringup.faults.processes.campaign import SPOILING_STALL, WALK, Campaign, Result, record
from dbp_bringup.faults.processes.disturbers import rival
from dbp_bringup.faults.processes.ear import Heard
from dbp_bringup.faults.processes.judge import Verdict, judge
from dbp_bringup.faults.processes.plan import Expected, ProcessFault
from dbp_bringup.stack import Process
from dbp_bringup.supervisor import Supervisor
from dbp_bringup.time_keeper import stall
from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import Mode, Request

SECOND_WRITER = ProcessFault("second writer", 5, Mode.POLICY, (), Expected.DAMPS, bound=0.05, damped_within=0.05)
SECOND_WRITER_UNARMED = ProcessFault("second writer before standing up", 2, Mode.DAMPING, (), Expected.GOES_ON)
SECOND_WRITER_FIRST = ProcessFault("second writer before the guard", 1, Mode.DAMPING, (), Expected.GOES_ON)
DRIVER_KILLED = ProcessFault(
    "velocity source killed", 4, Mode.POLICY, (), Expected.GOES_ON, bound=1.2, damped_within=np.inf
)
"""Its time-out is 0.3 s, the command is zero 0.2 s later, and then a robot at 0.5 m/s has to stop."""
RECORDER_KILLED = ProcessFault("recorder killed", 2, Mode.POLICY, (), Expected.GOES_ON)
STANDS = 0.15
"""The mean velocity over `_WINDOW` of a robot that walks on the spot stays below [m/s]."""
_WINDOW = 0.3
_MOVES = 0.35
"""One that walks at `WALK` is faster [m/s]."""
_WAIT_MOVING = 15.0
_WAIT = 3.0
"""How long a guard that must not take over is given to do it [s]; without a rival it takes 1.5 s."""


def second_writer(campaign: Campaign) -> Result:
    """A process begins to command a walking robot's motors; time counts from when the ear knows of it."""
    begin = now()
    with Child(rival, campaign.stack.domain) as other, campaign.ready(SECOND_WRITER):
        guard = campaign.stack.process_id("guard")
        process_id = other.ask("who")
        campaign.hear()
        known = now()
        clock.sleep(0.2)
        other.tell("go")
        clock.sleep(0.5)
        end = now()
        heard, ticks = campaign.hear()
        other.ask("leave")
    campaign.ticks += ticks
    wire = record(heard)
    met = [t for t, _ in heard.writers if t > known] + wire.t[wire.writer == process_id].tolist()
    if not met:
        return _result(SECOND_WRITER, Verdict("the rival was never heard"), begin)
    injected = float(min(met))
    verdict = judge(SECOND_WRITER, wire.without(process_id), injected, end)
    by = "guard" if verdict.writer == guard else ""
    reacted = injected + verdict.reaction if np.isfinite(verdict.reaction) else end
    return _result(SECOND_WRITER, verdict, begin, stall(ticks, injected, reacted), by)


def second_writer_unarmed(campaign: Campaign) -> Result:
    """A process commands the motors of a robot that lies: it must not be stood up."""
    begin = now()
    campaign.stack.end("guard")
    campaign.stack.wait_for_guard()
    with Child(rival, campaign.stack.domain) as other:
        process_id = other.ask("who")
        campaign.hear()
        other.tell("go")
        clock.sleep(0.5)
        refusal = campaign.stack.ask(Request.STAND_UP).refusal
        clock.sleep(0.2)
        wire = record(campaign.hear()[0]).without(process_id)
        other.ask("leave")
    unsafe = "" if "second_writer" in refusal else f"stand_up: expected a refusal for second_writer, got {refusal!r}"
    if not unsafe and wire.stiff.any():
        unsafe = "a stiff command beside a second writer"
    return _result(SECOND_WRITER_UNARMED, Verdict(unsafe), begin)


def second_writer_first(campaign: Campaign) -> Result:
    """A process commands the motors already when the guard starts: it must not take over before that has left."""
    begin = now()
    campaign.stack.end("guard")
    with Child(rival, campaign.stack.domain) as other:
        process_id = other.ask("who")
        other.tell("go")
        clock.sleep(0.5)
        campaign.hear()
        campaign.stack.restore()
        clock.sleep(_WAIT)
        try:
            campaign.stack.status()
            unsafe = "the guard took over beside a second writer"
        except DbpError:
            unsafe = ""
        wire = record(campaign.hear()[0]).without(process_id)
        other.ask("leave")
    if not unsafe and wire.stiff.any():
        unsafe = "a stiff command beside a second writer"
    campaign.stack.wait_for_guard()
    return _result(SECOND_WRITER_FIRST, Verdict(unsafe), begin)


def driver_killed(campaign: Campaign) -> Result:
    """The process that publishes the velocity is killed: the robot stops and walks on the spot."""
    begin = now()
    with campaign.ready(DRIVER_KILLED):
        _wait_until_it_walks(campaign)
        injected = now()
        campaign.driver.signal(signal.SIGKILL)
        clock.sleep(DRIVER_KILLED.bound + 2 * _WINDOW)
        end = now()
        heard, ticks = campaign.hear()
    campaign.driver.kill()
    campaign.new_driver()
    campaign.ticks += ticks
    verdict = judge(DRIVER_KILLED, record(heard), injected, end)
    _refuse_if_spoiled(verdict, ticks, injected, end)
    if not verdict.unsafe:
        stopped = stopped_at(heard, injected)
        verdict = Verdict("" if np.isfinite(stopped) else "the robot went on", stopped - injected)
    return _result(DRIVER_KILLED, verdict, begin)


def _wait_until_it_walks(campaign: Campaign) -> None:
    """Raises `DbpError` if the robot does not follow the velocity that is published."""
    end = now() + _WAIT_MOVING
    while True:
        campaign.hear()
        clock.sleep(_WINDOW)
        speed = np.array([vx for _, vx, _, _ in campaign.hear()[0].truth]).mean()
        if speed > _MOVES:
            return
        if now() > end:
            raise DbpError(f"expected a robot that walks at {WALK[0]} m/s, got {speed:.2f}: does the velocity arrive?")


def stopped_at(heard: Heard, since: float) -> float:
    """When the robot's mean velocity became, and stayed, that of one that walks on the spot [s]."""
    t, vx, vy, _ = np.array(heard.truth).reshape(-1, 4).T
    last = np.inf
    for i in np.flatnonzero(t > since)[::-1]:
        window = (t > t[i] - _WINDOW) & (t <= t[i])
        if np.hypot(vx[window].mean(), vy[window].mean()) > STANDS:
            break
        last = float(t[i])
    return last


def recorder_killed(campaign: Campaign) -> Result:
    """The program that records the wire is killed beside a walking robot: nobody misses it."""
    begin = now()
    folder = campaign.stack.folder
    arguments = ("--out", str(folder / "run.npz"), "--domain", str(campaign.stack.domain))
    recorder = Process("recorder", "dbp_bringup", "recorder", (*arguments, "--runtime-dir", str(folder / "recorder")))
    (folder / "recorder").mkdir(exist_ok=True)
    with campaign.ready(RECORDER_KILLED), Supervisor([recorder], output=subprocess.DEVNULL) as supervisor:
        clock.sleep(2.0)
        campaign.hear()
        clock.sleep(0.2)
        injected = now()
        os.kill(supervisor.process_id("recorder"), signal.SIGKILL)
        clock.sleep(0.5)
        end = now()
        heard, ticks = campaign.hear()
    campaign.ticks += ticks
    verdict = judge(RECORDER_KILLED, record(heard), injected, end)
    _refuse_if_spoiled(verdict, ticks, injected, end)
    return _result(RECORDER_KILLED, verdict, begin)


OTHERS = (
    (SECOND_WRITER, second_writer),
    (SECOND_WRITER_UNARMED, second_writer_unarmed),
    (SECOND_WRITER_FIRST, second_writer_first),
    (DRIVER_KILLED, driver_killed),
    (RECORDER_KILLED, recorder_killed),
)


def _refuse_if_spoiled(verdict: Verdict, ticks: list[tuple[float, float]], injected: float, end: float) -> None:
    """Raises `DbpError` if the machine itself may have damped a robot that was to walk on: that proves nothing."""
    stalled = stall(ticks, injected, end)
    if verdict.unsafe and stalled > SPOILING_STALL:
        raise DbpError(f"{verdict.unsafe}, the machine stalled {1e3 * stalled:.1f} ms")


def _result(kind: ProcessFault, verdict: Verdict, begin: float, stalled: float = 0.0, by: str = "") -> Result:
    return Result(
        kind.key,
        kind in (DRIVER_KILLED, RECORDER_KILLED),
        verdict,
        kind.bound,
        False,
        stalled,
        kind.damped_within if kind is SECOND_WRITER else np.inf,
        by,
        now() - begin,
    )
