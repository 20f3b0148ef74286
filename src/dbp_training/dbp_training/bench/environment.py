"""The environments' step beside the bare simulator: the same physics, from the same states by the same inputs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from mujoco import batch
from torch import Tensor

from dbp_training.bench.stopwatch import Span, Stopwatch
from dbp_training.env import Env, Task

WANTED = 0.85
"""Share of the bare simulator's rate that the environments are to reach."""
_WARM_UP, _STEPS = 50, 25
"""Steps before the first round, and in each."""

Inputs = list[tuple[np.ndarray, np.ndarray]]
"""State of all simulations before each step, and the actuator inputs of its substeps."""


def measure(task: Task, envs: int, threads: int, rounds: int) -> tuple[dict[str, Any], Span]:
    """Steps environments and bare simulator in turns, and takes the environments' time apart in turns of their own: a
    stopwatch takes some, too.

    Returns:
        Rates [steps/s] and share, medians over the rounds; and where the environments' time goes.
    """
    env, watch, actions = Env(task, envs, seed=0, threads=threads), Stopwatch(), _actions(envs, task.action_size)
    bare = batch.Batch(env.sim.model, envs, threads)
    _run(env, (next(actions) for _ in range(_WARM_UP)))
    ours, theirs = [], []
    for _ in range(rounds):
        begin, drawn = env.state_dict(), [next(actions) for _ in range(_STEPS)]
        started = time.perf_counter()
        _run(env, drawn)
        ours.append(time.perf_counter() - started)
        theirs.append(_run_bare(bare, _inputs(env, begin, drawn)))
    watch_environment(env, watch)
    for _ in range(max(1, rounds // 2)):
        drawn = [next(actions) for _ in range(_STEPS)]
        with watch.span("environments"):
            _run(env, drawn)
    shares = [b / a for a, b in zip(ours, theirs, strict=True)]
    figures = {
        "envs": envs,
        "threads": threads,
        "environment_steps_per_s": envs * _STEPS / statistics.median(ours),
        "simulator_steps_per_s": envs * _STEPS / statistics.median(theirs),
        "share": statistics.median(shares),
        "least_share": min(shares),
        "wanted_share": WANTED,
    }
    return figures, watch.total.parts["environments"]


def watch_environment(env: Env, watch: Stopwatch) -> None:
    """Names the parts of an environment's step."""
    watch.watch(env, step="environment step", observe="observe", _restart="reset")
    parts = {"controls": "actuator inputs", "read_state": "read the state", "reward": "reward"}
    watch.watch(env.task, advance="memory", terminated="termination", disturb="pushes", **parts)
    watch.watch(env.sim, step="simulate")


def _actions(envs: int, size: int) -> Iterator[Tensor]:
    """Smooth random actions, as those that fill a replay."""
    generator, wave = torch.Generator().manual_seed(0), torch.zeros(envs, size)
    while True:
        wave = 0.8 * wave + 0.3 * torch.randn(wave.shape, generator=generator)
        yield torch.tanh(wave)


@torch.no_grad()
def _run(env: Env, actions: Iterable[Tensor]) -> None:
    """Observes, steps and rewards; the rewards all at once, as a first-order trainer takes those of a window."""
    steps = []
    for action in actions:
        memory = env.memory
        env.observe(env.state, memory)
        steps.append((env.step(action).reached, action, memory))
    reached, taken, memories = zip(*steps, strict=True)
    memory = memories[0].map(lambda *parts: torch.stack(parts), *memories[1:])
    env.task.reward(torch.stack(reached), torch.stack(taken), memory)


def _inputs(env: Env, begin: dict[str, Any], actions: list[Tensor]) -> Inputs:
    """What the simulator was given from `begin` on, by going through it once more."""
    env.load_state_dict(begin)
    sim, step, seen = env.sim, env.sim.step, []

    def recorded(controls: np.ndarray) -> np.ndarray:
        seen.append((sim.state_dict()["state"].numpy(), np.array(controls)))
        return step(controls)

    sim.step = recorded
    _run(env, actions)
    sim.step = step
    return seen


def _run_bare(bare: batch.Batch, inputs: Inputs) -> float:
    """Seconds in the simulator alone."""
    seconds = 0.0
    for state, controls in inputs:
        bare.state[...] = state
        started = time.perf_counter()
        bare.rollout(controls.shape[1], controls, record=())
        seconds += time.perf_counter() - started
    return seconds
