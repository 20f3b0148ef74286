"""What a dry run shows: each change of mode at once, the rest now and then."""

from __future__ import annotations

import numpy as np

from dbp_policy import go2
from dbp_policy.guard.guard import GuardOutput
from dbp_policy.guard.rehearsal import PERIOD, Rehearsal, describe
from dbp_policy.types import GuardStatus, Mode, MotorCommand, damping_command

STAND = MotorCommand(go2.STAND_Q, np.zeros(12), np.full(12, 60.0), np.full(12, 5.0), np.zeros(12))


def output(command: MotorCommand | None, mode: Mode, *faults: str) -> GuardOutput:
    return GuardOutput(command, GuardStatus(mode=mode, faults=faults), None)


def test_without_a_command_there_is_no_line():
    assert Rehearsal().line(output(None, Mode.DAMPING), 0.0) == ""


def test_one_line_per_mode_and_per_period():
    shown = Rehearsal()
    assert "standing: would send kp 60 kd 5, FR 0.00 0.80 -1.50, FL" in shown.line(output(STAND, Mode.STANDING), 10.0)
    assert shown.line(output(STAND, Mode.STANDING), 10.0 + PERIOD - 0.01) == ""
    assert shown.line(output(STAND, Mode.STANDING), 10.0 + PERIOD) != ""
    assert "damping [estop, tilt]: would send damping, kd 3" in shown.line(
        output(damping_command(), Mode.DAMPING, "estop", "tilt"), 10.1 + PERIOD
    )


def test_gains_that_differ_are_shown_from_the_least_to_the_most():
    kp = np.array([20.0, 20.0, 40.0] * 4)
    text = describe(MotorCommand(go2.STAND_Q, np.zeros(12), kp, np.full(12, 0.5), np.zeros(12)))
    assert text.startswith("kp 20 to 40 kd 0.5, FR")
