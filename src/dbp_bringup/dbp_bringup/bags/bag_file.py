"""One MCAP file of a bag: complete in itself, readable up to the last flush however its process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from mcap.writer import CompressionType, Writer

from dbp_bringup.bags.definitions import Channel

_CHUNK = 1 << 20
"""A chunk that is this large is written before it is asked for [bytes]."""


class BagFile:
    """A file being written.

    Args:
        path: The file; must not exist.
        channels: The topics.

    Raises:
        OSError: The disk refuses; from any method.
    """

    def __init__(self, path: Path, channels: Sequence[Channel]) -> None:
        self.path = path
        self._file = path.open("xb")
        self._writer = Writer(self._file, chunk_size=_CHUNK, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="dbp")
        self._channels: dict[str, int] = {}
        self.counts = {channel.topic: 0 for channel in channels}
        """Messages by topic."""
        self._flushed = dict(self.counts)
        self.begin = self.end = 0
        """Time of the first and of the last message [ns]; 0 before there is one."""
        for c in channels:
            schema = self._writer.register_schema(c.type, "ros2msg", c.definition.encode())
            self._channels[c.topic] = self._writer.register_channel(
                c.topic, "cdr", schema, {"offered_qos_profiles": ""}
            )

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return sum(self.counts.values())

    def write(self, topic: str, stamp: int, data: bytes, published: int | None = None) -> None:
        """Adds a message: CDR payload with its header, times of reception and, if known, of sending since 1970 [ns]."""
        self._writer.add_message(self._channels[topic], stamp, data, stamp if published is None else published)
        self.counts[topic] += 1
        self.begin = self.begin or stamp
        self.end = max(self.end, stamp)

    def flush(self) -> None:
        """Writes what was added: from here on it outlives the process and, where the disk is true to its word, the
        power supply."""
        self._writer.flush()
        os.fdatasync(self._file.fileno())
        self._flushed = dict(self.counts)

    def close(self) -> None:
        """Writes the index and closes the file."""
        self._writer.finish()
        self.flush()
        self._file.close()

    def abandon(self) -> int:
        """Closes the file as it is, without its index; the number of messages that this loses."""
        with contextlib.suppress(OSError):
            self._file.close()
        added, self.counts = self.message_count, self._flushed
        return added - self.message_count
