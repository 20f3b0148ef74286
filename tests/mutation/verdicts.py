"""What became of each mutant, and whether each survivor is one that the list of equivalent mutants accounts for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key
from sandbox import PROPERTY

KILLED, TIMEOUT = "killed", "timeout"


@dataclass(frozen=True)
class Change:
    """What a mutant changes, told so that it stays the same when other lines and mutants come and go."""

    file: str
    """Relative to the package `dbp_policy`."""
    function: str
    """`function` or `Class.method`."""
    removed: str
    """The changed lines as they are in the source, without indentation."""
    added: str
    """The lines that the mutant has instead."""

    def __str__(self) -> str:
        lines = [f"- {line}" for line in self.removed.splitlines()] + [f"+ {line}" for line in self.added.splitlines()]
        return "\n".join([f"{self.file}: {self.function}", *lines])


@dataclass(frozen=True)
class Equivalent:
    """A mutant that no test can kill."""

    change: Change
    reason: str
    """Why the program does the same with it."""


@dataclass(frozen=True)
class Verdict:
    """One mutant and what became of it."""

    name: str
    """mutmut's."""
    change: Change
    status: str
    """mutmut's word: `killed`, `timeout`, `survived`, `no tests` or another."""


def read_verdicts(folder: Path) -> list[Verdict]:
    """The verdicts that mutmut left in `folder`, which has to be the working directory."""
    verdicts = []
    for meta in sorted((folder / "mutants").rglob("*.py.meta")):
        path = meta.relative_to(folder / "mutants").with_suffix("")
        for name, exit_code in json.loads(meta.read_text())["exit_code_by_key"].items():
            status = TIMEOUT if exit_code == -9 else status_by_exit_code[exit_code]  # -9: the hard limit of CPU time
            verdicts.append(Verdict(name, read_change(name, path), status))
    return verdicts


def read_change(name: str, path: Path) -> Change:
    function, class_name = orig_function_and_class_names_from_key(name)
    function = function.removesuffix(PROPERTY)
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]

    def side(sign: str) -> str:
        return "\n".join(line[1:].strip() for line in lines if line.startswith(sign))

    where = f"{class_name}.{function}" if class_name else function
    return Change(path.relative_to("dbp_policy").as_posix(), where, side("-"), side("+"))


def survivors(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """All that was neither noticed by a test nor kept one from ending; also what no test reaches or mutmut lost."""
    return [v for v in verdicts if v.status not in (KILLED, TIMEOUT)]


def compare(verdicts: Iterable[Verdict], known: Iterable[Equivalent]) -> tuple[list[Verdict], list[Equivalent]]:
    """Survivors that the list lacks, and entries of the list that name no survivor; each entry stands for one."""
    left = Counter(entry.change for entry in known)
    unknown = []
    for verdict in survivors(verdicts):
        if left[verdict.change] > 0:
            left[verdict.change] -= 1
        else:
            unknown.append(verdict)
    return unknown, [entry for entry in known if left[entry.change] > 0]
