"""The policy side of the control loop: it answers every lowstate, and moves on at its own rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.onnx_policy import load_runner
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.types import GuardStatus, Mode, RobotState

STATE = RobotState(q_sdk=go2.STAND_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
WALKING = GuardStatus(mode=Mode.POLICY, in_control=True)
WANTED = np.array([0.4, -0.2, 0.6])


@pytest.fixture
def loop(stub_policy_path) -> PolicyLoop:
    def command(now: float, halt: bool) -> tuple[np.ndarray, str]:
        return (np.zeros(3) if halt else WANTED), "test"

    return PolicyLoop(load_runner(stub_policy_path), command)


def feed(loop: PolicyLoop, status: GuardStatus, ticks_ms) -> list:
    return [loop.on_state(replace(STATE, tick_ms=t, stamp=1e-3 * t), status, 1e-3 * t) for t in ticks_ms]


def test_every_lowstate_is_answered_and_every_tenth_with_a_new_target(loop):
    answers = feed(loop, WALKING, range(1000, 1200, 2))
    assert [a.state_tick_ms for a in answers] == list(range(1000, 1200, 2))
    assert [a.stamp for a in answers] == [1e-3 * t for t in range(1000, 1200, 2)]
    assert [a.sequence - answers[0].sequence for a in answers] == [i // 10 for i in range(100)]
    assert loop.ticks == 10 and loop.late_ticks == 0
    for i in range(0, 100, 10):
        assert all(a.q_sdk is answers[i].q_sdk for a in answers[i : i + 10]), "between its ticks it repeats the target"


def test_a_missing_lowstate_makes_the_tick_late_and_not_the_answer(loop):
    answers = feed(loop, WALKING, [1000, 1002, *range(1026, 1060, 2)])
    assert answers[2].sequence == answers[1].sequence + 1 and loop.late_ticks == 1


@pytest.mark.parametrize(
    "status, share",
    [
        (WALKING, 1.0),
        (replace(WALKING, speed_scale=0.5), 0.5),
        (replace(WALKING, speed_scale=0.0), 0.0),
        (replace(WALKING, speed_scale=float("nan")), 0.0),
        (replace(WALKING, speed_scale=7.0), 1.0),
        (replace(WALKING, mode=Mode.STANDING), 0.0),
    ],
)
def test_the_guard_scales_the_velocity(loop, status, share):
    feed(loop, status, range(1000, 1600, 2))
    np.testing.assert_allclose(loop.command, share * WANTED)


def test_the_command_waits_until_the_guard_has_blended_the_policy_in(loop):
    standing = replace(WALKING, mode=Mode.STANDING)
    for begin in (1000, 3000):  # each time anew
        feed(loop, standing, range(begin, begin + 1000, 2))
        granted = begin + 1000
        feed(loop, WALKING, range(granted, granted + 500, 2))
        assert not loop.command.any(), "the motors get a mixture until half a second has passed"
        feed(loop, WALKING, range(granted + 500, granted + 520, 2))
        np.testing.assert_array_equal(loop.command, WANTED)


@pytest.mark.parametrize("velocity, diverged", [(3.9, False), (4.1, True), (np.nan, True)])
def test_an_impossible_estimate_is_told_with_the_answer(loop, velocity, diverged):
    (answer,) = feed(loop, WALKING, [1000])
    assert not answer.estimator_diverged
    update = loop._estimator.update
    loop._estimator.update = lambda state: replace(update(state), velocity_body=np.array([velocity, 0.0, 0.0]))
    (answer,) = feed(loop, WALKING, [1002])
    assert answer.estimator_diverged == diverged


def test_another_policy_in_use_answers_at_once_and_the_estimate_goes_on(loop, make_policy):
    feed(loop, WALKING, range(1000, 1100, 2))
    before, ticks = loop.estimate, loop.ticks
    slow = load_runner(make_policy(rate_hz=25.0, kp=(40.0,) * 12))
    loop.use(slow)
    answers = feed(loop, replace(WALKING, mode=Mode.STANDING), range(1100, 1200, 2))
    assert all((answer.kp_sdk == 40.0).all() for answer in answers)
    assert loop.ticks - ticks == 3, "100 ms at 25 Hz"
    assert loop.estimate.position_cov.trace() >= before.position_cov.trace(), "it did not begin anew"


def test_what_drove_is_one_record_of_one_tick(loop):
    feed(loop, WALKING, range(1000, 1050, 2))
    assert loop.driven.tick_ms == 1040 and loop.driven.source == "test"
    assert loop.driven.command is loop.command
