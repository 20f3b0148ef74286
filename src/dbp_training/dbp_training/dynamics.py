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


class DynamicsModel(nn.Module):
    """Predicts state' - state from state, previous action (actions may act late) and action, with a variance.

    Args:
        state_size: Length of the state.
        action_size: Length of the action.
        hidden: Widths of the hidden layers.
        residual: Predict the change of the state; otherwise state' itself.
    """

    def __init__(self, state_size: int, action_size: int, hidden: tuple[int, ...], residual: bool = True) -> None:
        super().__init__()
        self.residual = residual
        self.state_normaliser = Normaliser(state_size)
        self.target_normaliser = Normaliser(state_size)
        self.mlp = mlp([state_size + 2 * action_size, *hidden, 2 * state_size], nn.SiLU)

    def _standardised(self, state: Tensor, last_action: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        inputs = torch.cat([self.state_normaliser(state), last_action, action], -1)
        mean, logvar = self.mlp(inputs).chunk(2, -1)
        logvar = _LOGVAR_MAX - F.softplus(_LOGVAR_MAX - logvar)
        return mean, _LOGVAR_MIN + F.softplus(logvar - _LOGVAR_MIN)

    def forward(self, state: Tensor, last_action: Tensor, action: Tensor) -> Tensor:
        """The expected next state, (..., state_size)."""
        mean, _ = self._standardised(state, last_action, action)
        base = state + self.target_normaliser.mean if self.residual else self.target_normaliser.mean
        return base + self.target_normaliser.std * mean

    def loss(self, state: Tensor, last_action: Tensor, action: Tensor, reached: Tensor) -> Tensor:
        """Gaussian negative log-likelihood of the standardised target, but for constants; mean over the batch."""
        mean, logvar = self._standardised(state, last_action, action)
        error = self.target_normaliser(self._target(state, reached)) - mean
        return (error**2 * torch.exp(-logvar) + logvar).mean()

    def update_normalisers(self, state: Tensor, reached: Tensor) -> None:
        """Takes transitions into the running statistics."""
        self.state_normaliser.update(state)
        self.target_normaliser.update(self._target(state, reached))

    def _target(self, state: Tensor, reached: Tensor) -> Tensor:
        return reached - state if self.residual else reached
