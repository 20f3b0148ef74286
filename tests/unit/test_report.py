"""The report of a walk, from a recording made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.report import Recorded, walk_report
from dbp_policy import go2
from dbp_policy.errors import DbpError

COMMAND = np.array([0.5, 0.0, 0.0])


def recorded(tilt: float = 0.1, contact: float = 0.0) -> Recorded:
    """Ten seconds at 0.4 m/s, nothing but the tilt out of the ordinary; targets change 50 times a second."""
    t = np.arange(0.0, 10.0, 0.002)
    truth = np.zeros((1000, 10))
    truth[:, 0] = np.arange(0.0, 10.0, 0.01)
    truth[:, 4], truth[:, 8], truth[:, 9] = 0.4, np.cos(tilt), contact
    commands = np.zeros((len(t), 5, 12))
    commands[:, 0] = (np.arange(len(t)) // 10)[:, None]
    return Recorded(t, t, commands, truth)


def test_a_walk_in_figures():
    report = walk_report(recorded(), COMMAND, (0.0, 10.0), (2.0, 8.0))
    assert not report["fell"] and report["tilt_degrees"] == pytest.approx(5.73)
    assert report["walking_seconds"] == 6.0
    assert report["velocity_mean"] == [0.4, 0.0, 0.0] and report["velocity_rmse"] == [0.1, 0.0, 0.0]
    assert (report["lowstate_hz"], report["lowcmd_hz"]) == (500.0, 500.0)
    assert report["policy_hz"] == pytest.approx(50.0, abs=0.2)


@pytest.mark.parametrize("tilt, contact, fell", [(1.0, 0.0, False), (1.1, 0.0, True), (0.1, 1.0, True)])
def test_a_fall_is_a_tilt_of_more_than_60_degrees_or_the_trunk_on_the_ground(tilt, contact, fell):
    assert walk_report(recorded(tilt, contact), COMMAND, (0.0, 10.0), (2.0, 8.0))["fell"] is fell


def test_on_the_front_legs_tilt_counts_from_there_and_body_axes_tell_no_velocity():
    nose_down = go2.POSTURES["front_legs"]
    report = walk_report(recorded(nose_down), COMMAND, (0.0, 10.0), (2.0, 8.0), nose_down)
    assert not report["fell"] and not any("velocity" in name for name in report)
    assert walk_report(recorded(nose_down + 1.1), COMMAND, (0.0, 10.0), (2.0, 8.0), nose_down)["fell"]


def test_a_walk_without_ground_truth_is_an_error():
    with pytest.raises(DbpError, match="expected ground truth of the walk, got none"):
        walk_report(recorded(), COMMAND, (20.0, 30.0), (22.0, 28.0))
