"""Evaluation of a policy on its task's own simulator: fixed commands, one episode each, no exploration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dbp_training.env import Env, Episodes, Task
from dbp_training.sim import BatchSim


def from_start(actor: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The policy of new episodes: one that remembers has a `from_start` of its own."""
    return actor.from_start() if hasattr(actor, "from_start") else actor


@torch.no_grad()
def roll_episodes(task: Task, actor: Callable[[Tensor], Tensor], commands: Tensor, threads: int = 1) -> Episodes:
    """Runs one episode per command, all from their start.

    Args:
        task: The task; its randomisation is what the episodes are run with.
        actor: Observation (N, n) to action (N, action_size); see `from_start`.
        commands: Shape (N, command_size).
        threads: For the simulator.
    """
    actor = from_start(actor)
    env = Env(task, len(commands), seed=1, threads=threads, commands=commands, stagger=False)
    alive = torch.ones(len(commands), dtype=torch.bool)
    rows = []
    for _ in range(task.episode_steps):
        state, memory = env.state, env.memory
        action = actor(env.observe(state, memory))
        t = env.step(action)
        alive = alive & ~t.terminated
        rows.append((state, memory, action, t.reached, alive))
    state, memory, action, reached, alive = zip(*rows, strict=True)
    memory = memory[0].map(lambda *parts: torch.stack(parts), *memory[1:])
    return Episodes(torch.stack(state), memory, torch.stack(action), torch.stack(reached), torch.stack(alive))


@torch.no_grad()
def episodes_of(task: Task, actor: Callable[[Tensor], Tensor], command: Tensor) -> Iterator[tuple[BatchSim, Tensor]]:
    """One episode, step by step: the simulator of one environment and the state it has reached, (state_size,).

    Args:
        task: The task; its randomisation is what the episode is run with.
        actor: Observation (1, n) to action (1, action_size); see `from_start`.
        command: Shape (command_size,).
    """
    actor = from_start(actor)
    env = Env(task, 1, seed=1, commands=command[None], stagger=False)
    for _ in range(task.episode_steps):
        yield env.sim, env.state[0]
        if env.step(actor(env.observe(env.state, env.memory))).done[0]:
            return


def evaluate(task: Task, actor: Callable[[Tensor], Tensor], commands: Tensor, threads: int = 1) -> dict[str, float]:
    """Evaluates on one episode per command; arguments as `roll_episodes`.

    Returns:
        `survival`: share of episodes without a failure; the task's metrics averaged over time and episodes, up to a
        failure, without the settling time; then what the task itself has to say (`judge`).
    """
    episodes = roll_episodes(task, actor, commands, threads)
    figures = {name: value.mean().item() for name, value in episode_means(task, episodes).items()}
    return {"survival": episodes.alive[-1].float().mean().item(), **figures, **task.judge(episodes)}


def evaluate_all(task: Task, actor: Callable[[Tensor], Tensor], threads: int = 1) -> dict[str, float | None]:
    """Evaluates on the task's own commands, on the nominal robot and, if the task randomises, under randomisation.

    Returns:
        What `evaluate` gives, that under randomisation with `randomised_` before its name. A figure that has no value,
        because every episode ended before it could be taken, is None.
    """
    commands = task.evaluation_commands()
    result = evaluate(task.nominal(), actor, commands, threads)
    if task.randomised:
        randomised = evaluate(task, actor, commands, threads)
        result |= {f"randomised_{name}": value for name, value in randomised.items()}
    return {name: value if math.isfinite(value) else None for name, value in result.items()}


def episode_means(task: Task, episodes: Episodes) -> dict[str, Tensor]:
    """Each metric's mean over an episode, of the episodes in which it could be taken, (episodes,)."""
    counted = settled(task, episodes)
    steps = counted.sum(0)
    metrics = task.metrics(episodes.reached, episodes.memory)
    return {name: (value * counted).sum(0)[steps > 0] / steps[steps > 0] for name, value in metrics.items()}


def settled(task: Task, episodes: Episodes) -> Tensor:
    """Steps that count: after the settling time and before any failure, (steps, N) bool."""
    late = torch.arange(len(episodes.alive)) * task.dt >= task.settling_s
    return episodes.alive & late[:, None]
