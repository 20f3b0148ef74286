"""`./dbp validate`: it tells a good policy from a bad one, and says what it measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dbp_bringup import validate
from dbp_bringup.validation.battery import COMMANDS, DOWN, Scenario, battery
from dbp_bringup.validation.trial import Outcome, run_trial
from dbp_bringup.validation.verdict import PLANAR_ERROR_MAX, margins, report, shortfalls, survived
from dbp_policy.errors import DbpError
from dbp_policy.onnx_policy import load_runner

FORWARD = Scenario("command", "forward", (COMMANDS["forward"],), walk_seconds=4.0)
GOOD = Outcome(
    scenario=FORWARD,
    walked=True,
    fell=False,
    faults=(),
    sat_down=True,
    survival=1.0,
    planar_velocity_error=0.03,
    as_asked=1.0,
    yaw_rate_error=0.02,
    tilt_max=0.1,
    torque_peak=0.5,
    speed_peak=0.5,
    joint_limit_margin=0.5,
    simulated_seconds=8.0,
    cpu_seconds=2.0,
)


# The battery ----------------------------------------------------------------------------------------------------------


def test_the_battery_varies_all_it_is_to_vary_and_names_are_unique():
    scenarios = battery("four_legs")
    assert 40 <= len(scenarios) <= 70 and len({s.key for s in scenarios}) == len(scenarios)
    assert {s.friction for s in scenarios} >= {0.4, 0.6, 0.8, 1.2}
    assert {s.payload_kg for s in scenarios} >= {0.0, 2.0, 4.0}
    assert {s.delay_ms for s in scenarios} >= {0, 5, 10, 15, 20}
    assert {s.push for s in scenarios} >= {(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)}
    assert {s.commands[0] for s in scenarios if s.nominal} >= set(COMMANDS.values())


def test_a_handstand_is_tried_going_up_turning_and_coming_down():
    scenarios = battery("front_legs")
    assert len({s.key for s in scenarios}) == len(scenarios) >= 20
    assert all(s.posture == "front_legs" and s.commands[0][0] == 1.0 and s.commands[-1] == DOWN for s in scenarios)
    assert {s.commands[0][2] for s in scenarios if s.nominal} == {-0.3, 0.0, 0.3}
    assert {s.group for s in scenarios} == {"command", "friction", "payload", "noise", "delay", "push"}


def test_only_pushes_and_added_delay_excuse_a_fall():
    for scenario in (*battery("four_legs"), *battery("front_legs")):
        assert scenario.required == (scenario.delay_ms == 0 and scenario.push == (0.0, 0.0))
        assert scenario.required or not scenario.nominal


# The verdict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"walked": False, "survival": 0.0}, "did not get to walk"),
        ({"fell": True, "survival": 0.25}, "fell after 1.0 s"),
        ({"faults": ("policy_reach",)}, "faults: policy_reach"),
        ({"sat_down": False}, "did not sit down"),
        ({"planar_velocity_error": 0.151}, "velocity error: expected at most 0.15 m/s, got 0.15"),
        ({"planar_velocity_error": float("nan")}, "velocity error: expected at most 0.15 m/s, got nan"),
        ({"as_asked": 0.89}, "posture: expected as asked for 90% of the time, got 89%"),
        ({"as_asked": float("nan")}, "posture: expected as asked for 90% of the time, got nan%"),
        ({"yaw_rate_error": 0.3}, "yaw rate error: expected at most 0.25 rad/s, got 0.30"),
    ],
)
def test_what_a_required_scenario_demands(changes, reason):
    assert shortfalls(GOOD) == []
    assert shortfalls(replace(GOOD, **changes)) == [reason]


def test_a_scenario_that_is_not_required_demands_nothing():
    pushed = replace(FORWARD, push=(0.5, 0.0))
    assert shortfalls(replace(GOOD, scenario=pushed, fell=True, faults=("tilt",))) == []


def test_velocity_is_not_demanded_on_slippery_ground_but_staying_up_is():
    slippery = replace(FORWARD, group="friction", friction=0.4)
    assert shortfalls(replace(GOOD, scenario=slippery, planar_velocity_error=0.4)) == []
    assert shortfalls(replace(GOOD, scenario=slippery, fell=True, survival=0.5)) == ["fell after 2.0 s"]


def test_a_margin_ends_before_the_first_level_that_was_not_survived():
    def delayed(ms: int, fell: bool = False) -> Outcome:
        return replace(GOOD, scenario=replace(FORWARD, group="delay", delay_ms=ms, level=ms), fell=fell)

    assert margins([delayed(20), delayed(5), delayed(10, True), delayed(10)])["delay"] == 5
    assert margins([delayed(5, True), delayed(10)])["delay"] is None
    assert margins([delayed(5), delayed(10)]) == {"delay": 10, "push": None, "payload": None}


def test_one_shortfall_fails_all_and_the_report_is_plain_json():
    bad = replace(GOOD, scenario=replace(FORWARD, name="x"), fell=True, yaw_rate_error=float("nan"))
    result = json.loads(json.dumps(report([GOOD, bad], wall_seconds=4.0, workers=2), allow_nan=False))
    assert not result["passed"] and report([GOOD], 4.0, 2)["passed"]
    summary = result["summary"]
    assert (summary["scenarios"], summary["falls"], summary["falls_required"], summary["survived"]) == (2, 1, 1, 1)
    assert summary["real_time_factor_per_core"] == pytest.approx(16.0 / 4.0)
    assert summary["real_time_factor"] == pytest.approx(16.0 / 4.0)
    assert result["scenarios"][1]["yaw_rate_error"] is None
    assert result["scenarios"][0]["conditions"]["friction"] == 0.8


# Real trials ----------------------------------------------------------------------------------------------------------


def test_the_shipped_policy_meets_what_required_scenarios_demand(walk_policy_path):
    runner = load_runner(walk_policy_path)
    for scenario in (FORWARD, replace(FORWARD, name="still", commands=(COMMANDS["still"],))):
        outcome = run_trial(runner, scenario)
        assert shortfalls(outcome) == []
        assert outcome.planar_velocity_error < PLANAR_ERROR_MAX / 2.0
        assert 0.0 < outcome.torque_peak < 1.0 and outcome.joint_limit_margin > 0.0


def test_a_policy_that_only_stands_does_not_pass_for_one_that_walks(stub_policy_path):
    runner = load_runner(stub_policy_path)
    assert survived(run_trial(runner, replace(FORWARD, commands=(COMMANDS["still"],))))
    (reason,) = shortfalls(run_trial(runner, FORWARD))
    assert reason.startswith("velocity error") and reason.endswith("got 0.50")


def test_a_robot_that_is_toppled_has_fallen_though_the_guard_stops_it_first(stub_policy_path):
    thrown = run_trial(load_runner(stub_policy_path), replace(FORWARD, push=(0.0, 4.0)))
    assert thrown.fell and "tilt" in thrown.faults and thrown.survival < 1.0 and not thrown.sat_down


def test_an_untrained_policy_fails(untrained_policy_path):
    outcome = run_trial(load_runner(untrained_policy_path), FORWARD)
    assert shortfalls(outcome) and not shortfalls(GOOD)


def test_the_command_writes_what_it_measured_and_says_whether_it_passed(stub_policy_path, tmp_path, monkeypatch):
    few = (
        replace(FORWARD, walk_seconds=2.0),
        replace(FORWARD, group="push", name="pushed", walk_seconds=2.0, push=(0.3, 0.0), level=0.3),
    )
    monkeypatch.setattr(validate, "battery", lambda posture: few)
    file = tmp_path / "out.json"
    console = Console(record=True, width=160)
    assert validate.validate(validate.Args(stub_policy_path, file, workers=2), console) is False
    result = json.loads(file.read_text())
    assert result["passed"] is False and len(result["sha256"]) == 64
    assert [s["name"] for s in result["scenarios"]] == ["forward", "pushed"]
    fields = {"fell", "faults", "survival", "planar_velocity_error", "yaw_rate_error", "tilt_max", "torque_peak"}
    assert fields | {"speed_peak", "joint_limit_margin", "required", "shortfalls"} <= set(result["scenarios"][0])
    fields = {"simulated_seconds", "wall_seconds", "cpu_seconds", "real_time_factor_per_core", "margins"}
    assert fields <= set(result["summary"])
    text = console.export_text()
    assert "velocity error" in text and "FAILED 1 of 1 required" in text


def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"broken")
    monkeypatch.setattr("sys.argv", ["validate", str(file)])
    assert validate.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: policy") and "expected a valid ONNX model" in error and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"json": Path("/nowhere/out.json")}])
def test_bad_arguments_are_refused_before_anything_runs(stub_policy_path, arguments):
    with pytest.raises(DbpError, match="expected"):
        validate.validate(validate.Args(stub_policy_path, **arguments), Console())
