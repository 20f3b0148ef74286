"""Evaluation of a policy on its task's own simulator: fixed commands, one episode each, no exploration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Env
from dbp_training.tasks.go2_walk import Go2Walk

SETTLING_S = 1.0
"""Left out of the averages: the robot starts at rest."""

CORNERS = ((0, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), (0, 0.3, 0), (0, -0.3, 0), (0, 0, 0.8), (0, 0, -0.8), (0.6, 0.6, 1))


def fixed_commands(command_max: tuple[float, float, float], num: int = 64) -> Tensor:
    """A few telling commands and random ones that are always the same, shape (num, 3)."""
    spread = np.random.default_rng(2024).uniform(-1.0, 1.0, (num, 3)) * command_max
    spread[: len(CORNERS)] = CORNERS
    return torch.tensor(spread, dtype=torch.float32)


@torch.no_grad()
def evaluate(task: Go2Walk, actor: Callable[[Tensor], Tensor], commands: Tensor, threads: int = 1) -> dict[str, float]:
    """Runs one episode per command, all from rest.

    Args:
        task: The task; its randomisation is what the evaluation is run with.
        actor: Observation (N, n) to action (N, 12).
        commands: Velocity commands, shape (N, 3).
        threads: For the simulator.

    Returns:
        `survival`: share of episodes without a fall; the task's metrics averaged over time and episodes, up to a fall;
        `worst_planar_velocity_error`: of the episode means; `mean_velocity_error`: planar error of each episode's mean
        velocity; `peak_torque`: 99.9 % quantile of the joint torques asked for [N·m].
    """
    env = Env(task, len(commands), seed=1, threads=threads, commands=commands, stagger=False)
    alive = torch.ones(len(commands), dtype=torch.bool)
    sums: dict[str, Tensor] = {}
    counted, velocity = torch.zeros(len(commands)), torch.zeros(len(commands), 2)
    torques = []
    for step in range(task.episode_steps):
        memory = env.memory
        action = actor(env.observe(env.state, memory))
        torques.append(task.torque(env.state, action).abs()[alive])
        t = env.step(action)
        alive &= ~t.terminated
        if step * task.dt >= SETTLING_S:
            counted += alive
            velocity += t.reached[:, :2] * alive[:, None]
            for name, value in task.metrics(t.reached, memory).items():
                sums[name] = sums.get(name, 0.0) + value * alive
    means = {name: value / counted.clamp(min=1.0) for name, value in sums.items()}
    drift = (velocity / counted.clamp(min=1.0)[:, None] - commands[:, :2]).norm(dim=-1)
    seen = counted > 0
    result = {name: value[seen].mean().item() if seen.any() else float("nan") for name, value in means.items()}
    return {
        "planar_velocity_error": result.pop("planar_velocity_error"),
        "yaw_rate_error": result.pop("yaw_rate_error"),
        "survival": alive.float().mean().item(),
        **result,
        "worst_planar_velocity_error": means["planar_velocity_error"].max().item(),
        "mean_velocity_error": drift[seen].mean().item() if seen.any() else float("nan"),
        "peak_torque": torch.quantile(torch.cat(torques).flatten(), 0.999).item(),
    }
