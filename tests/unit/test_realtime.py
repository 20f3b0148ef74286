"""What keeps the loops on time, tried in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOCK = """
import numpy
from dbp_policy import realtime
refusal = realtime.lock_memory()
print(refusal or "locked")
print(open("/proc/self/smaps").read(), end="")
"""


def code_mappings(smaps: str) -> dict[str, tuple[int, int, int]]:
    """Size, resident and locked part of each mapping that holds a library's code [KiB]."""
    found, name = {}, ""
    for line in smaps.splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            code = rest[0].startswith("r-x") and ".so" in line
            name = f"{rest[-1]} {first}" if code else ""
        elif name and first in ("Size:", "Rss:", "Locked:"):
            found[name] = (*found.get(name, ()), int(rest[0]))
    return found


def test_locked_memory_holds_all_code_that_may_be_needed():
    out = subprocess.run([sys.executable, "-c", LOCK], capture_output=True, text=True, check=True).stdout
    answer, smaps = out.split("\n", 1)
    if answer != "locked":
        pytest.skip(answer)
    mappings = code_mappings(smaps)
    assert any("libpython" in name or "numpy" in name for name in mappings)
    for name, (size, resident, locked) in mappings.items():  # what is shared counts as locked by its share
        assert resident == size and locked > 0, name
