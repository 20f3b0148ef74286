"""The folder of one training run: config.json, checkpoint.pt, evaluation.json and TensorBoard events."""

from __future__ import annotations

import json
import subprocess
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dbp_policy.errors import DbpError
from dbp_policy.files import write_json, written_whole
from dbp_training.algorithms import Algorithm
from dbp_training.env import Task
from dbp_training.tasks.registry import TASKS


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run; what config.json holds."""

    task: str
    algorithm: Algorithm
    task_config: Any
    """The task's own configuration."""
    seed: int
    threads: int
    minutes: float | None
    """Length of the training by the clock [min], or None."""
    steps: int | None
    """Length of the training in environment steps, or None."""
    evaluations: int = 0
    """How many there are on the way."""
    until_goal: bool = False
    """Ends at the first of them that reaches the task's goal."""
    git_hash: str = "unknown"
    began_with: RunConfig | None = None
    """The run whose networks, model and replay this one began with."""

    @staticmethod
    def from_dict(data: dict[str, Any]) -> RunConfig:
        """What `asdict` and JSON made of a configuration, back again."""
        task_config = _task_config(data)
        earlier = data.get("began_with")
        began_with = None if earlier is None else RunConfig.from_dict(earlier)
        return replace(from_dict(RunConfig, data), task_config=task_config, began_with=began_with)


class RunFolder:
    """Reads and writes a run's files; every write is atomic, so that an interrupted one leaves the file before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint_path = path / "checkpoint.pt"
        self.evaluation_path = path / "evaluation.json"
        self._config_path = path / "config.json"

    def create(self, config: RunConfig) -> None:
        """Makes the folder and writes config.json.

        Raises:
            DbpError: The folder holds a run already, or cannot be made.
        """
        if self._config_path.exists():
            raise DbpError(f"{self.path}: expected no earlier run, found one (continue it with --resume)")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_config(config)
        except OSError as error:
            raise DbpError(f"{self.path}: expected a folder that can be written ({error})") from None

    def write_config(self, config: RunConfig) -> None:
        """Writes config.json."""
        write_json(self._config_path, asdict(config))

    def read_config(self) -> RunConfig:
        """Reads config.json.

        Raises:
            DbpError: There is none or it is not of this version.
        """
        try:
            return RunConfig.from_dict(json.loads(self._config_path.read_text()))
        except FileNotFoundError:
            raise DbpError(f"{self.path}: expected a training run, found no config.json") from None
        except (ValueError, TypeError, KeyError) as error:
            raise DbpError(f"{self._config_path}: expected a configuration of this version ({error})") from None

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Writes checkpoint.pt."""
        with written_whole(self.checkpoint_path) as temporary:
            torch.save(state, temporary)

    def load_checkpoint(self) -> dict[str, Any]:
        """Reads checkpoint.pt; tensors and plain values only, no code.

        Raises:
            DbpError: There is none or it does not load.
        """
        if not self.checkpoint_path.is_file():
            raise DbpError(f"{self.path}: expected a checkpoint.pt, found none")
        try:
            return torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = str(error).splitlines()[0]
            raise DbpError(f"{self.checkpoint_path}: expected a checkpoint that loads, found {reason}") from None

    def write_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Writes evaluation.json."""
        write_json(self.evaluation_path, evaluation)

    def read_evaluation(self) -> dict[str, Any]:
        """The content of evaluation.json, empty if the run was never evaluated."""
        return json.loads(self.evaluation_path.read_text()) if self.evaluation_path.is_file() else {}


def load_policy(folder: RunFolder) -> tuple[RunConfig, Task, nn.Module]:
    """A run's configuration, its task, and the policy of its checkpoint: observation to action.

    Raises:
        DbpError: The run or its checkpoint cannot be read.
    """
    config = folder.read_config()
    state = folder.load_checkpoint()
    task = TASKS[config.task].make(config.task_config)
    policy = config.algorithm.make_policy(task)
    with wrong_version(folder.checkpoint_path):
        policy.load_state_dict(state["policy"])
    return config, task, policy.eval()


def make_task(data: dict[str, Any]) -> Task:
    """The task of a configuration as `asdict` and JSON made it; the rest of it may be another version's."""
    return TASKS[data["task"]].make(_task_config(data))


def _task_config(data: dict[str, Any]) -> Any:
    return from_dict(TASKS[data["task"]].config, data["task_config"])


def from_dict(kind: Any, data: Any) -> Any:
    """Builds the (nested, optional) dataclass or tuple type `kind` from what `asdict` and JSON made of it."""
    inner = [k for k in typing.get_args(kind) if is_dataclass(k)]
    if inner and data is not None:
        kind = inner[0]
    if is_dataclass(kind):
        types = typing.get_type_hints(kind)
        return kind(**{name: from_dict(types[name], value) for name, value in data.items()})
    return tuple(from_dict(None, value) for value in data) if isinstance(data, list) else data


@contextmanager
def wrong_version(path: Path) -> Iterator[None]:
    """Turns what goes wrong in taking over the content of the checkpoint `path` into a `DbpError`."""
    try:
        yield
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DbpError(f"{path}: expected a checkpoint of this version and configuration ({reason})") from None


def git_hash() -> str:
    """Commit of the source tree this runs from, with `-dirty` for local changes; `unknown` outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).resolve().parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
