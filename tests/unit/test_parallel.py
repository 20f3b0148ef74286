"""One run in two processes by torchrun's variables: what they share, and that a stopped one goes on along its curve."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.networks import Normaliser
from dbp_training.run_folder import RunFolder
from dbp_training.train import train
from dbp_training.train_arguments import Train, new_config
from dbp_training.training import Training

TRAIN = """
import sys
from dataclasses import replace
from functools import partial
from dbp_training import train, train_arguments, training
from dbp_training.progress import Stop

def small(make, task, randomised):
    full = make(task, randomised)
    loop = replace(full.first_order, num_envs=8, horizon=8, hidden=(16,), measure_every=0)
    model = replace(full.dynamics, hidden=(16,), prefill=320, initial_updates=5, updates=2, batch=32)
    return replace(full, first_order=loop, dynamics=model)

for name, make in list(train_arguments.ALGORITHMS.items()):
    train_arguments.ALGORITHMS[name] = partial(small, make) if name == "dmo" else make
training._CHECKPOINT_S = 0.0
if sys.argv[1] == "interrupted":
    agree = train.parallel.agree
    count = iter(range(100))
    train.parallel.agree = lambda elapsed, stop: agree(elapsed, stop or next(count) >= 5)
sys.argv = ["train", *sys.argv[2:]]
sys.exit(train.main())
"""
SHARED = """
import torch
from dbp_training import parallel
from dbp_training.networks import Normaliser

parallel.join()
r = parallel.rank()
x = torch.arange(12.0).reshape(6, 2) ** 2
own = [x[:1], x[1:]][r]
mine, whole = Normaliser(2), Normaliser(2)
for _ in range(2):
    mine.update(own)
    parallel_size, parallel.size = parallel.size, lambda: 1
    whole.update(x)
    parallel.size = parallel_size
assert mine.count == whole.count == 12
torch.testing.assert_close(mine.mean, whole.mean)
torch.testing.assert_close(mine.var, whole.var)
a, b = torch.tensor([1.0 + r, 2.0]), torch.tensor([[10.0 * r]])
parallel.average([a, b])
assert a.tolist() == [1.5, 2.0] and b.tolist() == [[5.0]], (a, b)
assert parallel.agree(7.0 + r, r == 1) == (7.0, True) and parallel.agree(1.0, False) == (1.0, False)
assert parallel.gather({"rank": r}) == ([{"rank": 0}, {"rank": 1}] if r == 0 else None)
assert parallel.seed(3) != parallel.seed(4) and (parallel.seed(3) == 3) == (r == 0)
assert parallel.share("environments", 8) == 4
parallel.wait()
parallel.leave()
"""


def _together(*command: str) -> list[tuple[int, str]]:
    """Runs a command as two processes; exit code and output of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    common |= {"TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **common, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, out) for process, out in zip(started, outputs, strict=True)]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["policy"]


def test_alone_nothing_changes():
    gradient = torch.tensor([1.0, 2.0])
    parallel.average([gradient])
    assert gradient.tolist() == [1.0, 2.0] and parallel.seed(5) == 5 and parallel.share("x", 7) == 7
    assert parallel.agree(1.5, False) == (1.5, False) and parallel.gather(3) == [3]
    x, normaliser = torch.randn(10, 3), Normaliser(3)
    normaliser.update(x)
    np.testing.assert_allclose(normaliser.var, np.var(x.numpy(), 0), rtol=1e-5)


def test_a_number_that_does_not_divide_is_named(monkeypatch):
    monkeypatch.setattr(parallel, "size", lambda: 3)
    with pytest.raises(DbpError, match="environments: expected a multiple of the 3 processes, got 64"):
        parallel.share("environments", 64)


def test_gradients_and_moments_are_of_all_processes():
    (first, said), (second, also) = _together("-c", SHARED)
    assert (first, second) == (0, 0), said + also


def test_one_speaks_and_an_interrupted_run_goes_on_along_the_same_curve(tmp_path):
    def run(how: str, name: str, *options: str) -> list[tuple[int, str]]:
        return _together("-c", TRAIN, how, "point_mass", "--steps", "1000", "--out", str(tmp_path / name), *options)

    (first, said), (second, silence) = run("whole", "whole")
    assert (first, second) == (0, 0), said + silence
    assert "evaluation: " in said and silence == ""
    evaluation = json.loads((tmp_path / "whole/evaluation.json").read_text())
    assert 1000 <= evaluation["env_steps"] < 1000 + 8 * 8, "all environments of both count"
    (first, said), (second, silence) = run("interrupted", "parts")
    assert (first, second) == (130, 130) and "stopped and saved" in said, said + silence
    (first, said), (second, silence) = run("whole", "parts", "--resume")
    assert (first, second) == (0, 0), said + silence
    for name, value in _weights(tmp_path / "whole").items():
        assert torch.equal(value, _weights(tmp_path / "parts")[name]), name
    state = torch.load(tmp_path / "whole/checkpoint.pt", weights_only=True)
    (other,) = state["others"]
    for name, value in state["actor"].items():
        assert torch.equal(value, other["actor"][name]), "the networks stay equal"
    assert not torch.equal(state["env"]["sim"]["state"], other["env"]["sim"]["state"]), "the environments differ"
    with pytest.raises(DbpError, match="expected 2 processes as before, got 1"):
        train(Train("point_mass", out=tmp_path / "whole", steps=2000, resume=True))


def test_under_torchrun_what_is_wrong_is_said_in_one_line_by_each_process():
    command = [sys.executable, "-m", "dbp_training.torchrun", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*command, "-m", "dbp_training.train", "nonsense"], capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stdout) == (2, "")
    lines = run.stderr.splitlines()
    assert 1 <= len(lines) <= 2 and all(line.startswith("error: invalid choice 'nonsense'") for line in lines)


def test_a_baseline_runs_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "size", lambda: 2)
    for name in ("ppo", "sac"):
        config = new_config(Train("point_mass", algorithm=name, steps=10))
        with pytest.raises(DbpError, match=f"{name}: expected one process for a baseline, got 2"):
            Training(RunFolder(tmp_path), config)
