"""`./dbp sim`: the stack around the MuJoCo robot, driven by keys, by ROS, or by a script that reports."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dbp_bringup import stack, teleop
from dbp_bringup.report import Recorded, walk_report
from dbp_bringup.session import Session
from dbp_bringup.stall_watch import StallWatch
from dbp_bringup.supervisor import Supervisor
from dbp_policy import clock, go2, paths
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of, write_json
from dbp_policy.guard.faults import FAULTS, Severity
from dbp_policy.onnx_policy import load_runner
from dbp_policy.unitree.network import SIMULATION_DOMAIN

SETTLE = 2.0
"""The first part of a walk, left out of its means [s]."""
LONGEST = 3600.0
"""The recorder keeps a scripted walk in memory [s]."""

_COMING_DOWN = 3.0
"""From the front legs onto all four, before sitting down [s]."""


@dataclass(frozen=True)
class Args:
    """Walks a simulated Go2: MuJoCo robot, guard and policy node on Unitree's own interface.

    Without --seconds it stays up, to be driven by this terminal's keys or by ROS on cmd_vel and joy. With --seconds it
    stands up, walks at --cmd, sits down, and exits 0 only if the robot did not fall and no fault was raised.
    """

    policy: Path | None = None
    """ONNX policy to run; the walking policy that ships by default."""
    headless: bool = False
    """Run without MuJoCo's viewer."""
    seconds: float | None = None
    """Walk for this long by script, then end."""
    cmd: tuple[float, float, float] = (0.5, 0.0, 0.0)
    """Velocity command VX VY WZ of the script, in body axes [m/s, m/s, rad/s]."""
    json: Path | None = None
    """Write what was measured, from ground truth and from the wire."""
    video: Path | None = None
    """Write a video of the run (mp4)."""
    domain: int = SIMULATION_DOMAIN
    """DDS domain of the simulated robot."""
    namespace: str = ""
    """ROS namespace of this robot's topics, such as robot1."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets; a second robot on this host takes another, and another domain."""
    on_silence: Literal["hold", "limp"] = "hold"
    """What the simulated motors do when commands stop."""
    noise: float = 0.0
    """Sensor noise: 0 none, 1 as a real robot's."""
    estop_endpoints: str = ""
    """Names of remote e-stop endpoints that have to answer, separated by commas."""
    estop_key: Path | None = None
    """File of the key shared with them."""
    record: bool = False
    """Record the run into bags, in a new folder below ./recordings."""
    real_time_factor: float = field(default_factory=clock.real_time_factor)
    """Slow motion for a computer that is too slow: 0.5 runs robot and controllers at half speed, by a clock that
    DBP_REAL_TIME_FACTOR gives to all processes. What else listens takes the robot for a slower one."""
    network: bool = False
    """Let ROS discover beyond this host."""


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(parse(Args, "dbp sim")))


def run(args: Args) -> int:
    """Runs the simulation; the exit code."""
    clock.slow_down(args.real_time_factor)
    if args.seconds is not None and not SETTLE < args.seconds <= LONGEST:
        raise DbpError(f"--seconds: expected {SETTLE:g} (the walk settles first) to {LONGEST:g}, got {args.seconds}")
    if not np.isfinite(args.cmd).all():
        raise DbpError(f"--cmd: expected three finite numbers, got {args.cmd}")
    for path, option in ((args.json, "--json"), (args.video, "--video")):
        if path is not None:
            check_folder_of(path, option)
    posture = "four_legs"
    if args.policy is not None:
        # A file that does not fit is refused before anything starts; in a simulation what it asks for is allowed.
        posture = load_runner(args.policy).contract.posture
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = {} if args.network else stack.local_discovery(os.environ.get("ROS_DISTRO"))
    os.environ.update(environment)
    with tempfile.TemporaryDirectory(prefix="dbp-") as folder:
        return _run(args, posture, Path(folder))


def _run(args: Args, posture: str, folder: Path) -> int:
    scripted = args.seconds is not None
    recorder = stack.Process(
        "recorder",
        "dbp_bringup",
        "recorder",
        ("--out", str(folder / "run.npz"), "--domain", str(args.domain), "--runtime-dir", str(args.runtime_dir)),
    )
    processes = stack.simulated_stack(_values(args, posture)) + ((recorder,) if scripted else ())
    with StallWatch() as stalls, Supervisor(processes) as supervisor:
        topic = "cmd_vel" if scripted else "cmd_vel_teleop"
        with Session(topic, supervisor.check, args.namespace or None) as session:
            session.wait_ready()
            if not scripted:
                return _interactive(session, supervisor, args.runtime_dir)
            try:
                marks = _script(session, args, posture)
            except DbpError as error:  # where the machine itself stood still, that may be why
                stall = f"this machine stalled for up to {1e3 * stalls.worst:.0f} ms: see --real-time-factor"
                raise DbpError(f"{error} ({stall})") from None
    recorded, nose_down = Recorded.load(folder / "run.npz"), go2.POSTURES[posture]
    report = walk_report(recorded, np.array(args.cmd), **marks["windows"], nose_down=nose_down)
    report = {"command": list(args.cmd), **report, **marks["notes"], "machine_stall_ms": round(1e3 * stalls.worst, 1)}
    report["real_time_factor"] = args.real_time_factor
    return _conclude(report, args.json)


def _values(args: Args, posture: str) -> dict[str, str]:
    return {
        "posture": posture,
        "policy": str(args.policy.absolute()) if args.policy else "",
        "runtime_dir": str(args.runtime_dir),
        "namespace": args.namespace,
        "domain": str(args.domain),
        "headless": str(args.headless).lower(),
        "video": str(args.video.absolute()) if args.video else "",
        "on_silence": args.on_silence,
        "noise": str(args.noise),
        "record": str(args.record),
        **stack.remote_stop_values(args.estop_endpoints, args.estop_key),
    }


def _script(session: Session, args: Args, posture: str) -> dict:
    """Stands up, walks, sits down; the time windows for the report, and what the stack said of itself."""
    session.forget_faults()
    print("sim: standing up", flush=True)
    session.demand("stand_up", "standing")
    up = now()
    session.spin(0.5)
    session.demand("start", "policy")
    late_before = int(session.diagnostics["late_ticks"])
    doing = "walking at" if posture == "four_legs" else "on its front legs by"
    print(f"sim: {doing} {args.cmd} for {args.seconds:g} s", flush=True)
    begin = now()
    problem = ""
    try:
        session.walk(np.array(args.cmd), args.seconds)
        end = now()
        if posture != "four_legs":
            print("sim: coming down", flush=True)
            session.walk(np.zeros(3), _COMING_DOWN)
        print("sim: sitting down", flush=True)
        session.demand("sit_down", "damping")
    except DbpError as error:  # a walk that went wrong is reported, not hidden behind the error
        problem, end = str(error), now()
    session.spin(0.6)
    seen = {name: FAULTS[name].severity for name in session.faults if name in FAULTS}
    notes = {
        "faults": sorted(name for name, severity in seen.items() if severity >= Severity.ZERO),
        "warnings": sorted(name for name, severity in seen.items() if severity < Severity.ZERO),
        "problem": problem,
        "late_ticks": int(session.diagnostics["late_ticks"]) - late_before,
        "guard_overruns": int(session.diagnostics["guard_overruns"]),
    }
    return {"windows": {"up": (up, end), "walk": (min(begin + SETTLE, end - 0.1), end)}, "notes": notes}


def _interactive(session: Session, supervisor: Supervisor, runtime_dir: Path) -> int:
    print("sim: ready. Velocity goes to the ROS topic cmd_vel (autonomy) or joy (gamepad), on this host; services:")
    print("     stand_up, start, sit_down, estop, reset (std_srvs/Trigger). From another terminal: ./dbp estop")
    if sys.stdin.isatty():
        teleop.drive(session, runtime_dir, supervisor.check)
    while True:
        supervisor.check()
        session.spin(0.5)


def _conclude(report: dict, path: Path | None) -> int:
    for name, value in report.items():
        print(f"  {name:18s} {value}")
    if path is not None:
        write_json(path, report)
    return 0 if not (report["fell"] or report["faults"] or report["problem"]) else 1


if __name__ == "__main__":
    sys.exit(main())
