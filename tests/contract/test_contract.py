"""The contract: nothing lost on the way into a file and back, nothing wrong let in."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy import go2
from dbp_policy.contract import SCHEMA, Contract
from dbp_policy.errors import DbpError
from dbp_policy.observation import term

CONTRACT = Contract(
    joint_names=go2.JOINT_NAMES,
    default_q=tuple(go2.STAND_Q.tolist()),
    action_scale=(1.0 / 3.0,) * 12,
    kp=(25.0,) * 12,
    kd=(0.5,) * 12,
    rate_hz=50.0,
    observation=(term("gyro_body", (0.1, 0.2, 1.0 / 7.0)), term("joint_velocity", 0.05, history=3), term("clock")),
    command_min=(-0.6, -0.6, -1.0),
    command_max=(0.6, 0.6, 1.0),
    gait_hz=2.2,
    hidden_size=8,
    golden={"q_sdk": [[0.1] * 12]},
    provenance={"task": "go2_walk", "seed": 3},
)


def changed(**fields) -> str:
    """The contract's JSON with some fields overwritten; None takes a field away."""
    data = json.loads(CONTRACT.to_json()) | fields
    return json.dumps({k: v for k, v in data.items() if v is not None})


def test_it_comes_back_as_it_went():
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT


@given(st.lists(st.floats(-0.5, 0.5), min_size=12, max_size=12))
def test_at_full_precision(offsets):
    default_q = tuple((go2.STAND_Q + np.array(offsets)).tolist())
    contract = replace(CONTRACT, default_q=default_q)
    assert Contract.from_json(contract.to_json()).default_q == default_q


def test_a_file_from_before_postures_keeps_to_four_legs():
    assert Contract.from_json(changed(posture=None)) == CONTRACT and CONTRACT.posture == "four_legs"
    upended = replace(CONTRACT, posture="front_legs")
    assert Contract.from_json(upended.to_json()) == upended


def test_a_posture_has_to_be_allowed():
    upended = replace(CONTRACT, posture="front_legs")
    for contract, allowed in ((CONTRACT, "four_legs"), (CONTRACT, "front_legs"), (upended, "front_legs")):
        contract.check_posture(allowed)
    with pytest.raises(DbpError, match="expected a policy of posture four_legs, got one of front_legs"):
        upended.check_posture("four_legs")
    with pytest.raises(DbpError, match="expected a posture of four_legs, front_legs, got 'hands'"):
        CONTRACT.check_posture("hands")
    with pytest.raises(DbpError, match="expected a posture of four_legs, front_legs, got 'hands'"):
        replace(CONTRACT, posture="hands")


def test_a_number_that_is_not_finite_is_not_written():
    with pytest.raises(ValueError):
        replace(CONTRACT, provenance={"loss": float("nan")}).to_json()


@pytest.mark.parametrize(
    "text, expected, found",
    [
        ("", "expected JSON", "''"),
        ("{", "expected JSON", "'{'"),
        ("[1]", f"schema {SCHEMA}", "[1]"),
        (changed(schema=99), f"schema {SCHEMA}", '"schema": 99'),
        (changed(kp=None), "'kp'", "got"),
        (changed(extra=1), "expected the fields", "'extra'"),
        (changed(robot="go1"), "'go2'", "'go1'"),
        (changed(joint_names=list(go2.JOINT_NAMES[:11])), "expected each of", "RL_calf_joint"),
        (changed(joint_names=[*go2.JOINT_NAMES[:11], "RL_knee_joint"]), "expected each of", "RL_knee_joint"),
        (changed(joint_names=[*go2.JOINT_NAMES[:11], "FR_hip_joint"]), "expected each of", "FR_hip_joint"),
        (changed(kp=[25.0] * 11), "12 values of kp", "(11,)"),
        (changed(kp=[25.0] * 11 + [201.0]), "kp of RL_calf_joint in [0, 100]", "201"),
        (changed(kd=[-0.1] + [0.5] * 11), "kd of FR_hip_joint in [0, 10]", "-0.1"),
        (changed(action_scale=[float("nan")] * 12), "action_scale of FR_hip_joint in [0, 3]", "nan"),
        (changed(default_q=[0.0] * 12), "default_q of FR_calf_joint in [-2.7227, -0.83776]", "got 0"),
        (changed(rate_hz=5.0), "rate_hz in [10.0, 500.0]", "5.0"),
        (changed(rate_hz=60.0), "divides 500", "60.0"),
        (changed(rate_hz="50"), "rate_hz", "'50'"),
        (changed(gait_hz=-1.0), "gait_hz in [0.0, 10.0]", "-1.0"),
        (changed(hidden_size=10_000), "hidden_size", "10000"),
        (changed(command_min=[0.1, -0.6, -1.0]), "command range around zero", "0.1"),
        (changed(command_max=[0.6, 0.6]), "command range around zero", "0.6"),
        (changed(command_max=[float("nan")] * 3), "command range around zero", "nan"),
        (
            changed(observation=[{"name": "base_height", "scale": [1.0], "history": 1}]),
            "expected one of",
            "'base_height'",
        ),
        (
            changed(observation=[{"name": "clock", "scale": [1.0] * 3, "history": 1}]),
            "1 or 2 finite scales",
            "[1.0, 1.0, 1.0]",
        ),
        (changed(observation=[{"name": "clock", "scale": 1.0, "history": 0}]), "history of at least 1", "0"),
        (changed(observation=[{"name": "clock"}]), "wrong form", "'scale'"),
        (changed(observation=7), "wrong form", "int"),
    ],
)
def test_a_bad_field_is_refused_with_what_was_expected_and_found(text, expected, found):
    with pytest.raises(DbpError) as error:
        Contract.from_json(text)
    assert expected in str(error.value) and found in str(error.value)
    assert "\n" not in str(error.value)


def test_the_observation_is_as_long_as_its_terms():
    assert CONTRACT.observation_size == 3 + 3 * 12 + 2
