"""Adapter: what the checks need to know of this computer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from dbp_bringup.doctor.environment import Machine
from dbp_policy import clock, go2, realtime
from dbp_policy.clock import Ticker, now
from dbp_policy.errors import DbpError
from dbp_policy.unitree import interfaces, sdk


def look(offset_before: float | None = None) -> Machine:
    """This computer now.

    Args:
        offset_before: `clock_offset` some time ago, to tell whether the clock was set since.
    """
    try:
        version = sdk.dds_version()
        sdk.module("idl.unitree_go.msg.dds_")  # loads CycloneDDS, whichever that is
    except DbpError:
        version = ""
    step = 0.0 if offset_before is None else clock_offset() - offset_before
    return Machine(interfaces.list_interfaces(), version, _dds_libraries(), dict(os.environ), time.time(), step)


def clock_offset() -> float:
    """Wall clock less monotonic clock [s]."""
    return time.time() - clock.real(now())


def timer_lateness(seconds: float) -> float:
    """How late a timer of the guard's period and, where permitted, its priority was at worst [s]."""
    late = []

    def watch() -> None:
        realtime.take_priority(realtime.GUARD_PRIORITY, only_this_thread=True)
        ticker = Ticker(1.0 / go2.LOWSTATE_HZ)
        late.extend(ticker.sleep() for _ in range(round(seconds * go2.LOWSTATE_HZ)))

    thread = threading.Thread(target=watch)  # the priority ends with it
    thread.start()
    thread.join()
    return max(late)


def _dds_libraries() -> list[str]:
    """Files of CycloneDDS's library that this process has mapped."""
    paths = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libddsc" in line)
    return sorted(set(paths))
