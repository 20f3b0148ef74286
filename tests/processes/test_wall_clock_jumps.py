"""The time of day jumps by an hour under the whole stack, and the robot walks on. Needs Debian's package faketime."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from running_stack import repeat_if_stalled

from dbp_bringup.faults.processes.campaign import Campaign, record
from dbp_bringup.faults.processes.judge import judge
from dbp_bringup.faults.processes.plan import Expected, ProcessFault
from dbp_policy.clock import now
from dbp_policy.types import Mode

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS = ProcessFault("wall clock jumps", 1, Mode.POLICY, (), Expected.GOES_ON)
CACHED = 1.2
"""How long a process may go on with the time of day that it knew [s]."""


@pytest.mark.skipif(not LIBRARIES, reason="faketime is not installed (Debian package faketime)")
@pytest.mark.parametrize("jumps", [("+3600", "+0"), ("-3600", "+0")])
def test_the_robot_walks_on_when_the_time_of_day_jumps(jumps, tmp_path, monkeypatch):
    offset = tmp_path / "offset"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARIES[0]))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")

    @repeat_if_stalled
    def attempt() -> None:
        with Campaign(hogs=0) as campaign, campaign.ready(JUMPS):
            begin = now()
            for jump in jumps:
                offset.write_text(jump)
                time.sleep(CACHED)
            verdict = judge(JUMPS, record(campaign.hear()[0]), begin, now())
            assert verdict.unsafe == ""
            assert campaign.stack.is_in(Mode.POLICY)

    attempt()
