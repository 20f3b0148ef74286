"""How good and how fast the state estimator is, against the truth of simulated walks on firm and slippery ground."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from dbp_bringup import terminal
from dbp_bringup.bench import estimator_score as score
from dbp_bringup.bench.estimator_walk import Walk, record_walk
from dbp_bringup.in_parallel import in_parallel
from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError
from dbp_policy.estimation.estimator import Estimator
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.onnx_policy import load_runner

FRICTIONS = (0.8, 0.25)
WANTED_RMSE = {0.8: (0.03, 0.03, 0.06), 0.25: (0.06, 0.06, 0.06)}
"""Of the velocity, x, y, z, at each friction [m/s]."""
WANTED_DRIFT, WANTED_US = 1.2, 150.0
"""Planar drift, percent of the way, on average over the seeds; median time of an update."""
WRONG_CONTACTS, WRONG_CONTACTS_FACTOR = 0.85, 1.2
"""With so many contacts right, the RMSE may be larger by this factor."""
CASES = {
    "fused": "torque and foot sensors",
    "flipped": "the same, flipped to 85 % right",
    "torque": "torque alone, sensors silent",
}
TIMED_SECONDS = 20.0
"""Of the walk whose updates are timed."""
_THINNED = 10  # NEES is kept at 50 Hz


@dataclass(frozen=True)
class Args:
    """Measures the state estimator; figures for people, and as JSON.

    The shipped policy, or another one, walks random commands in lockstep with the MuJoCo robot, with sensor noise and
    on two grounds; the estimator is run over what was sensed and compared with the truth.
    """

    json: Path | None = None
    """Write the figures there."""
    seeds: int = 5
    """Walks on each ground."""
    seconds: float = 60.0
    """Of each walk."""
    policy: Path | None = None
    """ONNX policy that walks; by default the one that ships. One that reads its velocity also walks on the true one."""
    workers: int = len(os.sched_getaffinity(0))
    """Processes to spread the walks over."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table and writes JSON; whatever the figures are, the exit code is 0."""
    args = parse(Args, "dbp bench estimator", argv)
    if not (args.seeds >= 1 and args.seconds >= 5.0 and args.workers >= 1):
        raise DbpError(f"bench estimator: expected at least 1 seed, 5 s and 1 worker, got {args}")
    if args.json:
        check_folder_of(args.json, "--json")
    runs = sorted(_measured(args), key=lambda run: (-run["friction"], run["seed"]))
    result = {"seconds": args.seconds, "seeds": args.seeds, "grounds": [ground(runs, f) for f in FRICTIONS]}
    result |= _timed(args)
    result["shortfalls"] = shortfalls(result)
    console = terminal.console()
    console.print(table(result))
    for row in result["grounds"]:
        if row["falls_told_the_truth"] is not None:
            told = f"{row['falls']} on the estimated velocity, {row['falls_told_the_truth']} on the true one"
            print(f"falls of {args.seeds} at friction {row['friction']:g}: {told}")
    print("\n".join(f"short: {text}" for text in result["shortfalls"]) or "all figures are as wanted")
    if args.json:
        write_json(args.json, {**result, "runs": [{k: v for k, v in run.items() if k != "raw"} for run in runs]})
    return 0


def _policy(args: Args) -> Path:
    return args.policy or paths.models_dir() / "go2_walk.onnx"


def _measured(args: Args) -> Iterator[dict]:
    """The walks, as they end."""
    tasks = [(_policy(args), friction, seed, args.seconds) for friction in FRICTIONS for seed in range(args.seeds)]
    for done, run in enumerate(in_parallel(measure, tasks, args.workers), 1):
        rmse = ", ".join(f"{value:.3f}" for value in run["cases"]["fused"]["rmse"])
        print(
            f"bench: {done} of {len(tasks)}: friction {run['friction']:g}, seed {run['seed']}, "
            f"{run['walked_s']:.0f} s{' and fell' if run['fell'] else ''}, RMSE {rmse} m/s",
            flush=True,
        )
        yield run


def _timed(args: Args) -> dict[str, float]:
    """How long an update takes, with nothing else of this bench beside it: two cores may be two threads of one."""
    track = score.follow(record_walk(_policy(args), FRICTIONS[0], 0, min(TIMED_SECONDS, args.seconds)).states)
    return {"update_us": track.update_us, "update_in_yardsticks": track.update_us / track.yardstick_us}


def measure(policy: Path, friction: float, seed: int, seconds: float) -> dict:
    """One walk and what the estimator makes of it with good and bad contacts.

    Raises:
        DbpError: The robot does not walk for longer than the filter's first second.
    """
    walk = record_walk(policy, friction, seed, seconds)
    if len(walk.states) * 0.002 <= score.SKIPPED + 1.0:
        raise DbpError(f"bench estimator: expected a walk on friction {friction:g}, got a fall at once (seed {seed})")
    tracks = {"fused": score.follow(walk.states)}
    share = score.flips_for(score.agreement(tracks["fused"].contact, walk.truth.contact), WRONG_CONTACTS)
    tracks["flipped"] = score.follow(walk.states, Estimator(contact=score.FlippedContacts(share, seed)))
    silent = np.zeros(4)
    tracks["torque"] = score.follow(replace(state, foot_force=silent) for state in walk.states)
    return {
        "friction": friction,
        "seed": seed,
        "walked_s": len(walk.states) * 0.002,
        "way_m": score.way(walk.truth.position),
        "fell": walk.fell,
        "fell_told_the_truth": _falls_told_the_truth(policy, friction, seed, seconds),
        "cases": {case: _figures(track, walk) for case, track in tracks.items()},
        "raw": {case: _raw(track, walk) for case, track in tracks.items()},
    }


def _falls_told_the_truth(policy: Path, friction: float, seed: int, seconds: float) -> bool | None:
    """Whether a policy that reads its velocity falls on this walk when it is given the true one; None for others."""
    if not load_runner(policy).contract.reads_velocity:
        return None
    return record_walk(policy, friction, seed, seconds, told_the_truth=True).fell


def _figures(track: score.Track, walk: Walk) -> dict:
    error = score.velocity_error(track, walk.truth.velocity_body)
    off, way = score.drift(track, walk.truth.position)
    nees = score.nees(track, walk.truth.velocity_body)
    return {
        "rmse": score.pooled_rmse([error]),
        "bias": error.mean(axis=0).tolist(),
        "p99": np.percentile(np.abs(error), 99, axis=0).tolist(),
        "drift_percent": 100.0 * off / way,
        "contacts_right": score.agreement(track.contact, walk.truth.contact),
        "nees": float(nees.mean()),
        "invalid": int(np.count_nonzero(~track.valid)),
    }


def _raw(track: score.Track, walk: Walk) -> dict[str, np.ndarray]:
    return {
        "error": score.velocity_error(track, walk.truth.velocity_body).astype(np.float32),
        "nees": score.nees(track, walk.truth.velocity_body)[::_THINNED],
    }


def ground(runs: Sequence[dict], friction: float) -> dict:
    """The figures of all seeds on one ground, by case."""
    mine = [run for run in runs if run["friction"] == friction]
    cases = {}
    for case in CASES:
        figures = [run["cases"][case] for run in mine]
        shortest = min(len(run["raw"][case]["nees"]) for run in mine)
        mean_nees = np.mean([run["raw"][case]["nees"][:shortest] for run in mine], axis=0)
        low, high = score.nees_band(len(mine))
        cases[case] = {
            "rmse": score.pooled_rmse([run["raw"][case]["error"] for run in mine]),
            "bias": np.mean([f["bias"] for f in figures], axis=0).tolist(),
            "drift_percent": float(np.mean([f["drift_percent"] for f in figures])),
            "drift_percent_worst": max(f["drift_percent"] for f in figures),
            "contacts_right": float(np.mean([f["contacts_right"] for f in figures])),
            "nees": float(mean_nees.mean()),
            "nees_band": [low, high],
            "nees_below_band": float(np.mean(mean_nees < low)),
            "nees_above_band": float(np.mean(mean_nees > high)),
        }
    told = [run["fell_told_the_truth"] for run in mine]
    falls = {"falls": sum(run["fell"] for run in mine), "falls_told_the_truth": None if None in told else sum(told)}
    return {"friction": friction, **falls, "cases": cases}


def shortfalls(result: dict) -> list[str]:
    """What is not as wanted, in sentences."""
    found = []
    for row in result["grounds"]:
        wanted = WANTED_RMSE[row["friction"]]
        for case, figures in row["cases"].items():
            factor = 1.0 if case == "fused" else WRONG_CONTACTS_FACTOR
            for axis, rmse, bound in zip("xyz", figures["rmse"], wanted, strict=True):
                if not rmse <= factor * bound:
                    found.append(f"RMSE {axis} {rmse:.3f} m/s at friction {row['friction']:g}, {CASES[case]}")
        drift = row["cases"]["fused"]["drift_percent"]
        if not drift <= WANTED_DRIFT:
            found.append(f"drift {drift:.1f} % at friction {row['friction']:g}")
        if row["falls"]:
            told = row["falls_told_the_truth"]
            instead = "" if told is None else f", {told} of a policy that is told its true velocity"
            found.append(f"{row['falls']} falls at friction {row['friction']:g}{instead}")
    if not result["update_us"] <= WANTED_US:
        found.append(f"{result['update_us']:.0f} us an update")
    return found


def table(result: dict) -> Table:
    """The figures for a person."""
    shown = Table(
        title=f"State estimator, {result['seeds']} walks of {result['seconds']:g} s on each ground",
        caption=f"one update: {result['update_us']:.0f} us in the median, as long as "
        f"{result['update_in_yardsticks']:.0f} products of 6 x 6 matrices",
    )
    for column in ("friction", "contacts", "right", "RMSE x, y, z [m/s]", "drift (worst) [%]", "NEES", "in band"):
        shown.add_column(column, justify="left" if column == "contacts" else "right")
    for row in result["grounds"]:
        for case, figures in row["cases"].items():
            low, high = figures["nees_band"]
            inside = 1.0 - figures["nees_below_band"] - figures["nees_above_band"]
            shown.add_row(
                f"{row['friction']:g}",
                CASES[case],
                f"{100.0 * figures['contacts_right']:.0f} %",
                ", ".join(f"{value:.3f}" for value in figures["rmse"]),
                f"{figures['drift_percent']:.2f} ({figures['drift_percent_worst']:.2f})",
                f"{figures['nees']:.1f} ({low:.1f} to {high:.1f})",
                f"{100.0 * inside:.0f} %",
            )
    return shown
