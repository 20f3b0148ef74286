"""The simulated stack walks for long, and nothing may grow, fail or fall."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dbp_bringup.bench.core_watch import CoreWatch
from dbp_bringup.bench.growth import Growth
from dbp_bringup.bench.verdict import Events, Soak, failures, growths
from dbp_bringup.bench.walking import WalkingStack, walking_stack
from dbp_bringup.bench.wander import wander
from dbp_bringup.bench.watch import Watch
from dbp_bringup.session import COMMAND_PERIOD
from dbp_policy import clock, paths
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.onnx_policy import load_runner
from dbp_policy.stop_request import StopRequest, on_ending
from dbp_policy.unitree.network import SIMULATION_DOMAIN

SAMPLE_PERIOD = 10.0
"""[s]"""
RESUME_TIMEOUT = 60.0
"""A robot that does not walk again by then [s] ends the soak."""
SHOWN = 10
"""Events of a kind on the terminal; the JSON has more."""
NOT_JUDGED = ("robot",)
"""MuJoCo's process stands for the robot; its memory is shown only."""


@dataclass(frozen=True)
class Args:
    """Lets the simulated stack walk with changing commands, watches memory, faults, overruns and ground truth.

    Exits 0 only if it walked to the end, no process's memory grew, no fault was raised and the robot never fell. After
    a fault the robot is brought up again and walks on, so that one does not hide what an hour would have shown; each is
    listed with how long the machine itself had stood still before it. Ctrl-C ends it with a report of what was seen so
    far; the JSON is written anew with every sample.
    """

    minutes: float = 60.0
    """How long to walk; being brought up again does not count."""
    json: Path | None = None
    """Write samples, events and verdict there."""
    core: int | None = None
    """Run all of the stack's processes on this one core. On a virtual machine a core that stands still then holds up
    all of them alike, as if time had stopped; spread over cores one sees the others go silent, and calls it a fault.
    The stack fills most of a core: give it one that nobody else uses."""
    policy: Path | None = None
    """ONNX policy to run; the walking policy that ships by default."""
    noise: float = 1.0
    """Sensor noise: 0 none, 1 as a real robot's."""
    seed: int = 0
    """Of the velocity commands."""
    domain: int = SIMULATION_DOMAIN
    """DDS domain of the simulated robot."""
    real_time_factor: float = field(default_factory=clock.real_time_factor)
    """Slow motion for a computer that is too slow, as of `./dbp sim`; minutes, and what is listed, are the robot's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Walks, reports, and gives the exit code."""
    args = parse(Args, "dbp bench soak", argv)
    if not 0.0 < args.minutes < float("inf"):
        raise DbpError(f"--minutes: expected a positive number, got {args.minutes}")
    if args.json:
        check_folder_of(args.json, "--json")
    clock.slow_down(args.real_time_factor)
    contract = load_runner(args.policy or paths.models_dir() / "go2_walk.onnx").contract
    commands = wander(contract.command_min, contract.command_max, args.seed)
    on_ending(signal.default_int_handler)  # also where it was started in the background, deaf to Ctrl-C
    if args.core is not None:
        _pin(args.core)
    with (
        CoreWatch() as cores,
        walking_stack(args.domain, args.policy, args.noise) as walking,
        Watch(walking, cores) as watch,
    ):
        # From here on it ends between two looks: interrupted anywhere, one soak in six ended by the signal in place of
        # its exit code, and nobody found where.
        stop = StopRequest().on_signals()
        try:
            _walk(args, walking, watch, commands, stop)
        except (DbpError, KeyboardInterrupt) as end:  # what went wrong is reported with what was seen before
            watch.seen.problem = str(end) or "interrupted"
    report = _report(args, watch.seen, growths(watch.seen, tuple(walking.process_ids)))
    _conclude(report)
    if args.json:
        write_json(args.json, report)
    return 0 if report["passed"] else 1


def _pin(core: int) -> None:
    allowed = os.sched_getaffinity(0)
    if core not in allowed:
        raise DbpError(f"--core: expected one of {sorted(allowed)}, got {core}")
    os.sched_setaffinity(0, {core})  # children inherit it


def _walk(
    args: Args,
    walking: WalkingStack,
    watch: Watch,
    commands: Iterator[tuple[float, np.ndarray]],
    stop: StopRequest,
) -> None:
    """Follows the commands for the given time; a sample at the start, then one every `SAMPLE_PERIOD`."""
    end, next_sample, next_command = 60.0 * args.minutes, 0.0, 0.0
    command = np.zeros(3)
    session = walking.session
    while watch.seen.walked < end:
        if stop.asked:
            raise KeyboardInterrupt
        walking.supervisor.check()
        begin = watch.elapsed
        if begin >= next_command:
            seconds, command = next(commands)
            next_command = begin + seconds
        session.drive(command)
        session.spin(COMMAND_PERIOD)
        watch.look()
        if watch.elapsed >= next_sample:
            next_sample += SAMPLE_PERIOD
            _show(watch.sample(), watch.seen, end)
            if args.json:
                write_json(args.json, _report(args, watch.seen, {}))
        if watch.walks:
            watch.seen.walked += watch.elapsed - begin
        else:
            _resume(walking, watch, stop)
    watch.sample()
    session.demand("sit_down", "damping")
    watch.seen.finished = True


def _resume(walking: WalkingStack, watch: Watch, stop: StopRequest) -> None:
    """Brings the robot back to walking, as an operator would.

    Raises:
        DbpError: It does not get there.
    """
    session, end = walking.session, watch.elapsed + RESUME_TIMEOUT
    while not watch.walks and not stop.asked:
        walking.supervisor.check()
        session.spin(COMMAND_PERIOD)
        watch.look()
        if session.mode == "settling":
            continue
        try:
            session.ask("reset")  # refused where nothing latched
            session.demand("stand_up", "standing")
            session.demand("start", "policy")
        except DbpError as refused:  # it still moves, or lies wrong, or another fault came
            if watch.elapsed > end:
                raise DbpError(f"the walk did not go on: {refused}") from None


def _report(args: Args, seen: Soak, grown: dict[str, Growth]) -> dict:
    found = failures(seen, grown, [name for name in grown if name not in NOT_JUDGED])
    return {
        "passed": not found,
        "failures": found,
        "finished": seen.finished,
        "minutes": round(seen.walked / 60.0, 2),
        "core": args.core,
        "seed": args.seed,
        "noise": args.noise,
        "real_time_factor": args.real_time_factor,
        "fell": seen.fell,
        **{kind: {"count": events.count, "listed": events.listed} for kind, events in _events(seen).items()},
        "growth_of_anonymous_memory": {name: g.as_json() for name, g in grown.items()},
        "samples": seen.samples,
    }


def _events(seen: Soak) -> dict[str, Events]:
    return {
        "interruptions": seen.interruptions,
        "faults": seen.faults,
        "warnings": seen.warnings,
        "overruns": seen.overruns,
        "stalls": seen.stalls,
    }


def _show(sample: dict, seen: Soak, end: float) -> None:
    memory = ", ".join(f"{name} {kib['anonymous'] / 1024.0:.1f}" for name, kib in sample["memory_kib"].items())
    counts = f"{seen.faults.count} faults, {seen.warnings.count} warnings, {seen.overruns.count} overruns"
    left = max(0.0, end - seen.walked) / 60.0
    print(f"soak: {left:.1f} min left; {counts}; anonymous MiB: {memory}", flush=True)


def _conclude(report: dict) -> None:
    for name, grown in report["growth_of_anonymous_memory"].items():
        span = f"{grown['first_kib']:.0f} to {grown['last_kib']:.0f} KiB"
        print(f"  {name:14s} {span}, {grown['slope_kib_per_hour']:+.0f} KiB/h")
    for kind in ("interruptions", "faults", "warnings", "overruns", "stalls"):
        count, listed = report[kind]["count"], report[kind]["listed"][:SHOWN]
        print(f"  {kind:14s} {count}", *map(_line, listed), sep="  ")
    print(
        "  in brackets: how long a core had stood still, or Linux had held up its real-time programs (docs/onboard.md)"
    )
    print(f"  {report['minutes']:g} min: {'; '.join(report['failures']) or 'passed'}")


def _line(event: dict) -> str:
    stall = f" ({event['stall_ms']:g} ms)" if event.get("stall_ms") else ""
    return f"{event['t']:.1f} s {event['what']}{stall}"
