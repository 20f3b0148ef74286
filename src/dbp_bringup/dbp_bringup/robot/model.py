"""The MuJoCo model of the robot: go2.xml with the ground's friction and a payload of this run."""

from __future__ import annotations

import mujoco

from dbp_policy.errors import DbpError
from dbp_policy.paths import models_dir

PAYLOAD_HALF_SIZE = (0.09, 0.06, 0.03)
"""The payload is a box of these half lengths with its mass spread evenly [m]."""


def load(
    friction: float = 0.8,
    payload_kg: float = 0.0,
    payload_position: tuple[float, float, float] = (0.0, 0.0, 0.09),
) -> mujoco.MjModel:
    """Compiles models/go2.xml with every collision shape, at the robot's own 1 ms time step.

    Args:
        friction: Sliding friction of everything that touches, feet and ground included.
        payload_kg: Mass fixed to the trunk [kg]; it is seen and weighs, but does not collide.
        payload_position: Centre of the payload in the base frame [m].

    Raises:
        DbpError: A number is out of range, or go2.xml was not found.
    """
    if not 0.0 <= payload_kg <= 50.0:
        raise DbpError(f"payload: expected 0 to 50 kg, got {payload_kg}")
    spec = mujoco.MjSpec.from_file(str(models_dir() / "go2.xml"))
    if payload_kg > 0.0:
        payload = spec.body("base").add_body(name="payload", pos=payload_position)
        payload.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=PAYLOAD_HALF_SIZE,
            mass=payload_kg,
            group=2,
            contype=0,
            conaffinity=0,
            rgba=(0.85, 0.5, 0.15, 1.0),
        )
    # Hard friction, as unitree_mujoco's scene has it: at 20 N sideways a standing robot creeps 0.1 mm/s, with MuJoCo's
    # defaults 9 mm/s, for 25 % more time per step. A shorter line search than MuJoCo's own would let the feet slide.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 100.0
    model = spec.compile()
    set_friction(model, friction)
    return model


def set_friction(model: mujoco.MjModel, friction: float) -> None:
    """Changes the sliding friction of everything that touches.

    Raises:
        DbpError: The number is out of range.
    """
    if not 0.0 < friction <= 10.0:
        raise DbpError(f"friction: expected a number in (0, 10], got {friction}")
    model.geom_friction[model.geom_contype != 0, 0] = friction
