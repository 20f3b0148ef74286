"""What a record of the wire says about one injection. Pure; nothing of the guard is used here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_bringup.faults.processes.plan import Expected, ProcessFault
from dbp_bringup.faults.recorder import damped_from, out_of_bounds

KP, KD = 2, 3
"""Rows of the gains in a command."""
CALM = 0.02
"""Before the injection nothing has changed for so long [s]."""
SILENCE = 0.1
"""A stream that pauses for longer [s], once it goes again, has stopped."""


@dataclass(frozen=True)
class WireRecord:
    """rt/lowcmd and rt/lowstate as an ear heard them; times are of arrival [s]."""

    t: np.ndarray
    """Of each command, shape (n,)."""
    writer: np.ndarray
    """Process id of its writer, shape (n,)."""
    rows: np.ndarray
    """q, dq, kp, kd, tau, shape (n, 5, 12)."""
    state_t: np.ndarray
    """Of each lowstate, shape (m,)."""
    q_sdk: np.ndarray
    """Joint angles in it, shape (m, 12) [rad]."""
    dq_sdk: np.ndarray
    """Joint speeds in it, shape (m, 12) [rad/s]."""
    refused: str = ""
    """Why a robot would not have taken one of the commands, empty if it would have taken all."""

    @property
    def stiff(self) -> np.ndarray:
        """Which commands have stiffness on any joint, shape (n,), bool."""
        return (self.rows[:, KP] != 0.0).any(axis=1)

    def without(self, writer: int) -> WireRecord:
        """The record less one writer's commands."""
        kept = self.writer != writer
        return WireRecord(
            self.t[kept], self.writer[kept], self.rows[kept], self.state_t, self.q_sdk, self.dq_sdk, self.refused
        )


@dataclass(frozen=True)
class Verdict:
    """Of one injection."""

    unsafe: str = ""
    """What should never have happened, empty if nothing."""
    reaction: float = np.nan
    """From the injection to the first command of the reaction [s]; NaN where none is demanded or none came."""
    damped: float = np.nan
    """To the first of the damping commands that the record ends with [s]."""
    writer: int = 0
    """Process id of whoever damped."""


def judge(kind: ProcessFault, wire: WireRecord, injected: float, end: float) -> Verdict:
    """Judges one injection.

    Args:
        kind: What was done.
        wire: From before the injection to `end`, without foreign writers.
        injected: When it was done [s].
        end: When listening ended [s].
    """
    unsafe = wire.refused or violation(wire)
    after = wire.t > injected
    if not unsafe and not (after.any() and end - wire.t[-1] < SILENCE):
        unsafe = "the stream has stopped"
    if unsafe:
        return Verdict(unsafe)
    if kind.expected == Expected.GOES_ON:
        return Verdict("" if wire.stiff[after].all() else "damped without a reason")
    first = damped_from(wire.t, wire.stiff)
    if not np.isfinite(first):
        return Verdict("never damped")
    if not wire.stiff[after & (wire.t < first)].all():
        return Verdict("a stiff command after damping had begun")
    if np.diff(wire.t[wire.t >= first], append=end).max() > SILENCE:
        return Verdict("damping was interrupted")
    reaction = first if kind.expected == Expected.DAMPS else gains_changed(wire, injected)
    return Verdict("", float(reaction - injected), float(first - injected), int(wire.writer[wire.t >= first][0]))


def violation(wire: WireRecord) -> str:
    """What about the commands should never be, whatever was injected; empty if nothing."""
    writers = wire.writer[np.flatnonzero(np.diff(wire.writer, prepend=-1))]
    if len(set(writers.tolist())) < len(writers):
        return "two writers speak in turns"
    for writer in writers:
        own = wire.writer == writer
        # A command answers a lowstate that the ear may have heard after it: the nearest one is taken.
        nearest = np.searchsorted(wire.state_t, wire.t[own] + 0.0005) - 1
        if not len(wire.state_t):
            return "no lowstates to compare with"
        found = out_of_bounds(wire.rows[own], wire.q_sdk[nearest.clip(0)], wire.dq_sdk[nearest.clip(0)], False)
        if found:
            return found
    return ""


def gains_changed(wire: WireRecord, injected: float) -> float:
    """Time of the first command whose gains are not those from before the injection [s]: settling has begun."""
    gains = wire.rows[:, (KP, KD)]
    before = gains[wire.t <= injected]
    changed = (wire.t > injected) & (gains != before[-1:]).any(axis=(1, 2))
    return float(wire.t[changed][0]) if len(before) and changed.any() else np.inf


def undisturbed(wire: WireRecord, injected: float) -> bool:
    """Whether the robot stood or walked up to the injection, with nothing that had begun to stop it."""
    before = (wire.t <= injected) & (wire.t > injected - CALM)
    gains = wire.rows[before][:, (KP, KD)]
    return len(gains) > 0 and bool(wire.stiff[before].all() and (gains == gains[0]).all())


def spread(values: Sequence[float]) -> dict | None:
    """Median, 99th percentile and greatest of times given in seconds, in milliseconds; None for no values."""
    if not len(values):
        return None
    ms = 1e3 * np.asarray(values)
    # Of the values themselves: between the last two an interpolated percentile would be nobody's.
    p99 = np.percentile(ms, 99.0, method="higher")
    return {"n": len(ms), "median": _ms(np.median(ms)), "p99": _ms(p99), "max": _ms(ms.max())}


def _ms(value: float) -> float:
    return round(float(value), 3)
