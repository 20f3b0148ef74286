"""A robot without physics: lies still, writes rt/lowstate every 2 ms and notes when each rt/lowcmd arrives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dbp_policy import clock, go2
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import RobotState
from dbp_policy.unitree import interfaces, network, sdk, wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.motion_switcher import SportModeService, motion_switcher_server

PERIOD = 1.0 / go2.LOWSTATE_HZ
_TICK_MS = 1000 // go2.LOWSTATE_HZ
_DISCOVERY = 0.5
"""What DDS needs to find others on this host [s]."""
_NOISE = 0.002
"""Of joint velocities, gyro and accelerometer: sensors that repeat themselves would count as frozen."""
_GRAVITY = np.array([0.0, 0.0, 9.81])


class MockRobot:
    """The robot's end of the wire, on loopback.

    Args:
        domain: DDS domain.

    Raises:
        DbpError: The domain is not allowed, or another robot or controller is there.
    """

    def __init__(self, domain: int) -> None:
        network.check_simulation_network("lo", domain, interfaces.list_interfaces(), dds_version=sdk.dds_version())
        self.domain = domain
        self._rng = np.random.default_rng(0)
        self._tick_ms = 0
        participant = Participant("lo", domain)
        self._commands = participant.reader(wire.LOWCMD_TOPIC)
        others = participant.reader(wire.LOWSTATE_TOPIC)
        clock.sleep(_DISCOVERY)
        if others.matched or self._commands.matched:
            raise DbpError(f"expected DDS domain {domain} to be free, found somebody there: --domain separates")
        self._states = participant.writer(wire.LOWSTATE_TOPIC)
        self._switcher = motion_switcher_server(participant, SportModeService(mode=""))

    def exchange(self, seconds: float) -> tuple[list[float], list[float]]:
        """Writes lowstates on an absolute schedule for a time; when each was written and each lowcmd arrived [s]."""
        written: list[float] = []
        arrived: list[float] = []
        due = now()
        for _ in range(round(seconds / PERIOD)):
            payload = self._lowstate()
            written.append(now())
            self._states.write(payload)
            due = max(due, now() - PERIOD) + PERIOD  # after a stall there is no burst
            while (left := due - now()) > 0.0:
                if self._commands.wait(left):
                    arrived += [now()] * len(self._commands.take())
        return written, arrived

    def serve_until_answered(
        self, timeout: float, watch: Callable[[], None] = lambda: None, ask: Callable[[], None] = lambda: None
    ) -> None:
        """Is there for a controller that starts, its motion service included, until rt/lowcmd flows.

        Args:
            timeout: [s].
            watch: Called now and then, to raise if the controller has died.
            ask: Called now and then, to ask the controller for commands.

        Raises:
            DbpError: None comes in time.
        """
        end = now() + timeout
        self._commands.take()  # of the controller before, that has ended
        while not self.exchange(0.1)[1]:
            watch()
            ask()
            self._switcher.poll()
            if now() > end:
                raise DbpError(f"expected rt/lowcmd within {timeout:.0f} s, got none")

    def _lowstate(self) -> bytes:
        self._tick_ms += _TICK_MS
        noise = _NOISE * self._rng.standard_normal(18)
        return wire.encode_lowstate(
            RobotState(
                tick_ms=self._tick_ms,
                q_sdk=go2.CROUCH_Q,
                dq_sdk=noise[:12],
                gyro_body=noise[12:15],
                acc_body=_GRAVITY + noise[15:],
                battery_v=30.0,
            )
        )
