"""How soon a lowstate is answered: the bench plays the robot at 500 Hz, and guard and SDK loop take turns to answer."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dbp_bringup import stack
from dbp_bringup.bench import sdk_loop
from dbp_bringup.bench.answers import Answers, answers, percentiles_us
from dbp_bringup.bench.mock_robot import PERIOD, MockRobot
from dbp_bringup.supervisor import Supervisor
from dbp_policy import local_link, realtime
from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.types import OperatorRequest, Request

_ROBOT_PRIORITY = 70
"""As in the simulated robot."""
_SETTLE = 0.5
"""The first answers of a controller do not count [s]."""
_START_TIMEOUT = 30.0
_NOT_NEEDED = ("robot", "policy_node")


def measure(domain: int, rounds: int, seconds: float) -> dict:
    """Latencies of all controllers over interleaved rounds, so that foreign load meets all of them.

    `sdk` is the SDK as it comes; where its CRC library is missing, `sdk_fast_crc` is what it would be with it.
    The SDK loop gets the real-time priority that the guard has, and does less: it checks neither the CRC nor the
    content of a lowstate, and passes it on to nobody.
    """
    realtime.take_priority(_ROBOT_PRIORITY)  # DDS's threads inherit it
    robot = MockRobot(domain)
    controllers: dict[str, Callable] = {"guard": _guard, "sdk": lambda r: _sdk(r, fast=False)}
    if not sdk_loop.has_crc_library():
        controllers["sdk_fast_crc"] = lambda r: _sdk(r, fast=True)
    heard: dict[str, list[Answers]] = {name: [] for name in controllers}
    for _ in range(rounds):
        for name, controller in controllers.items():
            with controller(robot):
                robot.exchange(_SETTLE)
                heard[name].append(answers(*robot.exchange(seconds), PERIOD))
            if not len(heard[name][-1].latencies):
                raise DbpError(f"expected {name} to answer lowstates, got no answer within {seconds:g} s")
    figures = {name: _figures(parts) for name, parts in heard.items()}
    ratios = {
        f"{which}_ratio{name.removeprefix('sdk')}": round(row[f"{which}_us"] / figures["guard"][f"{which}_us"], 2)
        for name, row in figures.items()
        if name != "guard"
        for which in ("p50", "p99")
    }
    return {"rounds": rounds, "seconds_per_round": seconds, **ratios, **figures}


def _figures(parts: list[Answers]) -> dict:
    return {
        **percentiles_us(np.concatenate([part.latencies for part in parts])),
        "answered": sum(len(part.latencies) for part in parts),
        "late": sum(part.late for part in parts),
        "p50_us_of_rounds": [percentiles_us(part.latencies)["p50_us"] for part in parts],
    }


@contextlib.contextmanager
def _guard(robot: MockRobot) -> Iterator[None]:
    """The stack without policy and robot, its guard in control after an e-stop: it streams damping."""
    with tempfile.TemporaryDirectory(prefix="dbp-") as folder:
        values = {"runtime_dir": folder, "domain": str(robot.domain)}
        link = local_link.Link(Path(folder))

        def stop() -> None:
            link.send(local_link.encode(OperatorRequest(Request.ESTOP, now())), local_link.GUARD_SOCKET)

        try:
            with Supervisor([p for p in stack.simulated_stack(values) if p.name not in _NOT_NEEDED]) as supervisor:
                robot.serve_until_answered(_START_TIMEOUT, supervisor.check, ask=stop)
                yield
        finally:
            link.close()


@contextlib.contextmanager
def _sdk(robot: MockRobot, fast: bool) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")  # CycloneDDS does not survive a fork
    loop = context.Process(target=sdk_loop.run, args=(robot.domain, fast, realtime.GUARD_PRIORITY), daemon=True)
    loop.start()
    try:
        robot.serve_until_answered(_START_TIMEOUT)
        yield
    finally:
        loop.kill()
        loop.join()
