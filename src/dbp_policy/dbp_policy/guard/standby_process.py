"""The standby's process: waits beside the guard, and damps the robot in its place if that dies or stops."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbp_policy import clock, go2, local_link, paths, realtime
from dbp_policy.cli import parse
from dbp_policy.clock import Ticker, now
from dbp_policy.errors import run_main, say
from dbp_policy.guard.standby import Standby
from dbp_policy.stop_request import StopRequest, on_ending
from dbp_policy.types import Beat, damping_command
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant, RawWriter

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_PRIORITY = 61
"""Before the guard: it has to get in where that one turns in circles."""
_LAST_WRITE = 0.002
"""What a killed guard may need to end a write that it has begun [s]: it runs no line of its own any more. Until its
threads and memory are gone takes longer, and the robot must not wait for it."""
_DAMPING = 1.0
"""How long damping is streamed at least, once begun [s]; a fold from standing takes less."""


@dataclass(frozen=True)
class Args:
    """The guard's standby: kills a guard that died or stopped while it commanded the motors, and damps in its place."""

    network_interface: str = "lo"
    """Network interface that leads to the robot."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain: 0 is the real robot, anything else a simulated one."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the local sockets."""


class StandbyProcess:
    """Takes the guard's beats, watches its process, and has a writer ready that says nothing until it has to.

    Args:
        writer: Of rt/lowcmd.
        link: Bound to the standby's name.
    """

    def __init__(self, writer: RawWriter, link: local_link.Link) -> None:
        self._writer = writer
        self._link = link
        self._standby = Standby()
        self._stop = StopRequest()
        self._watched: int | None = None
        """Process id of the guard that is watched."""
        self._handle: int | None = None
        """File descriptor of that process; readable once it has ended."""

    def stop(self, *_) -> None:
        """Asks the loop to end, which it does as soon as no guard commands the motors; safe in a signal handler."""
        self._stop.ask()

    def run(self) -> None:
        """Watches guards, one after another, and replaces the one that fails, until asked to stop."""
        while not (self._stop.asked and not self._standby.needed):
            ended = self._wait(self._standby.next_look)
            beats = [message for message, _, _ in self._link.receive() if isinstance(message, Beat)]
            if self._standby.step(beats, ended, now()):
                self._replace_guard()
            self._watch(self._standby.guard)
        self._link.close()

    def _watch(self, guard: int | None) -> None:
        """Opens a handle on the guard that is followed now, which stays that process's even if its id is given anew."""
        if guard == self._watched:
            return
        if self._handle is not None:
            os.close(self._handle)
        self._watched, self._handle = guard, None
        if guard is not None:
            with contextlib.suppress(ProcessLookupError):  # gone already: then its beats stop
                self._handle = os.pidfd_open(guard)

    def _wait(self, seconds: float) -> int | None:
        """Sleeps; the guard that is watched as soon as it has ended, None if it has not."""
        if self._handle is None:
            clock.sleep(seconds)
            return None
        return self._watched if _readable(self._handle, seconds) else None

    def _replace_guard(self) -> None:
        """Kills the guard, then damps, until a new guard beats or this process is asked to end."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            _readable(self._handle, _LAST_WRITE)  # two writers are worse than a moment without any
        payload = wire.encode_lowcmd(damping_command())
        ticker = Ticker(_PERIOD)
        begin = now()
        self._writer.write(payload)
        beats: Sequence[Beat] = ()
        while now() - begin < _DAMPING or not (beats or self._stop.asked):
            self._writer.write(payload)
            ticker.sleep()
            newer = [message for message, _, _ in self._link.receive() if isinstance(message, Beat)]
            beats = [beat for beat in newer if beat.process_id != self._watched]
        # Not before: nobody knows whether the terminal takes what is written.
        say("standby: the guard has failed, the robot was damped in its place", sys.stderr)
        self._standby = Standby()
        self._standby.step(beats, None, now())


def _readable(file: int, timeout: float) -> bool:
    return bool(select.select([file], [], [], clock.real(timeout))[0])


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "standby")
        network.check_robot_network(
            args.network_interface, args.domain, interfaces.list_interfaces(), dds_version=sdk.dds_version()
        )
        limits = [realtime.take_priority(_PRIORITY), realtime.lock_memory()]
        writer = Participant(args.network_interface, args.domain).writer(wire.LOWCMD_TOPIC)
        process = StandbyProcess(writer, local_link.Link(args.runtime_dir, local_link.STANDBY_SOCKET))
        on_ending(process.stop)
        realtime.quiet_collector(collect_garbage=False)
        say("\n".join(["standby: ready", *(f"standby: {limit}" for limit in limits if limit)]))
        process.run()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
