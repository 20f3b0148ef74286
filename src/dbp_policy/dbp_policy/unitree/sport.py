"""The robot's own way to lie down: the `sport` service, which commands the motors while a sport mode is active.

Api ids: unitree_sdk2_python, unitree_sdk2py/go2/sport/sport_api.py. The SDK's low-level example lays the robot down
with it before it has the sport mode released (example/go2/low_level/go2_stand_example.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbp_policy.unitree import rpc
from dbp_policy.unitree.motion_switcher import SportModeService

if TYPE_CHECKING:
    from dbp_policy.unitree.channels import Participant

SERVICE = "sport"
SERVICE_VERSION = "1.0.0.1"
STAND_UP, STAND_DOWN = 1004, 1005


class SportService:
    """Whether the robot's own control wants it on its legs: the state behind a simulated robot's service. Pure.

    Args:
        mode: Nothing is done for anybody while no sport mode is active.
        standing: At power-up.
    """

    def __init__(self, mode: SportModeService, standing: bool = False) -> None:
        self._mode = mode
        self.standing = standing

    def handle(self, api_id: int, parameter: str) -> tuple[int, str]:
        """Answers a request with (code, JSON text)."""
        if not self._mode.active or api_id not in (STAND_UP, STAND_DOWN):
            return rpc.ERROR_NOT_IMPLEMENTED, ""
        self.standing = api_id == STAND_UP
        return rpc.OK, ""


def sport_server(participant: Participant, service: SportService) -> rpc.RpcServer:
    """Puts a simulated robot's own control on DDS; call its `poll` regularly."""
    return rpc.RpcServer(participant, SERVICE, SERVICE_VERSION, service.handle)


class SportClient:
    """Asks a robot's own control to lie down, without ever waiting.

    Args:
        participant: Where the robot is.
        retry_s: When it is asked again [s]; lying down takes about two seconds.
    """

    def __init__(self, participant: Participant, retry_s: float = 3.0) -> None:
        self._rpc = rpc.RpcClient(participant, SERVICE)
        self._retry_s = retry_s
        self._ask_at = float("-inf")
        self.last_code: int | None = None
        """Code of the last answer, None before the first."""

    def step_stand_down(self, now: float) -> None:
        """Goes one step towards a robot that lies.

        Args:
            now: Monotonic time [s]; call it again and again, at any rate.
        """
        for answer in self._rpc.poll():
            self.last_code = answer.code
        if self._rpc.connected and now >= self._ask_at:
            self._rpc.send(STAND_DOWN, {})
            self._ask_at = now + self._retry_s
