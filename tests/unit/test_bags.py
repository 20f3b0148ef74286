"""Bags: read by others, whole up to the last flush of a killed writer, in files of bounded size, on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bag_rig
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Twist
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from nav_msgs.msg import Odometry
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState

from dbp_bringup.bags.bag_file import BagFile
from dbp_bringup.bags.bag_writer import BagWriter, Limits
from dbp_bringup.bags.definitions import LOWCMD, LOWSTATE, POLICY_TICK, ros
from dbp_bringup.bags.reading import Recorded, Recording
from dbp_policy import go2
from dbp_policy.local_link import Delivery
from dbp_policy.policy_tick import PolicyTick, TickSender
from dbp_policy.types import Mode, MotorCommand, RobotState
from dbp_policy.unitree import wire

NS = 1_000_000


def state(tick_ms: int) -> RobotState:
    numbers = np.arange(12.0)
    return RobotState(tick_ms=tick_ms, q_sdk=0.1 * numbers, foot_force=np.array([1.0, -2.0, 3.0, 4.0]), battery_v=28.5)


def tick(number: int = 7) -> PolicyTick:
    return PolicyTick(
        stamp=1.5,
        command=np.array([0.1, 0.2, 0.3]),
        velocity_body=np.array([1.0, 2.0, 3.0]),
        position_odom=np.array([4.0, 5.0, 6.0]),
        target_q_sdk=np.arange(12.0),
        number=number,
        mode=Mode.POLICY,
        begins_episode=True,
        policy=bytes(range(32)),
        lowstates=(10, 12, 14),
        observation=np.array([0.5, -0.5], np.float32),
    )


def a_bag(folder: Path, seconds: float = 1.0) -> Path:
    """A closed bag of some lowstates, commands and a tick."""
    bag = BagWriter(folder, (LOWSTATE, LOWCMD, POLICY_TICK))
    zero = np.zeros(12)
    for i in range(round(500 * seconds)):
        stamp = bag_rig.START + 2 * i * NS
        bag.add(LOWSTATE.topic, stamp, wire.encode_lowstate(state(2 * i)))
        bag.add(LOWCMD.topic, stamp, wire.encode_lowcmd(MotorCommand(go2.STAND_Q, zero, zero + 20.0, zero + 0.5, zero)))
    bag.add(POLICY_TICK.topic, stamp, tick().to_cdr())
    bag.close()
    assert bag.dropped == 0
    return folder


def test_mcap_decodes_what_was_written(tmp_path):
    file = a_bag(tmp_path / "robot") / "robot_0.mcap"
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        decoded = [(channel.topic, message) for _, channel, _, message in reader.iter_decoded_messages()]
    states = [m for topic, m in decoded if topic == "/lowstate"]
    assert [s.tick for s in states] == list(range(0, 1000, 2))
    assert [m.q for m in states[3].motor_state[:12]] == pytest.approx(0.1 * np.arange(12.0))
    assert list(states[3].foot_force) == [1, -2, 3, 4] and states[3].power_v == 28.5
    command = next(m for topic, m in decoded if topic == "/lowcmd")
    assert [m.q for m in command.motor_cmd[:12]] == pytest.approx(go2.STAND_Q) and command.motor_cmd[5].kp == 20.0
    found = next(m for topic, m in decoded if topic == "/policy/tick")
    assert list(found.target_q_sdk) == list(range(12)) and found.mode == Mode.POLICY and found.begins_episode
    assert list(found.lowstates) == [10, 12, 14] and list(found.observation) == [0.5, -0.5] and found.number == 7


def test_rosbags_opens_folder_and_file(tmp_path):
    folder = a_bag(tmp_path / "robot")
    for path in (folder, folder / "robot_0.mcap"):
        with AnyReader([path]) as reader:
            connections = [c for c in reader.connections if c.topic == "/lowstate"]
            ticks = [reader.deserialize(data, c.msgtype).tick for c, _, data in reader.messages(connections)]
        assert ticks == list(range(0, 1000, 2))


def test_metadata_says_what_is_in_the_files(tmp_path):
    with Reader(a_bag(tmp_path / "robot")) as reader:
        assert reader.message_count == 1001 and reader.duration == 998 * NS + 1
        assert {name: t.msgcount for name, t in reader.topics.items()} == {
            "/lowstate": 500,
            "/lowcmd": 500,
            "/policy/tick": 1,
        }


def test_a_tick_reads_as_it_was_written():
    record = tick()
    found = PolicyTick.from_cdr(record.to_cdr())
    for name in PolicyTick.__dataclass_fields__:
        assert np.array_equal(getattr(found, name), getattr(record, name)), name


@pytest.mark.parametrize("cut", [1, 4, 40, 240, 250])
def test_bytes_that_are_no_tick_are_refused(cut):
    data = tick().to_cdr()
    for wrong in (data[:-cut], data + bytes(cut)):
        with pytest.raises(RuntimeError, match="expected a record"):
            PolicyTick.from_cdr(wrong)


def test_ticks_that_a_recorder_cannot_take_at_once_come_later_in_order():
    taken: list[int] = []
    answer = Delivery.TAKEN

    def send(data: bytes) -> Delivery:
        if answer is Delivery.TAKEN:
            taken.append(PolicyTick.from_cdr(data).number)
        return answer

    sender = TickSender(send)
    sender(tick(1))
    answer = Delivery.FULL
    for number in range(2, 100):
        sender(tick(number))
    answer = Delivery.TAKEN
    sender(tick(100))
    assert taken == list(range(1, 101))
    answer = Delivery.REFUSED  # nobody records
    sender(tick(101))
    answer = Delivery.FULL
    for number in range(102, 102 + 2 * TickSender.LIMIT):
        sender(tick(number))
    answer = Delivery.TAKEN
    sender(tick(2000))
    assert taken[100:] == [*range(103 + TickSender.LIMIT, 102 + 2 * TickSender.LIMIT), 2000]


@pytest.mark.parametrize("kind", [JointState, Odometry, DiagnosticArray, Twist])
def test_ros_definitions_are_those_of_the_messages(kind, tmp_path):
    """rosbags carries the definitions of ROS 2 itself: what it reads with ours has to be what ROS wrote."""
    from rclpy.serialization import serialize_message

    message = kind()
    if kind is JointState:
        message.name, message.position = ["a", "b"], [1.0, 2.0]
    elif kind is Odometry:
        message.child_frame_id, message.twist.twist.linear.y, message.pose.covariance[7] = "base_link", 0.5, 2.5
    elif kind is DiagnosticArray:
        message.status = [DiagnosticStatus(level=b"\x02", name="guard", values=[KeyValue(key="mode", value="policy")])]
    else:
        message.angular.z = -0.25
    channel = ros("/x", kind)
    file = BagFile(tmp_path / "x.mcap", [channel])
    file.write("/x", bag_rig.START, serialize_message(message))
    file.close()
    with (tmp_path / "x.mcap").open("rb") as stream:
        _, _, _, found = next(make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages())
    if kind is JointState:
        assert found.name == ["a", "b"] and list(found.position) == [1.0, 2.0]
    elif kind is Odometry:
        assert found.child_frame_id == "base_link" and found.twist.twist.linear.y == 0.5
        assert found.pose.covariance[7] == 2.5
    elif kind is DiagnosticArray:
        assert found.status[0].level == 2 and found.status[0].values[0].value == "policy"
    else:
        assert found.angular.z == -0.25


KILLED = """
import sys, time
from pathlib import Path
from dbp_bringup.bags.bag_writer import BagWriter
from dbp_bringup.bags.definitions import LOWSTATE
bag = BagWriter(Path(sys.argv[1]), [LOWSTATE])
for number in range(10**9):
    bag.add(LOWSTATE.topic, time.time_ns(), number.to_bytes(4, "little") + bytes(1176))
    print(number, time.time_ns(), flush=True)
    time.sleep(0.002)
"""


def test_a_killed_writer_loses_its_last_second_at_most(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "bag")], stdout=subprocess.PIPE, text=True)
    said = []
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        said.append(writer.stdout.readline().split())
    os.kill(writer.pid, signal.SIGKILL)
    said += [line.split() for line in writer.communicate()[0].splitlines() if line.count(" ") == 1]
    recording = Recording(tmp_path / "bag")
    numbers = [int.from_bytes(m.data[:4], "little") for m in recording.messages()]
    assert recording.cut and numbers == list(range(len(numbers))) and len(numbers) > 100
    lost = int(said[-1][1]) - int(said[numbers[-1]][1])
    assert lost < 1e9, f"{lost / 1e9:.2f} s"


def test_files_of_bounded_size_hold_every_message_once(tmp_path):
    bag = BagWriter(tmp_path / "bag", [LOWSTATE], Limits(file_bytes=100_000))
    rng = np.random.default_rng(0)
    for number in range(1200):
        bag.add(LOWSTATE.topic, bag_rig.START + number, number.to_bytes(4, "little") + rng.bytes(1176))
        time.sleep(0.002)
    bag.close()
    recording = Recording(tmp_path / "bag")
    assert len(recording.files) > 1
    assert [int.from_bytes(m.data[:4], "little") for m in recording.messages()] == list(range(1200))
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == 1200


def test_a_full_disk_is_a_warning_and_counted(tmp_path, capfd):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    bag = BagWriter(tmp_path / "bag", [LOWSTATE], Limits(free_bytes=free + (1 << 40)))
    for number in range(500):
        bag.add(LOWSTATE.topic, number, bytes(1180))
    bag.close()
    assert bag.dropped == 500 and bag.counts == {LOWSTATE.topic: 0}
    assert capfd.readouterr().err.count("not recording") == 1


def test_a_disk_that_fills_up_leaves_a_readable_file(tmp_path, monkeypatch, capfd):
    bag = BagWriter(tmp_path / "bag", [LOWSTATE])
    for number in range(100):
        bag.add(LOWSTATE.topic, bag_rig.START + number, bytes(1180))
    while not (tmp_path / "bag/bag_0.mcap").exists() or (tmp_path / "bag/bag_0.mcap").stat().st_size < 1000:
        time.sleep(0.05)  # flushed

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BagFile, "flush", full)
    for number in range(100):
        bag.add(LOWSTATE.topic, bag_rig.START + number, bytes(1180))
    while "No space left" not in capfd.readouterr().err:
        bag.add(LOWSTATE.topic, bag_rig.START, bytes(1180))
        time.sleep(0.05)
    bag.close()
    whole = list(Recording(tmp_path / "bag").messages())
    assert bag.counts[LOWSTATE.topic] == 100 <= len(whole) and bag.dropped >= 100


def test_what_the_queue_cannot_hold_is_dropped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(BagFile, "write", lambda *_: time.sleep(0.01))
    bag = BagWriter(tmp_path / "bag", [LOWSTATE], Limits(waiting=10))
    for number in range(1000):
        bag.add(LOWSTATE.topic, number, b"")
    assert bag.dropped > 900  # the disk takes ten seconds for them: the caller did not wait
    bag.close()


def test_files_are_read_in_the_order_they_were_written(tmp_path):
    for number in (0, 2, 10):
        message = Recorded(LOWSTATE.topic, bag_rig.START + number, bytes([number]), 0)
        bag_rig.write(tmp_path / f"robot_{number}.mcap", [message], [LOWSTATE])
    assert [m.data[0] for m in bag_rig.read(tmp_path)] == [0, 2, 10]
