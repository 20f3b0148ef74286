"""All injections with the reaction that each demands and its bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dbp_bringup.faults import injections as inject
from dbp_bringup.faults import lowstate_injections as lowstates
from dbp_bringup.faults.injections import Injection, answers
from dbp_bringup.faults.lowstate_injections import delivered, joint, quaternion, random_tampered, tampered
from dbp_bringup.faults.start_states import FOLLOWED, MODES
from dbp_bringup.lockstep import Lockstep
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.faults import Severity
from dbp_policy.types import Request

W, Z, S, D, NONE = Severity.WARN, Severity.ZERO, Severity.SETTLE, Severity.DAMP, Severity.NONE
KNOWN = tuple(mode for mode in MODES if mode != "init")
"""Where the guard has a lowstate to compare with."""
COOL = tuple(mode for mode in MODES if mode != "settling")
"""Where it is news that a motor is hot."""
STRETCHED = ("standing", "walking")
"""Where no joint is near its stop; beside one, an encoder that is off reads as a joint past its limit."""
LYING = ("init", "idle", "damping", "estop")

_NAN = np.full(12, np.nan)


def _lowstate() -> list[Injection]:
    numbers = {"motor_state": ("q", "dq", "tau_est"), "imu_state": ("quaternion", "gyroscope", "accelerometer")}
    not_finite = [
        Injection(f"not finite: {field}", D, 0.004, lowstates.not_finite(part, field))
        for part, fields in numbers.items()
        for field in fields
    ]
    return [
        Injection("lowstate stops", D, 0.020, delivered(lambda seen, _: ())),
        Injection("content frozen, tick goes on", D, 0.050, random_tampered(lowstates.freeze)),
        Injection("tick frozen", D, 0.020, random_tampered(lowstates.tick_frozen)),
        Injection("lowstate 5 ms late", W, 0.010, lowstates.gap(5), KNOWN, lasts=False),
        Injection("lowstate 10 ms late", W, 0.010, lowstates.gap(10), KNOWN, lasts=False),
        Injection("lowstate 20 ms late", D, 0.020, lowstates.gap(20), KNOWN, lasts=False),
        Injection("lowstate 50 ms late", D, 0.020, lowstates.gap(50), KNOWN, lasts=False),
        Injection("one lowstate in twenty lost", NONE, 0.5, delivered(_lossy), KNOWN),
        Injection("lowstates doubled", NONE, 0.2, delivered(lambda seen, _: 2 * seen[-1:])),
        Injection("lowstates reordered", NONE, 0.2, delivered(lowstates.swapped), KNOWN),
        Injection("robot restarts", D, 0.020, random_tampered(lowstates.robot_restarts), KNOWN, lasts=False),
        *not_finite,
        Injection("one damaged payload", NONE, 0.1, lowstates.damaged(1), KNOWN),
        Injection("three damaged payloads", D, 0.010, lowstates.damaged(3), KNOWN, lasts=False),
        Injection("damaged payloads", D, 0.010, lowstates.damaged(10**9), KNOWN),
        Injection("quaternion of norm 0.9", D, 0.010, quaternion(lambda q, _: 0.9 * q)),
        Injection("quaternion of zeros", D, 0.010, quaternion(lambda q, _: 0.0 * q)),
        Injection("quaternion flips its sign", NONE, 0.3, quaternion(lambda q, n: -q if n % 2 else q)),
        Injection("quaternion in another order", D, 0.3, quaternion(lowstates.wrong_order), LYING),
        Injection("tilted by 70 degrees", D, 0.020, lowstates.rolled(np.radians(70.0))),
        Injection("upside down", D, 0.020, lowstates.rolled(np.pi)),
    ]


def _altered(sent: list[bytes]) -> bytes:
    """The newest check-in with one bit turned: a byte put in its place would be right once in 256 times."""
    return sent[-1][:-1] + bytes([sent[-1][-1] ^ 1])


def _lossy(seen: list[bytes], rng: np.random.Generator) -> list[bytes]:
    return [] if rng.random() < 0.05 else seen[-1:]


def _sensors() -> list[Injection]:
    free_fall = lowstates.accelerometer(lambda a: 0.05 * a)
    return [
        Injection("encoder jumps", D, 0.006, joint(lowstates.jumped), KNOWN, sensors_lie=True, lasts=False),
        Injection("encoder hangs", S, 0.2, joint(lowstates.hangs), FOLLOWED, sensors_lie=True),
        Injection("encoder off by 0.05 rad", NONE, 0.5, joint(lowstates.offset), STRETCHED, sensors_lie=True),
        Injection("joint past its limit", D, 0.006, joint(lowstates.past_limit), sensors_lie=True),
        Injection("joint too fast", D, 0.006, joint(lowstates.too_fast), sensors_lie=True),
        Injection(
            "joint speed's sign wrong", S, 0.2, joint(lowstates.no_speed, knees=True), FOLLOWED, sensors_lie=True
        ),
        Injection("gyro biased", S, 0.2, random_tampered(lowstates.gyro_biased)),
        Injection("gyro hangs", S, 0.2, random_tampered(lowstates.gyro_hangs)),
        Injection("accelerometer saturated", NONE, 0.5, lowstates.accelerometer(lambda a: np.sign(a) * 78.0)),
        Injection("free fall", D, 0.3, free_fall),
        Injection("foot forces zero", W, 1.6, random_tampered(lambda rng: lowstates.feet_read(rng, 0)), FOLLOWED),
        Injection("foot forces hang", W, 1.6, random_tampered(lambda rng: lowstates.feet_read(rng, None)), FOLLOWED),
    ]


def _body() -> list[Injection]:
    return [
        Injection("motor at 75 °C", Z, 1.0, lowstates.motors("temperature", lambda _: 75)),
        Injection("motor at 85 °C", S, 1.0, lowstates.motors("temperature", lambda _: 85), COOL),
        Injection("motor loses packets", S, 0.1, lowstates.motors("lost", lambda n: n)),
        Injection("battery at 15 %", Z, 1.0, lowstates.charge(15)),
        Injection("battery at 5 %", S, 1.0, lowstates.charge(5)),
        Injection("voltage sags by 22 %", W, 1.0, tampered(lowstates.sag), KNOWN),
    ]


def _policy() -> list[Injection]:
    def at(key: str, reaction: Severity, bound: float, what, **more) -> Injection:
        return Injection(key, reaction, bound, what, FOLLOWED, **more)

    return [
        at("target not finite", D, 0.020, answers(lambda t, _: replace(t, q_sdk=_NAN))),
        at("stiffness not finite", D, 0.020, answers(lambda t, _: replace(t, kp_sdk=_NAN))),
        at("stiffness out of range", D, 0.020, answers(lambda t, _: replace(t, kp_sdk=t.kp_sdk + 1e3))),
        at("target out of reach", S, 0.020, answers(lambda t, _: replace(t, q_sdk=t.q_sdk + 2.0))),
        at("target jumps once", W, 0.020, inject.jumping(1), lasts=False),
        at("target jumps and jumps", S, 0.100, inject.jumping(10**9)),
        at("answers 16 ms late", W, 0.020, inject.slow(16)),
        at("answers 30 ms late", S, 0.055, inject.slow(30)),
        at("answers 70 ms late", D, 0.080, inject.slow(70)),
        at("policy hangs, its process lives", D, 0.080, answers(lambda t, _: None)),
        at("policy killed", D, 0.020, inject.killed),
        at("estimator diverges", S, 0.1, answers(lambda t, _: replace(t, estimator_diverged=True))),
    ]


def _operator() -> list[Injection]:
    def nothing(stack: Lockstep, rng: np.random.Generator) -> None:
        """What is asked is all there is."""

    return [
        Injection("e-stop on the remote", S, 0.010, inject.remote_pressed),
        Injection("e-stop by request", S, 0.010, nothing, lasts=False, asked=(Request.ESTOP,)),
        Injection("e-stop twice", D, 0.010, nothing, lasts=False, asked=(Request.ESTOP, Request.ESTOP)),
        Injection("e-stop endpoint pressed", S, 0.010, inject.around(endpoints=EndpointReport(pressed=True))),
        Injection("e-stop endpoint answers", NONE, 0.4, inject.endpoint(lambda sent: sent[-1])),
        Injection("e-stop endpoint dies", S, 0.31, inject.endpoint(lambda sent: None)),
        Injection("e-stop endpoint replays", S, 0.31, inject.endpoint(lambda sent: sent[0])),
        Injection("e-stop endpoint answers wrongly", S, 0.31, inject.endpoint(_altered)),
    ]


def _guard() -> list[Injection]:
    def stopped(milliseconds: int, reaction: Severity) -> Injection:
        stop, bound = inject.guard_stopped(milliseconds), 1e-3 * milliseconds + 0.020
        return Injection(f"guard stopped for {milliseconds} ms", reaction, bound, stop, KNOWN, lasts=False)

    return [
        stopped(12, W),
        stopped(60, W),
        stopped(200, D),
        Injection("guard restarts", NONE, 0.5, inject.guard_restarts),
        Injection("standby gone", W, 0.120, inject.around(standby_took=False), KNOWN, no_start=True),
        Injection("another writer appears", D, 0.004, inject.around(rivals=1)),
        Injection("a foreign command", D, 0.004, inject.foreign_command, lasts=False),
    ]


def _pairs(singles: list[Injection]) -> list[Injection]:
    """Two grave faults at once, where they act on different parts."""
    by_key = {single.key: single for single in singles}
    pairs = (
        ("lowstate stops", "target not finite"),
        ("lowstate stops", "policy killed"),
        ("lowstate stops", "e-stop by request"),
        ("not finite: q", "target not finite"),
        ("not finite: q", "policy killed"),
        ("not finite: q", "e-stop on the remote"),
        ("target out of reach", "e-stop on the remote"),  # who settles follows no target any more
        ("policy killed", "e-stop on the remote"),
        ("motor at 85 °C", "policy killed"),
        ("battery at 5 %", "lowstate stops"),
        ("another writer appears", "lowstate stops"),
        ("another writer appears", "policy killed"),
        ("another writer appears", "e-stop on the remote"),
        ("standby gone", "policy killed"),
        ("standby gone", "lowstate stops"),
    )
    return [_pair(by_key[a], by_key[b]) for a, b in pairs]


def _pair(a: Injection, b: Injection) -> Injection:
    return Injection(
        key=f"{a.key} + {b.key}",
        reaction=max(a.reaction, b.reaction),
        bound=min(x.bound for x in (a, b) if x.reaction == max(a.reaction, b.reaction)),
        inject=inject.both(a.inject, b.inject),
        modes=[mode for mode in MODES if mode in a.modes and mode in b.modes],
        lasts=a.lasts or b.lasts,
        asked=a.asked + b.asked,
    )


def injections() -> tuple[Injection, ...]:
    """All of them; every key is unique."""
    singles = [*_lowstate(), *_sensors(), *_body(), *_policy(), *_operator(), *_guard()]
    return (*singles, *_pairs(singles))
