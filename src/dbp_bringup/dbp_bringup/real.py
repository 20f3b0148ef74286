"""`./dbp real`: the doctor first, then guard and policy node on the network of a real Go2."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dbp_bringup import stack, teleop
from dbp_bringup.preflight import checked_real_stack
from dbp_bringup.session import Session
from dbp_bringup.supervisor import Supervisor
from dbp_policy import go2, paths
from dbp_policy.cli import parse
from dbp_policy.errors import run_main
from dbp_policy.onnx_policy import load_runner

ARMED = "armed: the first stand_up, or a stop, takes the motors"
DRY = "DRY RUN: nothing is sent, not even by a stop; --arm sends"


@dataclass(frozen=True)
class Args:
    """Runs guard and policy node on a real Go2, after the doctor has found no fault.

    A dry run unless --arm: everything runs, the commands are shown, none is sent. Armed, a standing robot is laid down
    by its own sport mode; from then on it moves only on an operator's request. Read docs/real_robot.md first: robot
    suspended or with 2 m of space, hand on its battery switch.
    """

    network_interface: str
    """Network interface that leads to the robot, such as eth0."""
    arm: bool = False
    """Take the motors: have the sport mode lie down, release it, and send commands once you ask the robot to stand."""
    policy: Path | None = None
    """ONNX policy to run; the walking policy that ships by default."""
    posture: go2.Posture = "four_legs"
    """How a policy may hold the trunk: level, or also pitched nose down as on the front legs."""
    estop_endpoints: str = ""
    """Names of remote e-stop endpoints that have to answer, separated by commas."""
    estop_key: Path | None = None
    """File of the key shared with them."""
    test_domain: str = ""
    """For tests: DDS domain of a simulated robot on a private interface, in place of the robot's 0."""
    record: bool = False
    """Record the run into bags, in a new folder below ./recordings."""
    namespace: str = ""
    """ROS namespace of this robot's topics, such as robot1."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets; a second robot on this host takes another."""


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp real")
        if args.policy is not None:
            load_runner(args.policy).contract.check_posture(args.posture)  # refused before anything starts
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        values = {"network_interface": args.network_interface, "test_domain": args.test_domain}
        values["arm"] = str(args.arm).lower()
        values["policy"] = str(args.policy.absolute()) if args.policy else ""
        values["posture"] = args.posture
        values["record"] = str(args.record)
        values |= {"namespace": args.namespace, "runtime_dir": str(args.runtime_dir)}
        values |= stack.remote_stop_values(args.estop_endpoints, args.estop_key)
        with Supervisor(checked_real_stack(values)) as supervisor:
            with Session("cmd_vel_teleop", supervisor.check, args.namespace or None) as session:
                session.wait_ready(timeout=3600.0)
                print("real: ready, " + (ARMED if args.arm else DRY))
                teleop.drive(session, args.runtime_dir, supervisor.check)
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
