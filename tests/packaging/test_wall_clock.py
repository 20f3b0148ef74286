"""No process of the stack reads the wall clock for control: one that jumps by an hour changes nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src"
WALL_CLOCK = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime"}
WALL_CLOCK |= {f"datetime.{name}" for name in ("now", "utcnow", "today", "datetime.now", "datetime.utcnow")}
FILES = [file for package in ("dbp_policy", "dbp_bringup") for file in sorted((SOURCES / package).rglob("*.py"))]


def reads_of_the_wall_clock(source: str) -> list[str]:
    """Calls, and names imported, that give the time of day; ROS's clock is for the stamps of messages alone."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCK:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_clock().now"):
            found.append("get_clock")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCES)))
def test_no_module_reads_the_time_of_day(file: Path):
    found = reads_of_the_wall_clock(file.read_text())
    if file.name == "policy_node.py":  # publishes messages with stamps
        found = [name for name in found if name != "get_clock"]
    if file.match("doctor/machine.py"):  # tells the operator of a clock that is wrong
        found = [name for name in found if name != "time.time"]
    if file.match("bags/*_recorder.py"):  # bags are stamped with the time of day
        found = [name for name in found if name != "time.time_ns"]
    if file.match("dbp_bringup/stack.py"):  # a recording's folder is named by the time of day
        found = [name for name in found if "datetime" not in name]
    assert not found


@pytest.mark.parametrize("source", ["import time\ntime.time()", "from time import time", "n.get_clock().now()"])
def test_the_check_finds_one(source: str):
    assert reads_of_the_wall_clock(source)
