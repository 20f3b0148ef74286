"""Faults as data: what is done to the stack, which reaction it has to cause, and within what time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dbp_bringup.faults.start_states import MODES
from dbp_bringup.lockstep import Lockstep
from dbp_policy import go2
from dbp_policy.estop_client import Endpoint
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch
from dbp_policy.guard.faults import Severity
from dbp_policy.guard.guard import Guard
from dbp_policy.types import JointTarget, Request
from dbp_policy.unitree import wire
from dbp_policy.unitree.remote import Remote

_KEY = bytes(range(32))
PERIOD_MS = 1000 // go2.LOWSTATE_HZ
READER_DEPTH = 16
"""Lowstates that the guard's reader keeps for it (unitree.channels)."""
_COVERED = wire.LOWSTATE.positions("tick", "crc", *(f"motor_state.{i}.q" for i in range(go2.NUM_JOINTS)))
"""Bytes that a checksum tells about; CDR's padding is none of them."""

Inject = Callable[[Lockstep, np.random.Generator], None]
"""Prepares a stack: sets its taps, breaks a part, asks."""


@dataclass(frozen=True)
class Injection:
    """One fault."""

    key: str
    reaction: Severity
    bound: float
    """From the injection to the reaction on the wire [s]."""
    inject: Inject
    modes: Sequence[str] = MODES
    """Where the fault can happen and the reaction is demanded."""
    sensors_lie: bool = False
    """The joints are not where the guard is told."""
    lasts: bool = True
    """The fault is present until the end of the run; one that passes refuses no start."""
    asked: tuple[Request, ...] = ()
    """Of the guard, in the first tick."""
    no_start: bool = False
    """Though it stops nothing, nobody may stand up or start the policy."""


# Lowstates -----------------------------------------------------------------------------------------------------------


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


# The policy ----------------------------------------------------------------------------------------------------------


def answers(change: Callable[[JointTarget, int], JointTarget | None]) -> Inject:
    """Every answer of the policy is changed, or lost (None)."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        count = 0

        def tap(target: JointTarget) -> Sequence[JointTarget]:
            nonlocal count
            changed = change(target, count)
            count += 1
            return () if changed is None else (changed,)

        stack.target_tap = tap

    return inject


def slow(milliseconds: int) -> Inject:
    """Answers come this much later than they do."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        under_way: list[JointTarget] = []

        def tap(target: JointTarget) -> Sequence[JointTarget]:
            under_way.append(target)
            due = [t for t in under_way if target.state_tick_ms - t.state_tick_ms >= milliseconds]
            under_way[:] = under_way[len(due) :]
            return due

        stack.target_tap = tap

    return inject


def jumping(times: int) -> Inject:
    """Targets a radian apart, a new one in every answer; a policy of 50 Hz takes 100 ms for five of them."""

    def change(target: JointTarget, count: int) -> JointTarget:
        if count >= times:
            return target
        wanted = target.q_sdk + np.where(np.arange(12) % 3 == 1, 0.5 if count % 2 else -0.5, 0.0)
        return replace(target, q_sdk=np.clip(wanted, go2.Q_MIN, go2.Q_MAX))

    return answers(change)


def killed(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.policy_alive = False


# Operator and guard --------------------------------------------------------------------------------------------------


def remote_pressed(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.robot.remote = Remote(present=True, buttons=frozenset({"l2_button", "b"}))


def guard_restarts(stack: Lockstep, rng: np.random.Generator) -> None:
    stack.guard = Guard()


def guard_stopped(milliseconds: int) -> Inject:
    """The guard does not run for so long, and then finds everything that came meanwhile and was kept for it."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        kept: list[bytes] = []
        for _ in range(milliseconds // PERIOD_MS):
            stack.robot.step(PERIOD_MS)
            stack.now += 1e-3 * PERIOD_MS
            kept.append(stack.robot.lowstate())
        once = [tuple(kept[-READER_DEPTH:])]
        stack.lowstate_tap = lambda payload: (*(once.pop() if once else ()), payload)

    return inject


# Others beside the guard ---------------------------------------------------------------------------------------------


def around(**fields: object) -> Inject:
    """Something else that reaches the guard in every tick: fields of its input."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        stack.input_tap = lambda heard: replace(heard, **fields)

    return inject


def foreign_command(stack: Lockstep, rng: np.random.Generator) -> None:
    """One command of somebody else's, on the wire once."""
    counts = iter((1,))
    stack.input_tap = lambda heard: replace(heard, foreign=next(counts, 0))


def endpoint(send: Callable[[list[bytes]], bytes | None]) -> Inject:
    """A remote e-stop endpoint that has checked in so far: what it sends now is chosen from all its check-ins."""

    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        watch, client = EndpointWatch(("bench",), _KEY, rng.bytes), Endpoint("bench", _KEY)
        check_ins: list[bytes] = []

        def exchange(now: float, choose: Callable[[list[bytes]], bytes | None]) -> EndpointReport:
            check_in = client.check_in(now)
            if check_in is not None:
                check_ins.append(check_in)
                datagram = choose(check_ins)
                answer = None if datagram is None else watch.receive(datagram, now)
                if answer is not None:
                    client.receive(answer, now)
            return watch.report(now)

        for step in range(100, 0, -1):
            exchange(stack.now - 1e-3 * PERIOD_MS * step, lambda sent: sent[-1])
        stack.input_tap = lambda heard: replace(heard, endpoints=exchange(stack.now, send))

    return inject


def both(first: Inject, second: Inject) -> Inject:
    def inject(stack: Lockstep, rng: np.random.Generator) -> None:
        first(stack, rng)
        second(stack, rng)

    return inject
