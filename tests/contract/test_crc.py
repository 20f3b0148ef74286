"""The checksum against values computed elsewhere, and against the SDK's bitwise definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbp_policy.unitree import sdk, wire
from dbp_policy.unitree.crc import crc32_big_endian, crc32_words


def bitwise(words: list[int]) -> int:
    """The definition: shift in every bit of every word, most significant first, reduce by 0x04C11DB7."""
    crc = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            feedback = (crc >> 31) ^ (word >> bit & 1)
            crc = (crc << 1) & 0xFFFFFFFF
            if feedback:
                crc ^= 0x04C11DB7
    return crc


def lowcmd(motors: int, **fields: float) -> np.ndarray:
    record = wire.LOWCMD.blank()
    record["head"], record["level_flag"] = (0xFE, 0xEF), 0xFF
    for name, value in {"mode": 1, **fields}.items():
        record["motor_cmd"][name][:motors] = value
    return record


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (lowcmd(20, q=2.146e9, dq=16000.0), 0x06E577CD),
        (lowcmd(20), 0x57ECF19D),
        (lowcmd(20, kd=5.0), 0xF9A41946),
        (lowcmd(12, kd=5.0), 0x07350B6E),
    ],
)
def test_published_vectors(record, expected):
    """Values of Unitree's own code for four known commands."""
    assert crc32_words(record.tobytes()[:-4]) == expected
    assert int.from_bytes(wire.LOWCMD.to_cdr(record)[-4:], "little") == expected


def test_check_value_of_the_standard():
    """CRC-32/MPEG-2 of "123456789" (catalogue of parametrised CRC algorithms)."""
    assert crc32_big_endian(b"123456789") == 0x0376E6E7


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
def test_equals_the_definition_and_the_sdk(words):
    ours = crc32_words(np.array(words, "<u4"))
    assert ours == bitwise(words)
    assert ours == sdk.crc()._crc_py(words)


def test_whole_words_only():
    with pytest.raises(ValueError):
        crc32_words(b"12345")
