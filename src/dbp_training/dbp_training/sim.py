"""Batched simulation: what environments need of a simulator, and MuJoCo on the CPU by `mujoco.batch`."""

from __future__ import annotations

from typing import Any, Protocol

import mujoco
import numpy as np
import torch
from mujoco import batch


class BatchSim(Protocol):
    """`num_sims` independent simulations. How they are placed and read is between a simulator and its task."""

    num_sims: int

    def step(self, controls: np.ndarray) -> np.ndarray:
        """Advances every simulation.

        Args:
            controls: Actuator inputs of every substep, shape (num_sims, substeps, nu).

        Returns:
            Which simulations became unstable, shape (num_sims,); they wait for a reset.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that decides the future of the simulations."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""


class MujocoSim(BatchSim, Protocol):
    """Simulations of one MuJoCo model. Rows are simulations; arrays named so are live views."""

    qpos: np.ndarray
    """Generalised positions, shape (num_sims, nq); writing one places the simulation."""
    qvel: np.ndarray
    """Generalised velocities, shape (num_sims, nv)."""

    def reset(self, sims: np.ndarray) -> None:
        """Puts the simulations `sims` (sorted indices) back to the model's defaults, to be placed anew."""

    def field(self, name: str) -> np.ndarray:
        """A model field with one value per simulation, shape (num_sims, ...), named as in `mujoco.MjModel`; live."""

    def commit(self, sims: np.ndarray) -> None:
        """Recomputes the constants that follow from changed masses and inertias of `sims`."""


class MujocoBatch:
    """`MujocoSim` on the CPU, on a thread pool that leaves Python's lock alone.

    Results do not depend on the number of threads.

    Args:
        model: The model all simulations share but for the fields asked for with `field`.
        num_sims: How many simulations.
        threads: Threads to step them on, the caller's included.
    """

    def __init__(self, model: mujoco.MjModel, num_sims: int, threads: int) -> None:
        self.model = model
        self.num_sims = num_sims
        mujoco.set_mju_user_warning(lambda _: None)  # `step` reports instability; no line and log file for each
        self._batch = batch.Batch(model, num_sims, threads)
        self.qpos, self.qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._defaults = self._batch.state[0].copy()
        self._fields: dict[str, np.ndarray] = {}
        self._warnings = self._count_warnings()

    def step(self, controls: np.ndarray) -> np.ndarray:
        before = self._warnings
        self._batch.rollout(controls.shape[1], controls, record=())
        self._warnings = self._count_warnings()
        return self._warnings != before

    def _count_warnings(self) -> np.ndarray:
        return self._batch.warning[..., 1].sum(axis=1)

    def reset(self, sims: np.ndarray) -> None:
        self._batch.state[sims] = self._defaults  # all that decides the future; in a quarter of the time of a reset

    def field(self, name: str) -> np.ndarray:
        return self._fields.setdefault(name, self._batch.expand(name))

    def commit(self, sims: np.ndarray) -> None:
        self._batch.set_const(sims)

    def state_dict(self) -> dict[str, Any]:
        fields = {name: torch.tensor(values) for name, values in self._fields.items()}
        return {"state": torch.tensor(self._batch.state), "fields": fields}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, values in state["fields"].items():
            self.field(name)[...] = values.numpy()
        if state["fields"]:
            self._batch.set_const()
        self._batch.state[...] = state["state"].numpy()


def to_body(quat: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) from world to body axes, R(q)^T v."""
    (w, x, y, z), v = np.ascontiguousarray(quat.T), np.ascontiguousarray(v.T)
    xyz = -np.stack([x, y, z])
    t = 2.0 * _cross(xyz, v)
    return (v + w * t + _cross(xyz, t)).T


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors (3, N): in a third of the time that numpy's own takes for a few hundred."""
    (ax, ay, az), (bx, by, bz) = a, b
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
