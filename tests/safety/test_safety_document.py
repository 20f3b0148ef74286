"""docs/safety.md says what the code does."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from dbp_policy.guard.faults import FAULTS
from dbp_policy.guard.table import BEGIN, END, table, updated

DOCUMENT = Path(__file__).parents[2] / "docs/safety.md"


def test_the_table_in_the_document_is_the_codes():
    text = DOCUMENT.read_text()
    assert updated(text) == text, "run: python -m dbp_policy.guard.table docs/safety.md"
    assert all(f"`{name}`" in text for name in FAULTS)


def test_only_the_table_is_replaced():
    assert updated(f"a\n{BEGIN}\nold\n{END}\nb") == f"a\n{BEGIN}\n{table()}\n{END}\nb"
    assert table().count("\n") == len(FAULTS) + 1


def test_only_the_first_table_is_replaced_up_to_the_first_end_behind_it():
    after = f"b\n{BEGIN}\nquoted\n{END}\nc"
    assert updated(f"a\n{BEGIN}\nold\n{END}{after}") == f"a\n{BEGIN}\n{table()}\n{END}{after}"


def test_it_is_brought_up_to_date_by_a_command(tmp_path, monkeypatch):
    file = tmp_path / "safety.md"
    file.write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr("sys.argv", ["table", str(file)])
    monkeypatch.delitem(sys.modules, "dbp_policy.guard.table")
    runpy.run_module("dbp_policy.guard.table", run_name="__main__")
    assert file.read_text() == f"{BEGIN}\n{table()}\n{END}\n"
