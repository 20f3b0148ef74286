"""One training run: windows, evaluations and checkpoints from its start, or where it was stopped, to its length."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.curves import is_reached
from dbp_training.env import Env
from dbp_training.evaluate import evaluate, evaluate_all
from dbp_training.progress import ProgressLine, Stop
from dbp_training.run_folder import RunConfig, RunFolder, wrong_version
from dbp_training.tasks.registry import TASKS

_CHECKPOINT_S = 30.0


class Training:
    """One run from start or checkpoint to its length.

    Args:
        folder: Where it lives.
        config: What it is.
    """

    def __init__(self, folder: RunFolder, config: RunConfig) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(config.seed)
        self.folder, self.config = folder, config
        if parallel.size() > 1 and config.until_goal:
            raise DbpError(f"--until-goal: expected one process, got {parallel.size()}")
        if parallel.size() > 1 and config.algorithm.first_order is None:
            raise DbpError(f"{config.algorithm.name}: expected one process for a baseline, got {parallel.size()}")
        self.task = TASKS[config.task].make(config.task_config)
        own_seed = parallel.seed(config.seed)
        num_envs = parallel.share("environments", config.algorithm.num_envs)
        env = Env(self.task, num_envs, own_seed, parallel.threads(config.threads))
        self.trainer = config.algorithm.make_trainer(env, own_seed)
        self.elapsed = 0.0
        """Time trained so far, over all resumes [s]."""
        self.prepared = False
        self.reached_goal = False

    def load(self) -> None:
        """Continues from the folder's checkpoint."""
        state = self.folder.load_checkpoint()
        with wrong_version(self.folder.checkpoint_path):
            states = [state, *state["others"]]
            if len(states) != parallel.size():
                raise DbpError(f"{self.folder.path}: expected {len(states)} processes as before, got {parallel.size()}")
            self.trainer.load_state_dict(states[parallel.rank()])
            self.elapsed, self.prepared = state["elapsed"], True

    def begin_with(self, earlier: RunFolder) -> None:
        """Takes over what another run has learned, in place of preparing."""
        state = earlier.load_checkpoint()
        with wrong_version(earlier.checkpoint_path):
            self.trainer.begin_with(state)
        self.prepared = True

    def save(self) -> None:
        """Writes the checkpoint: one file for all processes, so that it is of one moment."""
        states = parallel.gather(self.trainer.state_dict())
        if states is not None:
            self.folder.save_checkpoint(states[0] | {"elapsed": self.elapsed, "others": states[1:]})

    @property
    def env_steps(self) -> int:
        """Environment steps so far, over all processes."""
        return self.trainer.env.total_steps * parallel.size()

    @property
    def progress(self) -> float:
        """From 0 to 1 over the run."""
        if self.reached_goal:
            return 1.0
        if self.config.steps:
            return min(1.0, self.env_steps / self.config.steps)
        return min(1.0, self.elapsed / (60.0 * self.config.minutes))

    def run(self, log: Any, stop: Stop) -> bool:
        """Trains to the end; False if `stop` came first. Saves in either case.

        Raises:
            DbpError: Training broke down; the last good checkpoint is kept.
        """
        line, saved, started = ProgressLine(self.task.summary), self.elapsed, time.monotonic() - self.elapsed
        evaluated, leads, stopping = self._evaluations_due(), parallel.rank() == 0, False
        if not self.prepared:
            if self.config.algorithm.dynamics is not None and leads:
                line.note("filling the replay and training the first dynamics model ...")
            self.trainer.prepare()
            self.prepared = True
        while self.progress < 1.0 and not stopping:
            figures = self.trainer.train_window(self.progress)
            self.elapsed, stopping = parallel.agree(time.monotonic() - started, stop.asked)
            if leads:
                counts = {"gradient_steps": self.trainer.gradient_steps, "minutes": self.elapsed / 60.0}
                for name, value in (figures | counts).items():
                    log.add_scalar(name, value, self.env_steps)
                line.show(self.progress, self.elapsed, self.env_steps, figures)
            if self._evaluations_due() > evaluated:
                begin, evaluated = time.monotonic(), self._evaluations_due()
                if self.progress < 1.0 and leads:  # the last one comes after the training, with more figures
                    evaluation = self.evaluate_nominal()
                    log_evaluation(log, evaluation, self.env_steps)
                    self.reached_goal = self.config.until_goal and is_reached(evaluation, TASKS[self.config.task].goal)
                started += time.monotonic() - begin
            if self.elapsed - saved > _CHECKPOINT_S:
                self.save()
                saved = self.elapsed
        line.end()
        self.save()
        return self.progress >= 1.0

    def _evaluations_due(self) -> int:
        """How many evaluations on the way belong to the progress so far."""
        return math.floor(self.progress * self.config.evaluations)

    def evaluate_nominal(self) -> dict[str, float]:
        """The policy's evaluation without randomisation."""
        task, actor = self.task, self.trainer.policy.eval()
        return evaluate(task.nominal(), actor, task.evaluation_commands(), self.config.threads)

    def evaluate(self) -> dict[str, Any]:
        """The finished policy's evaluation, and what it cost."""
        config, task = self.config, self.task
        result: dict[str, Any] = evaluate_all(task, self.trainer.policy.eval(), config.threads)
        result |= {"env_steps": self.env_steps, "minutes": self.elapsed / 60.0, "seed": config.seed}
        return result | {"episodes": len(task.evaluation_commands()), "episode_s": task.episode_steps * task.dt}

    def conclude(self, log: Any) -> dict[str, Any]:
        """Evaluates, logs and writes the evaluation; with it the run is finished."""
        evaluation = self.evaluate()
        self.folder.write_evaluation(evaluation)
        log_evaluation(log, evaluation, self.env_steps)
        return evaluation


def log_evaluation(log: Any, evaluation: dict[str, float | None], step: int) -> None:
    """Logs the figures that have a value."""
    for name, value in evaluation.items():
        if value is not None and math.isfinite(value):
            log.add_scalar(f"evaluation/{name}", value, step)
