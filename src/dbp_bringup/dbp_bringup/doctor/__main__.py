"""`./dbp doctor`: looks at computer, network and robot, and says of each whether it is fit, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbp_bringup.doctor import guided, machine
from dbp_bringup.doctor.environment import TIMER_WATCH, check_clock, check_environment, check_timer
from dbp_bringup.doctor.finding import Finding, Level, as_json, fault, lines, warning, worst
from dbp_bringup.doctor.listener import Listener
from dbp_bringup.doctor.robot import check_robot
from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.unitree.network import ROBOT_DOMAIN, SIMULATION_DOMAIN

_LISTEN = 2.0
_HAND = 30.0
"""How long a hand has to move a joint [s]."""


@dataclass(frozen=True)
class Args:
    """Checks computer, network and robot. It commands no motor. Exit code 0 without a fault, 1 with one.

    For the robot: dbp doctor --network-interface eth0. For a running simulation: dbp doctor.
    """

    network_interface: str = "lo"
    """Network interface that leads to the robot, such as eth0; lo for the simulation."""
    domain: int | None = None
    """DDS domain; unless given the simulation's 1 on lo, and the robot's 0 elsewhere."""
    joints: bool = False
    """Then check joint order and signs by hand, one joint at a time, on a robot that hangs in its sling."""
    patience: float = 5.0
    """How long to wait for a robot [s]."""
    json: Path | None = None
    """Write the findings to this file."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the local sockets, to tell this computer's own stack from another writer."""


def run(args: Args) -> int:
    """Looks, prints, writes; the exit code."""
    if args.json is not None:
        check_folder_of(args.json, "--json")
    if not 0.0 < args.patience <= 3600.0:
        raise DbpError(f"--patience: expected more than 0 to 3600 s, got {args.patience}")
    domain = args.domain
    if domain is None:
        domain = SIMULATION_DOMAIN if args.network_interface == "lo" else ROBOT_DOMAIN
    findings: list[Finding] = []
    offset = machine.clock_offset()
    _say(findings, check_environment(args.network_interface, domain, machine.look()))
    _say(findings, [check_timer(machine.timer_lateness(TIMER_WATCH))])
    if worst(findings) == Level.FAULT:
        print("the robot was not looked at: mend these first")
    else:
        listener = Listener(args.network_interface, domain)
        heard = listener.listen(_LISTEN, args.patience, args.runtime_dir)
        _say(findings, [check_clock(machine.look(offset)), *check_robot(heard, domain)])
        if args.joints:
            _check_joints(listener, heard.sport_mode, findings)
    verdict = worst(findings)
    if args.json is not None:
        where = {"network_interface": args.network_interface, "domain": domain}
        write_json(args.json, {**where, "verdict": verdict.name.lower(), "findings": as_json(findings)})
    print(f"verdict: {verdict.name.lower()}", flush=True)
    return int(verdict == Level.FAULT)


def _say(findings: list[Finding], more: Sequence[Finding]) -> None:
    findings += more
    for finding in more:
        print(lines(finding), flush=True)


def _check_joints(listener: Listener, sport_mode: str | None, findings: list[Finding]) -> None:
    print("\nJoint order and signs. Hang the robot in its sling. No motor is commanded; you move the joints by hand.")
    if sport_mode:
        print(f"Its sport mode {sport_mode!r} holds the joints. Released, the legs go limp and drop.")
        if _answer("Does it hang? Then type release: ") != "release":
            _say(findings, [warning("joint check", "not done: the sport mode was not released", "hang it, then again")])
            return
        listener.release_sport_mode()
    for step in guided.steps():
        if _answer(f"{step.name}: {step.words}, by a hand's breadth. Enter (s skips): ") == "s":
            _say(findings, [warning(step.name, "skipped", "./dbp doctor --joints again")])
            continue
        _say(findings, [_watch(listener, step)])


def _watch(listener: Listener, step: guided.Step) -> Finding:
    rest, end = guided.Rest(), now() + _HAND
    while not rest.is_still(before := listener.newest().q_sdk, now()):
        if not now() < end:
            return fault(step.name, f"the joints did not come to rest within {_HAND:.0f} s", "let it hang still; again")
    print("  now move it", flush=True)
    end = now() + _HAND
    while now() < end:
        finding = guided.judge(step, before, listener.newest().q_sdk)
        if finding is not None:
            return finding
    return fault(step.name, f"no joint alone moved within {_HAND:.0f} s", "move it by more, the others at rest; again")


def _answer(question: str) -> str:
    print(question, end="", flush=True)
    text = sys.stdin.readline()
    if not text:
        raise DbpError("expected an answer, got the end of the input")
    return text.strip().lower()


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(parse(Args, "dbp doctor")))


if __name__ == "__main__":
    sys.exit(main())
