"""The Go2 balances on its front legs, where each episode begins, or comes down: go2_handstand goes on from it.

Whether it is asked to balance or to come down is decided where an episode begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dbp_training.env import Memory
from dbp_training.tasks.go2_handstand import Go2Handstand, Go2HandstandConfig, wanted_up
from dbp_training.tasks.go2_robot import no_randomisation


@dataclass(frozen=True)
class Go2BalanceConfig(Go2HandstandConfig):
    """`Go2HandstandConfig` without the way up. What lasts fills most of what a training sees, so who is asked down
    comes seldom and soon ends: standing lasts from the first seconds of a training on, balancing has to be learned."""

    patience_up: float = 0.0
    episode_s: float = 3.0
    down: float = 0.0
    start_down: float = 0.1
    start_up: float = 1.0
    start_balancing: float = 0.7
    start_swing: tuple[float, float] = (-3.0, 3.0)


class Go2Balance(Go2Handstand):
    """`dbp_training.env.Task`."""

    name = "go2_balance"
    settling_s = 0.0

    def __init__(self, config: Go2BalanceConfig | None = None) -> None:
        super().__init__(config or Go2BalanceConfig())

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        """Turning is asked for anew, up or down is not."""
        new = super().advance(memory, action, rng)
        command = torch.cat([memory.command[:, :1], wanted_up(memory)[:, None] * new.command[:, 1:]], -1)
        return replace(new, command=command, age=memory.age + 1.0)

    def nominal(self) -> Go2Balance:
        """An evaluation begins up there, too, and lasts as long as that of a handstand."""
        lasting = Go2HandstandConfig.episode_s
        return type(self)(replace(self.config, randomisation=no_randomisation(), episode_s=lasting))
