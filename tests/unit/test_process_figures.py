"""Processor time and memory of a process, as Linux tells them: read from this one."""

from __future__ import annotations

import mmap
import os
import subprocess
import time

import pytest

from dbp_bringup.bench.processes import cpu_seconds, memory_kib
from dbp_policy.errors import DbpError


def test_memory_that_is_taken_shows():
    before = memory_kib(os.getpid())
    # Of its own from the system: what the C library gives out may be memory that was freed before.
    held = mmap.mmap(-1, 32 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held.write(b"\1" * len(held))
    after = memory_kib(os.getpid())
    held.close()
    assert after["anonymous"] - before["anonymous"] >= 0.9 * 32 * 2**10
    assert after["rss"] > after["anonymous"] > 0


def test_work_shows_as_processor_time():
    before, begin = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - begin < 0.2:
        pass
    assert cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - begin, abs=0.03)


def test_a_process_that_is_gone_is_an_error():
    ended = subprocess.Popen(["true"])
    ended.wait()
    for figure in (cpu_seconds, memory_kib):
        with pytest.raises(DbpError, match=str(ended.pid)):
            figure(ended.pid)
