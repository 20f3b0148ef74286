"""MuJoCo Warp: the batch simulator on an NVIDIA GPU, or on Warp's own CPU device to be tried without one."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import torch

from dbp_policy.errors import DbpError

_DERIVED = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
"""Constants that `commit` recomputes for each simulation."""
_CONTACTS, _CONSTRAINTS = 24, 96
"""Room in each simulation: a lying robot of feet and trunk has half of it."""


class WarpBatch:
    """`MujocoSim` on Warp. Numbers there have 32 bits; the arrays here are its copies on the host.

    Args:
        model: The model all simulations share but for the fields asked for with `field`; without activations.
        num_sims: How many simulations.
        device: Warp's name of it: cpu, cuda or cuda:1.

    Raises:
        DbpError: MuJoCo Warp is not installed, or there is no such device.
    """

    def __init__(self, model: mujoco.MjModel, num_sims: int, device: str) -> None:
        self._wp, self._mjw = _libraries()
        self._device = find_device(device)
        self.model = model
        self.num_sims = num_sims
        with self._wp.ScopedDevice(self._device):
            self._model = self._mjw.put_model(model)
            self._data = self._mjw.make_data(model, num_sims, nconmax=_CONTACTS, njmax=_CONSTRAINTS)
        # Few iterations of the solver are what the model asks for: no line for each.
        self._model.opt.warn_overflow &= ~self._mjw.OverflowType.ITERATIONS
        self.qpos, self.qvel = np.tile(model.qpos0, (num_sims, 1)), np.zeros((num_sims, model.nv))
        self._fields: dict[str, np.ndarray] = {}
        self._changed = False
        """A simulation was reset, so its fields may have been written since."""
        self._graph: Any = None
        for name in _DERIVED:
            self._expand(name)

    def step(self, controls: np.ndarray) -> np.ndarray:
        with self._wp.ScopedDevice(self._device):
            self._upload()
            for k in range(controls.shape[1]):
                self._data.ctrl.assign(controls[:, k])
                self._step()
            self._download()
        return ~(np.isfinite(self.qpos).all(1) & np.isfinite(self.qvel).all(1))

    def _step(self) -> None:
        """One physics step: on a GPU as one recorded graph, for its launches cost more than their work."""
        if not self._device.is_cuda:
            self._mjw.step(self._model, self._data)
            return
        if self._graph is None:
            self._mjw.step(self._model, self._data)  # compiles what is not compiled yet
            self._upload()
            with self._wp.ScopedCapture() as capture:
                self._mjw.step(self._model, self._data)
            self._graph = capture.graph
        self._wp.capture_launch(self._graph)

    def _upload(self) -> None:
        self._data.qpos.assign(self.qpos)
        self._data.qvel.assign(self.qvel)
        if self._changed:
            for name, values in self._fields.items():
                getattr(self._model, name).assign(values)
            self._changed = False

    def _download(self) -> None:
        self.qpos[:], self.qvel[:] = self._data.qpos.numpy(), self._data.qvel.numpy()

    def reset(self, sims: np.ndarray) -> None:
        mask = np.zeros(self.num_sims, bool)
        mask[sims] = True
        with self._wp.ScopedDevice(self._device):
            self._mjw.reset_data(self._model, self._data, self._wp.array(mask, dtype=bool))
        self.qpos[sims], self.qvel[sims] = self.model.qpos0, 0.0
        self._changed = True

    def field(self, name: str) -> np.ndarray:
        if name not in self._fields:
            self._fields[name] = self._expand(name)
        return self._fields[name]

    def _expand(self, name: str) -> np.ndarray:
        """Gives each simulation its own values of a model field; a copy of them on the host."""
        shared = getattr(self._model, name)
        values = np.repeat(shared.numpy()[:1], self.num_sims, axis=0)
        setattr(self._model, name, self._wp.array(values, dtype=shared.dtype, device=self._device))
        self._graph = None  # it holds the addresses of the arrays before
        return values

    def commit(self, sims: np.ndarray) -> None:
        with self._wp.ScopedDevice(self._device):
            self._upload()
            self._mjw.set_const(self._model, self._data)

    def state_dict(self) -> dict[str, Any]:
        fields = {name: torch.tensor(values) for name, values in self._fields.items()}
        warm = torch.tensor(self._data.qacc_warmstart.numpy())
        return {"qpos": torch.tensor(self.qpos), "qvel": torch.tensor(self.qvel), "warm": warm, "fields": fields}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reset(np.arange(self.num_sims))
        for name, values in state["fields"].items():
            self.field(name)[...] = values.numpy()
        self.qpos[:], self.qvel[:] = state["qpos"].numpy(), state["qvel"].numpy()
        if state["fields"]:
            self.commit(np.arange(self.num_sims))
        self._data.qacc_warmstart.assign(state["warm"].numpy())


def find_device(name: str) -> Any:
    """Warp's device of that name.

    Raises:
        DbpError: MuJoCo Warp is not installed, or there is no such device.
    """
    warp, _ = _libraries()
    try:
        return warp.get_device(name)
    except (ValueError, RuntimeError) as error:
        raise DbpError(f"--device: expected a device that Warp finds, got {name!r} ({error})") from None


def _libraries() -> tuple[Any, Any]:
    """Warp and MuJoCo Warp, which only this file knows."""
    try:
        import mujoco_warp
        import warp
    except ImportError as error:
        raise DbpError(f"--device: expected MuJoCo Warp, got: {error} (./dbp setup gpu installs it)") from None
    warp.config.log_level = warp.LOG_WARNING  # a line for each of a hundred kernels
    return warp, mujoco_warp
