"""The learned dynamics model: a network that predicts how far one step moves the state, and its training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dbp_training.networks import Normaliser, mlp

_LOGVAR_MIN, _LOGVAR_MAX = -10.0, 0.5


@dataclass(frozen=True)
class DynamicsConfig:
    """Size and training of the model."""

    hidden: tuple[int, ...] = (256, 256)
    lr: float = 1e-3
    lr_end: float = 0.2
    """Learning rate at the end of training, as a share of `lr`."""
    batch: int = 512
    updates: int = 8
    """Gradient steps per window of environment steps."""
    prefill: int = 20_000
    """Environment steps with random actions before the first window."""
    initial_updates: int = 500
    """Gradient steps on the prefill."""
    capacity: int = 100_000
    """Transitions kept in the replay."""
    grad_clip: float = 1.0
    residual: bool = True
    """The model predicts the change of the state; otherwise the next state itself."""
    recurrent: int = 0
    """Width of the model's hidden state, which may tell what the state does not, such as friction; 0 for none."""
    sequence: int = 16
    """Steps in a row that a recurrent model learns from at a time."""


class DynamicsModel(nn.Module):
    """Predicts state' - state from state, previous action (actions may act late) and action, with a variance.

    Args:
        state_size: Length of the state.
        action_size: Length of the action.
        hidden: Widths of the hidden layers.
        residual: Predict the change of the state; otherwise state' itself.
        recurrent: Width of the hidden state, 0 for none; with one `remember` comes before each prediction.
    """

    def __init__(
        self, state_size: int, action_size: int, hidden: tuple[int, ...], residual: bool = True, recurrent: int = 0
    ) -> None:
        super().__init__()
        self.residual = residual
        self.state_normaliser = Normaliser(state_size)
        self.target_normaliser = Normaliser(state_size)
        inputs = state_size + 2 * action_size
        self.cell = nn.GRUCell(inputs, recurrent) if recurrent else None
        self.mlp = mlp([inputs + recurrent, *hidden, 2 * state_size], nn.SiLU)

    def remember(self, state: Tensor, last_action: Tensor, action: Tensor, hidden: Tensor) -> Tensor:
        """The hidden state with which to predict a step, by the one before it; both (N, recurrent)."""
        return hidden if self.cell is None else self.cell(self._inputs(state, last_action, action), hidden)

    def _inputs(self, state: Tensor, last_action: Tensor, action: Tensor) -> Tensor:
        return torch.cat([self.state_normaliser(state), last_action, action], -1)

    def _standardised(
        self, state: Tensor, last_action: Tensor, action: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        inputs = self._inputs(state, last_action, action)
        if self.cell is not None:
            inputs = torch.cat([inputs, hidden], -1)
        mean, logvar = self.mlp(inputs).chunk(2, -1)
        logvar = _LOGVAR_MAX - F.softplus(_LOGVAR_MAX - logvar)
        return mean, _LOGVAR_MIN + F.softplus(logvar - _LOGVAR_MIN)

    def forward(self, state: Tensor, last_action: Tensor, action: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The expected next state, (..., state_size). `hidden`: of a recurrent model, from `remember`."""
        mean, _ = self._standardised(state, last_action, action, hidden)
        base = state + self.target_normaliser.mean if self.residual else self.target_normaliser.mean
        return base + self.target_normaliser.std * mean

    def loss(self, state: Tensor, last_action: Tensor, action: Tensor, reached: Tensor) -> Tensor:
        """Gaussian negative log-likelihood of the standardised target, but for constants; mean over the batch."""
        return self._surprise(state, last_action, action, reached, None).mean()

    def sequence_loss(
        self,
        state: Tensor,
        last_action: Tensor,
        action: Tensor,
        reached: Tensor,
        begins: Tensor,
        valid: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        """The same of a recurrent model on sequences (batch, steps, n).

        Args:
            state, last_action, action, reached: Of each step.
            begins: 1 where an episode begins with a step, (batch, steps, 1).
            valid: 1 where the step counts, (batch, steps, 1).
            hidden: Before the first step, (batch, recurrent).
        """
        remembered = []
        for k in range(state.shape[1]):
            hidden = self.remember(state[:, k], last_action[:, k], action[:, k], hidden * (1.0 - begins[:, k]))
            remembered.append(hidden)
        surprise = self._surprise(state, last_action, action, reached, torch.stack(remembered, 1))
        return (surprise.mean(-1, keepdim=True) * valid).sum() / valid.sum().clamp(min=1.0)

    def _surprise(
        self, state: Tensor, last_action: Tensor, action: Tensor, reached: Tensor, hidden: Tensor | None
    ) -> Tensor:
        mean, logvar = self._standardised(state, last_action, action, hidden)
        error = self.target_normaliser(self._target(state, reached)) - mean
        return error**2 * torch.exp(-logvar) + logvar

    def update_normalisers(self, state: Tensor, reached: Tensor) -> None:
        """Takes transitions into the running statistics."""
        self.state_normaliser.update(state)
        self.target_normaliser.update(self._target(state, reached))

    def _target(self, state: Tensor, reached: Tensor) -> Tensor:
        return reached - state if self.residual else reached
