"""Reads a recording's messages in order, also of a file whose writer was killed: up to its last whole chunk."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from mcap.exceptions import InvalidMagic, McapError
from mcap.records import Channel, Footer, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader

from dbp_bringup.bags.definitions import LOWSTATE
from dbp_policy.errors import DbpError

_BROKEN = (McapError, CRCValidationError, zstandard.ZstdError, struct.error, ValueError, EOFError, MemoryError)
"""What the readers of MCAP and zstd raise on bytes that are not what they should be."""


@dataclass(frozen=True)
class Recorded:
    """One message of a recording."""

    topic: str
    stamp: int
    """When it was received, since 1970 [ns]."""
    data: bytes
    """CDR payload."""
    published: int
    """When it was sent, by the sender's clock [ns]."""


class Recording:
    """The robot's side of a recording.

    Args:
        path: A file, a bag's folder, or the folder of a recording.

    Raises:
        DbpError: There is no recording; from `messages` also: a file is no recording of a Go2.

    Attributes:
        cut: Files that end in the middle, known once they have been read.
    """

    def __init__(self, path: Path) -> None:
        folder = path / "robot" if (path / "robot").is_dir() else path
        self.files = [path] if path.is_file() else sorted(folder.glob("*.mcap"), key=_number)
        self.cut: list[Path] = []
        if not self.files:
            raise DbpError(f"expected a recording (a file or a folder of *.mcap), found none at {path}")

    def messages(self) -> Iterator[Recorded]:
        """All messages, in the order in which they were recorded."""
        self.cut = []
        topics: set[str] = set()
        for file in self.files:
            for message in self._messages_of(file):
                topics.add(message.topic)
                yield message
        if LOWSTATE.topic not in topics:
            found = ", ".join(sorted(topics)) or "no messages"
            raise DbpError(f"{self.files[0]}: expected the topic {LOWSTATE.topic} of a Go2, found {found}")

    def _messages_of(self, path: Path) -> Iterator[Recorded]:
        schemas: dict[int, str] = {}
        channels: dict[int, str] = {}
        record = None
        with path.open("rb") as file:
            records = StreamReader(file, validate_crcs=True).records
            while not isinstance(record, Footer):
                try:
                    record = next(records)
                except InvalidMagic:
                    raise DbpError(f"{path}: expected an MCAP file, found something else") from None
                except (*_BROKEN, StopIteration):
                    self.cut.append(path)
                    return
                if isinstance(record, Schema):
                    schemas[record.id] = record.name
                elif isinstance(record, Channel):
                    channels[record.id] = record.topic
                    _check_channel(path, record.topic, schemas.get(record.schema_id, "none"))
                elif isinstance(record, Message) and record.channel_id in channels:
                    yield Recorded(channels[record.channel_id], record.log_time, record.data, record.publish_time)


def _check_channel(path: Path, topic: str, kind: str) -> None:
    if topic == LOWSTATE.topic and kind != LOWSTATE.type:
        raise DbpError(f"{path}: expected {topic} of a Go2 ({LOWSTATE.type}), found another robot's ({kind})")


def _number(path: Path) -> tuple[int, str]:
    """Files of a bag are numbered, and 10 comes after 9."""
    found = re.search(r"(\d+)$", path.stem)
    return (int(found[1]) if found else 0, path.name)
