"""What Linux says of a process, from /proc: processor time and memory."""

from __future__ import annotations

import os
from pathlib import Path

from dbp_policy.errors import DbpError

_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = {"rss": ("Rss",), "anonymous": ("Anonymous", "Swap")}
"""Anonymous memory, swapped or not, is what a process has taken for itself; code and files come and go with others."""


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its threads since its start [s]: utime and stime of proc_pid_stat(5).

    Raises:
        DbpError: There is no such process.
    """
    after_name = _read(pid, "stat").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS


def memory_kib(pid: int) -> dict[str, int]:
    """Resident and anonymous memory of a process [KiB], from smaps_rollup of proc_pid_smaps(5).

    Raises:
        DbpError: There is no such process, or it is another user's.
    """
    rows = (line.split() for line in _read(pid, "smaps_rollup").splitlines()[1:])
    found = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return {name: sum(found[part] for part in parts) for name, parts in _MEMORY.items()}


def _read(pid: int, name: str) -> str:
    try:
        text = Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise DbpError(f"expected to read /proc/{pid}/{name}, got: {error}") from None
    if not text:  # a process that has ended, but was not waited for
        raise DbpError(f"expected a running process {pid}, found one that has ended")
    return text
