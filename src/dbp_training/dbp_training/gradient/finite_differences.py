"""A window's gradient where the simulator has no derivative: by finite differences, action by action.

The return of a window depends on what is added to each element of each of its actions, all that follows included: the
actor answers to the states it then meets. That gradient, (horizon, action_size), times the actor's own derivative is
the actor's gradient, so whoever gets it right has the whole. It takes two windows for each element, all in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Env
from dbp_training.gradient.source import GradientSource, carry

Actor = Callable[[Tensor, Tensor], Tensor]
"""Observation (N, n) and noise (N, action_size) to actions."""


def difference_gradient(env: Env, row: int, actor: Actor, noise: Tensor, discount: float, step: float = 0.01) -> Tensor:
    """The simulator's own gradient of a window's return by central differences, (horizon, action_size).

    Args:
        env: Left alone.
        row: Of the environment that the window starts from.
        actor: The policy.
        noise: Of its exploration, (horizon, action_size).
        discount: Per step.
        step: Of the differences, in units of the action.
    """
    size = noise.numel()
    offsets = torch.cat([step * torch.eye(size), -step * torch.eye(size)]).view(2 * size, *noise.shape)
    with torch.no_grad():
        returns = _returns(env.fork(np.full(2 * size, row)), None, actor, noise, offsets, discount)
    return ((returns[:size] - returns[size:]) / (2.0 * step)).view_as(noise)


def source_gradient(env: Env, row: int, source: GradientSource, actor: Actor, noise: Tensor, discount: float) -> Tensor:
    """The same gradient as a gradient source has it; arguments as `difference_gradient`."""
    offsets = torch.zeros(1, *noise.shape, requires_grad=True)
    returns = _returns(env.fork(np.array([row])), source, actor, noise, offsets, discount)
    return torch.autograd.grad(returns.sum(), offsets)[0][0]


def _returns(
    env: Env, source: GradientSource | None, actor: Actor, noise: Tensor, offsets: Tensor, discount: float
) -> Tensor:
    """Discounted return of each environment up to its first end, (N,); `offsets` (N, horizon, action_size)."""
    task, state, memory = env.task, env.state, env.memory
    total, weight = torch.zeros(env.num_envs), torch.ones(env.num_envs)
    for k, own in enumerate(noise):
        action = actor(env.observe(state, memory), own.expand(env.num_envs, -1)) + offsets[:, k]
        if source is None:
            t = env.step(action)
            reached = t.reached
        else:
            reached, t = source.step(env, state, memory, action)
        total = total + weight * task.reward(reached, action, memory)
        weight = torch.where(t.done, 0.0, discount * weight)
        end = replace(t.reached_memory, last_action=action, previous_action=memory.last_action)
        state = carry(t.state, reached, t.done)
        memory = t.memory.map(lambda start, old, done=t.done: carry(start, old, done), end)
    return total
