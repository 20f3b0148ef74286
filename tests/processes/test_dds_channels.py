"""Real DDS on loopback, each end in its own process: our channels with each other and with the SDK's."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from dbp_policy.types import RobotState, damping_command
from dbp_policy.unitree import sdk, wire
from dbp_policy.unitree.channels import ChannelError, Participant

PATIENCE = 30.0
"""Seconds until a test gives up on discovery on a busy machine."""

ENOUGH = 50
"""Messages a process wants to have received."""


@contextlib.contextmanager
def other_process(*arguments: object) -> Iterator[subprocess.Popen]:
    """Runs this file as a program; its exit code tells whether it got what it wanted."""
    process = subprocess.Popen([sys.executable, __file__, *map(str, arguments)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.004)
    return True


@pytest.mark.parametrize("library", ["ours", "sdk"])
def test_controller_hears_and_moves_a_robot_of(library, participant, domain):
    states = participant.reader(wire.LOWSTATE_TOPIC)
    commands = participant.writer(wire.LOWCMD_TOPIC)
    ticks: list[int] = []

    def exchange() -> bool:
        commands.write(wire.encode_lowcmd(damping_command(3.0)))
        ticks.extend(wire.decode_lowstate(payload, 0.0).tick_ms for payload in states.take())
        return robot.poll() is not None

    with other_process("robot", library, domain) as robot:
        assert wait_for(exchange)
        assert robot.returncode == 0  # it received commands with kd = 3 and a right CRC
    assert len(ticks) > ENOUGH / 2
    assert ticks == sorted(set(ticks)), "in order, none twice"


@pytest.mark.parametrize("library", ["ours", "sdk"])
def test_robot_hears_and_feeds_a_controller_of(library, participant, domain):
    states = participant.writer(wire.LOWSTATE_TOPIC)
    commands = participant.reader(wire.LOWCMD_TOPIC)
    received = []

    def exchange() -> bool:
        states.write(wire.encode_lowstate(RobotState(tick_ms=7)))
        received.extend(wire.decode_lowcmd(payload) for payload in commands.take())
        return controller.poll() is not None

    with other_process("controller", library, domain) as controller:
        assert wait_for(exchange)
        assert controller.returncode == 0  # it received states with tick 7
    assert len(received) > ENOUGH / 2
    assert all(command.kd[0] == 3.0 for command in received)


def test_more_processes_than_the_default_ports_find_each_other(participant, domain):
    """Without multicast each process is looked for by its index; DDS's default looks for ten."""
    writer = participant.writer(wire.LOWSTATE_TOPIC)
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(other_process("listener", "ours", domain))
        assert wait_for(lambda: writer.matched == 12), f"found {writer.matched} of 12"


def test_who_is_there_is_counted(participant, domain):
    """A second writer of rt/lowcmd is seen before it has written anything."""
    reader = participant.reader(wire.LOWCMD_TOPIC)
    assert reader.matched == 0
    own = participant.writer(wire.LOWCMD_TOPIC)
    assert wait_for(lambda: reader.matched == 1) and own.matched == 1
    with other_process("second writer", "ours", domain):
        assert wait_for(lambda: reader.matched == 2)
        assert wait_for(lambda: reader.matched == 1), "it leaves by itself"


def test_take_gives_the_newest_in_order(participant):
    reader = participant.reader(wire.LOWSTATE_TOPIC, depth=4)
    writer = participant.writer(wire.LOWSTATE_TOPIC)
    assert reader.take() == []
    assert wait_for(lambda: writer.matched == 1)
    payloads = [wire.encode_lowstate(RobotState(tick_ms=tick)) for tick in range(10)]
    for payload in payloads:
        writer.write(payload)
    received: list[bytes] = []
    assert wait_for(lambda: received.extend(reader.take()) or payloads[-1] in received)
    assert received == [payload for payload in payloads if payload in received]
    assert reader.take() == []


def test_an_exchange_leaves_no_garbage(participant):
    """The guard runs for hours without Python's collector: what only that would free stays for ever."""
    reader, writer = participant.reader(wire.LOWSTATE_TOPIC), participant.writer(wire.LOWSTATE_TOPIC)
    assert wait_for(lambda: writer.matched == 1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            writer.write(wire.encode_lowstate(RobotState()))
            reader.wait(0.01)
            reader.take()
            assert (reader.matched, writer.matched) == (1, 1)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_refusals_are_one_line(participant, domain):
    with pytest.raises(ChannelError, match=f"domain {domain} to open") as error:
        Participant("lo", domain)
    assert "\n" not in str(error.value)
    with pytest.raises(ChannelError, match="rt/wirelesscontroller"):
        participant.reader("rt/wirelesscontroller")


def test_interface_that_does_not_exist(domain):
    with pytest.raises(ChannelError, match="'eth77'"):
        Participant("eth77", domain)


# The other process ----------------------------------------------------------------------------------------------------


def our_end(role: str, domain: int) -> tuple[Callable[[], None], Callable[[], int]]:
    """What sends one message, and what counts the good ones that came."""
    participant = Participant("lo", domain)
    if role == "robot":
        writer, reader = participant.writer(wire.LOWSTATE_TOPIC), participant.reader(wire.LOWCMD_TOPIC)
        ticks = iter(range(1, 10**9))
        return (
            lambda: writer.write(wire.encode_lowstate(RobotState(tick_ms=next(ticks)))),
            lambda: sum(wire.decode_lowcmd(payload).kd[11] == 3.0 for payload in reader.take()),
        )
    writer, reader = participant.writer(wire.LOWCMD_TOPIC), participant.reader(wire.LOWSTATE_TOPIC)
    return (
        lambda: writer.write(wire.encode_lowcmd(damping_command(3.0))),
        lambda: sum(wire.decode_lowstate(payload, 0.0).tick_ms == 7 for payload in reader.take()),
    )


def sdk_end(role: str, domain: int) -> tuple[Callable[[], None], Callable[[], int]]:
    """The same through the SDK's ChannelPublisher and ChannelSubscriber."""
    channel, go, default = sdk.module("core.channel"), sdk.go_types(), sdk.module("idl.default")
    channel.ChannelFactoryInitialize(domain, "lo")
    received: list = []
    crc = sdk.crc()
    state, command = default.unitree_go_msg_dds__LowState_(), default.unitree_go_msg_dds__LowCmd_()
    robot = role == "robot"
    publisher = channel.ChannelPublisher(*(("rt/lowstate", go.LowState_) if robot else ("rt/lowcmd", go.LowCmd_)))
    subscriber = channel.ChannelSubscriber(*(("rt/lowcmd", go.LowCmd_) if robot else ("rt/lowstate", go.LowState_)))
    publisher.Init()
    subscriber.Init(received.append, 10)
    command.head, command.level_flag = [0xFE, 0xEF], 0xFF
    for motor in command.motor_cmd:
        motor.mode, motor.kd = 0x01, 3.0

    def send() -> None:
        message = state if robot else command
        if robot:
            state.tick += 1
        message.crc = crc.Crc(message)
        publisher.Write(message)

    def count() -> int:
        messages = [received.pop(0) for _ in range(len(received))]
        good = [m for m in messages if (m.motor_cmd[11].kd == 3.0 if robot else m.tick == 7) and crc.Crc(m) == m.crc]
        return len(good)

    return send, count


def main(role: str, library: str, domain: int) -> int:
    if role == "listener":
        reader = Participant("lo", domain).reader(wire.LOWSTATE_TOPIC)
        wait_for(lambda: reader.matched < 0, 2 * PATIENCE)
        return 0
    if role == "second writer":
        participant = Participant("lo", domain)
        writer = participant.writer(wire.LOWCMD_TOPIC)
        wait_for(lambda: writer.matched > 0)
        time.sleep(1.0)
        participant.close()
        return 0
    send, count = (our_end if library == "ours" else sdk_end)(role, domain)
    good = 0
    deadline = time.monotonic() + PATIENCE
    while good < ENOUGH and time.monotonic() < deadline:
        send()
        good += count()
        time.sleep(0.004)
    for _ in range(ENOUGH):  # the other end may have found us later than we found it
        send()
        time.sleep(0.004)
    return 0 if good >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
