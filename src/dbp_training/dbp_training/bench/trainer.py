"""Where each second of a training goes."""

from __future__ import annotations

from dbp_training.algorithms import Algorithm
from dbp_training.bench.environment import watch_environment
from dbp_training.bench.stopwatch import Stopwatch
from dbp_training.env import Env, Task
from dbp_training.first_order import FirstOrderTrainer


def measure(task: Task, algorithm: Algorithm, threads: int, windows: int) -> tuple[dict[str, float], Stopwatch]:
    """Trains for some windows, the preparation before them apart.

    Returns:
        Rates of the windows; and where the time goes, preparation and windows apart.
    """
    config, watch = algorithm.first_order, Stopwatch()
    env = Env(task, config.num_envs, seed=0, threads=threads)
    trainer = algorithm.make_trainer(env, seed=0)
    watch_environment(env, watch)
    _watch_trainer(trainer, watch)
    trainer.prepare()
    before = env.total_steps
    for k in range(windows):
        trainer.train_window(k / windows)
    seconds = watch.total.parts["window"].seconds
    figures = {
        "windows": windows,
        "envs": config.num_envs,
        "horizon": config.horizon,
        "threads": threads,
        "environment_steps_per_s": (env.total_steps - before) / seconds,
        "windows_per_s": windows / seconds,
    }
    return figures, watch


def _watch_trainer(trainer: FirstOrderTrainer, watch: Stopwatch) -> None:
    """Names the parts of a window."""
    watch.watch(trainer, prepare="preparation", train_window="window", roll="roll the window")
    watch.watch(trainer, _objective="return", _actor_gradient="actor's gradient", _step_actor="actor's step")
    watch.watch(trainer, _train_critic="learn the critic", _exact_gradient="exact gradient", _average="averaged actor")
    watch.watch(trainer.actor, forward="actor")
    watch.watch(trainer.env.task, metrics="metrics")
    watch.watch(trainer.source, learn="learn the model")
    if hasattr(trainer.source, "model"):
        watch.watch(trainer.source, _fit="gradient steps")
        watch.watch(trainer.source.model, forward="model", update_normalisers="normalisers")
        watch.watch(trainer.source.replay, add="remember", sample="sample the replay")
