"""The guard's own motions, by numbers worked out by hand: where they are at which time, and how commands blend."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard import motions
from dbp_policy.guard.motions import Motion, blend, hold, smooth
from dbp_policy.types import MotorCommand

ONES = np.ones(12)
MOTION = Motion(((1.0, 2.0 * ONES), (4.0, 10.0 * ONES)))
"""From anywhere to 2 rad in a second, from there to 10 rad in four."""


def command(*values: float) -> MotorCommand:
    return MotorCommand(*(value * ONES for value in values))


@pytest.mark.parametrize(
    "x, y",
    # 3/16 - 2/64 = 10/64; 3/4 - 2/8 = 1/2; 27/16 - 54/64 = 54/64
    [(-1.0, 0.0), (0.0, 0.0), (0.25, 0.15625), (0.5, 0.5), (0.75, 0.84375), (1.0, 1.0), (1.5, 1.0), (99.0, 1.0)],
)
def test_smooth(x, y):
    assert smooth(x) == y


@pytest.mark.parametrize(
    "elapsed, q",
    [
        (0.0, 0.0),
        (0.25, 2.0 * 0.15625),
        (0.5, 1.0),
        (1.0, 2.0),
        (2.0, 2.0 + 8.0 * 0.15625),
        (3.0, 6.0),
        (5.0, 10.0),
        (50.0, 10.0),
    ],
)
def test_a_motion_takes_its_waypoints_in_turn_and_holds_the_last(elapsed, q):
    at = MOTION.command(0.0 * ONES, elapsed)
    assert at.q.tolist() == [q] * 12 and at.kp.tolist() == [go2.STAND_KP] * 12


def test_a_motion_begins_where_the_robot_is_and_is_at_each_waypoint_to_the_last_bit():
    assert MOTION.command(-3.0 * ONES, 0.0).q.tolist() == [-3.0] * 12
    assert MOTION.command(-3.0 * ONES, 0.5).q.tolist() == [-0.5] * 12
    assert Motion(((1.0, ONES),)).command(1e16 * ONES, 1.0).q.tolist() == [1.0] * 12, "1e16 + (1 - 1e16) is 0"


def test_durations():
    assert MOTION.duration == 5.0
    assert motions.STAND_UP.duration == pytest.approx(2.0)
    assert motions.SIT_DOWN.duration == pytest.approx(2.0)
    assert motions.SETTLE.duration == pytest.approx(1.55)


@pytest.mark.parametrize("motion, end", [("STAND_UP", "STAND_Q"), ("SIT_DOWN", "CROUCH_Q"), ("SETTLE", "CROUCH_Q")])
def test_where_each_motion_ends(motion, end):
    motion = getattr(motions, motion)
    assert motion.command(0.3 * ONES, motion.duration).q.tolist() == getattr(go2, end).tolist()


def test_holding():
    at = hold(go2.STAND_Q)
    assert at.q is go2.STAND_Q and not at.dq.any() and not at.tau.any() and at.dq.shape == at.tau.shape == (12,)
    assert at.kp.tolist() == [60.0] * 12 and at.kd.tolist() == [5.0] * 12


def test_a_blend_goes_in_proportion_in_every_field():
    a, b = command(0.0, 1.0, 10.0, 2.0, -4.0), command(8.0, 3.0, 50.0, 4.0, 4.0)
    for share, values in ((0.0, (0.0, 1.0, 10.0, 2.0, -4.0)), (0.25, (2.0, 1.5, 20.0, 2.5, -2.0))):
        assert [x.tolist() for x in astuple(blend(a, b, share))] == [[value] * 12 for value in values]


@pytest.mark.parametrize("share", [1.0, 1.5, 7.0])
def test_a_blend_that_is_over_is_its_end_to_the_last_bit(share):
    a, b = command(1e16, 0.0, 0.0, 0.0, 0.0), command(1.0, 0.0, 0.0, 0.0, 0.0)
    assert blend(a, b, share).q.tolist() == [1.0] * 12
