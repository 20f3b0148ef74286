"""The checksum of Unitree's LowCmd and LowState: CRC-32/MPEG-2 over big-endian words.

Unitree feeds each 32-bit word most significant bit first: polynomial 0x04C11DB7, start 0xFFFFFFFF, no reflection, no
final exclusive-or (unitree_sdk2_python, utils/crc.py). The words lie little-endian in memory, so the standard
CRC-32/MPEG-2 needs the bytes of every word reversed.
"""

from __future__ import annotations

import numpy as np
from fastcrc import crc32

crc32_big_endian = crc32.mpeg_2
"""CRC of bytes whose words are big-endian already, for callers who reorder bytes anyhow."""


def crc32_words(little_endian: bytes | bytearray | np.ndarray) -> int:
    """CRC of a message's C struct in memory, its own crc word left out.

    Args:
        little_endian: The struct's bytes, a multiple of 4 long; an array of any dtype counts as its bytes.

    Raises:
        ValueError: The length is not a multiple of 4 bytes.
    """
    return crc32_big_endian(np.frombuffer(little_endian, "<u4").astype(">u4").tobytes())
