"""The critic: how much reward a state promises, learned by TD(lambda) from the windows."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.networks import Normaliser, mlp
from dbp_training.schedule import falling


@dataclass(frozen=True)
class CriticConfig:
    """Size and training of the critic."""

    hidden: tuple[int, ...] = (64, 64)
    ensemble: int = 1
    """Networks: their mean is a tail's value, the least of two drawn ones a target's."""
    lr: float = 2e-3
    lr_end: float = 0.03
    """Learning rate at the end of training, as a share of `lr`."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Decays of Adam's moments."""
    lam: float = 0.95
    """Of TD(lambda)."""
    passes: int = 8
    """Over each window."""
    minibatches: int = 4
    """Per pass."""
    keep: float = 0.2
    """Share of the target network that survives an update (Polyak)."""
    grad_clip: float = 1.0


class Critic:
    """Value networks, the slow copies of them that targets and tails are made of, and their training.

    Args:
        config: Size and training.
        input_size: Length of the input.
        scale: Unit of the values, such as 1 / (1 - discount) rewards: the network then starts near their size.
    """

    def __init__(self, config: CriticConfig, input_size: int, scale: float = 1.0) -> None:
        self.config, self._scale = config, scale
        self.normaliser = Normaliser(input_size)
        sizes = [input_size, *config.hidden, 1]
        self.network = nn.ModuleList(mlp(sizes, nn.ELU) for _ in range(config.ensemble))
        with torch.no_grad():  # no slope before anything is known
            for network in self.network:
                network[-1].weight.zero_()
                network[-1].bias.zero_()
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.lr, betas=config.betas)

    def value(self, inputs: Tensor) -> Tensor:
        """Value by the target networks, (...); differentiable in `inputs` (..., input_size) alone."""
        return self._scale * _each(self.target, self.normaliser(inputs)).mean(0)

    def cautious_value(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The least value by two of the target networks, drawn anew each time, (...)."""
        if len(self.target) == 1:
            return self.value(inputs)
        two = torch.randperm(len(self.target), generator=generator)[:2].tolist()
        return self._scale * _each([self.target[i] for i in two], self.normaliser(inputs)).amin(0)

    def learn(self, inputs: Tensor, targets: Tensor, generator: torch.Generator, progress: float) -> dict[str, float]:
        """Regresses the values of `inputs` on `targets`, then moves the target network.

        Args:
            inputs: (n, input_size)
            targets: (n,)
            generator: Of the minibatches.
            progress: From 0 to 1 over the training; the learning rate follows it.

        Returns:
            Figures to log; `critic_loss` is in squared units of the values.

        Raises:
            DbpError: The loss is not finite.
        """
        self._optimiser.param_groups[0]["lr"] = falling(self.config.lr, self.config.lr_end, progress)
        self.normaliser.update(inputs)
        inputs, scaled = self.normaliser(inputs), targets / self._scale
        total = 0.0
        for _ in range(self.config.passes):
            for part in torch.randperm(len(inputs), generator=generator).chunk(self.config.minibatches):
                loss = ((_each(self.network, inputs[part]) - scaled[part]) ** 2).mean()
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()
                parallel.average_gradients(self.network.parameters())
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.grad_clip)
                self._optimiser.step()
                total += loss.item() / (self.config.passes * self.config.minibatches)
        if not total < float("inf"):
            raise DbpError(f"critic: expected a finite loss, got {total}")
        with torch.no_grad():
            for slow, new in zip(self.target.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(new, 1.0 - self.config.keep)
        return {"critic_loss": total, "value": targets.mean().item()}

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue."""
        return {n: getattr(self, n).state_dict() for n in ("normaliser", "network", "target", "_optimiser")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        for name, value in state.items():
            getattr(self, name).load_state_dict(value)


def _each(networks: Iterable[nn.Module], inputs: Tensor) -> Tensor:
    """Every network's output, (networks, ...)."""
    return torch.stack([network(inputs).squeeze(-1) for network in networks])
