"""A bag being recorded: a bounded queue, and a thread that writes files of bounded size and lives with a full disk."""

from __future__ import annotations

import queue
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbp_bringup.bags.bag_file import BagFile
from dbp_bringup.bags.bag_metadata import metadata
from dbp_bringup.bags.definitions import Channel
from dbp_policy.clock import now
from dbp_policy.files import written_whole

_FLUSH_PERIOD = 0.5
"""A process that is killed loses this much at most [s]."""
_RETRY = 5.0
"""How long after a refusal of the disk the next file is tried [s]."""


@dataclass(frozen=True)
class Limits:
    """When a file ends and the next begins, and what is left alone."""

    file_bytes: int = 512 << 20
    file_seconds: float = 600.0
    free_bytes: int = 256 << 20
    """Of the disk, never to be filled by a recording."""
    waiting: int = 8192
    """Messages that may wait for the disk; what comes beyond that is dropped: some six seconds of a Go2's wire."""


class BagWriter:
    """Records messages into a folder: `NAME_0.mcap`, `NAME_1.mcap` ..., and `metadata.yaml` as rosbag2 has it.

    Args:
        folder: Folder of the bag, made here.
        channels: The topics.
        limits: Bounds.

    Raises:
        OSError: The folder cannot be made or has a recording in it.

    Attributes:
        dropped: Messages that found the queue full or the disk refusing.
    """

    def __init__(self, folder: Path, channels: Sequence[Channel], limits: Limits | None = None) -> None:
        folder.mkdir(parents=True)
        self.dropped = 0
        self._folder, self._channels = folder, tuple(channels)
        self._limits = limits or Limits()
        self._queue: queue.Queue = queue.Queue(self._limits.waiting)
        self._file: BagFile | None = None
        self._opened = 0.0
        self._opened_files = 0
        self._closed: list[BagFile] = []
        self._refused_at = -_RETRY
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="bag", daemon=True)
        self._thread.start()

    def add(self, topic: str, stamp: int, data: bytes, published: int | None = None) -> None:
        """Takes a message and returns at once; one too many is dropped and counted.

        Args:
            topic: One of the channels'.
            stamp: When it was received, since 1970 [ns].
            data: CDR payload.
            published: When it was sent, since 1970 [ns], if that is known.
        """
        try:
            self._queue.put_nowait((topic, stamp, data, published))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what waits, the index and the bag's metadata."""
        self._stopping = True
        self._thread.join()

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        files = [*self._closed, *([self._file] if self._file else [])]
        return {c.topic: sum(file.counts[c.topic] for file in files) for c in self._channels}

    def _run(self) -> None:
        flushed = told = now()
        dropped_before = 0
        while not (self._stopping and self._queue.empty()):
            try:
                message = self._queue.get(timeout=0.1)
            except queue.Empty:
                message = None
            self._attempt(lambda message=message: self._write(message))
            if now() - flushed > _FLUSH_PERIOD:
                flushed = now()
                self._attempt(self._flush)
            if self.dropped > dropped_before and now() - told > _RETRY:
                print(f"warning: {self._folder.name}: {self.dropped} messages dropped so far", file=sys.stderr)
                told, dropped_before = now(), self.dropped
        self._attempt(self._end_file)

    def _attempt(self, action) -> None:
        """Does something with the disk. Its refusal is told, costs the messages until it relents, and nothing more."""
        try:
            action()
        except OSError as error:
            if now() - self._refused_at > 2.0 * _RETRY:
                print(f"warning: {self._folder}: not recording ({error})", file=sys.stderr)
            self._refused_at = now()
            if self._file is not None:
                self.dropped += self._file.abandon()
                self._closed.append(self._file)
                self._file = None

    def _write(self, message: tuple[str, int, bytes, int | None] | None) -> None:
        if message is None:
            return
        if self._file is None:
            if now() - self._refused_at < _RETRY:
                self.dropped += 1
                return
            self.dropped += 1  # unless the file opens
            self._check_space()
            path = self._folder / f"{self._folder.name}_{self._opened_files}.mcap"
            self._opened_files += 1
            self._file, self._opened = BagFile(path, self._channels), now()
            self.dropped -= 1
        self._file.write(*message)

    def _flush(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        self._check_space()
        if self._file.size > self._limits.file_bytes or now() - self._opened > self._limits.file_seconds:
            self._end_file()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < self._limits.free_bytes:
            raise OSError(f"{free >> 20} MB are free, {self._limits.free_bytes >> 20} MB stay free")

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._closed.append(self._file)
            self._file = None
        with written_whole(self._folder / "metadata.yaml") as temporary:
            temporary.write_text(metadata(self._closed, self._channels))
