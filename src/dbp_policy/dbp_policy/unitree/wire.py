"""`rt/lowstate` and `rt/lowcmd`: between the bytes on DDS and the guard's records, without a Python object per field.

Each direction exists twice, because the MuJoCo robot speaks the same wire from the other end. Fields, order and types
are those of the IDL (unitree_sdk2_python, unitree_sdk2py/idl/unitree_go/msg/dds_).
"""

from __future__ import annotations

import numpy as np

from dbp_policy import go2
from dbp_policy.rotations import rpy
from dbp_policy.types import MotorCommand, RobotState
from dbp_policy.unitree.crc import crc32_big_endian
from dbp_policy.unitree.layout import Layout, WireError

_F4, _U4, _I2 = np.dtype("<f4"), np.dtype("<u4"), np.dtype("<i2")

LOWSTATE_TOPIC = "rt/lowstate"
LOWCMD_TOPIC = "rt/lowcmd"

HEAD = (0xFE, 0xEF)
LEVEL_LOW = 0xFF
"""`level_flag` of motor-level control (0xEE is the sport level) (unitree_sdk2_python, unitree_legged_const.py)."""
MODE_STOP, MODE_SERVO = 0x00, 0x01
"""A motor's `mode`: no current, or field-oriented control of q, dq, tau (unitree_sdk2_python, go2_stand_example.py)."""
POS_STOP_F, VEL_STOP_F = 2.146e9, 16000.0
"""q and dq of a motor that is to be left alone (unitree_sdk2_python, unitree_legged_const.py)."""

SIMULATION_SN = tuple(np.frombuffer(b"DBP sim.", _U4).tolist())
"""`sn` of this project's simulated robot, so that nobody takes it for a real one; what a real one writes there is its
own serial number."""

_START = [
    ("head", "u1", 2),
    ("level_flag", "u1"),
    ("frame_reserve", "u1"),
    ("sn", "<u4", 2),
    ("version", "<u4", 2),
    ("bandwidth", "<u2"),
]
_MOTOR_CMD = [(n, "<f4") for n in ("q", "dq", "tau", "kp", "kd")]
_MOTOR_STATE = [(n, "<f4") for n in ("q", "dq", "ddq", "tau_est", "q_raw", "dq_raw", "ddq_raw")]
_IMU_STATE = [("quaternion", "<f4", 4), ("gyroscope", "<f4", 3), ("accelerometer", "<f4", 3), ("rpy", "<f4", 3)]
_BMS_STATE = [
    *((n, "u1") for n in ("version_high", "version_low", "status", "soc")),
    ("current", "<i4"),
    ("cycle", "<u2"),
    ("bq_ntc", "u1", 2),
    ("mcu_ntc", "u1", 2),
    ("cell_vol", "<u2", 15),
]


def _aligned(fields: list, *shape: int) -> np.dtype:
    return np.dtype((np.dtype(fields, align=True), shape))


LOWSTATE = Layout(
    "rt/lowstate",
    [
        *_START,
        ("imu_state", _aligned([*_IMU_STATE, ("temperature", "u1")])),
        (
            "motor_state",
            _aligned(
                [("mode", "u1"), *_MOTOR_STATE, ("temperature", "u1"), ("lost", "<u4"), ("reserve", "<u4", 2)],
                go2.NUM_MOTOR_SLOTS,
            ),
        ),
        ("bms_state", _aligned(_BMS_STATE)),
        ("foot_force", "<i2", 4),
        ("foot_force_est", "<i2", 4),
        ("tick", "<u4"),
        ("wireless_remote", "u1", 40),
        ("bit_flag", "u1"),
        ("adc_reel", "<f4"),
        ("temperature_ntc1", "u1"),
        ("temperature_ntc2", "u1"),
        ("power_v", "<f4"),
        ("power_a", "<f4"),
        ("fan_frequency", "<u2", 4),
        ("reserve", "<u4"),
        ("crc", "<u4"),
    ],
)

LOWCMD = Layout(
    "rt/lowcmd",
    [
        *_START,
        ("motor_cmd", _aligned([("mode", "u1"), *_MOTOR_CMD, ("reserve", "<u4", 3)], go2.NUM_MOTOR_SLOTS)),
        ("bms_cmd", _aligned([("off", "u1"), ("reserve", "u1", 3)])),
        ("wireless_remote", "u1", 40),
        ("led", "u1", 12),
        ("fan", "u1", 2),
        ("gpio", "u1"),
        ("reserve", "<u4"),
        ("crc", "<u4"),
    ],
)

# rt/lowstate ---------------------------------------------------------------------------------------------------------

_JOINTS = range(go2.NUM_JOINTS)
_STATE_FLOATS = LOWSTATE.positions(
    *(f"motor_state.{i}.{name}" for name in ("q", "dq", "tau_est") for i in _JOINTS),
    *(f"imu_state.quaternion.{i}" for i in range(4)),
    *(f"imu_state.gyroscope.{i}" for i in range(3)),
    *(f"imu_state.accelerometer.{i}" for i in range(3)),
    "power_v",
)
_STATE_INTS = LOWSTATE.positions(  # as int16
    *(f"motor_state.{i}.temperature" for i in _JOINTS),
    *(f"foot_force.{i}" for i in range(4)),
    "bms_state.soc",
    width=2,
)
_STATE_LOST = LOWSTATE.positions(*(f"motor_state.{i}.lost" for i in _JOINTS))  # as uint32
_STATE_REMOTE = LOWSTATE.positions(*(f"wireless_remote.{i}" for i in range(40)), width=1)
_STATE_TICK = LOWSTATE.positions("tick")[0]
_STATE_PLAN = LOWSTATE.plan(np.concatenate((_STATE_FLOATS, _STATE_LOST, _STATE_INTS)))
_FLOATS_END = _STATE_FLOATS.size
_LOST_END = _FLOATS_END + _STATE_LOST.size


def decode_lowstate(cdr: bytes, stamp: float) -> RobotState:
    """What the robot says, from a CDR payload.

    Args:
        cdr: The payload with its encapsulation header, 1180 bytes.
        stamp: When it was received, monotonic [s].

    Raises:
        WireError: Length, encoding or CRC is wrong. Values are not judged here: they may be NaN.
    """
    numbers = LOWSTATE.gather(cdr, _STATE_PLAN)
    floats = numbers[:_FLOATS_END].view(_F4).astype(float)
    lost = numbers[_FLOATS_END:_LOST_END].view(_U4).astype(float)
    ints = numbers[_LOST_END:].view(_I2).astype(float)
    return RobotState(
        tick_ms=int.from_bytes(cdr[_STATE_TICK : _STATE_TICK + 4], "little"),
        stamp=stamp,
        q_sdk=floats[0:12],
        dq_sdk=floats[12:24],
        tau_sdk=floats[24:36],
        temperature_sdk=ints[0:12],
        lost_sdk=lost,
        quat_wxyz=floats[36:40],
        gyro_body=floats[40:43],
        acc_body=floats[43:46],
        foot_force=ints[12:16],
        battery_soc=ints.item(16),
        battery_v=floats.item(46),
        remote=cdr[_STATE_REMOTE[0] : _STATE_REMOTE[0] + 40],
    )


def lowstate_record(state: RobotState) -> np.ndarray:
    """A lowstate with all its fields by name, so that a simulator can add what `RobotState` does not carry.

    `LOWSTATE.to_cdr` makes the payload of it. Numbers too large for their integer field are held at its ends.
    """
    record = LOWSTATE.blank()
    record["head"] = HEAD
    record["level_flag"] = LEVEL_LOW
    record["tick"] = state.tick_ms % 2**32
    motors = record["motor_state"][: go2.NUM_JOINTS]
    motors["mode"] = MODE_SERVO
    motors["q"], motors["dq"], motors["tau_est"] = state.q_sdk, state.dq_sdk, state.tau_sdk
    motors["temperature"] = np.clip(np.rint(state.temperature_sdk), 0, 255)
    motors["lost"] = np.clip(np.rint(state.lost_sdk), 0, 2**32 - 1)
    imu = record["imu_state"]
    imu["quaternion"], imu["gyroscope"], imu["accelerometer"] = state.quat_wxyz, state.gyro_body, state.acc_body
    imu["rpy"] = rpy(state.quat_wxyz)
    record["foot_force"] = np.clip(np.rint(state.foot_force), -(2**15), 2**15 - 1)
    record["bms_state"]["soc"] = np.clip(np.rint(state.battery_soc), 0, 255)
    record["power_v"] = state.battery_v
    record["wireless_remote"] = np.frombuffer(state.remote, np.uint8)
    return record


def encode_lowstate(state: RobotState) -> bytes:
    """CDR payload of a robot's state, 1180 bytes with CRC; its `stamp` does not travel."""
    return LOWSTATE.to_cdr(lowstate_record(state))


# rt/lowcmd -----------------------------------------------------------------------------------------------------------


def _idle_lowcmd() -> np.ndarray:
    """A lowcmd that commands nothing: every slot as the SDK's examples leave the slots they do not use."""
    record = LOWCMD.blank()
    record["head"] = HEAD
    record["level_flag"] = LEVEL_LOW
    record["motor_cmd"]["mode"] = MODE_SERVO
    record["motor_cmd"]["q"] = POS_STOP_F
    record["motor_cmd"]["dq"] = VEL_STOP_F
    return record


# One gather makes a message, from (payload words | C struct words | the command's 60 numbers): both the payload and the
# words its CRC is over. Nothing but those 60 numbers can ever differ from the idle message.
_CDR_IDLE = np.frombuffer(LOWCMD.to_cdr(_idle_lowcmd()), _F4)
_STRUCT_IDLE = np.frombuffer(_idle_lowcmd().tobytes(), _F4)[:-1]
_IDLE = np.concatenate((_CDR_IDLE, _STRUCT_IDLE))
_COMMAND_SIZE = len(_MOTOR_CMD) * go2.NUM_JOINTS
_GATHER = np.arange(_IDLE.size)
_IN_CDR, _IN_STRUCT = LOWCMD.words(*(f"motor_cmd.{i}.{name}" for name, _ in _MOTOR_CMD for i in _JOINTS))
_GATHER[_IN_CDR] = _GATHER[_CDR_IDLE.size + _IN_STRUCT] = _IDLE.size + np.arange(_COMMAND_SIZE)
_ZEROS = np.zeros(_COMMAND_SIZE, np.float32)

_COMMAND_PLAN = LOWCMD.plan(
    np.concatenate(
        (
            LOWCMD.positions(*(f"motor_cmd.{i}.{name}" for name, _ in _MOTOR_CMD for i in _JOINTS)),
            LOWCMD.positions("head.0", "head.1", "level_flag", *(f"motor_cmd.{i}.mode" for i in _JOINTS), width=1),
        )
    )
)
_ALL_SERVO = bytes([MODE_SERVO] * go2.NUM_JOINTS)


def encode_lowcmd(command: MotorCommand) -> bytes:
    """CDR payload of a command to the twelve motors, 812 bytes with CRC.

    Slots 0..11 are servoed (mode 0x01), 12..19 idle as in the SDK's examples (mode 0x01, PosStopF, VelStopF, no gain,
    no torque); everything else is constant.

    Raises:
        WireError: A value is not finite as float32, or an array's shape is not (12,).
    """
    q, dq, tau, kp, kd = command.q, command.dq, command.tau, command.kp, command.kd
    if not q.shape == dq.shape == tau.shape == kp.shape == kd.shape == (go2.NUM_JOINTS,):
        shapes = [value.shape for value in (q, dq, kp, kd, tau)]
        raise WireError(f"rt/lowcmd: expected q, dq, kp, kd, tau of shape (12,), got {shapes}")
    source = np.concatenate((_IDLE, q, dq, tau, kp, kd), dtype=_F4, casting="same_kind")
    values = source[_IDLE.size :]
    if not values.dot(_ZEROS) == 0.0:  # 0 * NaN and 0 * inf are NaN
        raise WireError(f"rt/lowcmd: expected finite values, got {values[~np.isfinite(values)][:3].tolist()}")
    words = source[_GATHER].view(_U4)
    payload = words[: _CDR_IDLE.size]
    payload[-1] = crc32_big_endian(words[_CDR_IDLE.size :].byteswap())
    return payload.tobytes()


def decode_lowcmd(cdr: bytes) -> MotorCommand:
    """What a controller asks of the motors 0..11, if it is a command a Go2 would take.

    A motor whose mode is not 0x01 makes no torque: its kp, kd and tau come out as 0.

    Raises:
        WireError: Length, encoding, CRC, head or level flag is wrong.
    """
    numbers = LOWCMD.gather(cdr, _COMMAND_PLAN)
    fixed = numbers[4 * _COMMAND_SIZE :].tobytes()
    head, level = fixed[:2], fixed[2]
    if head != bytes(HEAD):
        raise WireError(f"rt/lowcmd: expected head FE EF, got {head.hex(' ').upper()}")
    if level != LEVEL_LOW:
        raise WireError(f"rt/lowcmd: expected level_flag 0xFF, got 0x{level:02X}")
    floats = numbers[: 4 * _COMMAND_SIZE].view(_F4).astype(float).reshape(len(_MOTOR_CMD), go2.NUM_JOINTS)
    if fixed[3:] != _ALL_SERVO:
        floats[2:] = np.where(np.frombuffer(fixed[3:], np.uint8) == MODE_SERVO, floats[2:], 0.0)
    q, dq, tau, kp, kd = floats
    return MotorCommand(q=q, dq=dq, kp=kp, kd=kd, tau=tau)
