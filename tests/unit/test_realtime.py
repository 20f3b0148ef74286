"""What keeps the loops on time, tried in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOCK = """
import numpy
from dbp_policy import realtime
print(realtime.lock_memory() or "locked")
print(open("/proc/self/smaps").read(), end="")
"""


def code_mappings(smaps: str) -> dict[str, dict[str, list[str]]]:
    """What Linux says of each mapping that holds a library's code, by name and address."""
    found: dict[str, dict[str, list[str]]] = {}
    mapping = None
    for line in smaps.splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            code = rest[0].startswith("r-x") and ".so" in line
            mapping = found.setdefault(f"{rest[-1]} {first}", {}) if code else None
        elif mapping is not None:
            mapping[first] = rest
    return found


def test_locked_memory_holds_all_code_that_may_be_needed():
    out = subprocess.run([sys.executable, "-c", LOCK], capture_output=True, text=True, check=True).stdout
    answer, smaps = out.split("\n", 1)
    if answer != "locked":
        pytest.skip(answer)
    mappings = code_mappings(smaps)
    assert any("numpy" in name for name in mappings)
    for name, told in mappings.items():
        assert told["Rss:"] == told["Size:"] and "lo" in told["VmFlags:"], name


OWN_FILES = """
import os, threading
from dbp_policy import realtime

permitted, opened, looked, is_open = [], [], threading.Event(), threading.Event()

def work():
    permitted.append(realtime.own_files())
    opened.append(os.open("/proc/self/status", os.O_RDONLY))
    is_open.set()
    looked.wait()
    os.read(opened[0], 1)

thread = threading.Thread(target=work)
thread.start()
is_open.wait()
try:
    os.fstat(opened[0])
    common = True
except OSError:
    common = False
looked.set()
thread.join()
print("not permitted" if not permitted[0] else "common" if common else "own")
"""


def test_what_a_thread_with_files_of_its_own_opens_no_other_thread_has():
    run = subprocess.run([sys.executable, "-c", OWN_FILES], capture_output=True, text=True, check=True)
    answer = run.stdout.strip()
    if answer == "not permitted":
        pytest.skip("unshare is not permitted here")
    assert answer == "own"
