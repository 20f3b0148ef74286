"""The Go2 balances on its front legs, where each episode begins: what a training of go2_handstand goes on from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbp_training.tasks.go2_handstand import Go2Handstand, Go2HandstandConfig
from dbp_training.tasks.go2_robot import no_randomisation


@dataclass(frozen=True)
class Go2BalanceConfig(Go2HandstandConfig):
    """`Go2HandstandConfig` without the way up: most of what is seen is then balancing, which is the hard part."""

    patience: float = 0.0
    down: float = 0.0
    start_down: float = 0.0
    start_up: float = 1.0
    start_balancing: float = 0.7


class Go2Balance(Go2Handstand):
    """`dbp_training.env.Task`."""

    name = "go2_balance"
    settling_s = 0.0

    def __init__(self, config: Go2BalanceConfig | None = None) -> None:
        super().__init__(config or Go2BalanceConfig())

    def nominal(self) -> Go2Balance:
        """An evaluation begins up there, too."""
        return type(self)(replace(self.config, randomisation=no_randomisation()))
