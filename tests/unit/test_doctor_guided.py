"""The guided check: which joint a hand has moved, and which way."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.doctor.finding import Level
from dbp_bringup.doctor.guided import ALONE, MOVED, Rest, judge, steps
from dbp_policy import go2
from dbp_policy.kinematics import foot_positions

STEPS = steps()
HANGING = np.tile([0.0, 0.9, -1.8], 4)


def moved(*ways: tuple[int, float]) -> np.ndarray:
    q = HANGING.copy()
    for joint, way in ways:
        q[joint] += way
    return q


def test_every_joint_once_in_the_robots_order():
    assert [step.joint for step in STEPS] == list(range(12))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_words_and_the_signs_are_the_kinematics(step):
    """Out: the foot goes away from the middle; back: it goes back; stretched: it goes away from the hip."""
    leg = step.joint // 3
    before, after = (foot_positions(q)[leg] for q in (HANGING, moved((step.joint, 0.2 * step.sign))))
    kind = go2.JOINTS_OF_LEG[step.joint % 3]
    assert {"hip": "out", "thigh": "back", "calf": "stretch"}[kind] in step.words
    if kind == "hip":
        assert abs(after[1]) > abs(before[1])
    elif kind == "thigh":
        assert after[0] < before[0]
    else:
        hip = go2.HIP_ORIGIN[leg]
        assert np.linalg.norm(after - hip) > np.linalg.norm(before - hip)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_right_joint_the_right_way(step):
    assert judge(step, HANGING, moved((step.joint, 1.01 * MOVED * step.sign))).level == Level.OK
    assert judge(step, HANGING, moved((step.joint, 0.99 * MOVED * step.sign))) is None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_wrong_way_is_an_inverted_sign(step):
    finding = judge(step, HANGING, moved((step.joint, -0.2 * step.sign)))
    assert finding.level == Level.FAULT and finding.name == step.name and "inverted" in finding.mend


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("other", range(12))
def test_another_joint_is_named_with_its_slot(step, other):
    if other == step.joint:
        return
    finding = judge(step, HANGING, moved((other, 0.2)))
    assert finding.level == Level.FAULT and go2.JOINT_NAMES[other] in finding.found and f"slot {other} " in finding.mend


def test_several_at_once_say_nothing():
    assert judge(STEPS[0], HANGING, moved((0, -0.4), (1, 1.01 * ALONE * 0.4))) is None
    assert judge(STEPS[0], HANGING, moved((0, -0.4), (1, 0.99 * ALONE * 0.4))).level == Level.OK


def test_numbers_that_are_none_say_nothing():
    assert judge(STEPS[0], HANGING, np.full(12, np.nan)) is None


def test_at_rest_is_one_place_for_a_third_of_a_second():
    rest = Rest()
    assert not rest.is_still(HANGING, 1.0) and not rest.is_still(moved((3, 0.019)), 1.299)
    assert rest.is_still(HANGING, 1.301)
    assert not rest.is_still(moved((3, 0.021)), 1.302), "it moves: from here anew"
    assert not rest.is_still(moved((3, 0.03)), 1.601) and rest.is_still(moved((3, 0.03)), 1.603)
    assert not Rest().is_still(HANGING, 1e9)


def test_numbers_that_are_none_are_never_at_rest():
    rest = Rest()
    assert not any(rest.is_still(np.full(12, np.nan), t) for t in np.arange(0.0, 2.0, 0.1))
