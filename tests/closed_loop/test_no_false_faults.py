"""What happens to a robot that walks is no fault: pushed, loaded, slippery, delayed, with noise in its sensors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbp_bringup.validation.battery import COMMANDS, Scenario, battery
from dbp_bringup.validation.trial import run_trial
from dbp_policy.onnx_policy import load_runner

FAST = Scenario("command", "as fast as it goes", ((0.6, 0.0, 0.0),), walk_seconds=4.0)
ODD = Scenario(
    "combined",
    "slippery, loaded, noise, pushed",
    (COMMANDS["arc"],),
    walk_seconds=5.0,
    friction=0.4,
    payload_kg=2.0,
    noise=1.0,
    push=(0.3, 0.3),
)
OF_THE_BATTERY = (
    "push: 0.5 m/s to the left, forward",
    "friction: 0.4 turn left",
    "payload: 4 kg forward",
    "noise: changes",
)


@pytest.fixture(scope="module")
def runner(walk_policy_path):
    return load_runner(walk_policy_path)


@pytest.mark.parametrize("scenario", [FAST, replace(FAST, noise=1.0, push=(-0.4, 0.2)), ODD], ids=lambda s: s.key)
def test_hard_walks_raise_no_fault(runner, scenario):
    outcome = run_trial(runner, scenario)
    assert (outcome.fell, outcome.faults) == (False, ())


@pytest.mark.parametrize("key", OF_THE_BATTERY)
def test_the_batterys_walks_raise_no_fault(runner, key):
    (scenario,) = (s for s in battery("four_legs") if s.key == key)
    outcome = run_trial(runner, replace(scenario, walk_seconds=5.0))
    assert (outcome.fell, outcome.faults) == (False, ())
