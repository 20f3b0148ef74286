"""Policy files: what fits runs, all else is refused in one line before anything moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dbp_policy import go2
from dbp_policy.contract import METADATA_KEY
from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import OnnxNetwork, load_runner
from dbp_policy.types import RobotState

FRONT_AND_REAR_SWAPPED = go2.JOINT_NAMES[6:] + go2.JOINT_NAMES[:6]


def contract_of(path: Path) -> dict:
    return json.loads(OnnxNetwork(path).metadata[METADATA_KEY])


def altered(path: Path, target: Path, **fields) -> Path:
    """The same policy with some fields of its contract overwritten."""
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(contract_of(path) | fields)})
    onnx.save(model, target)
    return target


def refusal(path: Path) -> str:
    with pytest.raises(DbpError) as error:
        load_runner(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def policy(make_policy) -> Path:
    return make_policy(gain=1.0)


def test_a_good_policy_loads_and_runs(policy):
    target = load_runner(policy).step(RobotState(q_sdk=go2.STAND_Q), np.zeros(3), np.zeros(3), 1.5)
    assert target.stamp == 1.5 and target.q_sdk.shape == (12,) and np.isfinite(target.q_sdk).all()


def test_no_file(tmp_path):
    assert "expected an ONNX file, found none" in refusal(tmp_path / "missing.onnx")
    assert "expected an ONNX file, found none" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_no_model(tmp_path, content):
    path = tmp_path / "corrupt.onnx"
    path.write_bytes(content)
    assert "expected a" in refusal(path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
def test_a_truncated_file(policy, tmp_path, share):
    path = tmp_path / "cut.onnx"
    data = policy.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "expected" in refusal(path)


def test_no_contract(policy, tmp_path):
    model, path = onnx.load(policy), tmp_path / "bare.onnx"
    del model.metadata_props[:]
    onnx.save(model, path)
    assert "expected a contract under the metadata key 'dbp_contract', found no metadata" in refusal(path)
    helper.set_model_props(model, {"author": "x"})
    onnx.save(model, path)
    assert "found ['author']" in refusal(path)


def test_another_joint_order_is_caught_by_the_golden_vectors(policy, tmp_path):
    message = refusal(altered(policy, tmp_path / "x.onnx", joint_names=list(FRONT_AND_REAR_SWAPPED)))
    assert "golden vectors: expected" in message and "found" in message and "RR_hip_joint, RR_thigh_joint" in message


@pytest.mark.parametrize(
    "fields",
    [
        {"action_scale": [0.4] * 12},
        {"default_q": (go2.STAND_Q + 0.01).tolist()},
        {"gait_hz": 3.0},
        {"command_max": [0.1, 0.1, 0.1]},
    ],
)
def test_any_other_number_than_at_export_is_caught_too(policy, tmp_path, fields):
    assert "golden vectors: expected" in refusal(altered(policy, tmp_path / "x.onnx", **fields))


def test_other_weights_are_caught(policy, tmp_path):
    model, path = onnx.load(policy), tmp_path / "weights.onnx"
    weights = np.frombuffer(model.graph.initializer[0].raw_data, np.float32) * np.float32(1.01)
    model.graph.initializer[0].raw_data = weights.tobytes()
    onnx.save(model, path)
    assert "golden vectors: expected" in refusal(path)


@pytest.mark.parametrize("golden", [{}, {"q_sdk": [[0.0] * 12]}, {"q_sdk": []}, {"q_sdk": [[0.0] * 11]}])
def test_golden_vectors_have_to_be_there(policy, tmp_path, golden):
    assert "golden vectors: expected" in refusal(altered(policy, tmp_path / "x.onnx", golden=golden))


def test_golden_targets_have_to_be_as_many(policy, tmp_path):
    golden = contract_of(policy)["golden"]
    golden["target_q_sdk"] = golden["target_q_sdk"][:-1]
    assert "expected targets of shape (6, 12), got (5, 12)" in refusal(
        altered(policy, tmp_path / "x.onnx", golden=golden)
    )


def test_inputs_have_to_be_those_of_the_contract(policy, tmp_path):
    shorter = contract_of(policy)["observation"][:-1]
    message = refusal(altered(policy, tmp_path / "x.onnx", observation=shorter))
    assert "expected the inputs {'obs': [1, 45]}, found {'obs': [1, 47]}" in message
    message = refusal(altered(policy, tmp_path / "y.onnx", hidden_size=4))
    assert "'hidden': [1, 4]" in message


def test_a_recurrent_policy_remembers_until_it_is_reset(make_policy):
    runner = load_runner(make_policy(gain=1.0, hidden_size=4, gait_hz=0.0))
    still = RobotState(q_sdk=go2.STAND_Q)

    def targets() -> np.ndarray:
        return np.array([runner.step(still, np.zeros(3), np.zeros(3), 0.0).q_sdk for _ in range(3)])

    runner.reset()
    first, second = targets(), targets()
    runner.reset()
    assert not np.allclose(first, second) and np.array_equal(first, targets())
