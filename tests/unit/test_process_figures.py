"""Processor time and memory of a process, as Linux tells them: read from this one."""

from __future__ import annotations

import os
import subprocess
import time

import numpy as np
import pytest

from dbp_bringup.bench.processes import cpu_seconds, memory_kib
from dbp_policy.errors import DbpError


def test_memory_that_is_taken_shows():
    before = memory_kib(os.getpid())
    held = np.ones(32 * 2**20, np.uint8)
    after = memory_kib(os.getpid())
    assert after["anonymous"] - before["anonymous"] == pytest.approx(held.nbytes / 1024, rel=0.1)
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
