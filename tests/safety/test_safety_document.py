"""docs/safety.md says what the code does."""

from __future__ import annotations

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
