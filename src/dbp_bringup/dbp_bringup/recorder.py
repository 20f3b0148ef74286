"""An independent ear on the wire and on ground truth, for reports and tests: records all, judges nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dbp_bringup.robot import local_channel
from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import written_whole
from dbp_policy.stop_request import StopRequest
from dbp_policy.unitree import network, wire
from dbp_policy.unitree.channels import Participant

_POLL = 0.001


@dataclass(frozen=True)
class Args:
    """Records the times of rt/lowstate and rt/lowcmd, the commands, and the simulated robot's ground truth."""

    out: Path
    """File to write (npz) when it ends."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain; loopback only."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets."""


class Recording:
    """What was heard; lists grow until `save`."""

    def __init__(self) -> None:
        self.lowstate_t: list[float] = []
        self.lowcmd_t: list[float] = []
        self.lowcmd: list[np.ndarray] = []
        self.truth: list[tuple[float, ...]] = []

    def save(self, path: Path) -> None:
        """Writes the file as a whole or not at all."""
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                lowstate_t=np.array(self.lowstate_t),
                lowcmd_t=np.array(self.lowcmd_t),
                lowcmd=np.array(self.lowcmd).reshape(-1, 5, 12),
                truth=np.array(self.truth).reshape(-1, 10),
            )


def record(args: Args, stop: StopRequest) -> Recording:
    """Listens until asked to stop."""
    participant = Participant("lo", args.domain)
    states = participant.reader(wire.LOWSTATE_TOPIC, depth=64)
    commands = participant.reader(wire.LOWCMD_TOPIC, depth=64)
    channel = local_channel.Channel(args.runtime_dir, local_channel.TRUTH_SOCKET)
    heard = Recording()
    while not stop.wait(_POLL):
        heard.lowstate_t += [now()] * len(states.take())
        for payload in commands.take():
            heard.lowcmd_t.append(now())
            try:
                c = wire.decode_lowcmd(payload)
            except DbpError:
                heard.lowcmd.append(np.full((5, 12), np.nan, np.float32))
            else:
                heard.lowcmd.append(np.array((c.q, c.dq, c.kp, c.kd, c.tau), np.float32))
        for s in local_channel.read_truth(channel):
            heard.truth.append((s.stamp, *s.position, *s.velocity_body, s.yaw_rate, s.up_z, float(s.trunk_contact)))
    channel.close()
    return heard


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "recorder")
        record(args, StopRequest().on_signals()).save(args.out)
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
