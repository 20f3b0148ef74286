"""Returns of a window: the actor's objective, the observed rest of an episode, and what a critic learns."""

from __future__ import annotations

import torch
from torch import Tensor


def window_returns(
    reward: Tensor, terminated: Tensor, truncated: Tensor, discount: float, value: Tensor | None = None
) -> Tensor:
    """Discounted return of a window, each episode in it discounted from its own start.

    An episode cut by its time limit or by the window's end goes on with `value`; one that failed does not.

    Args:
        reward: (H, N)
        terminated: (H, N) bool
        truncated: (H, N) bool
        discount: Per step.
        value: Value of each reached state (before any reset), (H, N); None counts as zero.

    Returns:
        Sum over the window, (N,).
    """
    total = torch.zeros_like(reward[0])
    weight = torch.ones_like(reward[0])
    for k in range(len(reward)):
        total = total + weight * reward[k]
        done = terminated[k] | truncated[k]
        if value is not None:
            cut = done if k < len(reward) - 1 else torch.ones_like(done)
            total = total + torch.where(cut & ~terminated[k], discount * weight * value[k], torch.zeros_like(total))
        weight = torch.where(done, torch.ones_like(weight), discount * weight)
    return total


def returns_to_go(reward: Tensor, done: Tensor, discount: float) -> Tensor:
    """Monte-Carlo value of each reached state: the discounted rewards observed after it, (H, N).

    An episode's rewards stop at its end, the window's at the window's end.

    Args:
        reward: (H, N)
        done: (H, N) bool
        discount: Per step.
    """
    value = torch.zeros_like(reward)
    for k in reversed(range(len(reward) - 1)):
        value[k] = torch.where(done[k], 0.0, reward[k + 1] + discount * value[k + 1])
    return value


def td_lambda(
    reward: Tensor, terminated: Tensor, truncated: Tensor, value: Tensor, discount: float, lam: float
) -> Tensor:
    """TD(lambda) target for the state that each step starts from, (H, N).

    G_k = r_k + discount * ((1 - lam) * V_{k+1} + lam * G_{k+1}); at a time limit and at the window's end
    G_k = r_k + discount * V_{k+1}; at a failure G_k = r_k.

    Args:
        reward: (H, N)
        terminated: (H, N) bool
        truncated: (H, N) bool
        value: V_{k+1}, value of each reached state (before any reset), (H, N).
        discount: Per step.
        lam: 0 for one step, 1 for the whole window.
    """
    target = torch.zeros_like(reward)
    ahead = value[-1]
    for k in reversed(range(len(reward))):
        ahead = torch.where(truncated[k], value[k], (1.0 - lam) * value[k] + lam * ahead)
        target[k] = ahead = reward[k] + discount * torch.where(terminated[k], 0.0, ahead)
    return target
