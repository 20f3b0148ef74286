"""`./dbp replay FILE`: a recording through the policy again, and where it differs. Needs neither ROS nor a robot."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dbp_bringup.bags.comparison import Comparison
from dbp_bringup.bags.definitions import POLICY_TICK
from dbp_bringup.bags.reading import Recording
from dbp_bringup.bags.replaying import TOLERANCE, Replay
from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.onnx_policy import load_runner
from dbp_policy.policy_tick import PolicyTick

_SHOWN = 6
"""Elements named per quantity; the rest is counted."""


@dataclass(frozen=True)
class Args:
    """Runs a recording through the policy again and tells where observation, estimate, target or command differ.

    Exit code 0 if nothing differs, 1 if something does, 2 if the recording cannot be replayed.
    """

    recording: Annotated[Path, tyro.conf.Positional]
    """Folder of a recording, or one MCAP file of the robot's side."""
    policy: Path | None = None
    """The policy that ran; by default the shipped one that it was."""
    tolerance: float = TOLERANCE
    """Largest difference that is none, in each quantity's own unit."""
    json: Path | None = None
    """Write what was found."""


def run(args: Args) -> int:
    """Replays and reports; the exit code."""
    if args.json is not None:
        check_folder_of(args.json, "--json")
    if not args.tolerance >= 0.0:
        raise DbpError(f"--tolerance: expected 0 or more, got {args.tolerance}")
    recording = Recording(args.recording)
    policy = args.policy or _recorded_policy(recording)
    replay = Replay(load_runner(policy), args.tolerance)
    for message in recording.messages():
        replay.feed(message)
    for file in recording.cut:
        print(f"warning: {file.name} ends in the middle of a record; replayed up to there", file=sys.stderr)
    replay.finish()
    report = _report(replay, policy)
    _show(replay, report)
    if args.json is not None:
        write_json(args.json, report)
    return 1 if replay.differs else 0


def _recorded_policy(recording: Recording) -> Path:
    """The shipped policy that was recorded.

    Raises:
        DbpError: It was none of them, or no policy ran.
    """
    first = next((m for m in recording.messages() if m.topic == POLICY_TICK.topic), None)
    if first is None:
        raise DbpError(f"expected records of the policy's ticks ({POLICY_TICK.topic}), found none: no policy ran")
    wanted = PolicyTick.from_cdr(first.data).policy
    for path in sorted(paths.models_dir().glob("*.onnx")):
        if hashlib.sha256(path.read_bytes()).digest() == wanted:
            return path
    raise DbpError(f"--policy: the recorded policy (SHA-256 {wanted.hex()[:12]}) is none of the shipped ones: name it")


def _report(replay: Replay, policy: Path) -> dict:
    counts = ("lowstates", "missing", "damaged", "lost", "skipped", "untimely")
    return {
        "policy": policy.name,
        "seconds": round(replay.seconds, 3),
        **{name: getattr(replay, name) for name in counts},
        **{c.name: c.report() for c in replay.comparisons},
        "opposite_sign": replay.signs.joints,
        "differs": replay.differs,
    }


def _show(replay: Replay, report: dict) -> None:
    print(f"{report['seconds']:g} s, {report['lowstates']} lowstates, policy {report['policy']}")
    for text, count in (
        ("lowstates that the policy saw are not in the recording", replay.missing),
        ("messages are damaged", replay.damaged),
        ("ticks of the policy are not in the recording", replay.lost),
        ("ticks were skipped: the policy's state before them is not known", replay.skipped),
        ("ticks came at another lowstate", replay.untimely),
    ):
        if count:
            print(f"  {count} {text}")
    for comparison in replay.comparisons:
        print(f"  {comparison.name:18s} {_line(comparison)}")
    for joint in replay.signs.joints:
        print(f"  {joint} has the opposite sign")


def _line(c: Comparison) -> str:
    if not c.compared:
        return "not compared"
    text = f"{c.differing} of {c.compared} differ, largest difference {c.largest:.3g}"
    if c.first is None:
        return text
    names = c.first["elements"]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{text}; first at {c.first['seconds']:g} s in {', '.join(names[:_SHOWN])}{more}"


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(parse(Args, "dbp replay")))


if __name__ == "__main__":
    sys.exit(main())
