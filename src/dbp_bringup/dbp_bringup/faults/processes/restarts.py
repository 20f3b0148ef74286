"""The guard's process is killed and started anew, again and again, after an e-stop: nothing may move."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dbp_bringup.faults.processes.campaign import Campaign, record
from dbp_bringup.faults.processes.judge import violation
from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import GuardStatus, Mode, Request

MOTION_MAX = 0.01
"""Of any joint during a restart [rad]."""
_REST_MOTION = 0.005
"""Of a robot at rest within a second, at most [rad]: damped legs under load creep, with no guard at all."""
_REST_TIMEOUT = 30.0
_STRETCH = 10
"""Restarts from one stop: damped legs creep, and after a minute give way, whatever the guard does."""


@dataclass(frozen=True)
class Restart:
    """One restart of the guard."""

    unsafe: str
    """What should never have happened, empty if nothing."""
    motion: float
    """Greatest way of a joint from the first request to the new process's answer [rad]."""
    creep: float
    """What the same joints' creep makes in that time, measured before with a guard that runs [rad]."""
    seconds: float
    """How long that was [s]."""
    ready: float
    """From the start of the new process to its first answer [s]."""


def stop(campaign: Campaign) -> float:
    """Stops a walking robot and lets it come to rest; how fast its joints still creep, at most [rad/s].

    Raises:
        DbpError: It goes on moving.
    """
    campaign.rest()
    campaign.stack.bring(Mode.POLICY)
    campaign.stack.ask(Request.ESTOP)
    end = now() + _REST_TIMEOUT
    while True:
        campaign.hear()
        clock.sleep(1.0)
        q_sdk = record(campaign.hear()[0]).q_sdk
        moved = float(np.ptp(q_sdk, axis=0).max())
        if moved < _REST_MOTION:
            return moved
        if now() > end:
            raise DbpError(f"expected a robot at rest within {_REST_TIMEOUT:g} s after an e-stop")


def _stop_again(campaign: Campaign) -> tuple[float, GuardStatus]:
    """Asks a guard to stop, so that every one that is killed commands the motors; when [s], and what it answered.

    Raises:
        DbpError: It does not answer.
    """
    campaign.stack.wait_for_guard()  # one that has ended by itself meanwhile is noted, and fails the campaign
    campaign.hear()
    asked = now()
    return asked, campaign.stack.ask(Request.ESTOP)


def restarts(campaign: Campaign, count: int) -> Iterator[Restart]:
    """Kills and starts the guard `count` times after stops of a walking robot.

    Raises:
        DbpError: The robot does not get up or come to rest, or a new guard does not answer.
    """
    stack = campaign.stack
    for i in range(count):
        if i % _STRETCH == 0:
            creep = stop(campaign)
        asked, latched = campaign.patiently("a stop before a restart", _stop_again)
        campaign.load()
        stack.signal(signal.SIGKILL, "guard")
        clock.sleep(0.1)
        campaign.rest()
        begin = now()
        status = stack.wait_for_guard()
        ready = now() - begin
        heard, _ = campaign.hear()
        wire = record(heard)
        unsafe = wire.refused or violation(wire)
        if not unsafe and wire.stiff.any():
            unsafe = "a stiff command after an e-stop"
        if not unsafe and (status.mode != Mode.DAMPING or status.in_control or latched.mode != Mode.DAMPING):
            unsafe = f"the new guard is in mode {status.mode.name.lower()}, in control: {status.in_control}"
        seconds = now() - asked
        yield Restart(unsafe, float(np.ptp(wire.q_sdk, axis=0).max()), creep * seconds, seconds, ready)
