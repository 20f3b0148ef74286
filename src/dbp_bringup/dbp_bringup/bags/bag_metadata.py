"""`metadata.yaml` of a bag, as rosbag2 writes it: what `ros2 bag info` and rosbags read first. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dbp_bringup.bags.bag_file import BagFile
from dbp_bringup.bags.definitions import Channel

_VERSION = 5
"""Of the format, Humble's; later ones read it."""


def metadata(files: Sequence[BagFile], channels: Sequence[Channel]) -> str:
    """Text of the file: JSON, which is YAML."""
    filled = [file for file in files if file.begin]
    information = {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "relative_file_paths": [file.path.name for file in files],
        **_span(filled),
        "message_count": sum(file.message_count for file in files),
        "topics_with_message_count": [
            {"topic_metadata": _topic(c), "message_count": sum(file.counts[c.topic] for file in files)}
            for c in channels
        ],
        "compression_format": "",
        "compression_mode": "",
        "files": [{"path": file.path.name, **_span([file]), "message_count": file.message_count} for file in files],
    }
    return json.dumps({"rosbag2_bagfile_information": information}, indent=2) + "\n"


def _span(files: Sequence[BagFile]) -> dict:
    begin = min((file.begin for file in files), default=0)
    end = max((file.end for file in files), default=0)
    return {"starting_time": {"nanoseconds_since_epoch": begin}, "duration": {"nanoseconds": end - begin}}


def _topic(channel: Channel) -> dict[str, str]:
    return {
        "name": channel.topic,
        "type": channel.type,
        "serialization_format": "cdr",
        "offered_qos_profiles": "",
    }
