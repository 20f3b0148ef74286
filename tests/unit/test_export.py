"""An exported policy is the trained actor, carries its contract, and is proven before it appears."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import onnxruntime
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner
from dbp_policy.types import RobotState
from dbp_training.algorithms import dmo, imagined
from dbp_training.export import card, export, export_actor, golden_inputs, make_contract
from dbp_training.networks import Actor
from dbp_training.run_folder import RunConfig, RunFolder
from dbp_training.tasks.go2_handstand import Go2Handstand
from dbp_training.tasks.go2_robot import full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig

torch.set_num_threads(1)
CONFIG = RunConfig(
    task="go2_walk",
    algorithm=dmo("go2_walk"),
    task_config=Go2WalkConfig(randomisation=full_randomisation()),
    seed=7,
    threads=1,
    minutes=None,
    steps=1000,
    git_hash="abc",
)


@pytest.fixture(scope="module")
def actor() -> Actor:
    torch.manual_seed(0)
    actor = Actor(Go2Walk().observation_size, Go2Walk.action_size, (256, 128, 64))
    actor.normaliser.update(torch.randn(500, Go2Walk().observation_size) * 2.0 + 0.3)
    with torch.no_grad():
        actor.mlp[-1].weight.mul_(10.0)
    return actor.eval()


@pytest.fixture(scope="module")
def exported(actor, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "policy.onnx"
    export_actor(actor, make_contract(CONFIG, {"survival": 1.0}), path)
    return path


def test_the_file_computes_what_the_actor_computes(actor, exported):
    session = onnxruntime.InferenceSession(exported.read_bytes(), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        observation = 3.0 * torch.randn(1, Go2Walk().observation_size, generator=generator)
        (action,) = session.run(["action"], {"obs": observation.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(action, actor(observation).numpy(), atol=1e-5)


def test_the_file_is_one_small_file(exported):
    assert [p.name for p in exported.parent.iterdir()] == [exported.name]
    assert exported.stat().st_size < 1_000_000


def test_the_runtime_loads_it_and_finds_the_whole_contract(exported):
    contract = load_runner(exported).contract
    expected = make_contract(CONFIG, {"survival": 1.0})
    for name in set(expected.__dataclass_fields__) - {"golden", "provenance"}:
        assert getattr(contract, name) == getattr(expected, name), name
    assert len(contract.golden["q_sdk"]) == 16
    assert RunConfig.from_dict(contract.provenance["config"]) == CONFIG
    assert contract.provenance["evaluation"] == {"survival": 1.0}


def test_the_runner_on_the_robot_does_what_the_actor_does_in_training(actor, exported):
    runner, task = load_runner(exported), Go2Walk(replace(CONFIG.task_config, within_reach=True))
    memory = task.new_memory(1, np.random.default_rng(0))
    memory = replace(memory, command=torch.zeros(1, 3), phase=torch.zeros(1, 1))
    inputs = {name: np.array(values) for name, values in golden_inputs(seed=3).items()}
    inputs["q_sdk"][5:8] += 0.7  # so far off that the motors do not reach what is wanted
    gravity = np.array([[-2.0 * (x * z - w * y), -2.0 * (y * z + w * x), 2.0 * (x * x + y * y) - 1.0]
                        for w, x, y, z in inputs["quat_wxyz"]])  # fmt: skip
    shortened = 0
    for k in range(16):
        gyro, q, dq = (inputs[name][k] for name in ("gyro_body", "q_sdk", "dq_sdk"))
        parts = (inputs["velocity_body"][k], gyro, gravity[k], q, dq, [0.3])
        state = torch.tensor(np.concatenate(parts), dtype=torch.float32)[None]
        command = torch.tensor(inputs["command"][k : k + 1], dtype=torch.float32)
        memory = replace(memory, command=command)
        with torch.no_grad():
            action = actor(task.observe(state, memory))
        robot = RobotState(**{n: inputs[n][k] for n in ("q_sdk", "dq_sdk", "quat_wxyz", "gyro_body")})
        target = runner.answer(robot, inputs["command"][k], np.zeros(3), 0.0)
        wanted = task.controls(state, memory, action, np.zeros(1, dtype=int))[0, 0]
        np.testing.assert_allclose(target.q_sdk, wanted, atol=1e-5)
        asked = Go2Walk().controls(state, memory, action, np.zeros(1, dtype=int))[0, 0]
        shortened += np.count_nonzero(np.abs(asked - wanted) > 0.01)
        memory = task.advance(memory, action, np.random.default_rng(0))
    assert shortened > 0, "what the motors do not reach was asked for, too"


def test_a_handstands_contract_has_its_own_zero_pose_and_commands(tmp_path):
    task = Go2Handstand()
    config = replace(CONFIG, task=task.name, algorithm=dmo(task.name), task_config=task.config)
    contract = make_contract(config, {})
    assert contract.default_q == tuple(task.default_q) and contract.default_q[1] == 0.1
    assert (contract.command_min, contract.command_max) == ((0.0, 0.0, -0.3), (1.0, 0.0, 0.3))
    assert (contract.gait_hz, contract.kp[0], contract.kd[0], contract.action_scale[0]) == (2.5, 30.0, 0.8, 1.0)
    actor = Actor(task.observation_size, 12, (16,), switch=task.switch).eval()
    export_actor(actor, contract, tmp_path / "policy.onnx")
    assert load_runner(tmp_path / "policy.onnx").contract.observation == task.observation_terms
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    for stick in (0.0, 0.29, 0.3, 1.0):  # on both sides of where the other of its two networks acts
        observation = torch.randn(1, task.observation_size)
        observation[0, task.switch.index] = stick
        (action,) = session.run(["action"], {"obs": observation.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(action, actor(observation).numpy(), atol=1e-5)
    text = card(config, {}, "policy.onnx")
    assert "front legs" in text and "./dbp train go2_handstand" in text and "last_action" in text


def test_a_failed_export_leaves_the_file_before_it(actor, exported, tmp_path):
    path = tmp_path / "policy.onnx"
    path.write_bytes(b"before")
    broken = Actor(Go2Walk().observation_size, Go2Walk.action_size, (16,))
    with torch.no_grad():
        broken.mlp[0].weight.fill_(float("nan"))
    with pytest.raises(DbpError, match="expected 12 finite numbers"):
        export_actor(broken, make_contract(CONFIG, {}), path)
    assert path.read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


def test_the_card_of_a_run_that_began_with_another_makes_that_one_first():
    first = replace(CONFIG, task_config=Go2WalkConfig(), steps=500, algorithm=imagined("go2_walk"))
    loop = replace(first.algorithm.first_order, segment=16, lr=3e-4)
    first = replace(first, evaluations=9, until_goal=True)
    second = replace(CONFIG, algorithm=replace(imagined("go2_walk", True), first_order=loop), began_with=first)
    lines = card(second, {}, "go2_walk.onnx").splitlines()
    again = [line for line in lines if line.startswith("./dbp train")]
    assert again == [
        "./dbp train go2_walk --seed 7 --steps 500 --evaluations 9 --until-goal --randomise none"
        " --algorithm imagined --out runs/again-first",
        "./dbp train go2_walk --seed 7 --steps 1000 --randomise full --algorithm imagined --lr 0.0003 --segment 16"
        " --begin-with runs/again-first --out runs/again",
    ]
    assert RunConfig.from_dict(json.loads(json.dumps(asdict(second)))) == second


def test_the_card_says_how_to_make_it_again():
    text = card(CONFIG, {"planar_velocity_error": 0.05}, "go2_walk.onnx")
    assert "./dbp train go2_walk --seed 7 --steps 1000 --randomise full" in text
    assert "| planar_velocity_error | 0.05 |" in text


def test_a_folder_that_is_no_run_or_a_wrong_name_is_refused(tmp_path):
    with pytest.raises(DbpError, match="found no config.json"):
        export(tmp_path, tmp_path / "a.onnx")
    with pytest.raises(DbpError, match="ends in .onnx"):
        export(tmp_path, tmp_path / "a.pt")
    folder = RunFolder(tmp_path / "run")
    folder.create(CONFIG)
    with pytest.raises(DbpError, match="expected a checkpoint.pt, found none"):
        export(folder.path, tmp_path / "a.onnx")
    folder.save_checkpoint({"actor": {}})
    with pytest.raises(DbpError, match="expected a checkpoint of this version"):
        export(folder.path, tmp_path / "a.onnx")
    folder.checkpoint_path.write_bytes(b"no checkpoint")
    with pytest.raises(DbpError, match="expected a checkpoint that loads"):
        export(folder.path, tmp_path / "a.onnx")


def test_a_configuration_survives_its_file(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create(CONFIG)
    assert folder.read_config() == CONFIG
    with pytest.raises(DbpError, match="found one"):
        folder.create(CONFIG)
    text = json.loads((tmp_path / "config.json").read_text()) | {"surprise": 1}
    (tmp_path / "config.json").write_text(json.dumps(text))
    with pytest.raises(DbpError, match="expected a configuration of this version"):
        folder.read_config()
