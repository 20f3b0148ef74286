"""A Go2 as its wire shows it: motor commands in and lowstates out as bytes, around the physics. No DDS, no clock."""

from __future__ import annotations

import numpy as np

from dbp_bringup.robot.physics import BATTERY_CELLS, Go2Physics, PhysicsOptions, Sensed, Truth
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.types import RobotState
from dbp_policy.unitree import wire
from dbp_policy.unitree.motion_switcher import SportModeService
from dbp_policy.unitree.remote import ABSENT, Remote, encode_remote
from dbp_policy.unitree.sport import SportService

LOWSTATE_PERIOD_MS = 1000 // go2.LOWSTATE_HZ

SPORT_MOTION_TIME = 1.5
"""How long its own control takes to stand up or to lie down [s]; invented."""

IMU_TEMPERATURE_C = 60
"""Invented, as are all temperatures and the battery: the robot's are not published."""


class SimulatedGo2:
    """The MuJoCo robot: physics behind Unitree's messages.

    While its sport mode is active the robot stands or lies by itself and takes no motor commands; once that is released
    the motors are limp until the first command.

    Args:
        options: Of the physics; started in the keyframe `home`, its own control keeps it standing.
        sport_mode: The mode active at power-up, "" for none.
    """

    def __init__(self, options: PhysicsOptions | None = None, sport_mode: str = "normal") -> None:
        self.physics = Go2Physics(options)
        self.sport = SportModeService(sport_mode)
        self.own_control = SportService(self.sport, standing=self.physics.options.start == "home")
        self._stands = float(self.own_control.standing)
        """How far its own control has it standing, from 0 to 1."""
        self.remote: Remote = ABSENT
        self.rejected = 0
        """Motor commands refused: bad bytes, bad numbers, or sport mode active."""
        self._lowstate = _Lowstate()
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
        self._follow_sport_mode(milliseconds)
        self.physics.step_ms(milliseconds)

    def lowstate(self) -> bytes:
        """The rt/lowstate payload of now."""
        return self._lowstate.payload(self.physics.sense(), self.remote)

    def truth(self) -> Truth:
        """Ground truth, for tests and reports only."""
        return self.physics.truth()

    def _follow_sport_mode(self, milliseconds: int = 0) -> None:
        if self.sport.active:
            way = self.own_control.standing - self._stands
            moved = np.clip(way, -1e-3 * milliseconds / SPORT_MOTION_TIME, 1e-3 * milliseconds / SPORT_MOTION_TIME)
            if moved or not self._sport_active:
                self._stands += moved
                lying_q = self.physics.lying_q
                self.physics.hold_pose(lying_q + self._stands * (go2.STAND_Q - lying_q))
        elif self._sport_active:
            self.physics.limp()
        self._sport_active = self.sport.active


class _Lowstate:
    """Fills one message again and again: the fields that change are views into it, the others stay as they are."""

    def __init__(self) -> None:
        self._record = wire.lowstate_record(RobotState())
        motors, imu, bms = (self._record[name] for name in ("motor_state", "imu_state", "bms_state"))
        self._motors = {name: motors[name][: go2.NUM_JOINTS] for name in ("q", "dq", "ddq", "tau_est", "temperature")}
        self._imu = {name: imu[name] for name in ("quaternion", "gyroscope", "accelerometer", "rpy")}
        self._soc, self._current, self._cell_vol = bms["soc"], bms["current"], bms["cell_vol"]
        imu["temperature"] = IMU_TEMPERATURE_C
        self._record["sn"] = wire.SIMULATION_SN

    def payload(self, sensed: Sensed, remote: Remote) -> bytes:
        """All that a Go2 fills of a lowstate, as rt/lowstate payload."""
        motors, imu, record = self._motors, self._imu, self._record
        record["tick"] = sensed.tick_ms % 2**32
        motors["q"][:], motors["dq"][:], motors["ddq"][:] = sensed.q, sensed.dq, sensed.ddq
        motors["tau_est"][:], motors["temperature"][:] = sensed.tau_est, np.rint(sensed.temperature)
        imu["quaternion"][:], imu["rpy"][:] = sensed.quat_wxyz, sensed.rpy
        imu["gyroscope"][:], imu["accelerometer"][:] = sensed.gyro_body, sensed.acc_body
        record["foot_force"] = sensed.foot_force
        record["wireless_remote"] = np.frombuffer(encode_remote(remote), np.uint8)
        record["power_v"], record["power_a"] = sensed.battery_v, sensed.battery_a
        self._soc[...] = round(sensed.battery_soc)
        self._current[...] = round(1000.0 * sensed.battery_a)
        self._cell_vol[:] = round(1000.0 * sensed.battery_v / BATTERY_CELLS)
        return wire.LOWSTATE.to_cdr(record)
