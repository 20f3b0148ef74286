"""Policies made on the spot, so that tests need no trained one: small networks with a whole contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import Phase, settings
from onnx import TensorProto, helper, numpy_helper

from dbp_policy import go2
from dbp_policy.contract import GOLDEN_OUTPUT, METADATA_KEY, Contract
from dbp_policy.observation import term
from dbp_policy.onnx_policy import OnnxNetwork
from dbp_policy.runner import Runner, run_golden

# For tests/mutation: the same few examples for every mutant, and none in search of a smaller one.
settings.register_profile(
    "mutation", max_examples=10, derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
)

WALK_TERMS = (
    term("gyro_body"),
    term("gravity_body"),
    term("command"),
    term("joint_position"),
    term("joint_velocity", 0.05),
    term("last_action"),
    term("clock"),
)


def make_contract(**changes) -> Contract:
    """A contract that holds the standing pose at zero action."""
    fields = dict(
        joint_names=go2.JOINT_NAMES,
        default_q=tuple(go2.STAND_Q.tolist()),
        action_scale=(0.5,) * 12,
        kp=(25.0,) * 12,
        kd=(0.5,) * 12,
        rate_hz=50.0,
        observation=WALK_TERMS,
        command_min=(-0.6, -0.6, -1.0),
        command_max=(0.6, 0.6, 1.0),
        gait_hz=2.0,
    )
    return Contract(**{**fields, **changes})


def make_network(contract: Contract, gain: float, seed: int = 0) -> onnx.ModelProto:
    """action = tanh(W obs) with random W of this gain; with a recurrent state, hidden_out = tanh(hidden + W' obs)."""
    rng = np.random.default_rng(seed)
    n, h = contract.observation_size, contract.hidden_size
    inputs = [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, n])]
    outputs = [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, 12])]
    weights = {"W": gain * rng.standard_normal((n, 12)) / np.sqrt(n)}
    nodes = [helper.make_node("MatMul", ["obs", "W"], ["x"])]
    if h:
        inputs.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, h]))
        outputs.append(helper.make_tensor_value_info("hidden_out", TensorProto.FLOAT, [1, h]))
        weights["W_in"], weights["W_out"] = rng.standard_normal((n, h)) / np.sqrt(n), gain * np.ones((h, 12)) / h
        nodes += [
            helper.make_node("MatMul", ["obs", "W_in"], ["in"]),
            helper.make_node("Add", ["in", "hidden"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["hidden_out"]),
            helper.make_node("MatMul", ["hidden_out", "W_out"], ["from_hidden"]),
            helper.make_node("Add", ["x", "from_hidden"], ["y"]),
        ]
    nodes.append(helper.make_node("Tanh", ["y" if h else "x"], ["action"]))
    initializers = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def golden_inputs(steps: int = 6, seed: int = 1) -> dict[str, list]:
    """A plausible sequence around the standing pose."""
    rng = np.random.default_rng(seed)
    quat = np.array([1.0, 0.0, 0.0, 0.0]) + 0.05 * rng.standard_normal((steps, 4))
    return {
        "q_sdk": (go2.STAND_Q + 0.1 * rng.standard_normal((steps, 12))).tolist(),
        "dq_sdk": rng.standard_normal((steps, 12)).tolist(),
        "quat_wxyz": (quat / np.linalg.norm(quat, axis=1, keepdims=True)).tolist(),
        "gyro_body": (0.3 * rng.standard_normal((steps, 3))).tolist(),
        "command": (0.3 * rng.standard_normal((steps, 3))).tolist(),
        "velocity_body": (0.3 * rng.standard_normal((steps, 3))).tolist(),
    }


def save_policy(path: Path, model: onnx.ModelProto, metadata: str | None) -> Path:
    """Writes a model, with a contract's JSON if one is given."""
    if metadata is not None:
        helper.set_model_props(model, {METADATA_KEY: metadata})
    onnx.save(model, path)
    return path


def export_policy(path: Path, gain: float = 0.0, seed: int = 0, **changes) -> Path:
    """Writes a whole policy with golden vectors, as the exporter does."""
    contract = make_contract(**changes)
    model = make_network(contract, gain, seed)
    runner = Runner(OnnxNetwork(save_policy(path, model, None)), contract)
    golden = golden_inputs()
    golden[GOLDEN_OUTPUT] = run_golden(runner, golden).tolist()
    return save_policy(path, model, replace(contract, golden=golden).to_json())


@pytest.fixture(scope="session")
def make_policy(tmp_path_factory) -> Callable[..., Path]:
    """Makes a policy file: `make_policy(gain=..., seed=..., **contract_fields)`."""
    folder = tmp_path_factory.mktemp("policies")

    def make(**arguments) -> Path:
        return export_policy(folder / f"{len(list(folder.iterdir()))}.onnx", **arguments)

    return make


@pytest.fixture(scope="session")
def stub_policy_path(make_policy) -> Path:
    """A policy that holds the standing pose whatever it sees."""
    return make_policy()


@pytest.fixture(scope="session")
def untrained_policy_path(make_policy) -> Path:
    """A policy with random weights."""
    return make_policy(gain=3.0)


@pytest.fixture(scope="session")
def walk_policy_path() -> Path:
    """The trained policy that ships."""
    return Path(__file__).parents[1] / "models/go2_walk.onnx"
