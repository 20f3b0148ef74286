"""An independent ear on the wire: its own process and DDS participant, above the guard's priority."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsParticipant, BuiltinTopicDcpsPublication

from dbp_bringup.robot import local_channel
from dbp_policy import realtime
from dbp_policy.clock import now
from dbp_policy.unitree import wire
from dbp_policy.unitree.channels import Participant

_PRIORITY = 65
"""Above guard and standby, whose commands it stamps, below the robot."""
_DEPTH = 512
"""What DDS keeps while a record is handed over (1 s)."""
_WAIT = 0.002
_ALL = 1000
"""More writers and participants than there are."""


@dataclass(frozen=True)
class Heard:
    """What came since the last time it was asked for; times are of arrival, monotonic [s]."""

    commands: list[tuple[float, bytes, int]]
    """Time, payload and process id of the writer of each rt/lowcmd; 0 for a writer that DDS has forgotten."""
    states: list[tuple[float, bytes]]
    """Time and payload of each rt/lowstate."""
    writers: list[tuple[float, int]]
    """When the number of writers of rt/lowcmd changed, and to what."""
    truth: list[tuple[float, float, float, float]]
    """Time, forward and sideways velocity of the trunk [m/s], and its height [m]."""


def listen(pipe: Connection, domain: int, folder: Path) -> None:
    """Records; sends a `Heard` whenever asked."""
    realtime.take_priority(_PRIORITY)
    participant = Participant("lo", domain)
    commands = participant.reader(wire.LOWCMD_TOPIC, depth=_DEPTH)
    states = participant.reader(wire.LOWSTATE_TOPIC, depth=_DEPTH)
    names = _Names(participant)
    channel = local_channel.Channel(folder, local_channel.TRUTH_SOCKET)
    realtime.lock_memory()
    realtime.quiet_collector(collect_garbage=False)
    pipe.send("ready")
    heard, matched = Heard([], [], [], []), 0
    while True:
        commands.wait(_WAIT)
        arrival = now()
        heard.commands.extend((arrival, payload, writer) for payload, writer in commands.take_with_writers())
        heard.states.extend((now(), payload) for payload in states.take())
        if commands.matched != matched:
            matched = commands.matched
            heard.writers.append((now(), matched))
        for s in local_channel.read_truth(channel):
            heard.truth.append((s.stamp, s.velocity_body[0], s.velocity_body[1], s.position[2]))
        if pipe.poll():
            pipe.recv()
            known = names.of({writer for _, _, writer in heard.commands})
            pipe.send(Heard([(t, p, known[w]) for t, p, w in heard.commands], *list(vars(heard).values())[1:]))
            heard = Heard([], [], [], [])


class _Names:
    """Process ids of writers, as DDS's participants tell them."""

    def __init__(self, participant: Participant) -> None:
        self._publications = BuiltinDataReader(participant.entity, BuiltinTopicDcpsPublication)
        self._participants = BuiltinDataReader(participant.entity, BuiltinTopicDcpsParticipant)
        self._known: dict[int, int] = {}

    def of(self, writers: set[int]) -> dict[int, int]:
        if not writers <= set(self._known):
            processes = {p.sample_info.instance_handle: _process_id(p.qos) for p in self._participants.read(_ALL)}
            for publication in self._publications.read(_ALL):
                process_id = processes.get(publication.participant_instance_handle, 0)
                self._known.setdefault(publication.sample_info.instance_handle, process_id)
        return {writer: self._known.get(writer, 0) for writer in writers}


def _process_id(qos) -> int:
    pids = [policy.value for policy in qos if getattr(policy, "key", "") == "__Pid"]
    return int(pids[0]) if pids else 0
