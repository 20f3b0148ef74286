"""The Unitree Go2 in numbers: names and orders, limits, geometry, poses and gains, each with its source.

One joint order is used on our side of every interface: the order of Unitree's SDK. Anything in another order is
permuted where it enters, by name, with `permutation`.

Sources:
    [URDF]  unitreerobotics/unitree_ros, go2_description.urdf
    [MJCF]  unitreerobotics/unitree_mujoco, unitree_robots/go2/go2.xml
    [SDK]   unitreerobotics/unitree_sdk2_python, example/go2/low_level
    [LEGGED] leggedrobotics/legged_gym and isaac-sim/IsaacLab, velocity task on quadrupeds of this class
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dbp_policy.errors import DbpError

LEGS = ("FR", "FL", "RR", "RL")
"""Order of the legs in SDK arrays (motors and foot_force) [SDK]."""

JOINTS_OF_LEG = ("hip", "thigh", "calf")
JOINT_NAMES = tuple(f"{leg}_{joint}_joint" for leg in LEGS for joint in JOINTS_OF_LEG)
"""Order of the motors 0..11 in LowState and LowCmd [SDK]; the slots 12..19 have no motor on a Go2."""

NUM_JOINTS = 12
NUM_MOTOR_SLOTS = 20


def _constant(values) -> np.ndarray:
    array = np.array(values, dtype=float)
    array.setflags(write=False)
    return array


def _per_leg(front: Sequence[float], rear: Sequence[float]) -> np.ndarray:
    return _constant([*front, *front, *rear, *rear])


# Limits --------------------------------------------------------------------------------------------------------------

Q_MIN = _per_leg((-1.0472, -1.5708, -2.7227), (-1.0472, -0.5236, -2.7227))
Q_MAX = _per_leg((1.0472, 3.4907, -0.83776), (1.0472, 4.5379, -0.83776))
"""Joint range [rad] [URDF]."""

TAU_MAX = _per_leg((23.7, 23.7, 45.43), (23.7, 23.7, 45.43))
"""Joint torque at standstill [N·m] [URDF]; the calf is geared 1.917 : 1 by its linkage."""

DQ_MAX = _per_leg((30.1, 30.1, 15.70), (30.1, 30.1, 15.70))
"""No-load joint speed [rad/s] [URDF]."""

# Geometry ------------------------------------------------------------------------------------------------------------

HIP_ORIGIN = _constant([(sx * 0.1934, sy * 0.0465, 0.0) for sx, sy in ((1, -1), (1, 1), (-1, -1), (-1, 1))])
"""Hip joint in the base frame, shape (4, 3) [m] [URDF]."""

HIP_OFFSET_Y = _constant([-0.0955, 0.0955, -0.0955, 0.0955])
"""Thigh joint along the hip's y axis, shape (4,) [m] [URDF]."""

THIGH_LENGTH = 0.213
CALF_LENGTH = 0.213
FOOT_RADIUS = 0.022
FOOT_OFFSET_X = -0.002
"""Leg links, foot sphere and its centre's offset along the calf's x axis [m] [MJCF]."""

IMU_POSITION = _constant([-0.02557, 0.0, 0.04232])
"""IMU in the base frame, axes parallel to it [m] [URDF]."""

TRUNK_SIZE = _constant([0.3762, 0.0935, 0.114])
"""Trunk box, full lengths [m] [URDF]."""

MASS = 15.206
"""The whole robot [kg] [MJCF]."""

GRAVITY = 9.81

# Poses and gains -----------------------------------------------------------------------------------------------------

STAND_Q = _per_leg((0.0, 0.8, -1.5), (0.0, 0.8, -1.5))
"""Standing hold, trunk about 0.32 m high with the stand gains [rad] (FixStand of fan-ziqi/rl_sar)."""

LOW_STAND_Q = _per_leg((0.0, 1.16, -2.32), (0.0, 1.16, -2.32))
"""Standing low, the feet 0.17 m below the hips and under them [rad]: where a robot that has to stop is brought. A walk
of 1 m/s that is stopped in `STAND_Q` can tip over; stopped here it does not (./dbp faults --settle)."""

CROUCH_Q = _constant([0.0, 1.36, -2.65, 0.0, 1.36, -2.65, -0.2, 1.36, -2.65, 0.2, 1.36, -2.65])
"""Folded legs under the trunk [rad] [SDK, go2_stand_example]."""

STAND_KP, STAND_KD = 60.0, 5.0
"""Gains of standing up, standing and sitting down [N·m/rad], [N·m·s/rad] [SDK, go2_stand_example]."""

Posture = Literal["four_legs", "front_legs"]
POSTURES: dict[Posture, float] = {"four_legs": 0.0, "front_legs": 1.374}
"""How far nose down each posture holds the trunk [rad]: on the front legs its axis points along (0.2, 0, -1), as in
public stand-up rewards (arXiv 2311.05818)."""

DAMPING_KD = 3.0
"""Velocity damping when all else is off [N·m·s/rad] (Passive state of unitree_rl_mjlab)."""

KP_MAX, KD_MAX = 100.0, 10.0
"""Bounds of what may be asked for, above all gains used on this robot [N·m/rad], [N·m·s/rad]."""

# Rates ---------------------------------------------------------------------------------------------------------------

LOWSTATE_HZ = 500
"""Rate of rt/lowstate and, as in the SDK's examples, of rt/lowcmd [SDK]."""


def permutation(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Indices that bring an array in the order `source` into the order `target`: `x_target = x_source[indices]`.

    Args:
        source: Names in the order the data has.
        target: The same names in the order wanted.

    Raises:
        DbpError: A name is missing, doubled or unknown.
    """
    if len(set(source)) != len(source) or sorted(source) != sorted(target):
        unknown = sorted(set(target) ^ set(source)) or ["a name given twice"]
        raise DbpError(f"joint names: expected each of {list(source)} once, got {list(target)} ({unknown})")
    return np.array([list(source).index(name) for name in target], dtype=int)
