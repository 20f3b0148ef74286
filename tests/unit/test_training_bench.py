"""`./dbp bench training`: that it measures what it says, not how fast this machine is."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from mujoco import batch

from dbp_policy.errors import DbpError
from dbp_training.bench import environment, training
from dbp_training.bench.stopwatch import Stopwatch
from dbp_training.env import Env
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig


class Worker:
    def outer(self) -> int:
        return self.inner() + self.inner()

    def inner(self) -> int:
        return 1


def test_spans_nest_as_the_calls_do_and_what_no_part_took_is_left_over():
    worker, clock = Worker(), itertools.count()
    watch = Stopwatch(now=lambda: float(next(clock)))
    watch.watch(worker, outer="all", inner="part")
    assert worker.outer() == 2
    span = watch.total.parts["all"]
    assert (span.seconds, span.calls, span.own) == (5.0, 1, 3.0)
    assert (span.parts["part"].seconds, span.parts["part"].calls) == (2.0, 2)
    assert list(watch.total.rows()) == [(0, "all", 5.0, 1), (1, "part", 2.0, 2), (1, "other", 3.0, 1)]
    assert span.as_dict()["other_s"] == 3.0


def test_a_span_is_counted_and_closed_though_its_block_fails():
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.span("a"):
        1 / 0  # noqa: B018
    with watch.span("b"):
        pass
    assert set(watch.total.parts) == {"a", "b"} and watch.total.parts["a"].calls == 1


def test_the_bare_simulator_does_the_same_physics_as_the_environments():
    env = Env(Go2Walk(Go2WalkConfig(episode_s=1e3)), 4, seed=0)
    begin, actions = env.state_dict(), [0.2 * torch.randn(4, 12) for _ in range(5)]
    inputs = environment._inputs(env, begin, actions)
    assert len(inputs) == 5
    bare = batch.Batch(env.sim.model, 4, 1)
    environment._run_bare(bare, inputs)
    np.testing.assert_array_equal(bare.state, env.sim.state_dict()["state"].numpy())


def test_a_short_bench_writes_all_figures(tmp_path, capsys):
    out = tmp_path / "training.json"
    options = ["--envs", "8", "--rounds", "2", "--windows", "2", "--threads", "1", "--task", "hopper"]
    assert training.main([*options, "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    beside, trained = result["environment"], result["training"]
    assert 0.0 < beside["least_share"] <= beside["share"] and beside["wanted_share"] == 0.85
    parts = beside["split"]["parts"]
    steps = parts["environment step"]["parts"]
    assert "reward" in parts and {"simulate", "read the state"} <= set(steps)
    assert trained["windows"] == 2 and {"preparation", "window"} <= set(trained["split"])
    assert "mujoco.batch alone" in capsys.readouterr().out


@pytest.mark.parametrize("bad", [["--rounds", "0"], ["--windows", "0"], ["--envs", "-1"]])
def test_a_bench_of_nothing_is_refused(bad):
    with pytest.raises(DbpError, match="expected at least one"):
        training.main(bad)
