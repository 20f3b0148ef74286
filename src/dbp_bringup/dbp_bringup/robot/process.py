"""The MuJoCo robot's process: a Go2 to anyone on the DDS domain, in real time."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dbp_bringup.robot import local_channel, picture
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_bringup.robot.simulated_go2 import LOWSTATE_PERIOD_MS, SimulatedGo2
from dbp_policy import clock, paths, realtime
from dbp_policy.cli import parse
from dbp_policy.clock import Ticker, now
from dbp_policy.errors import DbpError, run_main, say
from dbp_policy.stop_request import StopRequest, on_ending
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import motion_switcher_server
from dbp_policy.unitree.sport import sport_server

_PRIORITY = 70  # above the controllers: a real robot shares no processor with them
_DISCOVERY = 0.5
"""What DDS needs to find others on this host [s]."""
_TRUTH_EVERY = 5
"""Lowstates per sample of ground truth: 100 Hz."""


@dataclass(frozen=True)
class Args:
    """A simulated Go2 on Unitree's low-level interface: rt/lowstate, rt/lowcmd, motion_switcher and sport services.

    It starts lying down with its sport mode active; a controller has to release that first.
    """

    network_interface: str = "lo"
    """Network interface to appear on."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain; 0 is the real robot's and refused."""
    allow_private_interface: bool = False
    """Allow an interface other than loopback, if its addresses are private and not the robot's 192.168.123.0/24."""
    headless: bool = False
    """Run without MuJoCo's viewer."""
    video: Path | None = None
    """Write a video of the run to this file (mp4) when it ends."""
    on_silence: Literal["hold", "limp"] = "hold"
    """What the motors do when commands stop; what the real robot does is not documented."""
    sport_mode: Literal["normal", "ai", "mcf", "none"] = "normal"
    """Sport mode active at the start."""
    start: Literal["lying", "standing"] = "lying"
    """How its sport mode holds it at the start."""
    friction: float = 0.8
    """Sliding friction of the ground."""
    payload_kg: float = 0.0
    """Mass on the robot's back [kg]."""
    noise: float = 0.0
    """Sensor noise: 0 none, 1 as a real robot's."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the local sockets."""


class RobotProcess:
    """Steps the robot on an absolute schedule between its two topics.

    Raises:
        DbpError: The network is not allowed, or pictures are asked for that this machine cannot make.
    """

    def __init__(self, args: Args) -> None:
        network.check_simulation_network(
            args.network_interface,
            args.domain,
            interfaces.list_interfaces(),
            dds_version=sdk.dds_version(),
            allow_private_interface=args.allow_private_interface,
        )
        if args.start == "standing" and args.sport_mode == "none":
            raise DbpError("--start standing: expected a sport mode that keeps the robot standing, got none")
        options = PhysicsOptions(
            start="home" if args.start == "standing" else "lying",
            friction=args.friction,
            payload_kg=args.payload_kg,
            noise=args.noise,
            on_silence=args.on_silence,
        )
        self._robot = SimulatedGo2(options, "" if args.sport_mode == "none" else args.sport_mode)
        physics = self._robot.physics
        self._video = picture.Video(args.video, physics.model) if args.video else None
        self._viewer = None if args.headless else picture.open_viewer(physics.model, physics.data)
        participant = Participant(args.network_interface, args.domain)
        self._commands = participant.reader(wire.LOWCMD_TOPIC)
        others = participant.reader(wire.LOWSTATE_TOPIC)
        clock.sleep(_DISCOVERY)
        if others.matched:
            raise DbpError(f"expected no other robot on DDS domain {args.domain}, found one: --domain separates them")
        self._states = participant.writer(wire.LOWSTATE_TOPIC)
        self._services = (
            motion_switcher_server(participant, self._robot.sport),
            sport_server(participant, self._robot.own_control),
        )
        self._channel = local_channel.Channel(args.runtime_dir, local_channel.ROBOT_SOCKET)
        self._stop = StopRequest()

    def stop(self, *_) -> None:
        """Asks the loop to end; safe to call from a signal handler."""
        self._stop.ask()

    def run(self) -> None:
        """Runs in real time until asked to stop or the viewer is closed; then writes the video.

        A tick that comes late is not made up for: simulated time then lags, and nobody sees a burst.
        """
        ticker = Ticker(LOWSTATE_PERIOD_MS / 1000.0)
        tick = 0
        while not self._stop.asked and (self._viewer is None or self._viewer.is_running()):
            for payload in self._commands.take():
                self._robot.receive(payload)
            self._robot.step()
            self._states.write(self._robot.lowstate())
            self._serve(tick)
            tick += 1
            ticker.sleep()
        self._channel.close()
        if self._viewer is not None:
            self._viewer.close()
        if self._video is not None:
            self._video.write()

    def _serve(self, tick: int) -> None:
        """What needs less than every tick: services, ground truth, hands on the robot, pictures."""
        if tick % _TRUTH_EVERY == 0:
            local_channel.send_truth(self._channel, self._robot.truth(), now())
        elif tick % _TRUTH_EVERY == 1:
            for service in self._services:
                service.poll()
            for message in self._channel.receive():
                self._handle(message)
        if tick % 17 == 0:  # about VIDEO_HZ
            if self._video is not None:
                self._video.record(self._robot.physics.data)
            if self._viewer is not None:
                self._viewer.sync()

    def _handle(self, message: dict) -> None:
        self._robot.remote = local_channel.remote_of(message) or self._robot.remote
        if "push" in message:
            self._robot.physics.push(np.array(message["push"], dtype=float))


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp robot")
        realtime.take_priority(_PRIORITY)  # DDS's threads inherit it
        process = RobotProcess(args)
        on_ending(process.stop)
        realtime.lock_memory()  # a page of a program's file that is read anew holds everything up
        realtime.quiet_collector(collect_garbage=True)
        say(f"robot: ready on domain {args.domain}, {args.network_interface}")
        process.run()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
