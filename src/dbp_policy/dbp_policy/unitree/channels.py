"""DDS adapter: raw CDR payloads in and out of Unitree's topics, by polling, with no thread and no trace file.

Matches the SDK's ChannelPublisher and ChannelSubscriber: its types and its (default) quality of service.
"""

from __future__ import annotations

import ctypes

from cyclonedds import _clayer
from cyclonedds.core import DDSException, InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.internal import DDS, dds_c_t
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from dbp_policy import clock
from dbp_policy.errors import DbpError
from dbp_policy.unitree import sdk, wire

# CycloneDDS 0.10 finds no multicast on loopback; 11 does multicast there, and would not meet the SDK's processes by
# unicast.
_UNICAST_DISCOVERY = """
  <Discovery>
    <ParticipantIndex>auto</ParticipantIndex>
    <MaxAutoParticipantIndex>100</MaxAutoParticipantIndex>
    <Peers><Peer address="localhost"/></Peers>
  </Discovery>"""

_CONFIG = """<CycloneDDS><Domain Id="any">
  <General>
    <AllowMulticast>{multicast}</AllowMulticast>
    <Interfaces><NetworkInterface name="{interface}" priority="default" multicast="default"/></Interfaces>
  </General>
  <Sizing><ReceiveBufferSize>256KiB</ReceiveBufferSize></Sizing>{discovery}
</Domain></CycloneDDS>"""
# Each receiving thread goes round in a buffer of its own. The default of 1 MiB is so large that the thread of discovery
# needs an hour to touch all of it: memory that seems to grow, and page faults in processes that have locked theirs.

_NOT_READ = SampleState.NotRead | ViewState.Any | InstanceState.Any
_ANY_STATE = SampleState.Any | ViewState.Any | InstanceState.Any


class ChannelError(DbpError):
    """DDS refused something."""


def matched_writers(reader: DataReader) -> int:
    """How many writers a reader is connected to now, its own process's included."""
    status = dds_c_t.subscription_matched_status()
    _check(DDS._dll_handle.dds_get_subscription_matched_status(reader._ref, ctypes.byref(status)), "count writers")
    return status.current_count


def matched_readers(writer: DataWriter) -> int:
    """How many readers a writer is connected to now, its own process's included."""
    status = dds_c_t.publication_matched_status()
    _check(DDS._dll_handle.dds_get_publication_matched_status(writer._ref, ctypes.byref(status)), "count readers")
    return status.current_count


class RawReader:
    """Receives CDR payloads of one topic, until it is dropped or its participant closed."""

    def __init__(self, participant: Participant, reader: DataReader, depth: int) -> None:
        self._participant = participant  # lives as long as its channels
        self._reader = reader
        self._depth = depth
        self._arrival = WaitSet(participant.entity)
        self._arrival.attach(ReadCondition(reader, _NOT_READ))

    def take(self) -> list[bytes]:
        """What has arrived since the last call, oldest first, at most the last `depth` payloads. Does not wait.

        Raises:
            ChannelError: DDS refused.
        """
        return [payload for payload, info in self._samples() if info.valid_data]

    def take_with_writers(self) -> list[tuple[bytes, int]]:
        """The same, each payload with DDS's handle of the writer that it came from.

        Raises:
            ChannelError: DDS refused.
        """
        return [(payload, info.publication_handle) for payload, info in self._samples() if info.valid_data]

    def take_with_times(self) -> list[tuple[bytes, int]]:
        """The same, each payload with the time at which it was written, by the writer's clock, since 1970 [ns].

        Raises:
            ChannelError: DDS refused.
        """
        return [(payload, info.source_timestamp) for payload, info in self._samples() if info.valid_data]

    def _samples(self) -> list:
        samples = _take(self._reader._ref, self._depth)
        if isinstance(samples, int):
            _check(samples, f"take from {self._reader.topic.name}")
        return samples

    def wait(self, timeout: float) -> bool:
        """Sleeps until something can be taken; False if nothing came within `timeout` seconds of the stack's clock.

        DDS counts the time on the wall clock: one that is set back while nothing comes makes the wait as much longer.
        """
        return self._arrival.wait(max(0, round(1e9 * clock.real(timeout)))) > 0

    @property
    def matched(self) -> int:
        """Writers on this topic that are connected now, this process's included."""
        return matched_writers(self._reader)


class RawWriter:
    """Sends CDR payloads to one topic, until it is dropped or its participant closed."""

    def __init__(self, participant: Participant, writer: DataWriter) -> None:
        self._participant = participant  # lives as long as its channels
        self._writer = writer
        # Asked for once: each answer leaves a cycle of objects, and the guard runs without a collector.
        self._what = f"write to {writer.topic.name}"

    def write(self, cdr: bytes) -> None:
        """Sends one payload, its encapsulation header included.

        Raises:
            ChannelError: DDS refused.
        """
        _check(_clayer.ddspy_write(self._writer._ref, cdr), self._what)

    @property
    def matched(self) -> int:
        """Readers of this topic that are connected now, this process's included."""
        return matched_readers(self._writer)


class Participant:
    """This process on one DDS domain and network interface. One per process and domain.

    The rules of `network` are to be asked first: this class opens what it is told to.

    Args:
        interface: Name of the network interface, such as "lo" or "eth0".
        domain: DDS domain.

    Raises:
        ChannelError: The domain is open in this process already, or the interface does not serve.
    """

    def __init__(self, interface: str, domain: int) -> None:
        unicast = interface == "lo" and sdk.dds_is_robot_compatible()
        config = _CONFIG.format(
            interface=interface,
            multicast="false" if unicast else "default",
            discovery=_UNICAST_DISCOVERY if unicast else "",
        )
        try:
            self._domain = Domain(domain, config)
            self._participant = DomainParticipant(domain)
        except DDSException as error:
            raise ChannelError(f"expected DDS domain {domain} to open on {interface!r}, got {error.msg}") from error

    @property
    def entity(self) -> DomainParticipant:
        """DDS's own object."""
        return self._participant

    def reader(self, topic: str, depth: int = 16) -> RawReader:
        """Reader of a Unitree topic that keeps the last `depth` samples between two takes."""
        qos = Qos(Policy.History.KeepLast(depth))  # local to the reader, all else as the SDK has it
        return RawReader(self, DataReader(self._participant, self._topic(topic), qos), depth)

    def writer(self, topic: str) -> RawWriter:
        """Writer of a Unitree topic. Raises `ChannelError` for a topic this project has no type for."""
        return RawWriter(self, DataWriter(self._participant, self._topic(topic)))

    def _topic(self, name: str) -> Topic:
        return Topic(self._participant, name, topic_type(name))

    def close(self) -> None:
        """Leaves the domain; readers and writers are dead from here on."""
        if self._domain is not None:
            DDS._dll_handle.dds_delete(self._domain._ref)
            self._domain = self._participant = None


def topic_type(name: str) -> type:
    """The SDK's message type of a topic.

    Raises:
        ChannelError: Unknown topic.
    """
    if name == wire.LOWSTATE_TOPIC:
        return sdk.go_types().LowState_
    if name == wire.LOWCMD_TOPIC:
        return sdk.go_types().LowCmd_
    if name.startswith("rt/api/") and name.endswith("/request"):
        return sdk.api_types().Request_
    if name.startswith("rt/api/") and name.endswith("/response"):
        return sdk.api_types().Response_
    raise ChannelError(f"expected rt/lowstate, rt/lowcmd or rt/api/<service>/<request or response>, got {name!r}")


def _check(code: int, what: str) -> None:
    if code < 0:
        raise ChannelError(f"expected DDS to {what}, got {DDSException(code).msg}")


def _take_0_10(reader: int, limit: int):
    return _clayer.ddspy_take(reader, limit)


def _take_11(reader: int, limit: int):
    return _clayer.ddspy_take(reader, _ANY_STATE, limit)


_take = _take_0_10 if sdk.dds_is_robot_compatible() else _take_11  # the C layer takes a state mask since 11
