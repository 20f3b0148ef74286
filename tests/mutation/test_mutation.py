"""The list of equivalent mutants is held to what survives, and the laws in properties are mutated too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dbp_policy.errors import DbpError

sys.path.insert(0, str(Path(__file__).parent))

import sandbox  # noqa: E402
from equivalents import EQUIVALENT  # noqa: E402
from verdicts import Change, Equivalent, Verdict, compare  # noqa: E402

ONE = Change("guard/limits.py", "f", "return x < 1", "return x <= 1")
OTHER = Change("guard/limits.py", "f", "return x < 1", "return x < 2")


def verdict(change: Change, status: str = "survived") -> Verdict:
    return Verdict("m", change, status)


def known(*changes: Change) -> list[Equivalent]:
    return [Equivalent(change, "it is the same") for change in changes]


def test_a_survivor_has_to_be_on_the_list_and_an_entry_has_to_survive():
    assert compare([verdict(ONE)], known(ONE)) == ([], [])
    assert compare([verdict(ONE), verdict(OTHER)], known(ONE)) == ([verdict(OTHER)], [])
    assert compare([verdict(ONE, "killed")], known(ONE)) == ([], known(ONE)), "killed"
    assert compare([], known(ONE)) == ([], known(ONE)), "gone"


def test_an_entry_stands_for_one_mutant():
    assert compare([verdict(ONE)] * 2, known(ONE)) == ([verdict(ONE)], [])
    assert compare([verdict(ONE)] * 2, known(ONE, ONE)) == ([], [])


@pytest.mark.parametrize("status", ["no tests", "suspicious", "segfault", "not checked", "skipped"])
def test_what_was_not_judged_counts_as_a_survivor(status):
    assert compare([verdict(ONE, status)], []) == ([verdict(ONE, status)], [])


@pytest.mark.parametrize("status", ["killed", "timeout"])
def test_what_was_noticed_does_not(status):
    assert compare([verdict(ONE, status)], []) == ([], [])


def test_every_entry_gives_a_reason_and_names_lines_that_are_there():
    for entry in EQUIVALENT:
        source = (sandbox.PACKAGE / entry.change.file).read_text()
        assert len(entry.reason) > 20 and all(line in source for line in entry.change.removed.splitlines())


def test_only_the_modules_asked_for_are_mutated_and_an_unknown_one_is_told(tmp_path):
    sandbox.lay_out(tmp_path, ["limits", "checks.imu"])
    settings = (tmp_path / "pyproject.toml").read_text()
    assert 'only_mutate = ["dbp_policy/guard/limits.py", "dbp_policy/guard/checks/imu.py"]' in settings
    for module in ("limit", "process", "checks"):
        with pytest.raises(DbpError, match=f"got '{module}'"):
            sandbox.lay_out(tmp_path / module, [module])


def test_in_the_copy_properties_are_methods_and_still_properties(tmp_path):
    sandbox.lay_out(tmp_path)
    copy = tmp_path / "dbp_policy/guard/checks/targets.py"
    assert "@property" not in copy.read_text()
    assert "def age_property(self)" in copy.read_text() and "age = property(lambda self:" in copy.read_text()
    assert "@property" in (sandbox.PACKAGE / "guard/checks/targets.py").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dbp_policy", "docs", "pyproject.toml", "tests"]
