"""`./dbp export RUN FILE.onnx`: a trained actor as a self-describing ONNX file, with a card beside it."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from dbp_policy import go2
from dbp_policy.cli import parse
from dbp_policy.contract import GOLDEN_OUTPUT, METADATA_KEY, Contract
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import written_whole
from dbp_policy.onnx_policy import OnnxNetwork, load_runner
from dbp_policy.runner import Runner, run_golden
from dbp_training.algorithms import ALGORITHMS
from dbp_training.networks import Actor
from dbp_training.run_folder import RunConfig, RunFolder, load_policy
from dbp_training.tasks.go2_robot import Go2Task
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.tasks.registry import TASKS

_GOLDEN_STEPS = 16


def load_actor(folder: RunFolder) -> tuple[RunConfig, nn.Module]:
    """The configuration and the actor of a run.

    Raises:
        DbpError: The run or its checkpoint cannot be read.
    """
    config, _, actor = load_policy(folder)
    able = [name for name, entry in TASKS.items() if issubclass(entry.make, Go2Task)]
    if config.task not in able:
        raise DbpError(f"{folder.path}: expected a run of {' or '.join(able)}, for a robot, got {config.task}")
    return config, actor


def make_contract(config: RunConfig, evaluation: dict[str, Any]) -> Contract:
    """The contract of a run's policy, still without golden vectors."""
    task = TASKS[config.task].make(config.task_config)
    low, high = task.command_range
    return Contract(
        joint_names=go2.JOINT_NAMES,
        default_q=tuple(task.default_q.tolist()),
        action_scale=(task.config.action_scale,) * go2.NUM_JOINTS,
        kp=(task.config.kp,) * go2.NUM_JOINTS,
        kd=(task.config.kd,) * go2.NUM_JOINTS,
        rate_hz=task.config.rate_hz,
        observation=task.observation_terms,
        command_min=low,
        command_max=high,
        gait_hz=task.gait_hz,
        posture=task.posture,
        hidden_size=config.algorithm.recurrent,
        provenance={"config": asdict(config), "evaluation": evaluation},
    )


def golden_inputs(seed: int = 0) -> dict[str, list]:
    """A sequence of plausible robot states and commands: a noisy, tilting stand."""
    rng = np.random.default_rng(seed)
    quat = np.concatenate([np.ones((_GOLDEN_STEPS, 1)), rng.normal(0.0, 0.05, (_GOLDEN_STEPS, 3))], axis=-1)
    inputs = {
        "q_sdk": go2.STAND_Q + rng.normal(0.0, 0.1, (_GOLDEN_STEPS, 12)),
        "dq_sdk": rng.normal(0.0, 1.0, (_GOLDEN_STEPS, 12)),
        "quat_wxyz": quat / np.linalg.norm(quat, axis=-1, keepdims=True),
        "gyro_body": rng.normal(0.0, 0.5, (_GOLDEN_STEPS, 3)),
        "command": rng.uniform(-0.5, 0.5, (_GOLDEN_STEPS, 3)),
        "velocity_body": rng.normal(0.0, 0.3, (_GOLDEN_STEPS, 3)),
    }
    return {name: values.tolist() for name, values in inputs.items()}


class _WithHidden(nn.Module):
    """A recurrent actor whose hidden state is an input and an output."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self._actor = actor

    def forward(self, obs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden_out = self._actor.remember(obs, hidden)
        return self._actor(obs, hidden=hidden_out), hidden_out


def export_actor(actor: nn.Module, contract: Contract, path: Path) -> None:
    """Writes the actor with its contract and golden vectors to `path`, proven by loading it back; atomic.

    Raises:
        DbpError: The file that came out does not do what the contract says, or cannot be written.
    """
    inputs, outputs = {"obs": torch.zeros(1, contract.observation_size)}, ["action"]
    if contract.hidden_size:
        actor = _WithHidden(actor)
        inputs["hidden"] = torch.zeros(1, contract.hidden_size)
        outputs.append("hidden_out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                actor,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=outputs,
                dynamo=True,
                verbose=False,
            )
        with written_whole(path) as temporary:
            program.save(str(temporary), external_data=False)
            golden = golden_inputs()
            golden[GOLDEN_OUTPUT] = run_golden(Runner(OnnxNetwork(temporary), contract), golden).tolist()
            program.model.metadata_props[METADATA_KEY] = replace(contract, golden=golden).to_json()
            program.save(str(temporary), external_data=False)
            load_runner(temporary)
    except OSError as error:
        raise DbpError(f"{path}: expected a place to write ({error})") from None


def card(config: RunConfig, evaluation: dict[str, Any], file_name: str) -> str:
    """The Markdown card: what the policy is, how it was made, how to make it again, what it does."""
    task = TASKS[config.task].make(config.task_config)
    randomised = "full" if task.randomised else "none"
    seen = ", ".join(term.name for term in task.observation_terms)
    rows = [f"| {name} | {value:.4g} |" for name, value in evaluation.items() if isinstance(value, (int, float))]
    return "\n".join(
        [
            f"# {file_name}",
            "",
            task.ability,
            f"It reads {seen}.",
            "",
            f"Made with `{config.algorithm.name}` on task `{config.task}`, randomisation `{randomised}`,"
            f" seed {config.seed}, source {config.git_hash}. With that source, to make it again:",
            "",
            "```",
            *_train_commands(config, "runs/again"),
            f"./dbp export runs/again models/{file_name}",
            "```",
            "",
            "Evaluation on the training simulator, 64 fixed commands of 10 s each, nominal robot unless `randomised`:",
            "",
            "| figure | value |",
            "|---|---|",
            *rows,
            "",
            "The whole configuration is in the file's metadata (`dbp_contract`, provenance).",
            "",
            "```json",
            json.dumps(asdict(task.config.randomisation)),
            "```",
            "",
        ]
    )


def _train_commands(config: RunConfig, out: str) -> list[str]:
    """What trains such a policy anew, the runs that it began with first."""
    task = TASKS[config.task].make(config.task_config)
    length = f"--steps {config.steps}" if config.steps else f"--minutes {config.minutes:g}"
    length += f" --evaluations {config.evaluations} --until-goal" if config.until_goal else ""
    options = f"--randomise {'full' if task.randomised else 'none'}"
    if config.task == Go2Walk.name:
        if task.config.command_max != Go2WalkConfig.command_max:
            options += " --command-max " + " ".join(f"{value:g}" for value in task.config.command_max)
        options += " --observe-velocity" if task.config.observe_velocity else ""
    own, usual = config.algorithm, ALGORITHMS[config.algorithm.name](config.task, task.randomised)
    options += f" --algorithm {own.name}" if own.name != "dmo" else ""
    if own.first_order and own.first_order.lr != usual.first_order.lr:
        options += f" --lr {own.first_order.lr:g}"
    if own.first_order and own.first_order.segment != usual.first_order.segment:
        options += f" --segment {own.first_order.segment}"
    if own.dynamics and own.dynamics.hidden != usual.dynamics.hidden:
        options += " --model-hidden " + " ".join(map(str, own.dynamics.hidden))
    if own.first_order and own.recurrent != usual.recurrent:
        options += f" --recurrent {own.recurrent}"
    if own.dynamics and own.dynamics.recurrent != usual.dynamics.recurrent:
        options += f" --model-recurrent {own.dynamics.recurrent}"
    earlier = [] if config.began_with is None else _train_commands(config.began_with, f"{out}-first")
    options += f" --begin-with {out}-first" if earlier else ""
    return [*earlier, f"./dbp train {config.task} --seed {config.seed} {length} {options} --out {out}"]


@dataclass(frozen=True)
class Export:
    """Writes a trained policy as one ONNX file that carries its contract, and a Markdown card beside it.

    The file is proven before it appears: it is loaded back by the runtime that serves the robot and its golden
    vectors are replayed.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder of `./dbp train`."""
    file: Annotated[Path, tyro.conf.Positional]
    """ONNX file to write, such as models/go2_walk.onnx."""


def export(run: Path, file: Path) -> None:
    """Exports the run folder `run` to `file` and its card.

    Raises:
        DbpError: The run cannot be read or the export proved wrong.
    """
    if file.suffix != ".onnx":
        raise DbpError(f"expected a file name that ends in .onnx, got {file.name}")
    folder = RunFolder(run)
    config, actor = load_actor(folder)
    evaluation = folder.read_evaluation()
    export_actor(actor, make_contract(config, evaluation), file)
    card_file = file.with_suffix(".md")
    card_file.write_text(card(config, evaluation, file.name))
    print(f"{file}: {file.stat().st_size / 1024:.0f} KiB, loaded back, golden vectors replayed; card {card_file}")


def main() -> int:
    """Entry point of `./dbp export`."""

    def body() -> int:
        args = parse(Export, "dbp export")
        return export(args.run, args.file)

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
