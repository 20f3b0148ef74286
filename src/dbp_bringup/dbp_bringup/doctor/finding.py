"""What a check of the doctor says, and how a list of it reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How much a finding matters."""

    OK = 0
    WARNING = 1
    """The robot can be run, by someone who knows this."""
    FAULT = 2
    """Nothing is started before it is mended."""


@dataclass(frozen=True)
class Finding:
    """The answer of one check."""

    name: str
    """Of the check."""
    level: Level
    found: str
    mend: str = ""
    """What to do about it; empty where all is well."""


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, found)


def warning(name: str, found: str, mend: str) -> Finding:
    """Something to know of."""
    return Finding(name, Level.WARNING, found, mend)


def fault(name: str, found: str, mend: str) -> Finding:
    """Something to mend first."""
    return Finding(name, Level.FAULT, found, mend)


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level; OK for none."""
    return max((f.level for f in findings), default=Level.OK)


def lines(finding: Finding) -> str:
    """One line, and a second with the mend."""
    text = f"{finding.level.name.lower():8s} {finding.name:12s} {finding.found}"
    return f"{text}\n{'':21s} -> {finding.mend}" if finding.mend else text


def as_json(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """The findings as JSON has them."""
    return [{"name": f.name, "level": f.level.name.lower(), "found": f.found, "mend": f.mend} for f in findings]
