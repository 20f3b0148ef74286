"""The guard as a whole, step by step with injected time and made-up lowstates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbp_policy import go2
from dbp_policy.guard import limits
from dbp_policy.guard.guard import Guard, GuardOutput
from dbp_policy.types import JointTarget, Mode, OperatorRequest, Request, RobotState
from dbp_policy.unitree.remote import Remote, encode_remote

PERIOD = 0.002
LYING = RobotState(q_sdk=go2.CROUCH_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
TIPPED = np.array([np.cos(0.6), np.sin(0.6), 0.0, 0.0])
L2_B = encode_remote(Remote(present=True, buttons=frozenset({"l2_button", "b"})))
MOVING = (Mode.STANDING_UP, Mode.STANDING, Mode.POLICY, Mode.SITTING_DOWN)


class Rig:
    """A guard, a robot that follows its commands at once, and a policy that asks for the standing pose at 50 Hz."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.state = LYING
        self.now = 100.0
        self.steps = 0
        self.policy_alive = True
        self.lowstate_alive = True
        self.outputs: list[GuardOutput] = []

    def step(self, *requests: Request, target: dict | None = None, request_age: float = 0.0, **sensed) -> GuardOutput:
        """One period; `sensed` overrides fields of this lowstate, `target` makes a target with these fields."""
        self.now += PERIOD
        self.steps += 1
        self.state = replace(self.state, tick_ms=2 * self.steps, stamp=self.now)
        states = [replace(self.state, **sensed)] if self.lowstate_alive else []
        targets = []
        if target is not None or self.policy_alive and self.steps % 10 == 0:
            good = dict(q_sdk=go2.STAND_Q, kp_sdk=np.full(12, 25.0), kd_sdk=np.full(12, 0.5))
            targets = [JointTarget(self.steps, self.now - 1e-4, 2 * self.steps, **{**good, **(target or {})})]
        asked = [OperatorRequest(r, self.now - request_age) for r in requests]
        output = self.guard.step(states, targets, asked, self.now)
        if output.command is not None and output.command.kp.any():
            self.state = replace(self.state, q_sdk=output.command.q)
        self.outputs.append(output)
        return output

    def run(self, seconds: float) -> GuardOutput:
        for _ in range(round(seconds / PERIOD)):
            output = self.step()
        return output

    def to(self, mode: Mode) -> Rig:
        """Leads there by an operator's requests."""
        self.run(0.1)
        if mode != Mode.DAMPING:
            self.step(Request.STAND_UP)
        if mode not in (Mode.DAMPING, Mode.STANDING_UP):
            self.run(2.1)
        if mode == Mode.POLICY:
            self.step(Request.START)
        elif mode == Mode.SITTING_DOWN:
            self.step(Request.SIT_DOWN)
        if mode != Mode.DAMPING:
            self.run(0.1)
        assert self.guard.mode == mode
        return self


def is_damping(output: GuardOutput) -> bool:
    c = output.command
    return c is not None and not (c.kp.any() or c.tau.any() or c.dq.any()) and bool((c.kd == go2.DAMPING_KD).all())


@pytest.fixture
def rig() -> Rig:
    return Rig()


# The operator's way -------------------------------------------------------------------------------------------------


def test_it_says_nothing_until_it_is_asked_to_stand_up(rig):
    rig.run(1.0)
    rig.step(Request.START)
    rig.step(Request.SIT_DOWN)
    assert all(o.command is None and not o.status.in_control for o in rig.outputs)


def test_the_whole_way_up_and_down(rig):
    rig.run(0.1)
    output = rig.step(Request.STAND_UP)
    assert output.status.mode == Mode.STANDING_UP
    assert output.command.q == pytest.approx(go2.CROUCH_Q, abs=0.02), "it starts from where the legs are"
    assert rig.run(2.1).status.mode == Mode.STANDING
    assert rig.run(0.5).command.q == pytest.approx(go2.STAND_Q)
    assert rig.step(Request.START).status.mode == Mode.POLICY
    assert rig.run(0.6).command.kp == pytest.approx(np.full(12, 25.0)), "the policy's gains, after the blend"
    assert rig.step(Request.SIT_DOWN).status.mode == Mode.SITTING_DOWN
    output = rig.run(2.1)
    assert output.status.mode == Mode.DAMPING and is_damping(output) and not output.status.latched
    assert not any(o.status.faults for o in rig.outputs[50:])


def test_commands_are_continuous_through_every_mode_change(rig):
    rig.to(Mode.STANDING)
    shifted = go2.STAND_Q + 0.2
    rig.step(Request.START)
    for _ in range(400):
        rig.step(target={"q_sdk": shifted})
    rig.step(Request.STAND_UP)
    rig.run(0.6)
    rig.step(Request.SIT_DOWN)
    rig.run(1.9)
    commands = [o.command for o in rig.outputs if o.command is not None and o.command.kp.any()]
    assert np.abs(np.diff([c.q for c in commands], axis=0)).max() < 0.006  # 3 rad/s
    assert np.abs(np.diff([c.kp for c in commands], axis=0)).max() < 1.0


def test_start_needs_a_fresh_policy(rig):
    rig.policy_alive = False
    rig.to(Mode.STANDING)
    output = rig.step(Request.START)
    assert (output.status.mode, output.status.refusal) == (Mode.STANDING, "start refused: no fresh policy target")


def test_a_request_counts_only_while_it_is_fresh(rig):
    rig.run(0.1)
    for age in (0.51, 5.0, -1.0, np.nan, np.inf):
        output = rig.step(Request.STAND_UP, request_age=age)
        assert output.command is None and "expected an action of the last 0.5 s" in output.status.refusal
    assert rig.step(Request.STAND_UP, request_age=0.3).status.mode == Mode.STANDING_UP


def test_every_request_is_counted_and_the_last_answer_is_told(rig):
    rig.run(0.1)
    assert rig.step(Request.START).status.refusal.startswith("start refused")
    status = rig.step(Request.STAND_UP).status
    assert (status.refusal, status.requests_seen) == ("", 2)


# E-stop ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["request", "stale request", "remote", "process"])
@pytest.mark.parametrize("mode", MOVING)
def test_every_stop_damps_in_the_same_step_and_latches(rig, mode, way):
    rig.to(mode)
    if way == "request":
        output = rig.step(Request.ESTOP)
    elif way == "stale request":
        output = rig.step(Request.ESTOP, request_age=60.0)
    elif way == "remote":
        output = rig.step(remote=L2_B)
    else:
        rig.guard.stop(rig.now)
        output = rig.step()
    assert is_damping(output) and output.status.latched and "estop" in output.status.faults
    for request in (Request.STAND_UP, Request.START, Request.SIT_DOWN):
        assert is_damping(rig.step(request))
    assert rig.guard.mode == Mode.DAMPING


def test_the_stop_wins_over_what_is_asked_in_the_same_step(rig):
    rig.to(Mode.STANDING)
    output = rig.step(Request.SIT_DOWN, Request.STAND_UP, Request.ESTOP, Request.RESET)
    assert is_damping(output) and not output.command.kp.any()


def test_only_a_reset_ends_the_latch_and_it_moves_nothing(rig):
    rig.to(Mode.POLICY)
    rig.step(Request.ESTOP)
    output = rig.run(5.0)
    assert output.status.latched and is_damping(output), "it waits for ever"
    output = rig.step(Request.RESET)
    assert not output.status.latched and is_damping(output) and output.status.faults == ()
    assert is_damping(rig.run(1.0))
    assert rig.step(Request.STAND_UP).status.mode == Mode.STANDING_UP


def test_reset_is_refused_while_the_remote_is_pressed_and_while_joints_move(rig):
    rig.to(Mode.STANDING)
    rig.step(remote=L2_B)
    assert rig.step(Request.RESET, remote=L2_B).status.refusal == "reset refused: estop present"
    assert (
        rig.step(Request.RESET, dq_sdk=np.full(12, 1.0)).status.refusal == "reset refused: the joints are still moving"
    )
    assert not rig.step(Request.RESET).status.latched


def test_a_stop_before_anything_else_keeps_it_silent_and_latched(rig):
    rig.run(0.1)
    assert rig.step(Request.ESTOP).command is None
    assert rig.step(Request.STAND_UP).status.refusal == "stand_up refused: latched, reset first"


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MOVING)
def test_a_silent_robot_is_damped_within_a_step_of_20_ms(rig, mode):
    rig.to(mode)
    rig.lowstate_alive = False
    damped = [is_damping(rig.step()) for _ in range(20)]
    assert damped.index(True) + 1 <= 11 and all(damped[10:])
    assert not any(damped[:9]), "a gap shorter than that is none"
    rig.lowstate_alive = True
    assert is_damping(rig.run(1.0)), "and stays so"
    assert "lowstate_stale" in rig.outputs[-1].status.faults


@pytest.mark.parametrize(
    "sensed, fault",
    [
        ({"quat_wxyz": TIPPED}, "tilt"),
        ({"q_sdk": np.full(12, np.nan)}, "lowstate_invalid"),
        ({"q_sdk": go2.STAND_Q + 3.0}, "joint_limit"),
        ({"dq_sdk": np.full(12, 40.0)}, "joint_speed"),
    ],
)
@pytest.mark.parametrize("mode", MOVING)
def test_what_a_lowstate_shows_damps_in_the_same_step(rig, mode, sensed, fault):
    rig.to(mode)
    output = rig.step(**sensed)
    assert is_damping(output) and output.status.latched and fault in output.status.faults
    assert is_damping(rig.run(0.5)) and fault in rig.outputs[-1].status.faults, "the cause stays readable"


@pytest.mark.parametrize("mode", MOVING)
def test_a_restarted_robot_is_damped(rig, mode):
    rig.steps = 10_000
    rig.to(mode)
    rig.steps = 0
    assert is_damping(rig.step()) and rig.outputs[-1].status.latched


def test_nobody_stands_up_a_tipped_robot(rig):
    rig.run(0.1)
    output = rig.step(Request.STAND_UP, quat_wxyz=TIPPED)
    assert output.command is None and output.status.refusal == "stand_up refused: tilt present"


def test_a_silent_policy_ends_in_the_standing_hold(rig):
    rig.to(Mode.POLICY)
    rig.policy_alive = False
    modes = [rig.step().status.mode for _ in range(40)]
    assert modes.index(Mode.STANDING) <= 31
    output = rig.run(1.0)
    assert output.status.mode == Mode.STANDING and not output.status.latched
    assert output.command.q == pytest.approx(go2.STAND_Q) and output.command.kp == pytest.approx(np.full(12, 60.0))
    assert "policy_stale" in output.status.faults
    rig.policy_alive = True
    assert rig.run(1.0).status.mode == Mode.STANDING, "a policy that is back waits for a fresh start"
    assert rig.step(Request.START).status.mode == Mode.POLICY


@pytest.mark.parametrize(
    "target, fault",
    [
        ({"q_sdk": np.full(12, np.nan)}, "policy_invalid"),
        ({"kp_sdk": np.full(12, 1e9)}, "policy_invalid"),
        ({"kd_sdk": np.full(12, -1.0)}, "policy_invalid"),
        ({"q_sdk": go2.STAND_Q + 2.0}, "policy_reach"),
    ],
)
def test_a_bad_target_is_never_published_and_ends_in_standing(rig, target, fault):
    rig.to(Mode.POLICY)
    rig.run(1.0)
    rig.policy_alive = False
    output = rig.step(target=target)
    assert output.status.mode == Mode.STANDING and fault in output.status.faults
    assert output.command.q == pytest.approx(go2.STAND_Q, abs=0.01) and (output.command.kp < 61.0).all()
    assert rig.step(Request.START).status.refusal.startswith("start refused")


def test_heat_only_slows_down(rig):
    rig.to(Mode.POLICY)
    rig.state = replace(rig.state, temperature_sdk=np.full(12, 80.0))
    status = rig.run(1.0).status
    assert (status.mode, status.zero_velocity) == (Mode.POLICY, True) and "motor_hot" in status.faults


def test_a_late_guard_reports_itself_and_blames_nobody(rig):
    rig.to(Mode.POLICY)
    rig.now += 1.0
    status = rig.step().status
    assert (status.mode, status.overruns) == (Mode.POLICY, 1) and "guard_overrun" in status.faults


def test_targets_before_the_first_lowstate_do_no_harm(rig):
    rig.lowstate_alive = False
    rig.steps = -1
    assert rig.step(target={}).command is None
    assert rig.step(Request.STAND_UP).command is None


# Whatever comes -------------------------------------------------------------------------------------------------------

numbers = st.one_of(st.floats(-5.0, 5.0), st.floats(), st.sampled_from([np.nan, np.inf, -np.inf, 1e300]))
vectors = st.tuples(numbers, st.integers(0, 11)).map(lambda v: np.where(np.arange(12) == v[1], v[0], go2.STAND_Q))
events = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(list(Request))),
    st.tuples(st.just("wait"), st.sampled_from([1, 5, 60, 300, 1100])),
    st.tuples(
        st.just("target"), st.fixed_dictionaries({}, optional={n: vectors for n in ("q_sdk", "kp_sdk", "kd_sdk")})
    ),
    st.tuples(
        st.just("sense"), st.fixed_dictionaries({}, optional={n: vectors for n in ("q_sdk", "dq_sdk", "tau_sdk")})
    ),
    st.tuples(st.just("tip"), st.sampled_from([TIPPED, np.zeros(4), np.full(4, np.nan)])),
    st.tuples(st.just("press"), st.just(L2_B)),
    st.tuples(st.just("lose"), st.sampled_from(["policy_alive", "lowstate_alive"])),
    st.tuples(st.just("find"), st.sampled_from(["policy_alive", "lowstate_alive"])),
    st.tuples(st.just("stall"), st.floats(0.0, 3.0)),
    st.tuples(st.just("restart"), st.integers(0, 10_000)),
)
upright = st.just([("ask", Request.STAND_UP), ("wait", 1100), ("ask", Request.START), ("wait", 60)])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.just([]), upright), st.lists(events, max_size=12))
def test_whatever_comes_every_command_is_finite_bounded_and_granted(start, sequence):
    rig = Rig()
    rig.run(0.05)
    granted = False
    for kind, value in [*start, *sequence]:
        first = len(rig.outputs)
        if kind == "ask":
            before = rig.guard.mode
            rig.step(value)
            granted |= value == Request.STAND_UP and before == Mode.DAMPING and rig.guard.mode == Mode.STANDING_UP
        elif kind == "wait":
            rig.run(value * PERIOD)
        elif kind in ("lose", "find"):
            setattr(rig, value, kind == "find")
        elif kind == "stall":
            rig.now += value
        elif kind == "restart":
            rig.steps = value
        else:
            changes = {
                "target": {"target": value},
                "sense": value,
                "tip": {"quat_wxyz": value},
                "press": {"remote": value},
            }
            rig.step(**changes[kind])
        for output in rig.outputs[first:]:
            c = output.command
            assert (c is not None) == output.status.in_control
            if c is None:
                continue
            assert granted, "no command without a granted stand_up"
            assert all(np.isfinite(x).all() for x in (c.q, c.dq, c.kp, c.kd, c.tau))
            assert (
                (c.kp >= 0).all()
                and (c.kp <= go2.KP_MAX).all()
                and (c.kd >= 0).all()
                and (c.kd <= go2.KD_MAX).all()
            )
            outside = (c.q < go2.Q_MIN - limits.POSITION_MARGIN) | (c.q > go2.Q_MAX + limits.POSITION_MARGIN)
            assert not (outside & (c.kp > 0)).any()
            assert not c.tau.any() and not c.dq.any()
            if output.status.latched or output.status.mode == Mode.DAMPING:
                assert not c.kp.any()
