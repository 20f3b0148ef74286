"""The guard's process: Unitree's DDS on one side, the local link on the other, one step every 2 ms in between."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dbp_policy import go2, local_link, paths
from dbp_policy.cli import parse
from dbp_policy.clock import Ticker, now, prepare_realtime
from dbp_policy.errors import DbpError, run_main
from dbp_policy.guard.checks.lowstate import is_lying
from dbp_policy.guard.guard import REST_SPEED, Guard
from dbp_policy.types import JointTarget, Mode, OperatorRequest, Request, RobotState, damping_command
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import MotionSwitcherClient

_PERIOD = 1.0 / go2.LOWSTATE_HZ
_PRIORITY = 60
_STATUS_PERIOD = 0.05
_LYING_TIME = 1.0
"""How long the robot has to lie still before its sport mode is released [s]: released earlier it drops the rest."""
_SIT_DOWN_TIMEOUT = 3.0
_SHUTDOWN_DAMPING = 1.0
"""How long damping is streamed before the process ends [s]; a fold from standing takes less."""


@dataclass(frozen=True)
class Args:
    """The independent guard: the only process that writes rt/lowcmd."""

    network_interface: str = "lo"
    """Network interface that leads to the robot."""
    domain: int = network.SIMULATION_DOMAIN
    """DDS domain: 0 is the real robot, anything else a simulated one."""
    release_sport_mode: bool = True
    """Release the robot's own motion service before taking control, once the robot lies still."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the local sockets."""


class GuardProcess:
    """Wires a `Guard` to the robot and to the policy node.

    Raises:
        DbpError: The network is not allowed, no robot answers, or its sport mode cannot be released.
    """

    def __init__(self, args: Args) -> None:
        network.check_robot_network(
            args.network_interface, args.domain, interfaces.list_interfaces(), dds_version=sdk.dds_version()
        )
        self._guard = Guard(_PERIOD)
        self._link = local_link.Link(args.runtime_dir, local_link.GUARD_SOCKET)
        self._participant = Participant(args.network_interface, args.domain)
        self._reader = self._participant.reader(wire.LOWSTATE_TOPIC)
        self._rivals = self._participant.reader(wire.LOWCMD_TOPIC)
        self._writer = self._participant.writer(wire.LOWCMD_TOPIC)
        self._stopping = threading.Event()
        self._bad_lowstates = 0
        self._policy_gone = False
        self._told = now()

    def stop(self, *_) -> None:
        """Asks the loop to end; safe to call from a signal handler."""
        self._stopping.set()

    def take_over(self, release: bool) -> bool:
        """Waits for a robot, and for its own motion service to let go of the motors.

        Returns:
            False if asked to stop before that.

        Raises:
            DbpError: A sport mode is active and `release` is not set, or somebody else writes rt/lowcmd.
        """
        client = MotionSwitcherClient(self._participant)
        begin, told = now(), ""
        state: RobotState | None = None
        moved = now()
        while not self._stopping.wait(0.02):
            state = next(reversed(self._states()), state)
            if state is None or not (is_lying(state) and (np.abs(state.dq_sdk) < REST_SPEED).all()):
                moved = now()
            lying = now() - moved > _LYING_TIME
            if state is not None and self._released(client, release, lying):
                if self._rivals.matched > 1:
                    raise DbpError("expected to be the only writer of rt/lowcmd, found another: end that first")
                return True
            waiting = self._awaited(state, client, lying)
            if waiting != told and now() - begin > 3.0:
                told = waiting
                print(f"guard: waiting for {waiting}", flush=True)
        return False

    def _awaited(self, state: RobotState | None, client: MotionSwitcherClient, lying: bool) -> str:
        if state is None:
            bad = f" ({self._bad_lowstates} came with a wrong length or CRC)" if self._bad_lowstates else ""
            return f"rt/lowstate{bad} (is the robot on, and the interface the right one?)"
        if client.mode and not lying:
            return f"the robot to lie still: its sport mode {client.mode!r} is released only then"
        return "the motion_switcher service"

    def _released(self, client: MotionSwitcherClient, release: bool, lying: bool) -> bool:
        if not release:
            if active := client.step_check(now()):
                raise DbpError(f"expected the robot's motion service to be released, got {active!r} active")
            return active == ""
        released = client.step_release(now(), lying)
        if released:
            print("guard: no sport mode is active, the motors are ours", flush=True)
        return released

    def run(self) -> None:
        """Steps the guard until asked to stop, and damps before it returns, whatever the reason.

        A robot that stands still is sat down first; one that moves is damped at once, for whoever stops it then may
        have a reason.
        """
        ticker = Ticker(_PERIOD)
        try:
            while not self._stopping.is_set():
                self._step()
                ticker.sleep()
            if self._guard.mode == Mode.STANDING:
                self._sit_down(ticker)
        finally:
            self._damp()
            self._link.close()

    def _sit_down(self, ticker: Ticker) -> None:
        self._step(OperatorRequest(Request.SIT_DOWN, now()))
        end = now() + _SIT_DOWN_TIMEOUT
        while self._guard.mode != Mode.DAMPING and now() < end:
            self._step()
            ticker.sleep()

    def _step(self, *requests_of_its_own: OperatorRequest) -> None:
        targets: list[JointTarget] = []
        requests = list(requests_of_its_own)
        askers = []
        for message, _, sender in self._link.receive():
            if isinstance(message, JointTarget):
                targets.append(message)
            elif isinstance(message, OperatorRequest):
                requests.append(message)
                askers.append(sender)
        bad_before = self._bad_lowstates
        states = self._states()
        corrupt = self._bad_lowstates - bad_before
        output = self._guard.step(states, targets, requests, now(), corrupt, self._policy_gone)
        if output.command is not None:
            self._writer.write(wire.encode_lowcmd(output.command))
        if output.state is not None:
            sent = self._link.send(local_link.encode(output.state, output.status), local_link.POLICY_SOCKET)
            self._policy_gone = sent == local_link.Delivery.REFUSED
            self._told = now()
        elif now() - self._told > _STATUS_PERIOD:  # the robot is silent; what the guard does about it is told
            self._link.send(local_link.encode(output.status), local_link.POLICY_SOCKET)
            self._told = now()
        for asker, refusal in zip(askers, output.refusals[len(requests_of_its_own) :], strict=True):
            if asker is not None:  # an asker without an address cannot be answered
                self._link.send(local_link.encode(replace(output.status, refusal=refusal)), asker)
        if "lowstate_restarted" in output.status.faults:
            raise DbpError("the robot has restarted, and its own motion service with it: start this stack anew")

    def _states(self) -> list[RobotState]:
        states = []
        for payload in self._reader.take():
            try:
                states.append(wire.decode_lowstate(payload, now()))
            except wire.WireError:
                self._bad_lowstates += 1
        return states

    def _damp(self) -> None:
        if not self._guard.in_control:
            return
        payload = wire.encode_lowcmd(damping_command())
        ticker = Ticker(_PERIOD)
        end = now() + _SHUTDOWN_DAMPING
        while now() < end:
            self._writer.write(payload)
            ticker.sleep()


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "guard")
        process = GuardProcess(args)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, process.stop)
        if not process.take_over(args.release_sport_mode):
            return 0
        realtime = prepare_realtime(_PRIORITY, collect_garbage=False)
        print(f"guard: ready ({'real-time priority' if realtime else 'no real-time priority'})", flush=True)
        process.run()
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
