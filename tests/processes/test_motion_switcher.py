"""The motion_switcher service: the state alone, and over DDS in all pairings with the SDK's rpc package."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dbp_policy.unitree import motion_switcher, rpc, sdk
from dbp_policy.unitree.motion_switcher import (
    CHECK_MODE,
    ERROR_ALREADY_IN_MODE,
    RELEASE_MODE,
    SELECT_MODE,
    SERVICE,
    MotionSwitcherClient,
    SportModeService,
    motion_switcher_server,
)

PATIENCE = 30.0


@contextlib.contextmanager
def other_process(role: str, domain: int) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, __file__, role, str(domain)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def released(client: MotionSwitcherClient, *also) -> bool:
    """Steps a client until the robot is released or patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for poll in also:
            poll()
        if client.step_release(time.monotonic(), lying=True):
            return True
        time.sleep(0.005)
    return False


class TestState:
    def test_starts_in_a_sport_mode_until_released(self):
        service = SportModeService()
        assert service.active
        assert service.handle(RELEASE_MODE, "{}") == (0, "")
        assert not service.active
        assert json.loads(service.handle(CHECK_MODE, "{}")[1])["name"] == ""

    def test_selecting(self):
        service = SportModeService(mode="")
        assert service.handle(SELECT_MODE, '{"name": "ai"}')[0] == 0
        assert json.loads(service.handle(CHECK_MODE, "{}")[1]) == {"form": "0", "name": "ai"}
        assert service.handle(SELECT_MODE, '{"name": "ai"}')[0] == ERROR_ALREADY_IN_MODE

    @pytest.mark.parametrize("parameter", ["", "{}", "[]", "null", '{"name": 3}', '{"name": "backflip"}', "{" * 9])
    def test_nonsense_changes_nothing(self, parameter):
        service = SportModeService(mode="mcf")
        assert service.handle(SELECT_MODE, parameter) == (rpc.ERROR_PARAMETER, "")
        assert service.handle(4711, parameter) == (rpc.ERROR_NOT_IMPLEMENTED, "")
        assert service.mode == "mcf"


def test_our_client_releases_our_robot(participant):
    service = SportModeService("mcf")
    server = motion_switcher_server(participant, service)
    assert released(MotionSwitcherClient(participant), server.poll)
    assert not service.active


def test_a_standing_robot_is_not_released(participant):
    service = SportModeService()
    server = motion_switcher_server(participant, service)
    client = MotionSwitcherClient(participant, retry_s=0.01)
    deadline = time.monotonic() + PATIENCE
    known_for = 0
    while known_for < 100 and time.monotonic() < deadline:
        assert not client.step_release(time.monotonic(), lying=False)
        known_for += client.mode == "normal"
        server.poll()
        time.sleep(0.005)
    assert known_for == 100 and service.mode == "normal"


def test_a_silent_robot_is_asked_again_but_not_at_every_step(participant):
    """Time is the test's: 10 s at 100 Hz with a retry of 0.5 s."""
    requests = participant.reader(f"rt/api/{SERVICE}/request", depth=1000)
    client = MotionSwitcherClient(participant, retry_s=0.5)
    time.sleep(0.5)
    for step in range(1000):
        assert not client.step_release(100.0 + 0.01 * step, lying=True)
    time.sleep(0.2)
    assert 15 <= len(requests.take()) <= 21
    assert client.mode is None


def test_clients_do_not_take_each_others_answers(participant):
    server = motion_switcher_server(participant, SportModeService())
    one, other = (rpc.RpcClient(participant, SERVICE) for _ in range(2))
    deadline = time.monotonic() + PATIENCE
    while not (one.connected and other.connected) and time.monotonic() < deadline:
        time.sleep(0.01)
    request = one.send(CHECK_MODE, {})
    answers: list[rpc.Answer] = []
    while not answers and time.monotonic() < deadline:
        server.poll()
        answers += one.poll()
        assert other.poll() == []
    assert [(answer.request_id, answer.code) for answer in answers] == [(request, rpc.OK)]


def test_noise_on_the_service_is_passed_over(participant):
    service = SportModeService()
    server = motion_switcher_server(participant, service)
    client = MotionSwitcherClient(participant, retry_s=0.05)
    strangers = [participant.writer(f"rt/api/{SERVICE}/{side}") for side in ("request", "response")]

    def noise() -> None:
        server.poll()
        for stranger in strangers:
            stranger.write(b"\x00\x01\x00\x00" + random.randbytes(64))

    assert released(client, noise)


def test_sdk_client_releases_our_robot(participant, domain):
    service = SportModeService("normal")
    server = motion_switcher_server(participant, service)
    with other_process("client", domain) as client:
        deadline = time.monotonic() + PATIENCE
        while client.poll() is None and time.monotonic() < deadline:
            server.poll()
            time.sleep(0.002)
        assert client.returncode == 0
    assert service.mode == "ai"


def test_our_client_releases_an_sdk_robot(participant, domain):
    client = MotionSwitcherClient(participant)
    with other_process("server", domain):
        assert released(client)
    assert client.mode == ""


# The other process, on the SDK's rpc package --------------------------------------------------------------------------


def sdk_client() -> int:
    """The SDK's MotionSwitcherClient as its repository has it; the wheel lacks it."""
    client_class = sdk.module("rpc.client").Client

    class Client(client_class):
        def __init__(self) -> None:
            super().__init__(SERVICE, False)
            self._SetApiVerson(motion_switcher.SERVICE_VERSION)
            for api in (CHECK_MODE, SELECT_MODE, RELEASE_MODE):
                self._RegistApi(api, 0)

        def call(self, api: int, **parameter: str) -> tuple[int, str]:
            return self._Call(api, json.dumps(parameter))

    client = Client()
    client.SetTimeout(5.0)
    assert client.GetServerApiVersion() == (0, motion_switcher.SERVICE_VERSION)
    code, data = client.call(CHECK_MODE)
    assert (code, json.loads(data)["name"]) == (0, "normal")
    assert client.call(RELEASE_MODE)[0] == 0
    code, data = client.call(CHECK_MODE)
    assert (code, json.loads(data)["name"]) == (0, "")
    assert client.call(SELECT_MODE, name="ai")[0] == 0
    assert client.call(SELECT_MODE, name="ai")[0] == ERROR_ALREADY_IN_MODE
    assert client.call(SELECT_MODE, name="backflip")[0] == rpc.ERROR_PARAMETER
    return 0


def sdk_server() -> int:
    """A robot's side in the SDK's style, with our state behind it."""
    server_class = sdk.module("rpc.server").Server
    service = SportModeService("mcf")

    class Server(server_class):
        def Init(self) -> None:
            self._SetApiVersion(motion_switcher.SERVICE_VERSION)
            for api in (CHECK_MODE, SELECT_MODE, RELEASE_MODE):
                self._RegistHandler(api, lambda parameter, api=api: service.handle(api, parameter), False)

    server = Server(SERVICE)
    server.Init()
    server.Start(False)
    time.sleep(2 * PATIENCE)
    return 0


if __name__ == "__main__":
    sdk.module("core.channel").ChannelFactoryInitialize(int(sys.argv[2]), "lo")
    sys.exit(sdk_client() if sys.argv[1] == "client" else sdk_server())
