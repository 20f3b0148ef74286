"""What both recorders are told on the command line, and say in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbp_bringup.bags.bag_writer import BagWriter, Limits
from dbp_bringup.bags.definitions import Channel
from dbp_policy.errors import DbpError


@dataclass(frozen=True)
class BagOptions:
    """Where a bag is written, and in what pieces."""

    out: Path
    """Folder of the bag, made here."""
    file_mb: int = Limits.file_bytes >> 20
    """A file that is larger ends, and the next begins [MB]."""
    file_minutes: float = Limits.file_seconds / 60.0
    """And one that is older [min]."""

    def open_bag(self, channels: Sequence[Channel]) -> BagWriter:
        """A bag of these channels.

        Raises:
            DbpError: The folder cannot be made, or a bound is not positive.
        """
        if not (self.file_mb > 0 and self.file_minutes > 0.0):
            raise DbpError(f"expected positive bounds of a file, got {self.file_mb} MB, {self.file_minutes} min")
        limits = Limits(file_bytes=self.file_mb << 20, file_seconds=60.0 * self.file_minutes)
        try:
            return BagWriter(self.out, channels, limits)
        except OSError as error:
            raise DbpError(f"--out: expected a folder to be made, got: {error}") from None

    def conclude(self, bag: BagWriter) -> None:
        """Closes a bag and says what is in it."""
        bag.close()
        counts = ", ".join(f"{count} {topic}" for topic, count in bag.counts.items() if count)
        print(f"recorder: {self.out}: {counts or 'nothing'}; {bag.dropped} dropped", flush=True)
