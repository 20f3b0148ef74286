"""The simulated robot as its wire shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_bringup.robot.physics import PhysicsOptions
from dbp_bringup.robot.simulated_go2 import SimulatedGo2
from dbp_policy import go2
from dbp_policy.guard.checks.lowstate import is_lying
from dbp_policy.types import MotorCommand
from dbp_policy.unitree import rpc, wire
from dbp_policy.unitree.remote import Remote, decode_remote
from dbp_policy.unitree.sport import STAND_DOWN, STAND_UP

ZERO = np.zeros(12)
HOLD = MotorCommand(go2.STAND_Q, ZERO, np.full(12, 60.0), np.full(12, 5.0), ZERO)


def test_every_lowstate_carries_what_was_sensed():
    robot = SimulatedGo2(PhysicsOptions(start="home"), sport_mode="")
    robot.remote = Remote(present=True, buttons=frozenset({"a"}), lx=0.5)
    for step in range(1, 4):
        robot.receive(wire.encode_lowcmd(replace(HOLD, q=go2.STAND_Q + 0.1 * step)))
        robot.step()
        sensed, payload = robot.physics.sense(), robot.lowstate()
        state, record = wire.decode_lowstate(payload, 1.0), wire.LOWSTATE.to_record(payload)
        assert state.tick_ms == sensed.tick_ms == 2 * step - 1
        for name, value in (("q_sdk", sensed.q), ("dq_sdk", sensed.dq), ("tau_sdk", sensed.tau_est)):
            np.testing.assert_array_equal(getattr(state, name), value.astype(np.float32))
        for name in ("quat_wxyz", "gyro_body", "acc_body"):
            np.testing.assert_array_equal(getattr(state, name), getattr(sensed, name).astype(np.float32))
        np.testing.assert_array_equal(state.foot_force, sensed.foot_force)
        np.testing.assert_array_equal(state.temperature_sdk, np.rint(sensed.temperature))
        np.testing.assert_array_equal(record["motor_state"]["ddq"][:12], sensed.ddq.astype(np.float32))
        np.testing.assert_array_equal(record["imu_state"]["rpy"], sensed.rpy.astype(np.float32))
        assert (state.battery_soc, state.battery_v) == (100.0, pytest.approx(sensed.battery_v, abs=1e-5))
        assert record["bms_state"]["cell_vol"][0] == round(1000.0 * sensed.battery_v / 8)
        assert decode_remote(state.remote) == robot.remote
        assert not record["motor_state"][12:]["q"].any() and not record["motor_state"][12:]["mode"].any()


def test_its_own_control_keeps_it_standing_and_lays_it_down_when_asked():
    robot = SimulatedGo2(PhysicsOptions(start="home"))
    robot.step(2000)
    standing = robot.truth()
    assert standing.position[2] > 0.25 and standing.up_z > 0.99
    assert robot.own_control.handle(STAND_DOWN, "{}") == (rpc.OK, "")
    heights = []
    for _ in range(1000):
        robot.step()
        heights.append(robot.truth().position[2])
    assert heights[100] > 0.2, "it lies down, it does not drop"
    assert heights[-1] < 0.12 and robot.truth().up_z > 0.99 and is_lying(wire.decode_lowstate(robot.lowstate(), 0.0))
    assert robot.own_control.handle(STAND_UP, "{}") == (rpc.OK, "")
    for _ in range(1000):
        robot.step()
    assert robot.truth().position[2] > 0.25
    assert robot.own_control.handle(4711, "{}") == (rpc.ERROR_NOT_IMPLEMENTED, "")


def test_sport_mode_holds_the_robot_and_takes_no_motor_commands():
    robot = SimulatedGo2()
    assert not robot.receive(wire.encode_lowcmd(HOLD)) and robot.rejected == 1
    robot.sport.mode = ""
    assert robot.receive(wire.encode_lowcmd(HOLD))


@pytest.mark.parametrize("byte", [4, 6, 100, 700, 811])
def test_bad_bytes_are_counted_and_change_nothing(byte):
    robot = SimulatedGo2(PhysicsOptions(start="home"), sport_mode="")
    payload = bytearray(wire.encode_lowcmd(HOLD))
    payload[byte] ^= 0x10
    assert not robot.receive(bytes(payload)) and robot.rejected == 1
    robot.step(100)
    assert not robot.physics.sense().tau_est.any(), "its motors are limp as before"
