"""onnxruntime adapter: loads a self-describing policy, refuses what does not fit, runs it on one thread."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime

from dbp_policy.contract import METADATA_KEY, Contract
from dbp_policy.errors import DbpError
from dbp_policy.runner import Runner, check_golden

_WARM_UP_RUNS = 100


class OnnxNetwork:
    """A network in an ONNX file: input `obs` (1, n), if recurrent `hidden` (1, h); outputs `action`, `hidden_out`.

    Raises:
        DbpError: The file is missing, no ONNX model, or its inputs and outputs are not these.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DbpError(f"policy {path}: expected an ONNX file, found none")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        model = path.read_bytes()
        self.sha256 = hashlib.sha256(model).digest()
        try:
            self._session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class per failure, without a common base but Exception
            reason = str(error).splitlines()[0]
            found = f"found a file that does not load ({reason})"
            raise DbpError(f"policy {path}: expected a valid ONNX model, {found}") from None
        self.metadata = self._session.get_modelmeta().custom_metadata_map
        self.inputs = {i.name: i.shape for i in self._session.get_inputs()}
        self.outputs = {o.name: o.shape for o in self._session.get_outputs()}
        self._recurrent = "hidden" in self.inputs

    def __call__(self, observation: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._recurrent:
            action, hidden_out = self._session.run(
                ["action", "hidden_out"], {"obs": observation[None], "hidden": hidden[None]}
            )
            return action[0], hidden_out[0]
        (action,) = self._session.run(["action"], {"obs": observation[None]})
        return action[0], hidden


def load_runner(path: str | Path) -> Runner:
    """Loads a policy file and proves that it does here what it did where it was exported.

    Raises:
        DbpError: In one line, what about the file was expected and what was found.
    """
    path = Path(path)
    network = OnnxNetwork(path)
    if METADATA_KEY not in network.metadata:
        raise DbpError(
            f"policy {path}: expected a contract under the metadata key {METADATA_KEY!r}, "
            f"found {sorted(network.metadata) or 'no metadata'}"
        )
    try:
        contract = Contract.from_json(network.metadata[METADATA_KEY])
        _check_shapes(network, contract)
        runner = Runner(network, contract)
        check_golden(runner)
    except DbpError as error:
        raise DbpError(f"policy {path}: {error}") from None
    for _ in range(_WARM_UP_RUNS):
        network(np.zeros(contract.observation_size, np.float32), np.zeros(contract.hidden_size, np.float32))
    return runner


def _check_shapes(network: OnnxNetwork, contract: Contract) -> None:
    inputs = {"obs": [1, contract.observation_size]}
    outputs = {"action": [1, 12]}
    if contract.hidden_size:
        inputs["hidden"] = outputs["hidden_out"] = [1, contract.hidden_size]
    for kind, expected, found in (("inputs", inputs, network.inputs), ("outputs", outputs, network.outputs)):
        if expected != found:
            raise DbpError(f"expected the {kind} {expected}, found {found}")
