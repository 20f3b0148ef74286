"""Recordings made in lockstep: bytes of the wire and records of the policy, as the recorder writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dbp_bringup.bags.bag_file import BagFile
from dbp_bringup.bags.definitions import LOWCMD, LOWSTATE, POLICY_TICK
from dbp_bringup.bags.reading import Recorded, Recording
from dbp_bringup.lockstep import Lockstep
from dbp_policy.onnx_policy import load_runner

START = 1_700_000_000_000_000_000
"""When the recordings begin, since 1970 [ns]."""


def walked(policy: Path, command=(0.4, 0.1, 0.3), seconds: float = 2.0) -> list[Recorded]:
    """A robot that stands up and walks for `seconds`."""
    stack = Lockstep(load_runner(policy))
    messages: list[Recorded] = []

    def put(topic: str, data: bytes) -> None:
        stamp = START + round(1e9 * stack.now)
        messages.append(Recorded(topic, stamp, data, stamp))

    def hear(payload: bytes) -> tuple[bytes]:
        put(LOWSTATE.topic, payload)
        return (payload,)

    stack.lowstate_tap = hear
    stack.lowcmd_tap = lambda now, payload: put(LOWCMD.topic, payload)
    stack.policy.on_tick = lambda tick: put(POLICY_TICK.topic, tick.to_cdr())
    assert stack.stand_up() and stack.start()
    stack.command = np.array(command)
    stack.run(seconds)
    return messages


def write(path: Path, messages: list[Recorded], channels=(LOWSTATE, LOWCMD, POLICY_TICK)) -> Path:
    """A whole file of messages, a chunk per half second."""
    file = BagFile(path, channels)
    flushed = 0
    for m in messages:
        file.write(m.topic, m.stamp, m.data, m.published)
        if m.stamp - flushed > 5e8:
            flushed = m.stamp
            file.flush()
    file.close()
    return path


def changed(messages: list[Recorded], topic: str, change: Callable[[bytes], bytes]) -> list[Recorded]:
    """Messages with those of one topic changed."""
    return [replace(m, data=change(m.data)) if m.topic == topic else m for m in messages]


def read(path: Path) -> list[Recorded]:
    return list(Recording(path).messages())
