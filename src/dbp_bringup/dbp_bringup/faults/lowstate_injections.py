"""What is done to lowstates on their way to the guard: changed, lost, late, in another order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dbp_bringup.faults.injections import PERIOD_MS, Inject
from dbp_bringup.lockstep import Lockstep
from dbp_policy import go2
from dbp_policy.unitree import wire

_COVERED = wire.LOWSTATE.positions("tick", "crc", *(f"motor_state.{i}.q" for i in range(go2.NUM_JOINTS)))
"""Bytes that a checksum tells about; CDR's padding is none of them."""


def tampered(change: Callable[[np.ndarray, int], None]) -> Inject:
    """Every lowstate is changed: `change(record, number of the lowstate since the injection)`."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        _tamper(stack, change)

    return inject


def random_tampered(make: Callable[[np.random.Generator], Callable[[np.ndarray, int], None]]) -> Inject:
    """As `tampered`, the change drawn at random."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        _tamper(stack, make(rng))

    return inject


def _tamper(stack: Lockstep, change: Callable[[np.ndarray, int], None]) -> None:
    count = 0

    def tap(payload: bytes) -> tuple[bytes, ...]:
        nonlocal count
        record = wire.LOWSTATE.to_record(payload).copy()
        change(record, count)
        count += 1
        return (wire.LOWSTATE.to_cdr(record),)

    stack.lowstate_tap = tap


def delivered(choose: Callable[[list[bytes], np.random.Generator], Sequence[bytes]]) -> Inject:
    """What reaches the guard is chosen from all payloads since the injection."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        seen: list[bytes] = []

        def tap(payload: bytes) -> Sequence[bytes]:
            seen.append(payload)
            return choose(seen, rng)

        stack.lowstate_tap = tap

    return inject


def gap(milliseconds: int) -> Inject:
    """One silence: a lowstate comes this much after it was due."""
    missing = -(-milliseconds // PERIOD_MS)
    return delivered(lambda seen, _: () if len(seen) <= missing else seen[-1:])


def swapped(seen: list[bytes], _: np.random.Generator) -> Sequence[bytes]:
    """Each pair comes in the wrong order."""
    return () if len(seen) % 2 else (seen[-1], seen[-2])


def damaged(count: int) -> Inject:
    """So many payloads in a row with a flipped bit."""

    def choose(seen: list[bytes], rng: np.random.Generator) -> Sequence[bytes]:
        if len(seen) > count:
            return seen[-1:]
        payload = bytearray(seen[-1])
        payload[rng.choice(_COVERED)] ^= 1 << int(rng.integers(8))
        return (bytes(payload),)

    return delivered(choose)


def frozen_content(record: np.ndarray, kept: dict) -> None:
    """Joints and IMU of the first record for ever; the tick goes on."""
    for name in ("motor_state", "imu_state", "foot_force"):
        kept.setdefault(name, record[name].copy())
        record[name] = kept[name]


def freeze(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
    kept: dict = {}
    return lambda record, _: frozen_content(record, kept)


def tick_frozen(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
    kept: dict = {}

    def change(record: np.ndarray, count: int) -> None:
        record["tick"] = kept.setdefault("tick", int(record["tick"]))

    return change


def robot_restarts(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
    kept: dict = {}

    def change(record: np.ndarray, count: int) -> None:
        record["tick"] -= kept.setdefault("tick", int(record["tick"]))

    return change


def not_finite(part: str, field: str) -> Inject:
    def make(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
        value = rng.choice([np.nan, np.inf, -np.inf])
        index = int(rng.integers(12 if part == "motor_state" else 3))

        def change(record: np.ndarray, count: int) -> None:
            if part == "motor_state":
                record[part][field][index] = value
            else:
                record[part][field].reshape(-1)[index] = value

        return change

    return random_tampered(make)


def quaternion(change: Callable[[np.ndarray, int], np.ndarray]) -> Inject:
    def apply(record: np.ndarray, count: int) -> None:
        record["imu_state"]["quaternion"] = change(record["imu_state"]["quaternion"].astype(float), count)

    return tampered(apply)


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quaternion product, wxyz."""
    return np.array([a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


def rolled(angle: float) -> Inject:
    turn = np.array([np.cos(0.5 * angle), np.sin(0.5 * angle), 0.0, 0.0])
    return quaternion(lambda q, _: _times(q, turn))


def wrong_order(q: np.ndarray, _: int) -> np.ndarray:
    """xyzw in place of wxyz, of a robot that faces a radian to the left."""
    heading = np.array([np.cos(0.5), 0.0, 0.0, np.sin(0.5)])
    return np.roll(_times(heading, q), -1)


def gyro_biased(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
    bias = 0.5 * rng.choice([-1.0, 1.0]) * np.eye(3)[rng.integers(3)]

    def change(record: np.ndarray, count: int) -> None:
        record["imu_state"]["gyroscope"] += bias.astype(np.float32)

    return change


def gyro_hangs(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
    kept: dict = {}

    def change(record: np.ndarray, count: int) -> None:
        imu = record["imu_state"]
        imu["gyroscope"] = kept.setdefault("gyro", imu["gyroscope"].copy())

    return change


def accelerometer(value: Callable[[np.ndarray], np.ndarray]) -> Inject:
    def apply(record: np.ndarray, count: int) -> None:
        record["imu_state"]["accelerometer"] = value(record["imu_state"]["accelerometer"].astype(float))

    return tampered(apply)


def joint(change: Callable[..., tuple[float, float]], knees: bool = False) -> Inject:
    """One joint at random reads what `change(angles, speeds, joint, rng, first angles)` says: its angle and speed."""

    def make(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
        index = int(rng.integers(12))
        if knees:  # thigh or calf: hips hardly move when the robot stands up
            index = 3 * (index // 3) + 1 + index % 2
        seed = int(rng.integers(2**31))
        kept: dict = {}

        def apply(record: np.ndarray, count: int) -> None:
            motors = record["motor_state"]
            q, dq = motors["q"][:12].astype(float), motors["dq"][:12].astype(float)
            kept.setdefault("q", q)
            motors["q"][index], motors["dq"][index] = change(q, dq, index, np.random.default_rng(seed), kept["q"])

        return apply

    return random_tampered(make)


def jumped(q, dq, i, rng, first):
    return q[i] + rng.choice([-1.0, 1.0]) * rng.uniform(0.23, 0.6), dq[i]


def hangs(q, dq, i, rng, first):
    return first[i], 0.0


def offset(q, dq, i, rng, first):
    return q[i] + rng.choice([-0.05, 0.05]), dq[i]  # a step, which is harder to let pass than a constant


def past_limit(q, dq, i, rng, first):
    return (go2.Q_MAX[i] + 0.06 if rng.integers(2) else go2.Q_MIN[i] - 0.06), dq[i]


def too_fast(q, dq, i, rng, first):
    return q[i], rng.choice([-1.0, 1.0]) * (20.5 if i % 3 == 2 else 30.6)


def no_speed(q, dq, i, rng, first):
    return q[i], -dq[i]


def motors(field: str, value: Callable[[int], float]) -> Inject:
    def make(rng: np.random.Generator) -> Callable[[np.ndarray, int], None]:
        index = int(rng.integers(12))

        def change(record: np.ndarray, count: int) -> None:
            record["motor_state"][field][index] = value(count)

        return change

    return random_tampered(make)


def charge(percent: int) -> Inject:
    def change(record: np.ndarray, count: int) -> None:
        record["bms_state"]["soc"] = percent

    return tampered(change)


def sag(record: np.ndarray, count: int) -> None:
    record["power_v"] *= np.float32(0.78)


def feet_read(rng: np.random.Generator, value: int | None) -> Callable[[np.ndarray, int], None]:
    """All feet read the value, or for ever what they read now."""
    kept: dict = {}

    def change(record: np.ndarray, count: int) -> None:
        held = kept.setdefault("feet", record["foot_force"].copy())
        record["foot_force"] = held if value is None else value

    return change
