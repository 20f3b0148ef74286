"""Joint angles against speeds and commands: motion that fits together passes, a lie is found, and a gap is no lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from motion_rig import PERIOD, at, first, still, swinging

from dbp_policy import go2
from dbp_policy.guard import thresholds as t
from dbp_policy.guard.checks.joints import EncoderWatch
from dbp_policy.guard.motions import hold
from dbp_policy.types import damping_command


def encoders(states, command=None) -> list[list[str]]:
    watch = EncoderWatch()
    return [list(watch.update(state, command or hold(state.q_sdk))) for state in states]


@pytest.mark.parametrize("hertz", [0.5, 2.0, 6.0])
def test_motion_that_fits_together_passes(hertz):
    assert not any(encoders(swinging(1000, hertz=hertz)))


@pytest.mark.parametrize("joint", range(12))
def test_an_encoder_that_jumps(joint):
    for jump, caught in ((0.19, False), (0.21, True), (-0.21, True), (np.pi, True)):
        states = [replace(s, dq_sdk=np.zeros(12), q_sdk=go2.STAND_Q) for s in swinging(10)]
        states[5:] = [replace(s, q_sdk=at(s.q_sdk, joint, s.q_sdk[joint] + jump)) for s in states[5:]]
        found = encoders(states)
        assert ("encoder_jump" in found[5]) == caught
        assert not any("encoder_jump" in names for i, names in enumerate(found) if i != 5)


def test_after_missing_lowstates_a_joint_may_be_farther():
    states = [s for i, s in enumerate(swinging(200, amplitude=1.0, hertz=3.0)) if not 50 <= i < 57]
    assert not any("encoder_jump" in names for names in encoders(states))


@pytest.mark.parametrize("speed", [-1.0, 0.0, 2.0])
def test_a_speed_that_contradicts_the_angles(speed):
    states = [replace(s, dq_sdk=s.dq_sdk * np.where(np.arange(12) == 4, speed, 1.0)) for s in swinging(500)]
    found = encoders(states)
    assert 25 <= first(found, "encoder_implausible") <= 100


def test_a_stuck_encoder_is_found_when_the_joint_is_asked_to_move():
    states = [replace(s, q_sdk=at(s.q_sdk, 7, 1.0), dq_sdk=at(s.dq_sdk, 7, 0.0)) for s in swinging(500)]
    watch = EncoderWatch()
    asked = [hold(go2.STAND_Q + 0.3 * np.sin(2.0 * np.pi * i * PERIOD)) for i in range(len(states))]
    found = [list(watch.update(state, command)) for state, command in zip(states, asked, strict=True)]
    assert first(found, "encoder_implausible") * PERIOD <= 0.2
    assert not any(encoders(states, hold(go2.STAND_Q))), "a command that stands still asks nothing"
    still = [replace(s, q_sdk=go2.STAND_Q, dq_sdk=np.zeros(12)) for s in states]
    watch = EncoderWatch()
    found = [list(watch.update(s, hold(go2.STAND_Q + (i >= 300)))) for i, s in enumerate(still)]
    assert first(found, "encoder_implausible") == 329, "a joint has 60 ms to follow a command that jumps"
    assert not any(encoders(states, damping_command())), "nor does damping"


def test_an_encoder_jump_of_just_the_bound_is_none():
    for step, caught in ((t.ENCODER_JUMP, False), (0.2001, True)):
        states = still(2)
        states[1] = replace(states[1], q_sdk=at(go2.STAND_Q, 0, step))
        assert encoders(states)[1] == (["encoder_jump"] if caught else [])


@pytest.mark.parametrize("missing_ms, way", [(0, 0.2), (2, 0.2602), (18, 0.7418)])
def test_each_missing_millisecond_lets_a_joint_go_on_at_full_speed(missing_ms, way):
    """0.2 rad, and 30.1 rad/s for the time beyond 2 ms."""
    for change, caught in ((-1e-3, False), (1e-3, True)):
        states = still(2, 2 + missing_ms)
        states[1] = replace(states[1], q_sdk=at(go2.STAND_Q, 0, way + change))
        assert encoders(states)[1] == (["encoder_jump"] if caught else [])


@pytest.mark.parametrize("tick_ms, judged", [(-2, False), (0, False), (1, True), (20, True), (21, False)])
def test_after_which_gaps_encoders_are_judged(tick_ms, judged):
    states = [*still(1), replace(still(1)[0], tick_ms=tick_ms, q_sdk=at(go2.STAND_Q, 0, 1.0))]
    assert any(encoders(states)) == judged


@pytest.mark.parametrize("period_ms, states", [(2, 25), (20, 25)])
def test_speeds_may_be_wrong_by_so_much_over_the_window_and_no_more(period_ms, states):
    """0.06 rad over 25 lowstates: 1.2 rad/s at 2 ms; for longer than the window, so that only the window counts."""
    bound = t.VELOCITY_MISMATCH / (1e-3 * period_ms * states)
    for speed in (0.98 * bound, -0.98 * bound):
        assert not any(encoders(still(200, period_ms, dq_sdk=at(np.zeros(12), 5, speed))))
    for speed in (1.02 * bound, -1.02 * bound):
        found = encoders(still(200, period_ms, dq_sdk=at(np.zeros(12), 5, speed)))
        assert found == [[]] * (states + 1) + [["encoder_implausible"]] * (199 - states)


def test_a_robot_that_stands_still_agrees_with_itself_exactly(monkeypatch):
    monkeypatch.setattr(t, "VELOCITY_MISMATCH", 0.0)
    assert not any(encoders(still(100)))


def test_a_stuck_joint_counts_from_where_it_was_when_stiffness_came():
    """Damping commands zero angles, far from any stance; they ask nothing, also later."""
    states = still(200)
    commands = [damping_command()] * 100 + [hold(go2.STAND_Q)] * 100
    watch = EncoderWatch()
    assert not any(list(watch.update(s, c)) for s, c in zip(states, commands, strict=True))
    for way, found in ((t.STUCK_ASKED, False), (0.101, True), (-0.101, True)):
        commands = [hold(at(go2.STAND_Q, 0, 0.0))] * 100 + [hold(at(go2.STAND_Q, 0, way))] * 100
        watch = EncoderWatch()
        assert any(list(watch.update(s, c)) for s, c in zip(states, commands, strict=True)) == found


def test_a_joint_without_stiffness_among_stiff_ones_is_not_asked_to_move():
    stiff = hold(at(go2.STAND_Q, 4, 3.0))
    for kp, found in ((0.0, False), (1.0, True)):
        watch = EncoderWatch()
        commands = [hold(go2.STAND_Q)] * 10 + [replace(stiff, kp=at(stiff.kp, 4, kp))] * 90
        assert any(list(watch.update(s, c)) for s, c in zip(still(100), commands, strict=True)) == found


def test_a_gap_or_a_restart_begins_anew():
    states = list(swinging(300))
    shifted = [replace(s, tick_ms=s.tick_ms + 500, q_sdk=s.q_sdk + 0.5) for s in states[:100]]
    assert not any(encoders([*states[:100], *shifted]))
    assert not any(encoders([*states[100:200], *states[:100]]))
    stuck = [replace(s, tick_ms=s.tick_ms + 500 * (i >= 30)) for i, s in enumerate(still(300))]
    watch = EncoderWatch()
    found = [list(watch.update(s, hold(go2.STAND_Q + 0.2 * (i >= 10) + 0.2 * (i >= 60)))) for i, s in enumerate(stuck)]
    assert first(found, "encoder_implausible") == 89, "what was asked before the gap counts no more"
