"""A policy file that does not fit ends in one line and a non-zero exit, and no motor command is ever sent."""

import json
import subprocess

import onnx
import pytest
from running_stack import RunningStack, repeat_if_stalled

from dbp_bringup.stack import Process
from dbp_bringup.supervisor import command_line
from dbp_policy import go2
from dbp_policy.contract import METADATA_KEY


def corrupt(model, path):
    path.write_bytes(model.SerializeToString()[: -len(model.SerializeToString()) // 3])


def permuted(model, path):
    """The joint names of the left and right legs swapped, and nothing else."""
    entry = next(p for p in model.metadata_props if p.key == METADATA_KEY)
    contract = json.loads(entry.value)
    contract["joint_names"] = [name[0] + ("L" if name[1] == "R" else "R") + name[2:] for name in go2.JOINT_NAMES]
    entry.value = json.dumps(contract)
    onnx.save(model, path)


def without_contract(model, path):
    del model.metadata_props[:]
    onnx.save(model, path)


def upended(model, path):
    """A handstand, that nobody has allowed."""
    entry = next(p for p in model.metadata_props if p.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"posture": "front_legs"})
    onnx.save(model, path)


BAD = {
    corrupt: ("expected a valid ONNX model", "found a file that does not load"),
    permuted: ("golden vectors: expected F", "found"),
    upended: ("expected a policy of posture four_legs, got one of front_legs", "has to be allowed"),
    without_contract: ("expected a contract", "found"),
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda f: f.__name__)
@repeat_if_stalled
def test_bad_policy_is_refused_in_one_line_and_nothing_moves(spoil, make_policy, tmp_path):
    path = tmp_path / "bad.onnx"
    spoil(onnx.load(make_policy(gain=0.3, seed=1)), path)

    node = Process("policy_node", "dbp_policy", "policy_node", parameters=(("policy", str(path)),), is_node=True)
    done = subprocess.run(command_line(node), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: policy")
    for words in BAD[spoil]:
        assert words in lines[0]

    with RunningStack(policy=str(path)) as stack:
        stack.session.spin(6.0)
        ended = stack.supervisor.ended()
        recorded = stack.recorded()
    assert ended.get("policy_node") == 2
    assert len(recorded.lowstate_t) > 500, "the robot was there"
    assert len(recorded.lowcmd_t) == 0
