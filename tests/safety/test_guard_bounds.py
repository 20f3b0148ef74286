"""The guard's own times and bounds, to the bit: stepped in binary fractions of a second, so that sums are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.guard import Guard, GuardInput, GuardOutput
from dbp_policy.guard.senses import Senses
from dbp_policy.types import GuardStatus, Mode, OperatorRequest, Request, RobotState, damping_command
from dbp_policy.unitree.remote import Remote, encode_remote

PERIOD = 2.0**-9
LYING = RobotState(q_sdk=go2.CROUCH_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]), battery_v=30.0)


class Bench:
    """A guard and a robot that lies, whatever it is told."""

    def __init__(self) -> None:
        self.guard = Guard(PERIOD)
        self.now = 1.0
        self.steps = 0

    def step(
        self, *requests: OperatorRequest, after: float = PERIOD, around: dict | None = None, **sensed
    ) -> GuardOutput:
        self.now += after
        self.steps += 1
        gyro = 1e-6 * self.steps * np.ones(3)
        state = replace(LYING, **{"tick_ms": 2 * self.steps, "gyro_body": gyro, **sensed})
        return self.guard.step(replace(GuardInput([state], requests=requests), **(around or {})), self.now)

    def ask(self, request: Request, age: float = 0.0, **more) -> GuardOutput:
        """A request that is `age` old when it arrives."""
        return self.step(OperatorRequest(request, self.now + more.get("after", PERIOD) - age), **more)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for _ in range(60):
        bench.step()
    return bench


def test_what_it_says_of_itself_at_first():
    assert Bench().step().status == GuardStatus()
    assert Guard().step(GuardInput(), 7.0).status == GuardStatus(faults=("lowstate_stale",), speed_scale=0.0)


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "age, refusal",
    [
        (0.5 - PERIOD, ""),
        (0.5 - PERIOD + 2.0**-30, "stand_up refused: expected an action of the last 0.5 s, got one of 0.5 s ago"),
        (12.0, "stand_up refused: expected an action of the last 0.5 s, got one of 12.0 s ago"),
        (-PERIOD, ""),
        (-PERIOD - 2.0**-30, "stand_up refused: expected an action of the last 0.5 s, got one of -0.0 s ago"),
    ],
)
def test_how_old_an_action_may_be(bench, age, refusal):
    output = bench.ask(Request.STAND_UP, age)
    assert (output.status.refusal, output.refusals) == (refusal, (refusal,))
    assert (output.status.mode == Mode.STANDING_UP) == (refusal == "")


def test_an_action_at_the_very_time_of_the_reset_is_none_after_it(bench):
    bench.ask(Request.ESTOP)
    assert bench.ask(Request.RESET).status.refusal == ""
    at_reset = bench.now
    output = bench.step(OperatorRequest(Request.STAND_UP, at_reset))
    assert output.refusals == ("stand_up refused: expected an action after the reset",)
    assert bench.step(OperatorRequest(Request.STAND_UP, at_reset + 2.0**-30)).refusals == ("",)


def test_a_reset_at_the_very_time_of_the_stop_is_none_after_it(bench):
    bench.ask(Request.ESTOP)
    stopped = bench.now
    output = bench.step(OperatorRequest(Request.RESET, stopped))
    assert output.refusals == ("reset refused: expected an action after what latched",)
    assert bench.step(OperatorRequest(Request.RESET, stopped + 2.0**-30)).refusals == ("",)


def test_each_request_has_its_own_answer_in_the_order_that_they_came(bench):
    asked = [OperatorRequest(r, bench.now) for r in (Request.START, Request.ESTOP, Request.SIT_DOWN)]
    output = bench.step(*asked)
    latched = "refused: latched, reset first"
    assert output.refusals == (f"start {latched}", "", f"sit_down {latched}")
    assert (output.status.refusal, output.status.requests_seen) == (f"sit_down {latched}", 3)
    assert bench.step().refusals == ()


def test_a_granted_stop_leaves_no_refusal_and_names_itself_once(bench):
    bench.ask(Request.START)
    for _ in range(2):
        status = bench.ask(Request.ESTOP).status
        assert (status.refusal, status.faults) == ("", ("estop",))


# Motions and rest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early, mode", [(0.0, Mode.STANDING), (2.0**-20, Mode.STANDING_UP)])
def test_a_motion_is_over_when_its_time_is(bench, monkeypatch, early, mode):
    monkeypatch.setattr("dbp_policy.guard.thresholds.STUCK_STATES", 10**6)  # its legs stay where they are
    assert bench.ask(Request.STAND_UP).status.mode == Mode.STANDING_UP
    begin = bench.now
    while bench.now < begin + 2.0 - PERIOD:
        bench.step()
    assert bench.step(after=begin + 2.0 - early - bench.now).status.mode == mode


@pytest.mark.parametrize("name, size", [("dq_sdk", 12), ("gyro_body", 3)])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("speed, rest", [(5.0, False), (4.999, True)])
def test_rest_is_a_tenth_of_what_is_read_below_half_a_radian_per_second(name, size, sign, speed, rest):
    for index in range(size):
        bench = Bench()
        value = np.where(np.arange(size) == index, sign * speed, 0.0)
        output = bench.ask(Request.STAND_UP, **{name: value})
        assert output.status.refusal == ("" if rest else "stand_up refused: the robot is still moving")


def test_what_cannot_be_computed_with_is_taken_for_fast_motion():
    """1000 rad/s, of which nine tenths are left after each lowstate: below 0.5 after 73."""
    bench = Bench()
    bench.step()
    bench.step(dq_sdk=np.full(12, np.nan))
    refused = [bool(bench.ask(Request.STAND_UP).status.refusal) for _ in range(73)]
    assert refused == [True] * 72 + [False]


def test_nobody_knows_whether_a_robot_that_was_never_heard_is_at_rest():
    guard = Guard(PERIOD)
    guard.step(GuardInput(requests=[OperatorRequest(Request.ESTOP, 1.0)]), 1.0)
    output = guard.step(GuardInput(requests=[OperatorRequest(Request.RESET, 1.0 + PERIOD)]), 1.0 + PERIOD)
    assert output.refusals == ("reset refused: lowstate_stale present",) and output.state is None


# The guard's time, and the others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond, faults, overruns", [(0.0, (), 0), (2.0**-30, ("guard_overrun",), 1)])
def test_how_late_a_tick_may_be(bench, beyond, faults, overruns):
    late = 2 * PERIOD + beyond
    status = bench.step(after=late).status
    assert (status.faults, status.overruns) == (faults, overruns)
    assert bench.step().status.overruns == overruns and bench.step(after=late).status.overruns == 2 * overruns


@pytest.mark.parametrize("bound", [0.125])
def test_how_late_a_tick_is_a_standstill(bench, monkeypatch, bound):
    monkeypatch.setattr("dbp_policy.guard.guard.STALL_MAX", bound)  # 0.1 s is no binary fraction
    assert bench.step(after=bound).status.faults == ("guard_overrun",)
    assert bench.step(after=bound + 2.0**-30).status.faults == ("guard_stalled",)


def test_a_guard_whose_time_is_no_number_stands_still(bench):
    assert "guard_stalled" in bench.step(after=np.nan).status.faults


def test_how_long_a_standby_may_take_no_beat(bench, monkeypatch):
    monkeypatch.setattr("dbp_policy.guard.guard.STANDBY_TIMEOUT", 4 * PERIOD)
    missed = [bench.step(around={"standby_took": False}).status.faults for _ in range(6)]
    assert missed == [()] * 4 + [("standby_gone",)] * 2
    assert bench.step().status.faults == ()


@pytest.mark.parametrize(
    "around, fault",
    [
        ({"endpoints": EndpointReport(pressed=True)}, "estop"),
        ({"endpoints": EndpointReport(silent=("desk",))}, "endpoint_silent"),
        ({"rivals": 1}, "second_writer"),
        ({"foreign": 1}, "second_writer"),
    ],
)
def test_what_others_do_is_a_fault_while_it_lasts(bench, around, fault):
    assert bench.step(around=around).status.faults == (fault,)
    assert bench.step().status.faults == (("estop",) if fault == "estop" else ()), "what latched stays readable"


# Senses ---------------------------------------------------------------------------------------------------------------


def sensed(senses: Senses, states: Sequence[RobotState], mode: Mode = Mode.DAMPING, corrupt: int = 0) -> list[str]:
    return senses.update(states, corrupt, damping_command(), mode, 1.0)


def test_what_a_lowstate_showed_holds_until_the_next_one():
    senses = Senses()
    assert sensed(senses, []) == ["lowstate_stale"] and senses.state is None
    hot = replace(LYING, tick_ms=2, temperature_sdk=np.full(12, 80.0))
    assert sensed(senses, [hot]) == ["motor_overheated"] and senses.state is hot
    assert sensed(senses, []) == sensed(senses, [replace(LYING, tick_ms=1)]) == ["motor_overheated"]
    assert sensed(senses, [replace(LYING, tick_ms=4)]) == ["motor_overheated"], "what may wait counts a step later"
    assert sensed(senses, []) == []


@pytest.mark.parametrize("buttons, faults", [({"l2_button", "b"}, ["estop"]), ({"b"}, []), ({"l2_button", "a"}, [])])
def test_only_two_buttons_together_stop(buttons, faults):
    remote = encode_remote(Remote(present=True, buttons=frozenset(buttons)))
    assert sensed(Senses(), [replace(LYING, remote=remote)]) == faults


def test_a_lowstate_that_is_no_number_still_stops_and_shows_heat_and_charge():
    remote = encode_remote(Remote(present=True, buttons=frozenset({"l2_button", "b"})))
    bad = replace(LYING, q_sdk=np.full(12, np.nan), remote=remote, temperature_sdk=np.full(12, 90.0), battery_soc=5.0)
    assert sensed(Senses(), [bad], corrupt=3) == [
        "lowstate_corrupt", "estop", "lowstate_invalid", "motor_overheated", "battery_critical",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", Mode)
def test_gravity_is_a_check_before_standing_up(mode):
    senses = Senses()
    wrong = np.array([np.cos(0.25), np.sin(0.25), 0.0, 0.0])
    states = [replace(LYING, tick_ms=2 * i, quat_wxyz=wrong, gyro_body=np.full(3, 1e-9 * i)) for i in range(60)]
    found = [sensed(senses, [state], mode) for state in states]
    assert found[-1] == (["imu_gravity"] if mode == Mode.DAMPING else [])
