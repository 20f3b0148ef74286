"""Mutation testing of the guard: every small change to it has to make a test fail. `python tests/mutation`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import sandbox
from equivalents import EQUIVALENT
from rich.console import Console
from rich.table import Table
from verdicts import KILLED, TIMEOUT, Equivalent, Verdict, compare, read_verdicts, survivors

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json


@dataclass(frozen=True)
class Args:
    """Break the guard in every small way and see whether the fast safety tests notice.

    mutmut changes one operator, number, argument or name at a time in a copy of the package. Exit code 0 if every
    mutant was killed or is on the list of those that change nothing, and every entry of that list survived; else 1.
    """

    json: Path | None = None
    """Write all results there."""
    only: tuple[str, ...] = ()
    """Try only mutants of these modules, such as `limits` or `checks.imu`; all if there are none."""
    keep: Path | None = None
    """Work in this empty folder and leave it there, for `mutmut browse`."""
    workers: int = len(os.sched_getaffinity(0))
    """Processes to use."""


def run(args: Args, folder: Path, console: Console) -> bool:
    """Tries the mutants in an empty folder, prints and writes the results; whether nothing is wrong."""
    begin = time.monotonic()
    sandbox.lay_out(folder, args.only)
    sandbox.mutate(folder, args.workers)
    os.chdir(folder)
    verdicts = [v for v in read_verdicts(folder) if _asked_for(v.change.file, args.only)]
    known = [entry for entry in EQUIVALENT if _asked_for(entry.change.file, args.only)]
    unknown, untrue = compare(verdicts, known)
    seconds = time.monotonic() - begin
    if not any(v.status == KILLED for v in verdicts):
        raise DbpError("no mutant was killed: expected tests that run the mutated package")
    console.print(_table(verdicts))
    for verdict in unknown:
        console.print(f"\n[bold]{verdict.status}[/bold]", highlight=False)
        console.print(str(verdict.change), markup=False, highlight=False)
    for entry in untrue:
        console.print("\n[bold]on the list, and no survivor[/bold]")
        console.print(str(entry.change), markup=False, highlight=False)
    counts = Counter(v.status for v in verdicts)
    console.print(
        f"\n{len(verdicts)} mutants: {counts[KILLED]} killed, {counts[TIMEOUT]} timed out, "
        f"{len(survivors(verdicts)) - len(unknown)} equivalent, {len(unknown)} survived; "
        f"{len(untrue)} wrong entries of the list; {seconds / 60.0:.1f} min"
    )
    if args.json is not None:
        write_json(args.json, _report(verdicts, unknown, untrue, seconds))
    return not unknown and not untrue


def _asked_for(file: str, only: tuple[str, ...]) -> bool:
    module = file.removeprefix("guard/").removesuffix(".py").replace("/", ".")
    return not only or module in only


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("module", "mutants", KILLED, TIMEOUT, "left", title="mutants of the guard")
    for file in sorted({v.change.file for v in verdicts}):
        own = [v for v in verdicts if v.change.file == file]
        counts = Counter(v.status for v in own)
        cells = (len(own), counts[KILLED], counts[TIMEOUT], len(survivors(own)))
        table.add_row(file.removeprefix("guard/"), *map(str, cells))
    return table


def _report(verdicts: list[Verdict], unknown: list[Verdict], untrue: list[Equivalent], seconds: float) -> dict:
    files = sorted({v.change.file for v in verdicts})
    return {
        "mutants": len(verdicts),
        "by_status": dict(Counter(v.status for v in verdicts)),
        "by_file": {f: dict(Counter(v.status for v in verdicts if v.change.file == f)) for f in files},
        "equivalent": len(survivors(verdicts)) - len(unknown),
        "survivors": [asdict(v) for v in unknown],
        "timeouts": [asdict(v) for v in verdicts if v.status == TIMEOUT],
        "wrong_entries": [asdict(entry) for entry in untrue],
        "seconds": round(seconds, 1),
    }


def main() -> int:
    return run_main(_main)


def _main() -> int:
    args = parse(Args, "python tests/mutation")
    if args.json is not None:
        check_folder_of(args.json, "--json")
        args = Args(args.json.absolute(), args.only, args.keep, args.workers)
    if args.keep is not None:
        args.keep.mkdir(exist_ok=True)
        if any(args.keep.iterdir()):
            raise DbpError(f"--keep: expected an empty folder, got {args.keep}")
        return not run(args, args.keep.absolute(), Console())
    with tempfile.TemporaryDirectory() as folder:
        try:
            return not run(args, Path(folder), Console())
        finally:
            os.chdir(sandbox.ROOT)


if __name__ == "__main__":
    sys.exit(main())
