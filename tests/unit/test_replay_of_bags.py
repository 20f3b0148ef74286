"""A recording replays without a difference; what was changed in it is found and named."""

from __future__ import annotations

import json
from dataclasses import replace

import bag_rig
import numpy as np
import pytest

from dbp_bringup.bags import replay
from dbp_bringup.bags.definitions import LOWCMD, LOWSTATE, POLICY_TICK, Channel
from dbp_bringup.bags.replaying import Replay
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.observation import term
from dbp_policy.onnx_policy import load_runner
from dbp_policy.policy_tick import PolicyTick
from dbp_policy.unitree import wire


@pytest.fixture(scope="module")
def walk(walk_policy_path):
    return bag_rig.walked(walk_policy_path)


def replayed(policy, messages) -> Replay:
    found = Replay(load_runner(policy))
    for message in messages:
        found.feed(message)
    found.finish()
    return found


def flipped(joint: int):
    def flip(payload: bytes) -> bytes:
        record = wire.LOWSTATE.to_record(payload).copy()
        for name in ("q", "dq", "tau_est"):
            record["motor_state"][name][joint] *= -1.0
        return wire.LOWSTATE.to_cdr(record)

    return flip


def test_an_untouched_recording_has_not_one_difference(walk, walk_policy_path):
    found = replayed(walk_policy_path, walk)
    ticks = sum(m.topic == POLICY_TICK.topic for m in walk)
    assert not found.differs and found.missing == found.lost == found.skipped == found.damaged == 0
    for comparison in (found.observation, found.velocity, found.position, found.target):
        assert comparison.compared == ticks and comparison.largest == 0.0, comparison.name
    assert found.lowcmd.compared > 500 and found.lowcmd.largest < 1e-6  # float32 on the wire
    assert found.signs.joints == []


@pytest.mark.parametrize("joint", [0, 4, 11])
def test_a_flipped_joint_is_named(walk, walk_policy_path, joint):
    found = replayed(walk_policy_path, bag_rig.changed(walk, LOWSTATE.topic, flipped(joint)))
    name = go2.JOINT_NAMES[joint]
    assert found.differs and found.signs.joints == [name]
    assert all(name in element for element in found.observation.first["elements"])


@pytest.mark.parametrize("joint", [0, 7])
def test_a_flipped_target_is_named(walk, walk_policy_path, joint):
    def flip(data: bytes) -> bytes:
        tick = PolicyTick.from_cdr(data)
        return replace(tick, target_q_sdk=np.where(np.arange(12) == joint, -1, 1) * tick.target_q_sdk).to_cdr()

    found = replayed(walk_policy_path, bag_rig.changed(walk, POLICY_TICK.topic, flip))
    assert set(found.target.counts) == {go2.JOINT_NAMES[joint]} and not found.observation.differing


def test_a_command_that_is_not_the_target_is_named(walk, walk_policy_path):
    def shift(payload: bytes) -> bytes:
        record = wire.LOWCMD.to_record(payload).copy()
        record["motor_cmd"]["q"][4] += 0.01
        return wire.LOWCMD.to_cdr(record)

    found = replayed(walk_policy_path, bag_rig.changed(walk, LOWCMD.topic, shift))
    assert set(found.lowcmd.counts) == {go2.JOINT_NAMES[4]} and found.lowcmd.differing == found.lowcmd.compared
    assert not found.target.differing


def test_a_policy_with_memory_and_the_estimate_replays_too(make_policy):
    terms = (term("gravity_body", history=3), term("joint_position"), term("velocity_body"), term("last_action"))
    policy = make_policy(gain=0.02, hidden_size=8, observation=terms)
    assert not replayed(policy, bag_rig.walked(policy, seconds=1.0)).differs


def test_a_recording_that_begins_in_the_middle_is_compared_from_the_next_episode(walk, walk_policy_path):
    found = replayed(walk_policy_path, walk[2000:])
    assert found.skipped > 0 and found.target.compared > 50 and found.velocity.compared == 0
    assert not found.differs


def test_a_recorder_that_did_not_run_for_a_while_stamps_late_and_that_is_no_difference(walk, walk_policy_path):
    late, stamp = [], 0
    for i, m in enumerate(walk):
        stamp = max(m.stamp, stamp if i % 700 else m.stamp + 300_000_000)
        late.append(replace(m, stamp=stamp))
    found = replayed(walk_policy_path, late)
    assert not found.differs and found.missing == 0 and found.lowcmd.compared > 500


def test_lowstates_missing_from_the_recording_are_counted(walk, walk_policy_path):
    ticks = [i for i, m in enumerate(walk) if m.topic == POLICY_TICK.topic]
    between = [i for i in range(ticks[80] + 1, ticks[81]) if walk[i].topic == LOWSTATE.topic]
    found = replayed(walk_policy_path, [m for i, m in enumerate(walk) if i not in between[:3]])
    assert found.missing == 3
    assert found.velocity.first["tick"] == 82 and not found.observation.differing


def test_a_lost_tick_is_counted_and_the_replay_goes_on_with_the_next_episode(walk, walk_policy_path):
    positions = [i for i, m in enumerate(walk) if m.topic == POLICY_TICK.topic]
    found = replayed(walk_policy_path, walk[: positions[20]] + walk[positions[20] + 1 :])
    assert found.lost == 1 and found.skipped > 0 and found.target.compared > 100
    assert not found.differs


def test_the_policy_of_another_hash_is_refused(walk, stub_policy_path):
    with pytest.raises(DbpError, match="expected the policy that was recorded"):
        replayed(stub_policy_path, walk)


def command(*arguments) -> int:
    return replay.run(replay.parse(replay.Args, "dbp replay", [str(a) for a in arguments]))


def test_the_command_finds_the_shipped_policy_and_writes_what_it_found(walk, tmp_path, capsys):
    file = bag_rig.write(tmp_path / "robot_0.mcap", walk)
    assert command(file, "--json", tmp_path / "out.json") == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["policy"] == "go2_walk.onnx" and not report["differs"] and report["target"]["differing"] == 0
    flip = bag_rig.write(tmp_path / "flipped.mcap", bag_rig.changed(walk, LOWSTATE.topic, flipped(4)))
    capsys.readouterr()
    assert command(flip) == 1
    assert "FL_thigh_joint has the opposite sign" in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_file_is_replayed_up_to_its_end(walk, tmp_path, capsys, share):
    file = bag_rig.write(tmp_path / "robot_0.mcap", walk)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    assert command(file) == 0
    assert "ends in the middle" in capsys.readouterr().err


def test_files_that_are_no_recording_are_refused_in_one_line(walk, tmp_path):
    text = tmp_path / "text.mcap"
    text.write_text("no bag at all")
    other = Channel("/lowstate", "unitree_hg/msg/LowState", "uint8 mode\n")
    humanoid = bag_rig.write(tmp_path / "g1.mcap", walk[:1], [other])
    no_policy = bag_rig.write(tmp_path / "robot.mcap", [m for m in walk if m.topic == LOWSTATE.topic])
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, reason in (
        (text, "expected an MCAP file"),
        (humanoid, "another robot's"),
        (no_policy, "no policy ran"),
        (empty, "expected a recording"),
        (tmp_path / "nowhere", "expected a recording"),
    ):
        with pytest.raises(DbpError, match=reason) as error:
            command(path)
        assert "\n" not in str(error.value)


def test_a_policy_that_does_not_ship_has_to_be_named(make_policy, tmp_path):
    policy = make_policy(gain=0.01, seed=3)
    file = bag_rig.write(tmp_path / "robot_0.mcap", bag_rig.walked(policy, seconds=0.2))
    with pytest.raises(DbpError, match="--policy"):
        command(file)
    assert command(file, "--policy", policy) == 0
