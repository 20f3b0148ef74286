"""`./dbp evaluate POLICY`: the figures on a policy's card once more, from the file that the robot runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from torch import Tensor

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.onnx_policy import load_runner
from dbp_policy.runner import Runner
from dbp_training.env import Task
from dbp_training.evaluate import evaluate_all
from dbp_training.evaluation_table import evaluation_table
from dbp_training.run_folder import RunFolder, load_policy, make_task


@dataclass(frozen=True)
class Evaluate:
    """Runs a policy's evaluation again, on the simulator and the fixed commands of its training.

    Prints each figure beside the one that the file carries from its training. They differ a little: the simulator's
    contacts make much of the last digit, and another version's tasks may ask for something else.

    Examples:
        ./dbp evaluate models/go2_walk.onnx
        ./dbp evaluate runs/DIR --json figures.json
    """

    policy: Annotated[Path, tyro.conf.Positional]
    """ONNX file of `./dbp export`, or the folder of a run."""
    json: Path | None = None
    """Write the figures there."""
    threads: int = len(os.sched_getaffinity(0))
    """For the simulator."""


class OnnxActor:
    """The network of a policy file on the observations of many episodes, (N, n) to (N, 12), one after another as on
    the robot.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._hidden: list[np.ndarray] = []

    def from_start(self) -> OnnxActor:
        """The policy of new episodes, which remembers nothing yet."""
        return OnnxActor(self._runner)

    def __call__(self, observation: Tensor) -> Tensor:
        """Actions of the next observations."""
        rows, network = observation.numpy().astype(np.float32), self._runner.network
        before = self._hidden or [np.zeros(self._runner.contract.hidden_size, np.float32)] * len(rows)
        answers = [network(row, hidden) for row, hidden in zip(rows, before, strict=True)]
        self._hidden = [hidden for _, hidden in answers]
        return torch.from_numpy(np.stack([action for action, _ in answers]))


def load(policy: Path) -> tuple[Task, Callable[[Tensor], Tensor], dict[str, Any]]:
    """The task that a policy was trained on, the policy, and what its file says of its evaluation.

    Raises:
        DbpError: It cannot be read, or does not say what it was trained on.
    """
    if policy.is_dir():
        folder = RunFolder(policy)
        _, task, actor = load_policy(folder)
        return task, actor, folder.read_evaluation()
    runner = load_runner(policy)
    told = runner.contract.provenance
    try:
        task = make_task(told["config"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DbpError(f"{policy}: expected a file of ./dbp export of this version ({error!r})") from None
    return task, OnnxActor(runner), told.get("evaluation") or {}


def evaluate_policy(args: Evaluate) -> int:
    """Runs `./dbp evaluate`; the exit code, 0 whatever the figures are.

    Raises:
        DbpError: The policy cannot be read, or the JSON not be written.
    """
    if args.threads < 1:
        raise DbpError(f"--threads: expected at least 1, got {args.threads}")
    if args.json is not None:
        check_folder_of(args.json, "--json")
    torch.set_num_threads(1)
    task, actor, told = load(args.policy)
    found = evaluate_all(task, actor, args.threads)
    Console().print(evaluation_table({"here": found, "in the file": told}))
    if args.json is not None:
        write_json(args.json, {"policy": str(args.policy), "here": found, "told": told})
    return 0


def main() -> int:
    """Entry point of `./dbp evaluate`."""
    return run_main(lambda: evaluate_policy(parse(Evaluate, "dbp evaluate")))


if __name__ == "__main__":
    sys.exit(main())
