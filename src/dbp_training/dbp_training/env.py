"""A batched environment: a task on a batched simulator, torch tensors out, resets by itself.

The state has two parts: what the simulator computes (`state`, whose dynamics have to be learned) and what follows
exactly from actions and the clock (`Memory`). Tasks are written against this split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dbp_training.networks import Switch
from dbp_training.sim import BatchSim

EVERYONE = slice(None)
NOBODY = np.zeros(0, dtype=int)


@dataclass(frozen=True)
class Memory:
    """The part of the state that is known exactly. Every tensor has the leading shape of the batch."""

    last_action: Tensor
    """Action of the previous step, (..., action_size)."""
    previous_action: Tensor
    """Action of the step before that, (..., action_size)."""
    command: Tensor
    """What the episode asks for now, (..., command_size)."""
    phase: Tensor
    """Gait phase in cycles, (..., 1)."""
    age: Tensor
    """Steps since the episode began, (..., 1)."""

    def map(self, function, *others: Memory) -> Memory:
        """`function` applied field by field over this and other memories."""
        return Memory(*(function(*(getattr(m, f.name) for m in (self, *others))) for f in fields(Memory)))


@dataclass(frozen=True)
class Transition:
    """What one step of all environments gave; nothing in it has a gradient."""

    reached: Tensor
    """State after the step and before any reset or push, (N, state_size)."""
    reached_memory: Memory
    """Memory after the step and before any reset."""
    terminated: Tensor
    """The episode ended in failure, (N,) bool."""
    truncated: Tensor
    """The episode ended at its time limit, (N,) bool."""
    valid: Tensor
    """The simulator computed `reached`; False where it became unstable, which counts as terminated. (N,) bool."""
    state: Tensor
    """State the next step starts from: `reached`, pushed, or a new episode's, (N, state_size)."""
    memory: Memory
    """Memory the next step starts from."""
    rewarded: Callable[[], Tensor]
    """Computes `reward`."""

    @cached_property
    def reward(self) -> Tensor:
        """(N,). Computed when it is first asked for: a first-order trainer takes those of a whole window at once."""
        with torch.no_grad():
            return self.rewarded()

    @property
    def done(self) -> Tensor:
        return self.terminated | self.truncated


@dataclass(frozen=True)
class Episodes:
    """One episode in each of N environments, tensors (steps, N, ...)."""

    state: Tensor
    """Before each step."""
    memory: Memory
    """Before each step."""
    action: Tensor
    reached: Tensor
    alive: Tensor
    """No failure up to and including this step, bool."""


class Task(Protocol):
    """What a task defines; one file each under `dbp_training.tasks`."""

    name: str
    dt: float
    """Time between actions [s]."""
    state_size: int
    action_size: int
    observation_size: int
    observation_noise: Tensor
    """Standard deviation of the noise on each observation element, (observation_size,)."""
    episode_steps: int
    switch: Switch | None
    """Tells the two skills apart that a task may ask for; None for one."""

    def make_sim(self, num_envs: int, threads: int) -> BatchSim:
        """The simulator of `num_envs` environments."""

    def reset(self, sim: BatchSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        """Starts new episodes in the environments `envs`, with new randomised parameters."""

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        """The memory with which `num` episodes start."""

    def new_delays(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """How many substeps late each of `num` episodes applies its actions, (num,) int."""

    def controls(self, state: Tensor, memory: Memory, action: Tensor, delays: np.ndarray) -> np.ndarray:
        """Actuator inputs of every substep of a step that begins at `state`, (N, substeps, nu)."""

    def read_state(self, sim: BatchSim, envs: np.ndarray | slice = EVERYONE) -> Tensor:
        """State of the environments `envs`, (envs, state_size)."""

    def disturb(self, sim: BatchSim, rng: np.random.Generator) -> np.ndarray:
        """Pushes some environments; their indices."""

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        """The memory after `action`, with a new command here and there."""

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        """The actor's input without noise; differentiable. (..., observation_size)"""

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        """Reward of reaching `reached` by `action` from a step that began with `memory`; differentiable. (...)"""

    def terminated(self, reached: Tensor, memory: Memory) -> Tensor:
        """Whether reaching `reached` from a step that began with `memory` ends the episode in failure, (...) bool."""

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        """Named quality measures of each state, each of shape (...), larger batches welcome."""

    def summary(self, figures: dict[str, float]) -> str:
        """What the progress line says of a window's mean `metrics`."""

    # Evaluation

    randomised: bool
    """Whether the robot differs between episodes."""
    settling_s: float
    """Start of an episode that is left out of the averages [s]."""

    def nominal(self) -> Task:
        """The task without randomisation; itself if it has none."""

    def evaluation_commands(self) -> Tensor:
        """The commands of the evaluation, one episode each; always the same. (episodes, command_size)"""

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """Figures of an evaluation beyond survival and the mean metrics."""


class Env:
    """`num_envs` environments of one task.

    Args:
        task: The task.
        num_envs: How many.
        seed: Of everything random in here; equal seeds and actions give equal trajectories.
        threads: For the simulator.
        commands: Fixed command of each environment, (num_envs, command_size), in place of the task's random ones.
        stagger: Starts the first episodes at random ages, so that time limits do not fall together.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        seed: int,
        threads: int = 1,
        commands: Tensor | None = None,
        stagger: bool = True,
    ) -> None:
        self.task, self.num_envs = task, num_envs
        self.total_steps = 0
        """Steps taken so far, all environments together."""
        self._commands, self._threads = commands, threads
        self._rng = np.random.default_rng(seed)
        self._noise_rng = torch.Generator().manual_seed(seed)
        self._noisy = bool(task.observation_noise.any())
        self.sim = task.make_sim(num_envs, threads)
        """The simulator; it is stepped and placed from here alone."""
        age = self._rng.integers(0, task.episode_steps, (num_envs, 1)) * int(stagger)
        self._delays = np.zeros(num_envs, dtype=int)
        everyone = np.arange(num_envs)
        self._begin(everyone)
        memory = replace(task.new_memory(num_envs, self._rng), age=torch.from_numpy(age).float())
        self.memory = self._fix_commands(memory)
        self.state = task.read_state(self.sim)

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        """The actor's input for a state of all environments, with sensor noise."""
        clean = self.task.observe(state, memory)
        if not self._noisy:
            return clean
        return clean + self.task.observation_noise * torch.randn(clean.shape, generator=self._noise_rng)

    def step(self, action: Tensor) -> Transition:
        """Steps all environments with `action` (N, action_size) in [-1, 1]; the ones that end start anew."""
        with torch.no_grad():
            return self._step(action.detach())

    def _step(self, action: Tensor) -> Transition:
        task, before, memory = self.task, self.state, self.memory
        # Which environments: in numpy, where so few numbers take a fifth of torch's time.
        valid = ~self.sim.step(task.controls(before, memory, action, self._delays))
        reached = task.read_state(self.sim)
        valid &= np.isfinite(reached.numpy().sum(-1))
        if not valid.all():
            reached = torch.where(torch.from_numpy(valid)[:, None], reached, before)
        self.total_steps += self.num_envs
        self.memory = reached_memory = task.advance(memory, action, self._rng)
        if self._commands is not None:  # what was drawn is not asked, so nothing begins anew by it
            self.memory = reached_memory = replace(reached_memory, command=self._commands, age=memory.age + 1.0)
        terminated = task.terminated(reached, memory).numpy() | ~valid
        truncated = (reached_memory.age.numpy()[:, 0] >= task.episode_steps) & ~terminated
        done = np.flatnonzero(terminated | truncated)
        pushed = task.disturb(self.sim, self._rng)
        moved = np.union1d(pushed, done) if len(pushed) else done
        if len(done):
            self._restart(done)
        self.state = reached
        if len(moved):
            self.state = reached.index_copy(0, torch.from_numpy(moved), task.read_state(self.sim, moved))
        rewarded = partial(task.reward, reached, action, memory)
        ends = (torch.from_numpy(which) for which in (terminated, truncated, valid))
        return Transition(reached, reached_memory, *ends, self.state, self.memory, rewarded)

    def _restart(self, envs: np.ndarray) -> None:
        self._begin(envs)
        fresh = self.task.new_memory(len(envs), self._rng)
        index = torch.from_numpy(envs)
        self.memory = self._fix_commands(self.memory.map(lambda old, new: old.index_copy(0, index, new), fresh))

    def _begin(self, envs: np.ndarray) -> None:
        self.task.reset(self.sim, envs, self._rng)
        self._delays[envs] = self.task.new_delays(len(envs), self._rng)

    def _fix_commands(self, memory: Memory) -> Memory:
        return memory if self._commands is None else replace(memory, command=self._commands)

    def fork(self, rows: np.ndarray) -> Env:
        """New environments that start where those of `rows` are and keep their commands; these are left alone."""
        index = torch.from_numpy(rows)
        other = Env(self.task, len(rows), 0, self._threads, self.memory.command[index], stagger=False)
        state = self.state_dict()
        own = {name: state[name] for name in ("total_steps", "rng", "noise_rng")}
        of_rows = _rows({name: state[name] for name in ("sim", "delays", "memory")}, index)
        other.load_state_dict(own | of_rows)
        return other

    def state_dict(self) -> dict[str, Any]:
        """All that decides the future of the environments."""
        return {
            "sim": self.sim.state_dict(),
            "total_steps": self.total_steps,
            "rng": self._rng.bit_generator.state,
            "noise_rng": self._noise_rng.get_state(),
            "delays": torch.tensor(self._delays),
            "memory": {f.name: getattr(self.memory, f.name) for f in fields(Memory)},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self.sim.load_state_dict(state["sim"])
        self.total_steps = state["total_steps"]
        self._rng.bit_generator.state = state["rng"]
        self._noise_rng.set_state(state["noise_rng"])
        self._delays[:] = state["delays"].numpy()
        self.memory = Memory(**state["memory"])
        self.state = self.task.read_state(self.sim)


def _rows(values: Any, index: Tensor) -> Any:
    """Rows of every tensor in nested dictionaries."""
    return {k: _rows(v, index) for k, v in values.items()} if isinstance(values, dict) else values[index]
