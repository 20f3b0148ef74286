"""What gymnasium's MuJoCo benchmarks (v5) share: all of `dbp_training.env.Task` but the task itself.

State: what gymnasium observes, without a limit on it, then the mean velocity along x over the step that led there
[m/s], then, where contacts cost something, that cost. So every term of the reward has a slope in the state.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import mujoco
import numpy as np
import torch
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_training.env import EVERYONE, NOBODY, Episodes, Memory
from dbp_training.gymnasium_sim import GymnasiumSim


class GymnasiumTask:
    """Run along x in the model of a gymnasium environment, with its observation, reward and end.

    A task adds what is declared here without a value, and `healthy` if an episode can fail.

    Args:
        episode_steps: Time limit.
        episodes: Of an evaluation.
        fields: Derived fields of the data that are observed, after positions and velocities.
        contact_weight: Of the squared contact forces in the reward.
    """

    name: str
    asset: str
    """File of the model in gymnasium's assets."""
    dt: float
    substeps: int
    hidden: int
    """Leading positions that are not part of the observation."""
    action_size: int
    forward_weight = 1.0
    control_weight: float
    action_scale = 1.0
    """Actuator input per unit of action."""
    alive_reward = 0.0
    position_noise: float
    """Half-width of the uniform spread of the starting positions [m, rad]."""
    normal_velocities = False
    """Starting velocities are spread normally with that width as standard deviation, else uniformly."""
    randomised = False
    switch = None
    settling_s = 0.0

    def __init__(
        self, episode_steps: int, episodes: int, fields: tuple[str, ...] = (), contact_weight: float = 0.0
    ) -> None:
        self.episode_steps, self._episodes = episode_steps, episodes
        self._observed, self._contact_weight = fields, contact_weight
        self._model = _load(self.asset, forces=contact_weight > 0.0)
        sizes = [_derived(name, np.zeros((1, *getattr(mujoco.MjData(self._model), name).shape))) for name in fields]
        self.observation_size = self._model.nq - self.hidden + self._model.nv + sum(s.shape[1] for s in sizes)
        self.state_size = self.observation_size + 1 + (contact_weight > 0.0)
        self.observation_noise = torch.zeros(self.observation_size)

    # The task itself -------------------------------------------------------------------------------------------------

    def place(self, sim: GymnasiumSim) -> np.ndarray:
        """Where along x the velocity is taken, (N,) [m]."""
        return sim.qpos[:, 0]

    place_fields: tuple[str, ...] = ()
    """Derived fields that `place` reads."""

    def contact_cost(self, forces: np.ndarray) -> np.ndarray:
        """Cost of external forces and torques on the bodies, (N, bodies, 6) [N·m, N] to (N,); none unless told."""
        return np.zeros(len(forces))

    def healthy(self, state: Tensor) -> Tensor:
        """Whether the episode goes on, (...) bool."""
        return torch.ones(state.shape[:-1], dtype=torch.bool)

    def height(self, state: Tensor) -> Tensor:
        """Position 2 of the free joint, the torso's height, (...) [m]."""
        return state[..., 2 - self.hidden]

    def observe(self, state: Tensor, memory: Memory) -> Tensor:
        return state[..., : self.observation_size]

    def reward(self, reached: Tensor, action: Tensor, memory: Memory) -> Tensor:
        reward = self.forward_weight * self._velocity(reached)
        reward = reward - self.control_weight * ((self.action_scale * action) ** 2).sum(-1)
        if self.alive_reward:
            reward = reward + self.alive_reward * self.healthy(reached)
        return reward - reached[..., -1] if self._contact_weight else reward

    def terminated(self, reached: Tensor, memory: Memory) -> Tensor:
        return ~(torch.isfinite(reached).all(-1) & self.healthy(reached))

    # Simulation ------------------------------------------------------------------------------------------------------

    def make_sim(self, num_envs: int, threads: int) -> GymnasiumSim:
        contacts = ("cfrc_ext",) if self._contact_weight else ()
        fields = tuple(dict.fromkeys((*self.place_fields, *self._observed, *contacts)))
        return GymnasiumSim(self._model, num_envs, threads, self.place, fields)

    def picture_model(self) -> mujoco.MjModel:
        return self._model

    def reset(self, sim: GymnasiumSim, envs: np.ndarray, rng: np.random.Generator) -> None:
        num, spread = len(envs), self.position_noise
        sim.reset(envs)
        sim.qpos[envs] = self._model.qpos0 + rng.uniform(-spread, spread, (num, self._model.nq))
        shape = (num, self._model.nv)
        sim.qvel[envs] = spread * (rng.standard_normal(shape) if self.normal_velocities else rng.uniform(-1, 1, shape))
        sim.begin(envs)

    def new_delays(self, num: int, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(num, dtype=int)

    def controls(self, state: Tensor, memory: Memory, action: Tensor, delays: np.ndarray) -> np.ndarray:
        inputs = self.action_scale * action.numpy().astype(np.float64)
        return np.broadcast_to(inputs[:, None], (len(inputs), self.substeps, self.action_size))

    def read_state(self, sim: GymnasiumSim, envs: np.ndarray | slice = EVERYONE) -> Tensor:
        parts = [sim.qpos[envs, self.hidden :], sim.qvel[envs]]
        parts += [_derived(name, sim.derived[name][envs]) for name in self._observed]
        parts.append(sim.velocity[envs, None])
        if self._contact_weight:
            parts.append(self.contact_cost(sim.derived["cfrc_ext"][envs])[:, None])
        return torch.from_numpy(np.concatenate(parts, axis=-1, dtype=np.float32))

    def disturb(self, sim: GymnasiumSim, rng: np.random.Generator) -> np.ndarray:
        return NOBODY

    # Memory: nothing is asked for ------------------------------------------------------------------------------------

    def new_memory(self, num: int, rng: np.random.Generator) -> Memory:
        zero, none = torch.zeros(num, self.action_size), torch.zeros(num, 0)
        return Memory(zero, zero, none, none, torch.zeros(num, 1))

    def advance(self, memory: Memory, action: Tensor, rng: np.random.Generator) -> Memory:
        return Memory(action, memory.last_action, memory.command, memory.phase, memory.age + 1.0)

    # Judgement -------------------------------------------------------------------------------------------------------

    def _velocity(self, state: Tensor) -> Tensor:
        return state[..., self.observation_size]

    def metrics(self, reached: Tensor, memory: Memory) -> dict[str, Tensor]:
        return {"forward_velocity": self._velocity(reached)}

    def summary(self, figures: dict[str, float]) -> str:
        return f"forward {figures['forward_velocity']:.2f} m/s"

    def nominal(self) -> GymnasiumTask:
        return self

    def evaluation_commands(self) -> Tensor:
        return torch.zeros(self._episodes, 0)

    def judge(self, episodes: Episodes) -> dict[str, float]:
        """`return`: mean sum of an episode's rewards, as benchmarks quote it; `episode_steps`: mean length."""
        counted = torch.cat([torch.ones_like(episodes.alive[:1]), episodes.alive[:-1]])
        rewards = self.reward(episodes.reached, episodes.action, episodes.memory) * counted
        return {"return": rewards.sum(0).mean().item(), "episode_steps": counted.sum(0).float().mean().item()}


def _load(asset: str, forces: bool) -> mujoco.MjModel:
    """The model `asset` of the installed gymnasium; with `forces`, MuJoCo computes contact forces on bodies as well."""
    found = importlib.util.find_spec("gymnasium")  # the package itself is not needed, and slow to import
    if found is None:
        raise DbpError("this task takes its model from gymnasium: expected it installed (./dbp setup training)")
    with warnings.catch_warnings():  # the assets are older than some of MuJoCo's opinions
        warnings.simplefilter("ignore")
        spec = mujoco.MjSpec.from_file(str(Path(found.origin).parent / "envs/mujoco/assets" / asset))
        if forces:
            torso = {"objtype": mujoco.mjtObj.mjOBJ_BODY, "objname": "torso"}
            spec.add_sensor(type=mujoco.mjtSensor.mjSENS_FRAMELINACC, **torso)  # any that needs the forces
        return spec.compile()


def _derived(name: str, values: np.ndarray) -> np.ndarray:
    """A derived field as gymnasium observes it, (N, ...): without the world, or the free joint, and flat."""
    return values[:, 6:] if name == "qfrc_actuator" else values[:, 1:].reshape(len(values), -1)
