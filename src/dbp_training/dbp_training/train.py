"""`./dbp train TASK`: one run from its arguments to its evaluation, in one process or several."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_training import parallel
from dbp_training.evaluation_table import evaluation_table
from dbp_training.progress import Stop
from dbp_training.run_folder import RunFolder
from dbp_training.tasks.go2_robot import Go2Task
from dbp_training.tasks.registry import TASKS
from dbp_training.train_arguments import Train, checked, new_config
from dbp_training.training import Training


def train(args: Train) -> int:
    """Runs `./dbp train` with checked arguments; the exit code.

    Raises:
        DbpError: The arguments, the run folder or the training itself are wrong.
    """
    parallel.join()
    try:
        code = _train(args, leads=parallel.rank() == 0)
        parallel.wait()
        return code
    finally:
        parallel.leave()


def _train(args: Train, leads: bool) -> int:
    folder = RunFolder(args.out or Path("runs") / f"{args.task}-{time.strftime('%Y%m%d-%H%M%S')}-seed{args.seed}")
    if args.resume:
        config = folder.read_config()
        if args.minutes or args.steps:
            config = replace(config, minutes=args.minutes, steps=args.steps)
    else:
        config = new_config(args)
    if leads:
        folder.write_config(config) if args.resume else folder.create(config)
        print(f"{config.task} with {config.algorithm.name}, seed {config.seed}, run folder {folder.path}")
    stop = Stop()
    training = Training(folder, config)
    if args.resume:
        training.load()
    elif args.begin_with is not None:
        training.begin_with(RunFolder(args.begin_with))
    with _event_log(folder) if leads else contextlib.nullcontext() as log:
        try:
            finished = training.run(log, stop)
        except (MemoryError, RuntimeError) as error:
            reason = "out of memory" if isinstance(error, MemoryError) or "memory" in str(error) else str(error)
            kept = folder.checkpoint_path if folder.checkpoint_path.exists() else "none yet"
            steps = training.env_steps
            raise DbpError(f"training stopped after {steps} steps: {reason} (last good checkpoint: {kept})") from error
        if not finished and leads:
            together = f", by torchrun with {parallel.size()} processes" if parallel.size() > 1 else ""
            print(f"stopped and saved; continue with: ./dbp train {config.task} --out {folder.path} --resume{together}")
        if not finished or not leads:
            return 0 if finished else 130
        evaluation = training.conclude(log)
    title = f"evaluation: {evaluation['episodes']} fixed commands, one episode each"
    Console().print(evaluation_table({"after the training": evaluation}, title))
    if issubclass(TASKS[config.task].make, Go2Task):
        print(f"export with: ./dbp export {folder.path} models/{config.task}.onnx")
    return 0


def _event_log(folder: RunFolder) -> Any:
    """TensorBoard's writer."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import: not for --help

    return SummaryWriter(str(folder.path))


def main() -> int:
    """Entry point of `./dbp train`."""
    return run_main(lambda: train(checked(parse(Train, "dbp train"))))


if __name__ == "__main__":
    sys.exit(main())
