"""The guard's process: what its loop is made of, Unitree's DDS on one side and local sockets on the other."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from dbp_policy import go2, local_link, paths, realtime
from dbp_policy.cli import parse
from dbp_policy.errors import run_main, say
from dbp_policy.estop_records import PORT
from dbp_policy.guard.endpoint_socket import RemoteStops
from dbp_policy.guard.loop import GuardLoop
from dbp_policy.stop_request import on_ending
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import MotionSwitcherClient
from dbp_policy.unitree.sport import SportClient

_BEATS_WAITING = 8192
"""What waits for a standby that takes no beats [bytes]: a handful, then it counts as gone."""


@dataclass(frozen=True)
class Args:
    """The independent guard: the only process that writes rt/lowcmd."""

    network_interface: str = "lo"
    """Network interface that leads to the robot."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain: 0 is the real robot, anything else a simulated one."""
    release_sport_mode: bool = True
    """Have the robot's own control lay it down, then release it, before taking control."""
    standby: bool = True
    """Expect a standby beside this guard; without one nobody may stand up."""
    dry_run: bool = False
    """Compute and show commands, send none: nothing is taken from the robot, and there is no standby."""
    posture: go2.Posture = "four_legs"
    """How a policy may hold the trunk: level, or also pitched nose down as on the front legs."""
    estop_endpoints: str = ""
    """Names of the remote e-stop endpoints that have to answer, separated by commas."""
    estop_key: Path | None = None
    """File of the key shared with them."""
    estop_port: int = PORT
    """UDP port that they reach the guard at."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the local sockets."""


class Robot:
    """The robot as the guard reaches it.

    Args:
        interface: Network interface.
        domain: DDS domain.
        dry_run: Make no writer of rt/lowcmd: what is not there cannot send.

    Raises:
        DbpError: The network is not allowed.
    """

    def __init__(self, interface: str, domain: int, dry_run: bool = False) -> None:
        found = interfaces.list_interfaces()
        network.check_robot_network(interface, domain, found, dds_version=sdk.dds_version())
        participant = Participant(interface, domain)
        self.lowstates = participant.reader(wire.LOWSTATE_TOPIC)
        self.commands_heard = participant.reader(wire.LOWCMD_TOPIC, depth=64)
        self.commands = None if dry_run else participant.writer(wire.LOWCMD_TOPIC)
        self.switcher = MotionSwitcherClient(participant)
        self.sport = SportClient(participant)


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "guard")
        stops = RemoteStops(args.estop_endpoints, args.estop_key, args.estop_port)
        standby = args.standby and not args.dry_run
        limits = [realtime.take_priority(realtime.GUARD_PRIORITY)]  # DDS's threads inherit it
        loop = GuardLoop(
            Robot(args.network_interface, args.domain, args.dry_run),
            local_link.Link(args.runtime_dir, local_link.GUARD_SOCKET),
            local_link.Link(args.runtime_dir, patience=_BEATS_WAITING) if standby else None,
            stops,
            go2.POSTURES[args.posture],
        )
        on_ending(loop.stop)
        if not loop.take_over(args.release_sport_mode):
            return 0
        limits.append(realtime.lock_memory())
        if args.dry_run:
            limits.append("DRY RUN: it has no writer of rt/lowcmd and sends nothing, no damping either")
        realtime.quiet_collector(collect_garbage=False)
        say("\n".join(["guard: ready", *(f"guard: {limit}" for limit in limits if limit)]))
        loop.run()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
