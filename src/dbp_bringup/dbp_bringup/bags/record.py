"""`./dbp record`: records a stack that runs already."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dbp_bringup import stack
from dbp_bringup.supervisor import Supervisor
from dbp_policy import clock, paths
from dbp_policy.cli import parse
from dbp_policy.errors import run_main
from dbp_policy.unitree.network import ROBOT_DOMAIN, SIMULATION_DOMAIN


@dataclass(frozen=True)
class Args:
    """Records a running stack until Ctrl-C: one bag of the robot's side, one of ROS's.

    A recording that begins before the policy node can be replayed to the last bit: better record with the stack.
    """

    out: Path = field(default_factory=stack.new_recording)
    """Folder of the recording, made here."""
    network_interface: str = "lo"
    """Network interface that leads to the robot; loopback is the simulated one's."""
    domain: int | None = None
    """DDS domain; by default the simulated robot's on loopback, the real one's elsewhere."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets."""
    namespace: str = ""
    """The stack's ROS namespace, such as robot1."""
    stamped_cmd_vel: bool = False
    """cmd_vel carries TwistStamped."""


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp record")
        simulated = args.network_interface == "lo"
        domain = (SIMULATION_DOMAIN if simulated else ROBOT_DOMAIN) if args.domain is None else args.domain
        wire = ("--network-interface", args.network_interface, "--domain", str(domain))
        wire += ("--runtime-dir", str(args.runtime_dir))
        environment = stack.local_discovery(os.environ.get("ROS_DISTRO")) if simulated else {}
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        recorders = stack.recorders(args.out.absolute(), wire, args.namespace, args.stamped_cmd_vel)
        with Supervisor(recorders, environment) as supervisor:
            while len(supervisor.ended()) < 2:
                supervisor.check()
                clock.sleep(0.2)
        return 2  # both have told why

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
