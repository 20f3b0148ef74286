"""The shipped handstand on the MuJoCo robot, through the wire and the guard."""

from __future__ import annotations

import pytest

from dbp_bringup.validation.battery import battery
from dbp_bringup.validation.trial import run_trial
from dbp_bringup.validation.verdict import shortfalls
from dbp_policy.onnx_policy import load_runner
from dbp_policy.paths import models_dir


@pytest.fixture(scope="module")
def runner():
    return load_runner(models_dir() / "go2_handstand.onnx")


@pytest.mark.parametrize("scenario", [s for s in battery("front_legs") if s.nominal], ids=lambda s: s.name)
def test_it_goes_up_balances_turns_and_comes_down(runner, scenario):
    assert shortfalls(run_trial(runner, scenario)) == []
