"""The MuJoCo robot's process with something wrong with it: `odd_robot.py ODDITY [arguments of go2_robot]`."""

from __future__ import annotations

import sys

import numpy as np

from dbp_bringup.robot import process
from dbp_bringup.robot.simulated_go2 import SimulatedGo2
from dbp_policy.unitree import wire

_LEFT_RIGHT = np.r_[3:6, 0:3, 9:12, 6:9]


def upside_down(record: np.ndarray) -> None:
    record["imu_state"]["accelerometer"] *= -1.0


def low_battery(record: np.ndarray) -> None:
    record["bms_state"]["soc"] = 15


def empty_battery(record: np.ndarray) -> None:
    record["bms_state"]["soc"] = 5


def hot(record: np.ndarray) -> None:
    record["motor_state"]["temperature"][4] = 85


def swapped_joints(record: np.ndarray) -> None:
    record["motor_state"][:12] = record["motor_state"][:12][_LEFT_RIGHT]


ODDITIES = {f.__name__: f for f in (upside_down, low_battery, empty_battery, hot, swapped_joints)}


def main() -> int:
    """Runs the robot; each lowstate passes through the oddity."""
    oddity, whole = ODDITIES[sys.argv.pop(1)], SimulatedGo2.lowstate

    def lowstate(robot: SimulatedGo2) -> bytes:
        record = wire.LOWSTATE.to_record(whole(robot)).copy()
        oddity(record)
        return wire.LOWSTATE.to_cdr(record)

    SimulatedGo2.lowstate = lowstate
    return process.main()


if __name__ == "__main__":
    sys.exit(main())
