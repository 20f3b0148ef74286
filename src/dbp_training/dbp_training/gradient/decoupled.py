"""Simulator forwards, learned model backwards (arXiv 2509.00215)."""

from __future__ import annotations

import torch
from torch import Tensor

from dbp_training.env import Env, Memory, Transition
from dbp_training.gradient.learned import LearnedDynamics
from dbp_training.gradient.source import swap


class Decoupled(LearnedDynamics):
    """The simulator's states; the derivative of the learned model, evaluated at them."""

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        predicted = self.predict(state, memory.last_action, action) if torch.is_grad_enabled() else None
        t = self.simulate(env, action)
        return t.reached if predicted is None else swap(t.reached, predicted), t
