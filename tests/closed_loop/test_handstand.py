"""The shipped handstand on the MuJoCo robot, through the wire and the guard."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.lockstep import Lockstep
from dbp_bringup.validation.battery import battery
from dbp_bringup.validation.trial import run_trial
from dbp_bringup.validation.verdict import shortfalls
from dbp_policy import go2
from dbp_policy.guard.guard import Guard
from dbp_policy.onnx_policy import load_runner
from dbp_policy.paths import models_dir
from dbp_policy.types import Mode, Request


@pytest.fixture(scope="module")
def runner():
    return load_runner(models_dir() / "go2_handstand.onnx")


@pytest.mark.parametrize("scenario", [s for s in battery("front_legs") if s.nominal], ids=lambda s: s.name)
def test_it_goes_up_balances_turns_and_comes_down(runner, scenario):
    assert shortfalls(run_trial(runner, scenario)) == []


@pytest.mark.parametrize("forward", [0.0, 0.2, 0.4])
def test_from_a_walk_it_goes_up_at_once(runner, forward):
    """Asked up in the moment in which it is granted, while the robot still comes to a stand from walking."""
    stack = Lockstep(load_runner(models_dir() / "go2_walk.onnx"), estimate=False)
    stack.guard = Guard(nose_down=go2.POSTURES["front_legs"])
    assert stack.stand_up() and stack.start()
    stack.command = np.array([forward, 0.0, 0.0])
    stack.run(2.0)
    stack.tick(Request.STAND_UP)
    runner.reset()
    stack.policy.use(runner)
    stack.command = np.array([1.0, 0.0, 0.0])
    stack.run(0.1)
    assert stack.tick(Request.START).status.mode == Mode.POLICY
    stack.run(2.5)
    assert stack.truth.up_z < 0.4, "on its front legs"
    stack.command = np.zeros(3)
    stack.run(2.0)
    assert stack.output.status.faults == () and stack.truth.up_z > 0.95
