"""How long a lowstate takes to read and a lowcmd to write: this project's codec beside the SDK's own, CRC included."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from dbp_bringup import terminal
from dbp_bringup.bench import sdk_loop
from dbp_policy.files import write_json
from dbp_policy.types import MotorCommand, RobotState
from dbp_policy.unitree import sdk, wire

REPEATS = 60
OURS_PER_REPEAT = 200
SDK_PER_REPEAT = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(prog="dbp bench codec", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args(argv)
    result = measure()
    terminal.console().print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


def measure() -> dict[str, float]:
    """Medians over interleaved repeats [us] and their ratios.

    `*_sdk_us` is the SDK as it comes: its types' (de)serialisation and its own CRC, which runs in Python because the
    wheel has no shared library. `*_sdk_fast_crc_us` is what it would cost if that library took no longer than ours: the
    SDK's (de)serialisation, its packing of the C struct, and our CRC over the result.
    """
    rng = np.random.default_rng(0)
    lowstate = wire.encode_lowstate(RobotState(tick_ms=1, q_sdk=rng.normal(size=12), dq_sdk=rng.normal(size=12)))
    command = MotorCommand(*rng.normal(size=(5, 12)))
    state_type, cmd_type = sdk.go_types().LowState_, sdk.go_types().LowCmd_
    cmd_message = cmd_type.deserialize(wire.encode_lowcmd(command))
    crc, fast_crc = sdk.crc(), sdk_loop.fast_crc()

    def sdk_decode(checksum) -> None:
        message = state_type.deserialize(lowstate)
        assert checksum.Crc(message) == message.crc

    def sdk_encode(checksum) -> None:
        cmd_message.crc = checksum.Crc(cmd_message)
        cmd_message.serialize()

    assert fast_crc.Crc(cmd_message) == crc.Crc(cmd_message)
    us = _medians_us(
        {
            "decode_us": (lambda: wire.decode_lowstate(lowstate, 0.0), OURS_PER_REPEAT),
            "encode_us": (lambda: wire.encode_lowcmd(command), OURS_PER_REPEAT),
            "decode_sdk_us": (lambda: sdk_decode(crc), SDK_PER_REPEAT),
            "encode_sdk_us": (lambda: sdk_encode(crc), SDK_PER_REPEAT),
            "decode_sdk_fast_crc_us": (lambda: sdk_decode(fast_crc), SDK_PER_REPEAT),
            "encode_sdk_fast_crc_us": (lambda: sdk_encode(fast_crc), SDK_PER_REPEAT),
        }
    )
    return {
        "decode_ratio": us["decode_sdk_us"] / us["decode_us"],
        "encode_ratio": us["encode_sdk_us"] / us["encode_us"],
        "decode_ratio_fast_crc": us["decode_sdk_fast_crc_us"] / us["decode_us"],
        "encode_ratio_fast_crc": us["encode_sdk_fast_crc_us"] / us["encode_us"],
        **us,
    }


def _medians_us(candidates: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    """Median time of one call [us]; the candidates take turns, so that foreign load meets all of them."""
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(REPEATS):
        for name, (call, count) in candidates.items():
            start = time.perf_counter()
            for _ in range(count):
                call()
            samples[name].append((time.perf_counter() - start) / count * 1e6)
    return {name: statistics.median(values) for name, values in samples.items()}


def table(result: dict[str, float]) -> Table:
    """The figures for a person."""
    shown = Table(title="One message, CRC included (median)")
    for column in ("", "this codec", "SDK", "ratio", "SDK with a CRC in C", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    for name, label in (("decode", "read rt/lowstate"), ("encode", "write rt/lowcmd")):
        shown.add_row(
            label,
            f"{result[f'{name}_us']:.1f} us",
            f"{result[f'{name}_sdk_us']:.0f} us",
            f"{result[f'{name}_ratio']:.0f}",
            f"{result[f'{name}_sdk_fast_crc_us']:.0f} us",
            f"{result[f'{name}_ratio_fast_crc']:.0f}",
        )
    return shown
