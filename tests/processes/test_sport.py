"""The robot's own control over DDS: asked to lie down by our client, and by the SDK's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from dbp_policy.unitree import rpc, sdk, sport
from dbp_policy.unitree.motion_switcher import SportModeService
from dbp_policy.unitree.sport import SportClient, SportService, sport_server

PATIENCE = 30.0


def wait_for(reached: Callable[[], bool], poll: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        poll()
        time.sleep(0.005)


def test_our_client_lays_our_robot_down(participant):
    service = SportService(SportModeService(), standing=True)
    server, client = sport_server(participant, service), SportClient(participant)

    def step() -> None:
        client.step_stand_down(time.monotonic())
        server.poll()

    assert client.last_code is None
    wait_for(lambda: client.last_code is not None, step)
    assert client.last_code == rpc.OK and not service.standing


def test_a_robot_without_sport_mode_does_nothing_and_says_so(participant):
    mode = SportModeService()
    service = SportService(mode, standing=True)
    mode.mode = ""
    server, client = sport_server(participant, service), SportClient(participant)
    wait_for(lambda: client.last_code is not None, lambda: (client.step_stand_down(time.monotonic()), server.poll()))
    assert client.last_code == rpc.ERROR_NOT_IMPLEMENTED and service.standing


def test_it_is_asked_again_but_not_at_every_step(participant):
    """Time is the test's: 10 s at 100 Hz with 3 s in between."""
    asked: list[int] = []
    server = rpc.RpcServer(participant, sport.SERVICE, "1", lambda api, _: (asked.append(api), (rpc.OK, ""))[1])
    client = SportClient(participant)
    wait_for(lambda: client._rpc.connected, server.poll)
    for step in range(1000):
        client.step_stand_down(100.0 + 0.01 * step)
    wait_for(lambda: len(asked) == 4, server.poll)
    time.sleep(0.2)
    server.poll()
    assert asked == [sport.STAND_DOWN] * 4


def test_the_sdks_client_stands_our_robot_up_and_lays_it_down(participant, domain):
    service = SportService(SportModeService())
    server = sport_server(participant, service)
    client = subprocess.Popen([sys.executable, __file__, str(domain)], stdout=subprocess.PIPE, text=True)
    try:
        heights: list[bool] = []

        def poll() -> None:
            if server.poll():
                heights.append(service.standing)

        wait_for(lambda: client.poll() is not None, poll)
        assert client.returncode == 0 and True in heights and heights[-1] is False
    finally:
        client.kill()
        client.wait()


# The other process, on the SDK ----------------------------------------------------------------------------------------


def sdk_client() -> int:
    client = sdk.module("go2.sport.sport_client").SportClient()
    client.SetTimeout(5.0)
    client.Init()
    assert client.GetServerApiVersion() == (0, sport.SERVICE_VERSION)
    assert client.StandUp() == 0
    assert client.StandDown() == 0
    return 0


if __name__ == "__main__":
    sdk.module("core.channel").ChannelFactoryInitialize(int(sys.argv[1]), "lo")
    sys.exit(sdk_client())
