"""The robot's own motion control and how it lets go of the motors: the `motion_switcher` service.

While a sport mode is active the robot itself writes the motors; motor commands count only after it was released
(unitree_sdk2_python, example/go2/low_level/go2_stand_example.py). Api ids and fields: unitree_sdk2_python,
unitree_sdk2py/comm/motion_switcher.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dbp_policy.unitree import rpc

if TYPE_CHECKING:
    from dbp_policy.unitree.channels import Participant

SERVICE = "motion_switcher"
SERVICE_VERSION = "1.0.0.1"
CHECK_MODE, SELECT_MODE, RELEASE_MODE = 1001, 1002, 1003

MODE_NAMES = ("normal", "ai", "advanced", "mcf")
"""Sport modes of the various firmwares; an empty name says that none is active."""

ERROR_ALREADY_IN_MODE = 7004


class SportModeService:
    """Which sport mode is active: the state behind a simulated robot's service. Pure.

    Args:
        mode: The mode at power-up.
    """

    def __init__(self, mode: str = "normal") -> None:
        self.mode = mode

    @property
    def active(self) -> bool:
        """The robot's own control has the motors."""
        return self.mode != ""

    def handle(self, api_id: int, parameter: str) -> tuple[int, str]:
        """Answers a request with (code, JSON text)."""
        if api_id == CHECK_MODE:
            return rpc.OK, json.dumps({"form": "0", "name": self.mode})
        if api_id == RELEASE_MODE:
            self.mode = ""
            return rpc.OK, ""
        if api_id == SELECT_MODE:
            name = _field(parameter, "name")
            if name not in MODE_NAMES:
                return rpc.ERROR_PARAMETER, ""
            if name == self.mode:
                return ERROR_ALREADY_IN_MODE, ""
            self.mode = name
            return rpc.OK, ""
        return rpc.ERROR_NOT_IMPLEMENTED, ""


def motion_switcher_server(participant: Participant, service: SportModeService) -> rpc.RpcServer:
    """Puts a simulated robot's sport mode on DDS; call its `poll` regularly."""
    return rpc.RpcServer(participant, SERVICE, SERVICE_VERSION, service.handle)


class MotionSwitcherClient:
    """Asks a robot for its sport mode and releases it, without ever waiting.

    Args:
        participant: Where the robot is.
        retry_s: When an unanswered request is sent again [s].
    """

    def __init__(self, participant: Participant, retry_s: float = 0.5) -> None:
        self._rpc = rpc.RpcClient(participant, SERVICE)
        self._retry_s = retry_s
        self._ask_at = float("-inf")
        self.mode: str | None = None
        """Active sport mode as last heard, "" for none, None before the first answer."""
        self.last_code = rpc.OK
        """Code of the last answer."""

    def check(self) -> None:
        """Asks which mode is active."""
        self._rpc.send(CHECK_MODE, {})

    def release(self) -> None:
        """Asks the robot's own control to let go of the motors."""
        self._rpc.send(RELEASE_MODE, {})

    def select(self, name: str) -> None:
        """Asks for a sport mode, one of `MODE_NAMES`."""
        self._rpc.send(SELECT_MODE, {"name": name})

    def poll(self) -> list[rpc.Answer]:
        """Takes the answers that came, updates `mode` and returns them."""
        answers = self._rpc.poll()
        for answer in answers:
            self.last_code = answer.code
            if answer.api_id == CHECK_MODE and answer.code == rpc.OK:
                self.mode = _field(answer.data, "name")
        return answers

    def step_check(self, now: float) -> str | None:
        """Goes one step towards knowing the active mode; returns it, "" for none, None while it is not known.

        Args:
            now: Monotonic time [s]; call it again and again, at any rate.
        """
        self.poll()
        if self.mode is None and now >= self._ask_at:
            self.check()
            self._ask_at = now + self._retry_s
        return self.mode

    def step_release(self, now: float, lying: bool) -> bool:
        """Goes one step towards a robot without sport mode: release and check, each until it has happened.

        Args:
            now: Monotonic time [s]; call it again and again, at any rate.
            lying: The robot lies still. Only then is its own control taken away: released while it stands, it falls.

        Returns:
            No sport mode is active any more.
        """
        answers = self.poll()
        if answers:
            self._ask_at = now
        if any(answer.api_id == RELEASE_MODE for answer in answers):
            self.mode = None  # whatever the answer, ask what is active now
        if not self.mode:
            return self.step_check(now) == ""
        if lying and now >= self._ask_at:
            self.release()
            self._ask_at = now + self._retry_s
        return False


def _field(text: str, name: str) -> str | None:
    """A text field of a JSON object, None if there is no such thing."""
    try:
        value = json.loads(text)[name]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None
