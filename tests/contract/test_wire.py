"""The wire against the SDK's own serialisation and checksum, byte for byte, and against what controllers rely on."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dbp_policy import go2
from dbp_policy.types import MotorCommand, RobotState, damping_command
from dbp_policy.unitree import sdk, wire
from dbp_policy.unitree.layout import WireError

SEEDS = range(40)
LAYOUTS = {"LowState_": wire.LOWSTATE, "LowCmd_": wire.LOWCMD}
COMMAND_FIELDS = ("q", "dq", "kp", "kd", "tau")


def sdk_message(value, field_type: np.dtype):
    """An SDK message of a record, its types looked up by their fields."""
    if field_type.subdtype is not None:
        return [sdk_message(item, field_type.subdtype[0]) for item in value]
    if field_type.names is None:
        return value.item()
    go = sdk.go_types()
    cls = next(
        c
        for name in dir(go)
        if hasattr(c := getattr(go, name), "__dataclass_fields__") and tuple(c.__dataclass_fields__) == field_type.names
    )
    return cls(*(sdk_message(value[name], field_type.fields[name][0]) for name in field_type.names))


def random_record(layout, seed: int) -> np.ndarray:
    """Random bits everywhere, except NaNs that Python's floats cannot carry bit by bit."""
    rng = np.random.default_rng(seed)
    record = np.frombuffer(rng.bytes(layout.struct.itemsize), layout.struct)[0:1].copy().reshape(())
    clean_nans(record)
    if layout is wire.LOWSTATE:
        hold_below_sdk_limits(record)
    return record


def hold_below_sdk_limits(record: np.ndarray) -> None:
    """The SDK's own CRC code takes temperatures and fan speeds for signed and raises beyond half their range."""
    for part in (record["imu_state"], record["motor_state"]):
        part["temperature"] &= 0x7F
    for part, name in ((record["bms_state"], "bq_ntc"), (record["bms_state"], "mcu_ntc"), (record, "fan_frequency")):
        part[name] &= 0x7F
    for name in ("temperature_ntc1", "temperature_ntc2"):
        record[name] &= 0x7F


def clean_nans(record: np.ndarray) -> None:
    for name in record.dtype.names:
        if record[name].dtype.names is not None:
            clean_nans(record[name])
        elif record[name].dtype.kind == "f":
            values = np.atleast_1d(record[name])
            record[name] = np.where(np.isnan(values), np.float32(np.nan), values).reshape(record[name].shape)


def random_command(seed: int) -> MotorCommand:
    rng = np.random.default_rng(seed)
    return MotorCommand(*(rng.normal(scale=10.0, size=12) for _ in range(5)))


def random_state(seed: int) -> RobotState:
    rng = np.random.default_rng(seed)
    return RobotState(
        tick_ms=int(rng.integers(2**32)),
        stamp=12.5,
        q_sdk=rng.normal(size=12).astype(np.float32).astype(float),
        dq_sdk=rng.normal(size=12).astype(np.float32).astype(float),
        tau_sdk=rng.normal(size=12).astype(np.float32).astype(float),
        temperature_sdk=rng.integers(0, 256, 12).astype(float),
        quat_wxyz=rng.normal(size=4).astype(np.float32).astype(float),
        gyro_body=rng.normal(size=3).astype(np.float32).astype(float),
        acc_body=rng.normal(size=3).astype(np.float32).astype(float),
        foot_force=rng.integers(-(2**15), 2**15, 4).astype(float),
        battery_soc=float(rng.integers(0, 256)),
        battery_v=float(np.float32(rng.normal())),
        remote=rng.bytes(40),
    )


def resealed(cdr: bytes, position: int, value: int) -> bytes:
    """A payload with one byte changed and its CRC made right again, as the SDK would."""
    changed = bytearray(cdr)
    changed[position] = value
    message = sdk.go_types().LowCmd_.deserialize(bytes(changed))
    message.crc = sdk.crc().Crc(message)
    return message.serialize()


@pytest.mark.parametrize("name", LAYOUTS)
class TestAgainstSdk:
    def test_struct_has_the_size_unitree_documents(self, name):
        assert LAYOUTS[name].struct.itemsize == {"LowState_": 1180, "LowCmd_": 812}[name]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_same_bytes_and_same_crc(self, name, seed):
        layout = LAYOUTS[name]
        record = random_record(layout, seed)
        message = sdk_message(record[()], layout.struct)
        message.crc = sdk.crc().Crc(message)
        assert layout.to_cdr(record) == message.serialize()

    @pytest.mark.parametrize("seed", SEEDS[:5])
    def test_record_comes_back(self, name, seed):
        layout = LAYOUTS[name]
        cdr = layout.to_cdr(random_record(layout, seed))
        assert layout.to_cdr(layout.to_record(cdr)) == cdr

    @pytest.mark.parametrize("seed", SEEDS[:5])
    def test_what_lies_in_padding_does_not_matter(self, name, seed):
        """A sender may leave garbage between fields: neither the values nor the CRC see it."""
        layout = LAYOUTS[name]
        cdr = layout.to_cdr(random_record(layout, seed))
        padding = np.setdiff1d(np.arange(4, layout.cdr_size), layout.plan(layout._cdr_bytes))
        assert padding.size > 0
        dirty = bytearray(cdr)
        for position in padding:
            dirty[position] = 0xA5
        assert layout.to_cdr(layout.to_record(bytes(dirty))) == cdr

    @given(data=st.data())
    @settings(max_examples=200, deadline=None)
    def test_any_flipped_bit_is_noticed(self, name, data):
        layout = LAYOUTS[name]
        cdr = bytearray(layout.to_cdr(random_record(layout, 1)))
        position = data.draw(st.sampled_from([0, 1, *layout._cdr_bytes.tolist()]))
        cdr[position] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(WireError):
            layout.to_record(bytes(cdr))

    @given(cdr=st.binary(max_size=1300))
    @settings(deadline=None)
    def test_noise_is_refused_in_one_line(self, name, cdr):
        with pytest.raises(WireError) as error:
            LAYOUTS[name].to_record(cdr)
        assert "expected" in str(error.value) and "\n" not in str(error.value)


def test_the_codec_needs_nothing_but_numpy_and_a_checksum():
    """The guard imports it: no DDS, no SDK, no ROS, no inference, no simulator."""
    code = (
        "import sys; from dbp_policy.unitree import crc, layout, network, remote, wire; "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"cyclonedds", "unitree_sdk2py", "rclpy", "onnxruntime", "torch", "mujoco"}


class TestLowState:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_reads_what_the_sdk_wrote(self, seed):
        record = random_record(wire.LOWSTATE, seed)
        message = sdk_message(record[()], wire.LOWSTATE.struct)
        message.crc = sdk.crc().Crc(message)
        state = wire.decode_lowstate(message.serialize(), stamp=3.0)
        motors = message.motor_state[:12]
        np.testing.assert_array_equal(state.q_sdk, [m.q for m in motors])
        np.testing.assert_array_equal(state.dq_sdk, [m.dq for m in motors])
        np.testing.assert_array_equal(state.tau_sdk, [m.tau_est for m in motors])
        np.testing.assert_array_equal(state.temperature_sdk, [m.temperature for m in motors])
        np.testing.assert_array_equal(state.quat_wxyz, message.imu_state.quaternion)
        np.testing.assert_array_equal(state.gyro_body, message.imu_state.gyroscope)
        np.testing.assert_array_equal(state.acc_body, message.imu_state.accelerometer)
        np.testing.assert_array_equal(state.foot_force, message.foot_force)
        np.testing.assert_array_equal([state.battery_soc, state.battery_v], [message.bms_state.soc, message.power_v])
        assert state.remote == bytes(message.wireless_remote)
        assert (state.tick_ms, state.stamp) == (message.tick, 3.0)

    @pytest.mark.parametrize("seed", SEEDS[:10])
    def test_state_comes_back(self, seed):
        state = random_state(seed)
        back = wire.decode_lowstate(wire.encode_lowstate(state), stamp=state.stamp)
        for name in state.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(back, name), getattr(state, name), err_msg=name)

    def test_numbers_are_floats_to_calculate_with(self):
        """70 °C - 85 °C must not wrap around."""
        state = wire.decode_lowstate(wire.encode_lowstate(RobotState(temperature_sdk=np.full(12, 70.0))), 0.0)
        assert (state.temperature_sdk - 85 == -15).all()
        assert state.q_sdk.dtype == state.foot_force.dtype == np.float64

    def test_nan_travels_for_the_guard_to_see(self):
        state = RobotState(q_sdk=np.full(12, np.nan), gyro_body=np.array([np.inf, 0, 0]))
        back = wire.decode_lowstate(wire.encode_lowstate(state), 0.0)
        assert np.isnan(back.q_sdk).all() and np.isinf(back.gyro_body[0])

    def test_simulated_robot_fills_what_a_robot_fills(self):
        half = np.sqrt(0.5)
        record = wire.lowstate_record(RobotState(quat_wxyz=np.array([half, 0, 0, half])))
        assert record["head"].tolist() == [0xFE, 0xEF]
        assert record["motor_state"]["mode"].tolist() == [1] * 12 + [0] * 8
        np.testing.assert_allclose(record["imu_state"]["rpy"], [0, 0, np.pi / 2], atol=1e-6)

    @pytest.mark.parametrize(("temperature", "force"), [(300.0, 40000.0), (-5.0, -40000.0)])
    def test_integers_saturate(self, temperature, force):
        state = RobotState(temperature_sdk=np.full(12, temperature), foot_force=np.full(4, force))
        back = wire.decode_lowstate(wire.encode_lowstate(state), 0.0)
        assert back.temperature_sdk[0] == (255 if temperature > 0 else 0)
        assert back.foot_force[0] == (32767 if force > 0 else -32768)


@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
class TestLowCmd:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_is_what_the_sdk_would_have_sent(self, seed):
        command = random_command(seed)
        message = sdk.module("idl.default").unitree_go_msg_dds__LowCmd_()
        message.head, message.level_flag = [0xFE, 0xEF], 0xFF
        for slot, motor in enumerate(message.motor_cmd):
            motor.mode, motor.q, motor.dq = 0x01, 2.146e9, 16000.0
            if slot < 12:
                for name in COMMAND_FIELDS:
                    setattr(motor, name, float(np.float32(getattr(command, name)[slot])))
        message.crc = sdk.crc().Crc(message)
        assert wire.encode_lowcmd(command) == message.serialize()

    @pytest.mark.parametrize("seed", SEEDS[:10])
    def test_command_comes_back(self, seed):
        command = random_command(seed)
        back = wire.decode_lowcmd(wire.encode_lowcmd(command))
        for name in COMMAND_FIELDS:
            np.testing.assert_array_equal(getattr(back, name), getattr(command, name).astype(np.float32))

    @given(values=hnp.arrays(np.float64, (5, 12), elements=st.floats(allow_nan=True, allow_infinity=True)))
    @settings(max_examples=300, deadline=None)
    def test_nothing_but_the_twelve_motors_can_differ_from_the_idle_command(self, values):
        """Whatever is asked, it is refused, or the rest of the message is as in an idle one."""
        command = MotorCommand(*values)
        with np.errstate(over="ignore"):
            finite = np.isfinite(values.astype(np.float32)).all()
        if not finite:
            with pytest.raises(WireError, match="finite"):
                wire.encode_lowcmd(command)
            return
        record = wire.LOWCMD.to_record(wire.encode_lowcmd(command))
        idle = wire.LOWCMD.to_record(wire.encode_lowcmd(damping_command()))
        for message in (record, idle):
            message["crc"] = 0
            for name in COMMAND_FIELDS:
                message["motor_cmd"][name][:12] = 0
        assert record.tobytes() == idle.tobytes()

    def test_unused_slots_are_left_alone(self):
        motors = wire.LOWCMD.to_record(wire.encode_lowcmd(random_command(0)))["motor_cmd"]
        idle = motors[go2.NUM_JOINTS :]
        assert (motors["mode"] == 1).all()
        assert (idle["q"] == np.float32(2.146e9)).all() and (idle["dq"] == 16000.0).all()
        assert not (idle["kp"].any() or idle["kd"].any() or idle["tau"].any())

    @pytest.mark.parametrize("name", COMMAND_FIELDS)
    @pytest.mark.parametrize("joint", range(12))
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_no_bad_number_leaves(self, name, joint, bad):
        command = random_command(1)
        getattr(command, name)[joint] = bad
        with pytest.raises(WireError, match="finite"):
            wire.encode_lowcmd(command)

    @pytest.mark.parametrize("name", COMMAND_FIELDS)
    @pytest.mark.parametrize("shape", [(11,), (13,), (1,), (), (12, 1)])
    def test_wrong_shape_is_refused(self, name, shape):
        fields = {field: np.zeros(12) for field in COMMAND_FIELDS} | {name: np.zeros(shape)}
        with pytest.raises(WireError, match=r"shape \(12,\)"):
            wire.encode_lowcmd(MotorCommand(**fields))

    @pytest.mark.parametrize(
        ("position", "value", "reason"), [(4, 0xFF, "head"), (5, 0x00, "head"), (6, 0xEE, "level_flag")]
    )
    def test_robot_refuses_what_a_go2_would_not_take(self, position, value, reason):
        with pytest.raises(WireError, match=reason):
            wire.decode_lowcmd(resealed(wire.encode_lowcmd(random_command(2)), position, value))

    def test_motor_that_is_switched_off_makes_no_torque(self):
        record = wire.LOWCMD.to_record(wire.encode_lowcmd(random_command(3)))
        record["motor_cmd"]["mode"][4] = 0x00
        command = wire.decode_lowcmd(wire.LOWCMD.to_cdr(record))
        assert command.kp[4] == command.kd[4] == command.tau[4] == 0.0
        assert command.kp[5] != 0.0

    def test_crc_is_the_last_word(self):
        cdr = wire.encode_lowcmd(random_command(4))
        (crc,) = struct.unpack("<I", cdr[-4:])
        assert crc == sdk.crc().Crc(sdk.go_types().LowCmd_.deserialize(cdr))
