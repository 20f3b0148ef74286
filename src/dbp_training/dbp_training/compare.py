"""`./dbp compare TASK`: runs algorithms one after another under the same conditions and draws their curves."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_training.algorithms import ALGORITHMS
from dbp_training.comparison import write_comparison
from dbp_training.curves import read_curve, read_evaluations
from dbp_training.run_folder import RunFolder, git_hash
from dbp_training.tasks.registry import TASKS
from dbp_training.train import train
from dbp_training.train_arguments import TaskName, Train, checked, new_config


@dataclass(frozen=True)
class Compare:
    """Trains each algorithm with each seed, one run after another, and draws reward and evaluations.

    Writes OUT.json, OUT.png and OUT.md. The same command again goes on where it was stopped: a finished run is not
    repeated. Ctrl-C saves the run and draws what there is.

    Examples:
        ./dbp compare arm_reach --algorithms dmo,shac --seeds 3
        ./dbp compare go2_walk --algorithms dmo,imagined --seeds 5 --steps 400000
        ./dbp compare arm_reach --algorithms shac,apg-mc --segments 4 8 16 32
    """

    task: Annotated[TaskName, tyro.conf.Positional]
    """What to learn; ./dbp train --help lists tasks and algorithms."""
    algorithms: str
    """Names with commas between."""
    seeds: int = 3
    """Runs per algorithm, with the seeds 0, 1, ..."""
    minutes: float | None = None
    """Length of each run by the clock; the task's own unless given."""
    steps: int | None = None
    """Length of each run in environment steps instead."""
    randomise: Literal["none", "full"] = "none"
    """As in ./dbp train."""
    segments: tuple[int, ...] = ()
    """Run each algorithm once with each of these, see --segment in ./dbp train; its own unless given."""
    model_hidden: tuple[int, ...] | None = None
    """As in ./dbp train, for the algorithms with a learned model."""
    evaluations: int = 20
    """Evaluations on the way of each run; their time does not count."""
    until_goal: bool = False
    """End each run at the first of these that reaches what is expected of the task: for how soon, not how well."""
    threads: int = 2
    """Threads of the simulator."""
    runs: Path | None = None
    """Folder of the run folders; runs/compare-TASK unless given."""
    out: Path | None = None
    """Where the results go, without suffix; docs/results/TASK unless given."""


def _wanted(args: Compare) -> list[Train]:
    """The runs, seed by seed, so that a comparison cut short compares what it has."""
    names = [name.strip() for name in args.algorithms.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise DbpError(f"--algorithms: expected different names with commas between, got {args.algorithms!r}")
    if args.seeds < 1:
        raise DbpError(f"--seeds: expected a positive number, got {args.seeds}")
    root = args.runs or Path("runs") / f"compare-{args.task}"
    if args.evaluations < 1:
        raise DbpError(f"--evaluations: expected a positive number, got {args.evaluations}")
    common = {
        name: getattr(args, name) for name in ("minutes", "steps", "randomise", "evaluations", "until_goal", "threads")
    }
    if len(set(args.segments)) < len(args.segments):
        raise DbpError(f"--segments: expected different numbers, got {' '.join(map(str, args.segments))}")
    return [
        checked(
            Train(
                args.task,
                name,
                seed,
                out=root / f"{name}{f'-segment{segment}' if segment else ''}-seed{seed}",
                segment=segment,
                model_hidden=args.model_hidden if _has_model(name, args.task) else None,
                **common,
            )
        )
        for seed in range(args.seeds)
        for name in names
        for segment in args.segments or (None,)
    ]


def _has_model(name: str, task: str) -> bool:
    return name in ALGORITHMS and ALGORITHMS[name](task, False).dynamics is not None


def _label(run: Train) -> str:
    return f"{run.algorithm}, segment {run.segment}" if run.segment else run.algorithm


def _run(wanted: Train) -> int:
    """Trains what is left of a run; its exit code, 0 at once if it is finished."""
    folder, config = RunFolder(wanted.out), new_config(wanted)
    if not (wanted.out / "config.json").exists():
        return train(wanted)
    found = folder.read_config()
    if replace(found, git_hash=config.git_hash) != config:
        raise _OtherConditions(f"{wanted.out}: expected a run under the same conditions (another --runs starts afresh)")
    if folder.read_evaluation():
        print(f"{wanted.out}: finished before")
        return 0
    if folder.checkpoint_path.exists():
        return train(replace(wanted, resume=True, minutes=None, steps=None))
    shutil.rmtree(wanted.out)  # killed before its first checkpoint
    return train(wanted)


class _OtherConditions(DbpError):
    """Ends the comparison, where the breakdown of one run does not."""


def compare(args: Compare) -> int:
    """Runs `./dbp compare`; the exit code: 130 if it was stopped.

    Raises:
        DbpError: The arguments are wrong, or a run folder holds a run under other conditions.
    """
    wanted, errors, code = _wanted(args), {}, 0
    for run in wanted:
        new_config(run)  # refuses before the first run what the task cannot serve
    for number, run in enumerate(wanted, start=1):
        print(f"run {number} of {len(wanted)}", flush=True)
        try:
            code = _run(run)
        except _OtherConditions:
            raise
        except DbpError as error:
            errors[run.out] = str(error)
            print(f"error: {error}", file=sys.stderr)
        if code:
            break
    out = args.out or Path("docs/results") / args.task
    write_comparison(out, _collect(args, wanted, errors))
    print(f"wrote {out}.json, {out}.png and {out}.md" + ("; the same command goes on" if code else ""))
    return code


def _collect(args: Compare, wanted: list[Train], errors: dict[Path, str]) -> dict[str, Any]:
    started = [run for run in wanted if run.out.exists()]
    runs = [
        {
            "algorithm": _label(run),
            "seed": run.seed,
            "reward": read_curve(run.out, ["reward"]),
            "evaluations": read_evaluations(run.out),
            "final": RunFolder(run.out).read_evaluation(),
            "error": errors.get(run.out),
        }
        for run in started
    ]
    length = f" --steps {args.steps}" if args.steps else f" --minutes {args.minutes:g}" if args.minutes else ""
    command = f"./dbp compare {args.task} --algorithms {args.algorithms} --seeds {args.seeds}{length}"
    command += f" --segments {' '.join(map(str, args.segments))}" if args.segments else ""
    command += f" --model-hidden {' '.join(map(str, args.model_hidden))}" if args.model_hidden else ""
    command += f" --randomise {args.randomise} --evaluations {args.evaluations} --threads {args.threads}"
    command += " --until-goal" if args.until_goal else ""
    command += f" --out {args.out}" if args.out else ""
    goal = [list(bound) for bound in TASKS[args.task].goal]
    return {"task": args.task, "command": command, "git_hash": git_hash(), "goal": goal, "runs": runs}


def main() -> int:
    """Entry point of `./dbp compare`."""
    return run_main(lambda: compare(parse(Compare, "dbp compare")))


if __name__ == "__main__":
    sys.exit(main())
