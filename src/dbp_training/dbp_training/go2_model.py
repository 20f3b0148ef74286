"""The Go2 as the training simulator has it, derived from the one robot model, models/go2.xml."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco

from dbp_policy.paths import models_dir

_FULL_COLLISION_GROUP = 4
"""Geoms of go2.xml that collide with the robot's simulation only."""
_VISUAL_GROUP = 2


@dataclass(frozen=True)
class PhysicsConfig:
    """How the training simulator integrates."""

    timestep: float = 0.005
    """Physics step [s]."""
    substeps: int = 4
    """Physics steps per policy step."""
    iterations: int = 6
    """Of the constraint solver; with fewer, falls are simulated wrongly."""
    ls_iterations: int = 10
    """Of the solver's line search."""
    device: str = "cpu"
    """Where: cpu, cuda or cuda:N for MuJoCo Warp there, warp-cpu to try that without a GPU."""

    @property
    def warp_device(self) -> str | None:
        """Warp's name of the device, None where plain MuJoCo simulates."""
        return None if self.device == "cpu" else self.device.removeprefix("warp-")


def picture_model() -> mujoco.MjModel:
    """go2.xml with all of its geoms; its positions are in the training model's order."""
    return mujoco.MjModel.from_xml_path(str(models_dir() / "go2.xml"))


def training_model(kp: float, kd: float, physics: PhysicsConfig) -> mujoco.MjModel:
    """go2.xml with feet and trunk as the only colliding geoms and a position actuator with motor limits per joint.

    MuJoCo's position actuator is the PD law tau = kp (q* - q) - kd dq, and the joint's own actuator force range limits
    it to the motor's torque. Inertias are the file's: its geoms carry no mass.

    Args:
        kp: Stiffness of every joint [N·m/rad].
        kd: Damping of every joint [N·m·s/rad].
        physics: The integrator.
    """
    spec = mujoco.MjSpec.from_file(str(models_dir() / "go2.xml"))
    for geom in spec.geoms:
        if geom.group in (_FULL_COLLISION_GROUP, _VISUAL_GROUP):
            spec.delete(geom)
    for sensor in spec.sensors:
        spec.delete(sensor)
    for actuator in spec.actuators:
        actuator.set_to_position(kp=kp, kv=kd)
        actuator.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE.value
    spec.option.timestep = physics.timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone, spec.option.impratio = mujoco.mjtCone.mjCONE_PYRAMIDAL, 1.0  # converges in few iterations
    spec.option.iterations = physics.iterations
    spec.option.ls_iterations = physics.ls_iterations
    return spec.compile()
