"""The recorders beside the real processes: complete, readable by others, replayable, and nothing depends on them."""

import time

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from running_stack import RunningStack, repeat_if_stalled

from dbp_bringup.bags import replay
from dbp_bringup.bags.definitions import LOWSTATE
from dbp_bringup.bags.reading import Recording
from dbp_policy.unitree import wire

FORWARD = np.array([0.4, 0.0, 0.0])


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Where a stack that is started now records."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recordings"


def newest(recordings):
    return max(recordings.iterdir())


def lowstate_ticks(payloads):
    return np.array([wire.decode_lowstate(data, 0.0).tick_ms for data in payloads])


@repeat_if_stalled
def test_a_recorded_walk_is_complete_opens_with_mcap_and_rosbags_and_replays_without_a_difference(recordings):
    with RunningStack(record="true") as stack:
        stack.walk()
        stack.session.walk(FORWARD, 4.0)
        stack.session.demand("sit_down", "damping")
        stack.supervisor.stop()
    folder = newest(recordings)
    (file,) = (folder / "robot").glob("*.mcap")
    with file.open("rb") as stream:
        found = [m.data for _, _, m in make_reader(stream).iter_messages(topics=["/lowstate"])]
    ticks = lowstate_ticks(found)
    assert len(ticks) > 3000 and (np.diff(ticks) == 2).all(), "500 Hz without a gap"
    with AnyReader([folder / "robot", folder / "ros"]) as reader:
        counts = {name: topic.msgcount for name, topic in reader.topics.items()}
        modes = [
            reader.deserialize(data, c.msgtype).data
            for c, _, data in reader.messages([c for c in reader.connections if c.topic == "/mode"])
        ]
        odometry = [c for c in reader.connections if c.topic == "/odom"]
        x = [reader.deserialize(data, c.msgtype).pose.pose.position.x for c, _, data in reader.messages(odometry)]
    assert counts["/lowstate"] == len(ticks) and counts["/lowcmd"] > 3000 and counts["/policy/tick"] > 300
    streams = ("/joint_states", "/imu/data", "/odom", "/cmd_vel", "/command", "/diagnostics")
    assert min(counts[name] for name in streams) > 10
    assert counts["/source"] >= 2, "nobody, then autonomy"
    assert "standing" in modes[: modes.index("policy")] and "damping" in modes[modes.index("policy") :]
    assert max(x) - min(x) > 0.8, "it walked"
    assert replay.run(replay.Args(folder, json=folder / "replay.json")) == 0


@repeat_if_stalled
def test_a_recorder_that_is_killed_leaves_its_file_readable_and_the_robot_walking(recordings):
    with RunningStack(record="true") as stack:
        stack.walk()
        stack.session.walk(FORWARD, 3.0)
        killed = time.time_ns()
        stack.kill("wire_recorder")
        stack.kill("ros_recorder")
        stack.session.walk(FORWARD, 1.0)
        stack.supervisor.check()
        assert stack.session.mode == "policy" and not stack.session.diagnostics["faults"]
        stack.session.demand("sit_down", "damping")
        stack.supervisor.stop()
    recording = Recording(newest(recordings))
    messages = list(recording.messages())
    assert recording.cut and killed - messages[-1].stamp < 1e9
    ticks = lowstate_ticks(m.data for m in messages if m.topic == LOWSTATE.topic)
    assert len(ticks) > 1500 and (np.diff(ticks) == 2).all()
