"""A Go2 as its wire shows it: motor commands in and lowstates out as bytes, around the physics. No DDS, no clock."""

from __future__ import annotations

import numpy as np

from dbp_bringup.robot.physics import Go2Physics, PhysicsOptions, Sensed, Truth
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.types import RobotState
from dbp_policy.unitree import wire
from dbp_policy.unitree.motion_switcher import SportModeService
from dbp_policy.unitree.remote import ABSENT, Remote, encode_remote

LOWSTATE_PERIOD_MS = 1000 // go2.LOWSTATE_HZ

IMU_TEMPERATURE_C = 60
"""Invented, as are all temperatures and the battery: the robot's are not published."""


class SimulatedGo2:
    """The MuJoCo robot: physics behind Unitree's messages.

    While its sport mode is active the robot holds the lying pose by itself and takes no motor commands; once that is
    released the motors are limp until the first command.

    Args:
        options: Of the physics.
        sport_mode: The mode active at power-up, "" for none.
    """

    def __init__(self, options: PhysicsOptions | None = None, sport_mode: str = "normal") -> None:
        self.physics = Go2Physics(options)
        self.sport = SportModeService(sport_mode)
        self.remote: Remote = ABSENT
        self.rejected = 0
        """Motor commands refused: bad bytes, bad numbers, or sport mode active."""
        self._sport_active = False
        self._follow_sport_mode()

    def receive(self, lowcmd: bytes) -> bool:
        """Takes one rt/lowcmd payload; returns whether it was accepted."""
        self._follow_sport_mode()
        try:
            if self._sport_active:
                raise DbpError("sport mode is active")
            command = wire.decode_lowcmd(lowcmd)
            self.physics.set_command(command.q, command.dq, command.kp, command.kd, command.tau)
        except DbpError:
            self.rejected += 1
            return False
        return True

    def step(self, milliseconds: int = LOWSTATE_PERIOD_MS) -> None:
        """Lets time pass."""
        self._follow_sport_mode()
        self.physics.step_ms(milliseconds)

    def lowstate(self) -> bytes:
        """The rt/lowstate payload of now."""
        return wire.LOWSTATE.to_cdr(_record(self.physics.sense(), self.remote))

    def truth(self) -> Truth:
        """Ground truth, for tests and reports only."""
        return self.physics.truth()

    def _follow_sport_mode(self) -> None:
        if self.sport.active and not self._sport_active:
            self.physics.hold_pose()
        elif self._sport_active and not self.sport.active:
            self.physics.limp()
        self._sport_active = self.sport.active


def _record(sensed: Sensed, remote: Remote) -> np.ndarray:
    """All fields of a lowstate that a Go2 fills."""
    state = RobotState(
        tick_ms=sensed.tick_ms,
        q_sdk=sensed.q,
        dq_sdk=sensed.dq,
        tau_sdk=sensed.tau_est,
        temperature_sdk=sensed.temperature,
        quat_wxyz=sensed.quat_wxyz,
        gyro_body=sensed.gyro_body,
        acc_body=sensed.acc_body,
        foot_force=sensed.foot_force,
        battery_soc=sensed.battery_soc,
        battery_v=sensed.battery_v,
        remote=encode_remote(remote),
    )
    record = wire.lowstate_record(state)
    record["motor_state"]["ddq"][: go2.NUM_JOINTS] = sensed.ddq
    record["imu_state"]["temperature"] = IMU_TEMPERATURE_C
    record["power_a"] = sensed.battery_a
    record["bms_state"]["current"] = round(1000.0 * sensed.battery_a)
    record["bms_state"]["cell_vol"] = round(1000.0 * sensed.battery_v / 8)
    return record
