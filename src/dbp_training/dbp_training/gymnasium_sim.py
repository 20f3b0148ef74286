"""MuJoCo in batch with what gymnasium's environments read off their simulator besides positions and velocities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
import torch

from dbp_training.sim import MujocoBatch, to_body

FORCES = "cfrc_ext"
"""The field of external forces and torques on the bodies, (bodies, 6)."""
_STAGE = ("xpos", "xquat", "subtree_com", "cvel", "actuator_length", "actuator_velocity")
"""Fields that give the configuration they were computed in away."""


class GymnasiumSim(MujocoBatch):
    """`MujocoSim` that says how far each simulation came in a step, and keeps derived fields of the data.

    After a step of the Runge-Kutta method MuJoCo's derived fields are those of the method's last stage, and gymnasium
    asks for the contact forces there, by a call that a batch does not have. So where they are asked for, the last
    stage's configuration is worked out from its other fields, and the forces are computed there, by a sensor that the
    model has to have. That takes one of the 20 evaluations of a step more.

    Args:
        model: The model; for contact forces a free joint, then hinges with a motor each.
        num_sims: How many simulations.
        threads: As of `MujocoBatch`.
        place: How far along x each simulation is, (num_sims,) [m], read off this simulator.
        fields: Derived fields to keep, named as in `mujoco.MjData`.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_sims: int,
        threads: int,
        place: Callable[[GymnasiumSim], np.ndarray],
        fields: Sequence[str] = (),
    ) -> None:
        super().__init__(model, num_sims, threads)
        self._place, self._forces = place, FORCES in fields
        self._stage = {name: self._batch.bind(name) for name in (_STAGE if self._forces else ())}
        self._bound = {name: self._batch.bind(name) for name in fields}
        self._warm = self._batch.bind("qacc_warmstart")
        self.derived = {name: values.copy() for name, values in self._bound.items()}
        """The fields asked for, each (num_sims, ...), after the last step."""
        self.velocity = np.zeros(num_sims)
        """Mean velocity along x over the last step, (num_sims,) [m/s]; zero after a reset."""

    def step(self, controls: np.ndarray) -> np.ndarray:
        before = self._place(self).copy()
        if self._forces:
            unstable = super().step(controls[:, :-1])
            warm = self._warm.copy()
            unstable |= super().step(controls[:, -1:])
        else:
            unstable = super().step(controls)
        for name, values in self._bound.items():
            self.derived[name][:] = values
        if self._forces:
            self.derived[FORCES][:] = self._forces_of_last_stage(warm)
        self.velocity = (self._place(self) - before) / (controls.shape[1] * self.model.opt.timestep)
        return unstable

    def _forces_of_last_stage(self, warm: np.ndarray) -> np.ndarray:
        """Contact forces where the derived fields were computed, by a solver that starts from `warm`."""
        state, (qpos, qvel) = self._batch.state.copy(), self._last_stage()
        self.qpos[:], self.qvel[:], self._warm[:] = qpos, qvel, warm
        self._batch.forward()
        self._batch.state[...] = state
        return self._bound[FORCES]

    def _last_stage(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities at which the derived fields were computed."""
        model, stage = self.model, self._stage
        root, spin = stage["xpos"][:, 1], stage["cvel"][:, 1, :3]
        speed = stage["cvel"][:, 1, 3:] + np.cross(spin, root - stage["subtree_com"][:, 1])
        gyro = to_body(stage["xquat"][:, 1], spin)
        joints, gear = model.actuator_trnid[:, 0], model.actuator_gear[:, 0]
        qpos, qvel = self.qpos.copy(), self.qvel.copy()
        qpos[:, :3], qpos[:, 3:7], qvel[:, :3], qvel[:, 3:6] = root, stage["xquat"][:, 1], speed, gyro
        qpos[:, model.jnt_qposadr[joints]] = stage["actuator_length"] / gear
        qvel[:, model.jnt_dofadr[joints]] = stage["actuator_velocity"] / gear
        return qpos, qvel

    def begin(self, sims: np.ndarray) -> None:
        """To be called after a reset and placing of `sims`: their fields are those of the place, without contacts."""
        self._batch.forward(sims)
        self.velocity[sims] = 0.0
        for name, values in self._bound.items():
            self.derived[name][sims] = 0.0 if name == FORCES else values[sims]

    def state_dict(self) -> dict[str, Any]:
        kept = {"velocity": self.velocity, **self.derived}
        return super().state_dict() | {"kept": {name: torch.tensor(values) for name, values in kept.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        for name, values in state["kept"].items():
            (self.velocity if name == "velocity" else self.derived[name])[:] = values.numpy()
