"""Networks: a plain MLP, a running normaliser, the actor, plain or recurrent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dbp_training import parallel

_LOG_STD_MIN, _LOG_STD_MAX = -5.0, 2.0


def mlp(sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers of `sizes`, each but the last followed by layer normalisation and `activation`."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Normaliser(nn.Module):
    """Standardises vectors by the mean and variance of all it was shown.

    Args:
        size: Length of the vectors.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Takes in the vectors x, shape (..., size) (Chan et al., parallel mean and variance)."""
        x = x.reshape(-1, x.shape[-1])
        count, mean, var = parallel.moments(len(x), x.mean(0), x.var(0, unbiased=False))
        total = self.count + count
        share = (count / total).float()
        delta = mean - self.mean
        self.var += share * (var - self.var + (1.0 - share) * delta**2)
        self.mean += share * delta
        self.count.copy_(total)

    @property
    def std(self) -> Tensor:
        return torch.sqrt(self.var + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


@dataclass(frozen=True)
class Switch:
    """Tells which of an actor's two networks acts: the second where element `index` of the observation is at least
    `threshold`."""

    index: int
    threshold: float


class Actor(nn.Module):
    """Policy: tanh of an MLP of the normalised observation, and with `spread` how far actions are to vary around it.

    With a `switch` there are two MLPs, one for each of two skills: where one is learned, the other is not unlearned.
    A recurrent one gives them, beside the observation, what it remembers of those before: `remember` comes before each
    action, and whoever acts keeps the hidden state.

    Args:
        observation_size: Length of the observation.
        action_size: Length of the action.
        hidden: Widths of the hidden layers.
        spread: Whether the network gives a standard deviation too.
        switch: Which MLP acts; None with one.
        recurrent: Width of the hidden state, 0 for none.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int],
        spread: bool = False,
        switch: Switch | None = None,
        recurrent: int = 0,
    ) -> None:
        super().__init__()
        self.normaliser = Normaliser(observation_size)
        self._action_size, self._switch, self.recurrent = action_size, switch, recurrent
        sizes = [observation_size + recurrent, *hidden, action_size * (1 + spread)]
        self.cell = nn.GRUCell(observation_size, recurrent) if recurrent else None
        self.mlp = _quiet_mlp(sizes)
        self.second_mlp = None if switch is None else _quiet_mlp(sizes)

    def new_hidden(self, num: int) -> Tensor:
        """The hidden state at the start of `num` episodes, (num, recurrent)."""
        return torch.zeros(num, self.recurrent)

    def remember(self, observation: Tensor, hidden: Tensor) -> Tensor:
        """The hidden state with which to act on an observation, by the one before it; both (N, recurrent)."""
        return hidden if self.cell is None else self.cell(self.normaliser(observation), hidden)

    def from_start(self) -> Actor | Recall:
        """The policy of new episodes, observation to action."""
        return self if self.cell is None else Recall(self)

    def _output(self, observation: Tensor, hidden: Tensor | None) -> Tensor:
        x = self.normaliser(observation)
        if self.cell is not None:
            x = torch.cat([x, hidden], -1)
        if self._switch is None:
            return self.mlp(x)
        second = observation[..., self._switch.index, None] >= self._switch.threshold
        return torch.where(second, self.second_mlp(x), self.mlp(x))

    def forward(self, observation: Tensor, noise: Tensor | float = 0.0, hidden: Tensor | None = None) -> Tensor:
        """Actions in [-1, 1]; `noise` is added before the tanh. `hidden`: of a recurrent actor, from `remember`."""
        return torch.tanh(self._output(observation, hidden)[..., : self._action_size] + noise)

    def sample(self, observation: Tensor, noise: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Actions tanh(mean + deviation * noise) of a standard normal `noise` (..., action_size), and their
        log-probability (...); only with `spread`. `hidden` as of `forward`."""
        mean, spread = self._output(observation, hidden).chunk(2, -1)
        log_std = _LOG_STD_MIN + 0.5 * (_LOG_STD_MAX - _LOG_STD_MIN) * (torch.tanh(spread) + 1.0)
        raw = mean + log_std.exp() * noise
        # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2 x)), which holds far out as well.
        squashed = 2.0 * (math.log(2.0) - raw - F.softplus(-2.0 * raw))
        log_prob = -0.5 * noise**2 - log_std - 0.5 * math.log(2.0 * math.pi) - squashed
        return torch.tanh(raw), log_prob.sum(-1)


class Recall:
    """A recurrent actor in episodes that run side by side from their start: it keeps the hidden state."""

    def __init__(self, actor: Actor) -> None:
        self._actor, self._hidden = actor, None

    def __call__(self, observation: Tensor) -> Tensor:
        """Actions of the next observations, (N, observation_size)."""
        before = self._actor.new_hidden(len(observation)) if self._hidden is None else self._hidden
        self._hidden = self._actor.remember(observation, before)
        return self._actor(observation, hidden=self._hidden)


def _quiet_mlp(sizes: Sequence[int]) -> nn.Sequential:
    """An MLP whose outputs are small at first."""
    network = mlp(sizes, nn.ELU)
    with torch.no_grad():
        network[-1].weight.mul_(0.1)
        network[-1].bias.zero_()
    return network
