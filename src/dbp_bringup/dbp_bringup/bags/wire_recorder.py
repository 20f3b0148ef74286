"""The recorder of the robot's side: every byte of `rt/lowstate` and `rt/lowcmd`, and the policy's ticks. No ROS.

It listens, and nothing waits for it: DDS's readers are best-effort, the policy's datagrams are dropped when it does not
take them, and it has no real-time priority.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from dbp_bringup.bags.bag_writer import BagWriter
from dbp_bringup.bags.definitions import LOWCMD, LOWSTATE, POLICY_TICK
from dbp_bringup.bags.options import BagOptions
from dbp_policy import clock, paths
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.local_socket import LocalSocket
from dbp_policy.policy_tick import RECORDER_SOCKET, PolicyTick
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant

_DEPTH = 2048
"""Samples that DDS keeps while this process does not run: four seconds."""
_POLL = 0.01
_SILENT = 0.5
"""Without a command for this long the guard has ended [s]."""
_FAREWELL = 4.0
"""How long a guard may take to sit the robot down and damp it, before Ctrl-C ends the recording [s]."""


@dataclass(frozen=True)
class Args(BagOptions):
    """Records rt/lowstate, rt/lowcmd and the policy's ticks into a bag."""

    network_interface: str = "lo"
    """Network interface that leads to the robot."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain: 0 is the real robot, anything else a simulated one."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets."""


class WireRecorder:
    """Moves what arrives into a bag.

    Raises:
        DbpError: The network is not allowed, another recorder runs, or the folder cannot be made.
    """

    def __init__(self, args: Args) -> None:
        found = interfaces.list_interfaces()
        network.check_robot_network(args.network_interface, args.domain, found, dds_version=sdk.dds_version())
        self._ticks = LocalSocket(args.runtime_dir, RECORDER_SOCKET)
        participant = Participant(args.network_interface, args.domain)
        self._states = participant.reader(wire.LOWSTATE_TOPIC, _DEPTH)
        self._commands = participant.reader(wire.LOWCMD_TOPIC, _DEPTH)
        self._bag = args.open_bag((LOWSTATE, LOWCMD, POLICY_TICK))
        self._commanded = -_SILENT
        self._end_by: float | None = None
        self._stopping = False

    def stop(self, *_) -> None:
        """Ends the recording now."""
        self._stopping = True

    def stop_after_the_guard(self, *_) -> None:
        """Ends the recording once nobody commands the robot: Ctrl-C reaches a launch file's processes all at once, and
        the end of a run is part of it."""
        self._end_by = self._end_by or now() + _FAREWELL

    def run(self) -> BagWriter:
        """Records until asked to stop; the bag, still open."""
        while not self._stopping:
            self._states.wait(_POLL)
            stamp = time.time_ns()
            for payload, written in self._states.take_with_times():
                self._bag.add(LOWSTATE.topic, stamp, payload, written)
            for payload, written in self._commands.take_with_times():
                self._bag.add(LOWCMD.topic, stamp, payload, written)
                self._commanded = now()
            for record, _ in self._ticks.receive():
                self._take_tick(record)
            if self._end_by is not None and (now() > self._end_by or now() > self._commanded + _SILENT):
                break
        self._ticks.close()
        return self._bag

    def _take_tick(self, record: bytes) -> None:
        """Records a datagram, if it is what it should be; its time of sending is monotonic, a bag's is not."""
        with contextlib.suppress(DbpError):
            sent = _wall_offset() + round(1e9 * clock.real(PolicyTick.from_cdr(record).stamp))
            self._bag.add(POLICY_TICK.topic, time.time_ns(), record, sent)


def _wall_offset() -> int:
    """How far the wall clock is ahead of the monotonic one [ns]: the quickest of three looks at both, for in between
    this process may be held up."""
    looks = []
    for _ in range(3):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after - before, wall - before))
    return min(looks)[1]


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "wire_recorder")
        recorder = WireRecorder(args)
        signal.signal(signal.SIGTERM, recorder.stop)
        signal.signal(signal.SIGINT, recorder.stop_after_the_guard)
        print(f"recorder: writing to {args.out}", flush=True)
        args.conclude(recorder.run())
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
