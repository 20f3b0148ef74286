"""What the tasks with a differentiable simulator share: all of `dbp_training.env.Task` but the task itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training.env import EVERYONE, NOBODY, Episodes, Memory
from dbp_training.sim import BatchSim
from dbp_training.torch_sim import TorchSim


class AnalyticTask(ABC):
    """Reach a target, which the command holds, by dynamics that are a differentiable function of state and action.

    A task adds `name`, `dt`, the sizes, `dynamics`, `new_states`, `new_targets`, `observe`, `reward`, `distance` and
    `tolerance`, `failed` if an episode can fail, and `lines` to be watched.
    """

    name: str
    dt: float
    state_size: int
    action_size: int
    observation_size: int
    episode_steps: int
    tolerance: float
    """Distance at which the target counts as reached."""
    randomised = False
    switch = None
    settling_s = 0.0
    evaluation_episodes = 64
    window = (-1.5, 1.5, -1.0, 1.0)
    """What a picture shows: left, right, bottom, top [m]."""

    @abstractmethod
    def dynamics(self, state: Tensor, action: Tensor) -> Tensor:
        """The state one step later; differentiable. (..., state_size)"""

    @abstractmethod
    def new_states(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """States that `num` episodes start from, (num, state_size)."""

    @abstractmethod
    def new_targets(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Targets of `num` episodes, (num, command_size)."""

    @abstractmethod
    def distance(self, state: Tensor, command: Tensor) -> Tensor:
        """What is left to the target, (...)."""

    def failed(self, state: Tensor) -> Tensor:
        """Whether a finite state ends the episode in failure, (...) bool."""
        return torch.zeros(state.shape[:-1], dtype=torch.bool)

    def lines(self, state: Tensor, command: Tensor) -> dict[str, np.ndarray]:
        """What a picture shows of one state (state_size,) and command: points (n, 2) [m] of a line by its name.

        Raises:
            DbpError: The task does not say it.
        """
        raise DbpError(f"{self.name}: expected a task that says what a picture shows of it (lines), this one does not")

    # Simulation ------------------------------------------------------------------------------------------------------

    def make_sim(self, num_envs: int, threads: int) -> BatchSim:
        return TorchSim(self.dynamics, num_envs, self.state_size)

    def reset(self, sim: TorchSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        fresh = torch.from_numpy(self.new_states(len(envs), rng).astype(np.float32))
        sim.state = sim.state.index_copy(0, torch.from_numpy(envs), fresh)

    def new_delays(self, num: int, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(num, dtype=int)

    def controls(self, state: Tensor, memory: Memory, action: Tensor, delays: np.ndarray) -> np.ndarray:
        return action[:, None].numpy()

    def read_state(self, sim: TorchSim, envs: np.ndarray | slice = EVERYONE) -> Tensor:
        return sim.state[envs].clone()

    def disturb(self, sim: TorchSim, rng: np.random.Generator) -> np.ndarray:
        return NOBODY

    # Memory ----------------------------------------------------------------------------------------------------------

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        zero = torch.zeros(num, self.action_size)
        targets = torch.from_numpy(self.new_targets(num, rng).astype(np.float32))
        return Memory(zero, zero, targets, torch.zeros(num, 0), torch.zeros(num, 1))

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        return Memory(action, memory.last_action, memory.command, memory.phase, memory.age + 1.0)

    # Judgement -------------------------------------------------------------------------------------------------------

    @property
    def observation_noise(self) -> Tensor:
        return torch.zeros(self.observation_size)

    def terminated(self, reached: Tensor, memory: Memory) -> Tensor:
        return ~torch.isfinite(reached).all(-1) | self.failed(reached)

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        return {"distance": self.distance(reached, memory.command)}

    def summary(self, figures: dict[str, float]) -> str:
        return f"distance {figures['distance']:.3f}"

    def nominal(self) -> AnalyticTask:
        return self

    def evaluation_commands(self) -> Tensor:
        targets = self.new_targets(self.evaluation_episodes, np.random.default_rng(2024))
        return torch.from_numpy(targets.astype(np.float32))

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """`success`: share of episodes that end alive and at the target; `final_distance`: mean of those alive."""
        alive, left = episodes.alive[-1], self.distance(episodes.reached[-1], episodes.memory.command[-1])
        final = left[alive].mean().item() if alive.any() else float("nan")
        return {"success": (alive & (left < self.tolerance)).float().mean().item(), "final_distance": final}


def circle(centre: np.ndarray, radius: float) -> np.ndarray:
    """Points (n, 2) of a circle, closed."""
    angle = np.linspace(0.0, 2.0 * np.pi, 37)
    return np.asarray(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], -1)
