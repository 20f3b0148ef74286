"""The figures of evaluations beside each other, for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

_UNITS = {"velocity_error": "m/s", "rate_error": "rad/s", "torque": "N·m", "minutes": "min"}
"""Of the figures whose names end so."""


def evaluation_table(columns: dict[str, dict[str, Any]], title: str | None = None) -> Table:
    """A column for each evaluation, by its heading; a row for each figure of the first one."""
    table = Table("figure", *columns, "unit", title=title, title_justify="left")
    for name in next(iter(columns.values())):
        unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
        table.add_row(name, *(_number(figures.get(name)) for figures in columns.values()), unit)
    return table


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "-"
