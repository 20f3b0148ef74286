"""The judgement over a battery: which scenarios decide, what they demand, and how far the others can be taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from dbp_bringup.validation.trial import Outcome

PLANAR_ERROR_MAX = 0.15
YAW_RATE_ERROR_MAX = 0.25
"""Tracking demanded of every nominal scenario [m/s], [rad/s]: less than its commands, so that standing still fails."""
AS_ASKED_MIN = 0.9
"""Share of the time with the trunk as asked, demanded of the same."""

MARGIN_GROUPS = {"delay": "ms", "push": "m/s", "payload": "kg"}
"""Groups whose `level` grows with the difficulty, and its unit."""


def shortfalls(outcome: Outcome) -> list[str]:
    """Why an outcome does not meet what its scenario demands; empty if it does, or if the scenario demands nothing."""
    scenario = outcome.scenario
    if not scenario.required:
        return []
    reasons = []
    if not outcome.walked:
        reasons.append("did not get to walk")
    if outcome.fell:
        reasons.append(f"fell after {outcome.survival * scenario.walk_seconds:.1f} s")
    if outcome.faults:
        reasons.append(f"faults: {', '.join(outcome.faults)}")
    if outcome.walked and not outcome.fell and not outcome.sat_down:
        reasons.append("did not sit down")
    if scenario.nominal and outcome.walked and not outcome.fell:
        for name, error, bound, unit in (
            ("velocity", outcome.planar_velocity_error, PLANAR_ERROR_MAX, "m/s"),
            ("yaw rate", outcome.yaw_rate_error, YAW_RATE_ERROR_MAX, "rad/s"),
        ):
            if not error <= bound:
                reasons.append(f"{name} error: expected at most {bound:g} {unit}, got {error:.2f}")
        if not outcome.as_asked >= AS_ASKED_MIN:
            reasons.append(f"posture: expected as asked for {AS_ASKED_MIN:.0%} of the time, got {outcome.as_asked:.0%}")
    return reasons


def survived(outcome: Outcome) -> bool:
    """Neither fell nor was stopped before the end of its walk."""
    return outcome.walked and not outcome.fell and outcome.survival >= 1.0


def margins(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Per group of `MARGIN_GROUPS` the greatest level up to which all were survived; None if even the first was not."""
    result: dict[str, float | None] = {}
    for group in MARGIN_GROUPS:
        levels: dict[float, bool] = {}
        for outcome in (o for o in outcomes if o.scenario.group == group and o.scenario.level > 0.0):
            level = outcome.scenario.level
            levels[level] = levels.get(level, True) and survived(outcome)
        result[group] = None
        for level in sorted(levels):
            if not levels[level]:
                break
            result[group] = level
    return result


def report(outcomes: Sequence[Outcome], wall_seconds: float, workers: int) -> dict:
    """All of it as plain data for JSON; numbers that could not be measured are null."""
    reasons = {o.scenario.key: shortfalls(o) for o in outcomes}
    simulated = sum(o.simulated_seconds for o in outcomes)
    cpu = sum(o.cpu_seconds for o in outcomes)
    nominal = [o for o in outcomes if o.scenario.nominal]
    return {
        "passed": not any(reasons.values()),
        "summary": {
            "scenarios": len(outcomes),
            "required": sum(o.scenario.required for o in outcomes),
            "required_failed": sum(bool(r) for r in reasons.values()),
            "survived": sum(survived(o) for o in outcomes),
            "falls": sum(o.fell for o in outcomes),
            "falls_required": sum(o.fell for o in outcomes if o.scenario.required),
            "planar_velocity_error": _mean(o.planar_velocity_error for o in nominal),
            "yaw_rate_error": _mean(o.yaw_rate_error for o in nominal),
            "margins": margins(outcomes),
            "simulated_seconds": simulated,
            "cpu_seconds": cpu,
            "wall_seconds": wall_seconds,
            "workers": workers,
            "real_time_factor_per_core": simulated / cpu if cpu else None,
            "real_time_factor": simulated / wall_seconds if wall_seconds else None,
        },
        "scenarios": [_row(o, reasons[o.scenario.key]) for o in outcomes],
    }


def _row(outcome: Outcome, reasons: list[str]) -> dict:
    row = asdict(outcome)
    scenario = row.pop("scenario")
    unknown = {name: None for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)}
    return {
        "group": scenario["group"],
        "name": scenario["name"],
        "required": outcome.scenario.required,
        "survived": survived(outcome),
        "shortfalls": reasons,
        **row,
        **unknown,
        "conditions": scenario,
    }


def _mean(values) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else None
