"""The guard as a whole, step by step with injected time and made-up lowstates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guard_rig import MOVING, PERIOD, TIPPED, Rig, is_damping

from dbp_policy import go2
from dbp_policy.guard import motions
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.guard import Guard, GuardInput
from dbp_policy.guard.limits import command_allowed
from dbp_policy.types import JointTarget, Mode, Request

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


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MOVING)
def test_a_silent_robot_is_damped_within_20_ms(rig, mode):
    rig.to(mode)
    rig.lowstate_alive = False
    damped = [is_damping(rig.step()) for _ in range(20)]
    assert damped.index(True) + 1 == 8 and all(damped[7:]), "16 ms after the last one"
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


UPENDED = np.array([np.cos(0.687), 0.0, np.sin(0.687), 0.0])
"""On the front legs, nose down by 1.374 rad."""


def test_only_a_guard_that_was_told_so_lets_a_policy_stand_on_the_front_legs(rig):
    rig.to(Mode.POLICY)
    assert is_damping(rig.step(quat_wxyz=UPENDED)) and "tilt" in rig.outputs[-1].status.faults

    told = Rig()
    told.guard = Guard(nose_down=go2.POSTURES["front_legs"])
    told._lead(Mode.POLICY)
    for k in range(500):
        half = 0.687 * (k + 1) / 500
        told.state = replace(told.state, quat_wxyz=np.array([np.cos(half), 0.0, np.sin(half), 0.0]))
        told.step(gyro_body=np.array([0.0, 1.374, 1e-4 * (k % 2)]))
        assert not is_damping(told.outputs[-1]) and told.outputs[-1].status.faults == ()
    np.testing.assert_allclose(told.state.quat_wxyz, UPENDED)
    refusal = "sit_down refused: the robot is not on four legs, let the policy bring it down first"
    assert told.step(Request.SIT_DOWN).status.refusal == refusal and told.guard.mode == Mode.POLICY
    assert is_damping(told.twice(temperature_sdk=np.full(12, 90.0))), "no way down of the guard's own begins there"


@pytest.mark.parametrize("mode", [mode for mode in MOVING if mode != Mode.POLICY])
def test_the_guards_own_motions_are_for_four_legs(mode):
    told = Rig()
    told.guard = Guard(nose_down=go2.POSTURES["front_legs"])
    told._lead(mode)
    assert is_damping(told.step(quat_wxyz=UPENDED)) and "tilt" in told.outputs[-1].status.faults


@pytest.mark.parametrize("mode", MOVING)
def test_a_restarted_robot_is_damped(rig, mode):
    rig.steps = 10_000
    rig.to(mode)
    rig.steps = 0
    assert is_damping(rig.step()) and rig.outputs[-1].status.latched


def test_nobody_stands_up_a_tipped_robot(rig):
    rig.run(0.1)
    output = rig.step(Request.STAND_UP, quat_wxyz=TIPPED)
    assert output.command is None and output.status.refusal.startswith("stand_up refused: tilt")


def test_late_lowstates_are_reported_and_no_more(rig):
    rig.to(Mode.POLICY)
    for missing in (1, 2, 4, 6):
        rig.lowstate_alive = False
        rig.policy_alive = False
        shown = [rig.step().status.faults for _ in range(missing)]
        rig.lowstate_alive = rig.policy_alive = True
        assert shown == [() if 2 * (i + 1) <= 4 else ("lowstate_late",) for i in range(missing)]
        assert rig.run(0.1).status.faults == () and rig.guard.mode == Mode.POLICY


def test_three_corrupt_lowstates_in_a_row_damp_and_single_ones_do_not(rig):
    rig.to(Mode.POLICY)
    for _ in range(10):
        rig.lowstate_alive = rig.policy_alive = False
        rig.step(around={"corrupt": 2})
        rig.lowstate_alive = rig.policy_alive = True
        rig.run(0.02)
    assert rig.guard.mode == Mode.POLICY
    rig.lowstate_alive = False
    assert [is_damping(rig.step(around={"corrupt": 1})) for _ in range(3)] == [False, False, True]
    assert "lowstate_corrupt" in rig.outputs[-1].status.faults


@pytest.mark.parametrize("mode", MOVING)
def test_a_robot_that_repeats_itself_is_damped_within_50_ms(rig, mode):
    rig.to(mode)
    frozen = rig.state
    damped = [
        is_damping(rig.step(**{n: getattr(frozen, n) for n in ("q_sdk", "dq_sdk", "gyro_body", "acc_body")}))
        for _ in range(25)
    ]
    assert damped.index(True) + 1 <= 17 and rig.outputs[-1].status.latched


# The policy -----------------------------------------------------------------------------------------------------------


def test_a_dead_policy_process_is_damped_at_once(rig):
    rig.to(Mode.POLICY)
    rig.policy_gone = True
    assert is_damping(rig.step()) and "policy_gone" in rig.outputs[-1].status.faults


def test_a_dead_policy_process_only_counts_while_it_is_followed(rig):
    rig.to(Mode.STANDING)
    rig.policy_gone, rig.policy_alive = True, False
    assert rig.run(1.0).status == replace(rig.outputs[0].status, mode=Mode.STANDING, in_control=True, requests_seen=1)
    assert rig.step(Request.START).status.refusal == "start refused: no fresh policy target"


def test_a_silent_policy_is_reported_settled_and_damped_by_its_age(rig):
    rig.to(Mode.POLICY)
    rig.policy_alive = False
    outputs = [rig.step() for _ in range(40)]
    since = {}
    for i, output in enumerate(outputs):
        for name in output.status.faults:
            since.setdefault(name, 2 * (i + 1))
    assert since == {"policy_late": 16, "policy_slow": 26, "policy_stale": 62}
    modes = [o.status.mode for o in outputs]
    assert modes.index(Mode.SETTLING) == 12 and modes.index(Mode.DAMPING) == 30, "26 ms and 62 ms"


def test_a_policy_that_comes_back_while_settling_changes_nothing(rig):
    rig.to(Mode.POLICY)
    rig.policy_alive = False
    rig.run(0.04)
    rig.policy_alive = True
    assert rig.run(1.0).status.mode == Mode.SETTLING
    assert rig.run(1.0).status.latched and rig.guard.mode == Mode.DAMPING


def test_answers_to_old_lowstates_are_late_answers(rig):
    rig.to(Mode.POLICY)
    tick = 2 * rig.steps
    for i in range(1, 15):
        rig.step()
        rig.guard._targets._lag = 0.0
        rig.now += PERIOD
        rig.steps += 1
        rig.state = replace(rig.state, tick_ms=2 * rig.steps)
        good = dict(q_sdk=go2.STAND_Q, kp_sdk=np.full(12, 25.0), kd_sdk=np.full(12, 0.5))
        late = JointTarget(i, rig.now - 1e-4, tick, **good)
        status = rig.guard.step(GuardInput([rig.state], [late]), rig.now).status
        if status.mode != Mode.POLICY:
            break
    assert "policy_slow" in status.faults and rig.state.tick_ms - tick in (26, 28)


def test_a_diverged_estimate_settles(rig):
    rig.to(Mode.POLICY)
    assert rig.step(target={"estimator_diverged": True}).status.mode == Mode.SETTLING
    assert "estimator_diverged" in rig.outputs[-1].status.faults


@pytest.mark.parametrize(
    "target",
    [{"q_sdk": np.full(12, np.nan)}, {"kp_sdk": np.full(12, 1e9)}, {"kd_sdk": np.full(12, -1.0)}],
)
def test_an_invalid_target_is_never_published_and_damps_at_once(rig, target):
    rig.to(Mode.POLICY)
    output = rig.step(target=target)
    assert is_damping(output) and "policy_invalid" in output.status.faults


def test_a_target_out_of_reach_settles(rig):
    rig.to(Mode.POLICY)
    rig.run(1.0)
    output = rig.step(target={"q_sdk": go2.STAND_Q + 2.0})
    assert output.status.mode == Mode.SETTLING and "policy_reach" in output.status.faults
    assert output.command.q == pytest.approx(go2.STAND_Q, abs=0.01) and (output.command.kp < 26.0).all()


def test_a_jumping_target_is_clamped_and_the_fifth_in_a_row_settles(rig):
    rig.to(Mode.POLICY)
    rig.run(1.0)
    rig.follows = False
    jumps = [rig.step(target={"q_sdk": go2.STAND_Q + (0.3 + 0.01 * i if i else -0.3)}) for i in range(6)]
    assert [o.status.mode for o in jumps] == [Mode.POLICY] * 5 + [Mode.SETTLING]
    assert jumps[0].status.faults == (), "after a rest a step of 0.3 rad is none"
    assert all("policy_slew" in o.status.faults for o in jumps[1:5]) and "policy_erratic" in jumps[5].status.faults
    steps = np.abs(np.diff([o.command.q for o in jumps[:5]], axis=0))
    assert steps.max() <= 40.0 * PERIOD + 1e-9, "the very tick that it came in"


# Slowing down ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sensed, fault, scale",
    [
        ({"temperature_sdk": np.full(12, 75.0)}, "motor_hot", 0.0),
        ({"battery_soc": 15.0}, "battery_low", 0.0),
        ({"battery_v": 20.0}, "voltage_sag", 0.5),
    ],
)
def test_what_only_slows_down(rig, sensed, fault, scale):
    rig.state = replace(rig.state, battery_v=30.0)
    rig.to(Mode.POLICY)
    rig.state = replace(rig.state, **sensed)
    status = rig.run(1.0).status
    assert (status.mode, status.speed_scale) == (Mode.POLICY, scale) and fault in status.faults
    rig.state = replace(rig.state, temperature_sdk=np.zeros(12), battery_soc=90.0, battery_v=30.0)
    assert rig.run(0.1).status.speed_scale == 1.0


def test_a_late_guard_reports_itself_and_blames_nobody(rig):
    rig.to(Mode.POLICY)
    rig.now += 0.097
    status = rig.step().status
    assert (status.mode, status.overruns) == (Mode.POLICY, 1) and status.faults == ("guard_overrun",)


@pytest.mark.parametrize("mode", MOVING)
@pytest.mark.parametrize("stall", [0.099, 1.0, 3600.0, np.nan])
def test_a_guard_that_was_stopped_damps_when_it_wakes(rig, mode, stall):
    rig.to(mode)
    rig.now += stall
    output = rig.step()
    assert is_damping(output) and output.status.latched and "guard_stalled" in output.status.faults


# Others beside the guard ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", [{"foreign": 1}, {"rivals": 1}])
@pytest.mark.parametrize("mode", MOVING)
def test_a_second_writer_damps_at_once(rig, mode, around):
    rig.to(mode)
    output = rig.step(around=around)
    assert is_damping(output) and output.status.latched and "second_writer" in output.status.faults


def test_nobody_stands_up_beside_a_second_writer(rig):
    rig.run(0.1)
    assert rig.step(Request.STAND_UP, around={"rivals": 1}).refusals == ("stand_up refused: second_writer present",)


def test_without_a_standby_nobody_stands_up_or_starts_but_a_robot_that_walks_goes_on(rig):
    gone = {"around": {"standby_took": False}}
    rig.to(Mode.POLICY)
    outputs = [rig.step(**gone) for _ in range(100)]
    assert [o.status.faults for o in outputs] == [()] * 50 + [("standby_gone",)] * 50, "after 100 ms"
    assert rig.guard.mode == Mode.POLICY
    assert rig.step(Request.STAND_UP, **gone).refusals == ("stand_up refused: standby_gone present",)
    assert rig.step(Request.SIT_DOWN, **gone).status.mode == Mode.SITTING_DOWN
    rig = Rig()
    rig.step(**gone)
    assert rig.step(Request.STAND_UP, **gone).refusals == ("stand_up refused: standby_gone present",), "never there"
    assert rig.step(Request.STAND_UP).refusals == ("",)


def test_a_silent_endpoint_settles_and_forbids(rig):
    silent = {"around": {"endpoints": EndpointReport(silent=("bench",))}}
    rig.to(Mode.POLICY)
    output = rig.step(**silent)
    assert output.status.mode == Mode.SETTLING and "endpoint_silent" in output.status.faults
    rig.run(2.0)
    assert rig.step(Request.RESET, **silent).refusals == ("reset refused: endpoint_silent present",)
    assert rig.step(Request.RESET).refusals == ("",)


def test_targets_before_the_first_lowstate_do_no_harm(rig):
    rig.lowstate_alive = False
    rig.steps = -1
    assert rig.step(target={}).command is None
    assert rig.step(Request.STAND_UP).command is None


# The last check ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MOVING)
def test_a_command_that_fails_the_last_check_is_never_published(rig, monkeypatch, mode):
    rig.to(mode)
    monkeypatch.setattr("dbp_policy.guard.guard.command_allowed", lambda *_: False)
    output = rig.step()
    assert is_damping(output) and output.status.latched and "command_unsafe" in rig.step().status.faults
    assert rig.step(Request.RESET, request_age=0.1).status.latched, "pressed before, arrived after it"


def test_a_policys_command_out_of_reach_settles(rig, monkeypatch):
    rig.to(Mode.POLICY)
    answers = iter([False, True])
    monkeypatch.setattr("dbp_policy.guard.guard.command_allowed", lambda *_: next(answers, True))
    assert rig.step().status.mode == Mode.SETTLING and "policy_reach" in rig.outputs[-1].status.faults


def test_the_reaction_to_it_is_checked_in_full_too(rig, monkeypatch):
    rig.to(Mode.POLICY)
    before, checked = rig.step().command, []

    def first_refused(*given):
        checked.append(given)
        return len(checked) > 1 and command_allowed(*given)

    monkeypatch.setattr("dbp_policy.guard.guard.command_allowed", first_refused)
    output = rig.step()
    (_, state, _), (wanted, same_state, last) = checked
    assert wanted is output.command and same_state is state is output.state and last is before


def test_a_motion_that_is_over_holds_its_last_pose():
    assert motions.SETTLE.command(go2.STAND_Q, 99.0).q == pytest.approx(go2.CROUCH_Q)
