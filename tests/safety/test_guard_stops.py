"""The guard's e-stop in every mode: how it brings the robot down, what it latches, and what it takes to reset it."""

from __future__ import annotations

import numpy as np
import pytest
from guard_rig import L2_B, MOVING, ON_LEGS, TIPPED, Rig, is_damping

from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.guard import GuardOutput
from dbp_policy.types import Mode, Request


def press(rig: Rig, way: str) -> GuardOutput:
    """One press of a stop, held for one step."""
    if way == "remote":
        return rig.step(remote=L2_B)
    if way == "endpoint":
        return rig.step(around={"endpoints": EndpointReport(pressed=True)})
    return rig.step(Request.ESTOP, request_age=60.0 if way == "stale request" else 0.0)


WAYS = ("request", "stale request", "remote", "endpoint")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MOVING)
def test_every_stop_settles_from_the_legs_and_damps_otherwise_and_latches(rig, mode, way):
    rig.to(mode)
    output = press(rig, way)
    settles = mode in ON_LEGS
    assert output.status.mode == (Mode.SETTLING if settles else Mode.DAMPING) and is_damping(output) != settles
    assert output.status.latched and "estop" in output.status.faults
    for request in (Request.STAND_UP, Request.START, Request.SIT_DOWN):
        assert rig.step(request).refusals[0]
    assert is_damping(rig.run(1.6)) and rig.outputs[-1].status.latched


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_second_press_damps_at_once(rig, first, second):
    rig.to(Mode.POLICY)
    assert press(rig, first).status.mode == Mode.SETTLING
    assert rig.run(0.02).status.mode == Mode.SETTLING, "released, it goes on settling"
    assert is_damping(press(rig, second))
    assert rig.outputs[-1].status.faults == ("estop",)


def test_a_stop_that_is_held_is_one_press(rig):
    rig.to(Mode.POLICY)
    modes = {rig.step(remote=L2_B).status.mode for _ in range(700)}
    assert modes == {Mode.SETTLING}, "1.4 s"
    assert is_damping([rig.step(remote=L2_B) for _ in range(100)][-1])


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_that_is_held_as_the_guard_starts_latches(rig, way):
    press(rig, way)
    status = rig.run(0.1).status
    assert status.latched and "estop" in status.faults and rig.step(Request.STAND_UP).refusals[0]


def test_a_stop_beside_a_fault_that_damps_damps(rig):
    rig.to(Mode.POLICY)
    assert is_damping(rig.step(Request.ESTOP, quat_wxyz=TIPPED))


@pytest.mark.parametrize("mode", MOVING)
def test_a_process_that_ends_damps_in_the_same_step(rig, mode):
    rig.to(mode)
    rig.guard.stop(rig.now)
    assert is_damping(rig.step()) and rig.outputs[-1].status.latched
    assert rig.outputs[-1].status.faults == ("estop",)


def test_the_stop_wins_over_what_is_asked_in_the_same_step(rig):
    rig.to(Mode.STANDING)
    output = rig.step(Request.SIT_DOWN, Request.STAND_UP, Request.ESTOP, Request.RESET)
    assert output.status.mode == Mode.SETTLING and output.refusals[2] == ""
    assert all("latched" in output.refusals[i] for i in (0, 1)) and "after what latched" in output.refusals[3]


def test_only_a_reset_ends_the_latch_and_it_moves_nothing(rig):
    rig.to(Mode.POLICY)
    rig.step(Request.ESTOP)
    output = rig.run(6.6)
    assert output.status.latched and is_damping(output), "it waits for ever"
    output = rig.step(Request.RESET)
    assert not output.status.latched and is_damping(output) and output.status.faults == ()
    assert is_damping(rig.run(1.0))
    assert rig.step(Request.STAND_UP).status.mode == Mode.STANDING_UP


def test_reset_is_refused_while_the_remote_is_pressed_and_while_the_robot_moves(rig):
    rig.to(Mode.STANDING)
    rig.step(remote=L2_B)
    rig.run(2.0)
    rig.step(remote=L2_B)
    assert rig.step(Request.RESET, remote=L2_B).status.refusal == "reset refused: estop present"
    for moving in ({"dq_sdk": np.full(12, 8.0)}, {"gyro_body": np.array([0.0, 8.0, 0.0])}):
        refusal = rig.step(Request.RESET, **moving).status.refusal
        assert refusal == "reset refused: the robot is still moving"
        rig.run(0.2)
    assert not rig.step(Request.RESET).status.latched


def test_a_reset_counts_if_it_came_after_what_latched(rig):
    rig.run(0.1)
    output = rig.step(Request.RESET, Request.ESTOP)
    assert output.status.latched, "whoever pressed reset cannot have meant this stop"
    assert output.refusals == ("reset refused: expected an action after what latched", "")
    rig.run(0.1)
    assert rig.step(Request.RESET, request_age=0.2).status.latched, "pressed before the stop, arrived after it"
    assert not rig.step(Request.RESET, request_age=0.05).status.latched
    rig.to(Mode.STANDING)
    rig.step(quat_wxyz=TIPPED)
    rig.run(0.1)
    assert rig.step(Request.RESET, request_age=0.2).status.latched, "nor a fault that came later"
    assert not rig.step(Request.RESET).status.latched


@pytest.mark.parametrize("latched_before", [False, True])
def test_a_reset_pressed_before_the_process_was_ended_does_not_undo_that(rig, latched_before):
    rig.run(1.0)
    if latched_before:
        rig.step(Request.ESTOP)
        rig.run(0.5)
    rig.guard.stop(rig.now)
    assert rig.step(Request.RESET, request_age=0.3).status.latched
    assert rig.run(0.1).status.latched
    assert not rig.step(Request.RESET, request_age=0.05).status.latched


def test_after_a_reset_it_takes_an_action_that_came_after_it(rig):
    rig.to(Mode.STANDING)
    rig.step(Request.ESTOP)
    rig.run(2.0)
    output = rig.step(Request.RESET, Request.STAND_UP)
    assert output.status.refusal == "stand_up refused: expected an action after the reset" and is_damping(output)
    assert is_damping(rig.step(Request.STAND_UP, request_age=0.1)), "asked before the reset, arrived after it"
    assert rig.step(Request.STAND_UP).status.mode == Mode.STANDING_UP


def test_nothing_but_a_stop_interrupts_the_way_down(rig):
    rig.to(Mode.SETTLING)
    for request in (Request.STAND_UP, Request.START, Request.SIT_DOWN, Request.RESET):
        assert rig.step(request).status.mode == Mode.SETTLING
    assert rig.outputs[-1].status.refusal == "reset refused: still settling"
    assert is_damping(rig.step(Request.ESTOP))


def test_a_stop_before_anything_else_damps_and_latches(rig):
    """The robot may hold the command of a controller that has died."""
    rig.run(0.1)
    assert is_damping(rig.step(Request.ESTOP))
    assert rig.step(Request.STAND_UP).status.refusal == "stand_up refused: latched, reset first"
