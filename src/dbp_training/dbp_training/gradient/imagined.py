"""Learned model forwards and backwards: the simulator only shows the model what is true (MAAC, ICLR 2020)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from dbp_training.env import Env, Memory, Transition
from dbp_training.gradient.learned import LearnedDynamics


class Imagined(LearnedDynamics):
    """State and derivative of the learned model, rewards and failures of what it imagines.

    A window starts from the simulator's states. The simulator goes along with the same actions, to feed the replay and
    to keep clock, commands and time limits; where either the imagined or the real episode ends, the imagined one goes
    on from the real state.
    """

    def step(self, env: Env, state: Tensor, memory: Memory, action: Tensor) -> tuple[Tensor, Transition]:
        imagined = self.predict(state, memory.last_action, action)
        t = self.simulate(env, action)
        with torch.no_grad():
            seen = imagined.detach()
            valid = torch.isfinite(seen).all(-1)
            terminated = env.task.terminated(seen, memory) | ~valid
            truncated = t.done & ~terminated
            start = torch.where((terminated | truncated)[:, None], t.state, seen)
        if self.episodes is not None:
            self.episodes.rejoin(terminated | truncated)
        rewarded = partial(env.task.reward, seen, action.detach(), memory.map(Tensor.detach))
        ends = {"terminated": terminated, "truncated": truncated, "valid": valid}
        return imagined, replace(t, reached=seen, state=start, rewarded=rewarded, **ends)
