"""Where the time of a policy tick goes, on a walk recorded in lockstep. The code that is timed knows nothing of it.

The stages meet end to end, so they add up to the whole: where one function calls the next, the bench stands in between
and notes the time. The walk is replayed at its own pace and priority, for caches are colder after 2 ms of sleep.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dbp_bringup.bench.answers import percentiles_us
from dbp_bringup.lockstep import Lockstep
from dbp_policy import go2, local_link, paths, realtime
from dbp_policy.clock import Ticker
from dbp_policy.command import CommandLimits, CommandMux
from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner
from dbp_policy.policy_loop import PolicyLoop

STAGES = ("decode", "estimator", "command", "observation", "inference", "target", "encode")
"""Of a policy tick, from the guard's datagram to the answer's. `estimator` and `decode` happen with every lowstate;
`target` is the policy's action made into joint targets the motors can reach."""
COMMAND = np.array((0.5, 0.0, 0.3))
_COMMAND_PERIOD = 0.05
_PRIORITY = 50
"""Of the policy node's control thread."""


def measure(seconds: float, policy: Path | None = None) -> dict[str, dict[str, float]]:
    """Median and tail of each stage, of the whole tick, and of an answer between two ticks [us].

    Raises:
        DbpError: The policy does not load or does not walk.
    """
    path = policy or paths.models_dir() / "go2_walk.onnx"
    datagrams = list(_recorded(path, seconds))
    ticks, between = _replay(path, datagrams)
    split = {name: percentiles_us(durations) for name, durations in zip(STAGES, np.diff(ticks).T, strict=True)}
    return {**split, "whole tick": percentiles_us(ticks[:, -1] - ticks[:, 0]), "between ticks": percentiles_us(between)}


def _recorded(path: Path, seconds: float) -> Iterator[tuple[float, bytes]]:
    """The times and bytes of what the guard sends to the policy on a walk."""
    lockstep = Lockstep(load_runner(path))
    if not (lockstep.stand_up() and lockstep.start()):
        raise DbpError("expected the robot to stand up and start its policy in lockstep, got a refusal")
    lockstep.command = COMMAND
    for _ in range(round(go2.LOWSTATE_HZ * seconds)):
        output = lockstep.tick()
        yield lockstep.now, local_link.encode(output.state, output.status)


def _replay(path: Path, datagrams: list[tuple[float, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    """Times of the stages' ends on each policy tick, shape (ticks, stages + 1), and durations of the other answers."""
    runner = load_runner(path)
    mux = CommandMux(CommandLimits(runner.contract.command_min, runner.contract.command_max))
    network = runner.network
    stamps: list[float] = []
    stamp = lambda: stamps.append(time.perf_counter())  # noqa: E731

    def velocity_command(now: float, halt: bool):
        stamp()
        command = mux.command(now, halt)
        stamp()
        return command

    def infer(observation, hidden):
        stamp()
        result = network(observation, hidden)
        stamp()
        return result

    runner.network = infer
    loop = PolicyLoop(runner, velocity_command)
    ticks, between, commanded = [], [], -np.inf
    realtime.take_priority(_PRIORITY)
    realtime.quiet_collector(collect_garbage=True)
    ticker = Ticker(1.0 / go2.LOWSTATE_HZ)
    for now, datagram in datagrams:
        if now - commanded >= _COMMAND_PERIOD:
            mux.update("autonomy", COMMAND, now)
            commanded = now
        ticker.sleep()
        stamps.clear()
        stamp()
        state, status = local_link.decode(datagram)
        stamp()
        target = loop.on_state(state, status, now)
        stamp()
        local_link.encode(target)
        stamp()
        if len(stamps) == len(STAGES) + 1:
            ticks.append(tuple(stamps))
        else:
            between.append(stamps[-1] - stamps[0])
    return np.array(ticks), np.array(between)
