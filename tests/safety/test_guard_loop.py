"""The guard's loop on a made-up robot and a made-up clock, with real local sockets."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from guard_rig import LYING
from loop_rig import PERIOD, Bench

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.guard import loop
from dbp_policy.guard.checks.endpoints import EndpointReport
from dbp_policy.guard.endpoint_socket import RemoteStops
from dbp_policy.guard.guard import GuardOutput
from dbp_policy.guard.loop import GuardLoop
from dbp_policy.local_link import GUARD_SOCKET, Link, encode
from dbp_policy.types import Beat, GuardStatus, Mode, OperatorRequest, Request, RobotState
from dbp_policy.unitree import wire


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_it_takes_over_a_robot_that_lies_and_beats_meanwhile(bench):
    assert bench.loop.take_over(release=True)
    bench.proceed()
    told = [Beat(os.getpid(), in_control=False, leaving=False, stamp=b.stamp) for b in bench.beats]
    assert told and bench.beats == told
    assert all(earlier.stamp < later.stamp for earlier, later in itertools.pairwise(told))
    assert not bench.robot.sent


def test_a_policy_may_pitch_down_only_as_far_as_the_loop_was_told(monkeypatch):
    made = []
    monkeypatch.setattr(loop, "Guard", lambda *arguments: made.append(arguments))
    robot = SimpleNamespace(commands=None)
    GuardLoop(robot, None, None, RemoteStops("", None))
    GuardLoop(robot, None, None, RemoteStops("", None), go2.POSTURES["front_legs"])
    assert made == [(PERIOD, 0.0), (PERIOD, go2.POSTURES["front_legs"])]


def test_a_robot_that_its_sport_mode_keeps_standing_is_laid_down_by_that(bench):
    bench.robot.mode, bench.robot.state = "normal", replace(LYING, q_sdk=go2.STAND_Q)
    assert bench.loop.take_over(release=True)
    assert bench.robot.last_code == 0 and bench.robot.mode == "" and not bench.robot.sent


def test_it_says_what_it_waits_for_once_and_can_be_asked_to_stop(bench, capsys):
    bench.robot.silent = True
    bench.at(400, bench.stop)
    assert not bench.loop.take_over(release=True)
    said = capsys.readouterr().out
    assert said == "guard: waiting for rt/lowstate (is the robot on, and the interface the right one?)\n"


class Looks:
    """Stands in for the stop request while the loop looks around: a lowstate and just 1/32 s per look, so many."""

    def __init__(self, bench: Bench, looks: int) -> None:
        self._bench, self._left = bench, looks
        bench.clock.t = 1000.0

    def wait(self, seconds: float) -> bool:
        end = self._bench.clock.t + 1.0 / 32.0
        self._bench.robot.wait(PERIOD)
        self._bench.clock.t = end
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize("looks, said", [(96, False), (97, True)])
def test_it_says_what_it_waits_for_after_three_seconds_with_the_number_of_damaged_lowstates(bench, capsys, looks, said):
    bench.robot.damaged = True
    bench.loop._stop = Looks(bench, looks)
    assert not bench.loop.take_over(release=True)
    told = "guard: waiting for rt/lowstate (97 came with a wrong length or CRC) (is the robot on, and the interface"
    assert capsys.readouterr().out == (f"{told} the right one?)\n" if said else "")


def test_asked_to_stop_before_it_looks_it_takes_nothing(bench):
    loop = GuardLoop(bench.robot, bench.loop._link, None, RemoteStops("", None))
    loop.stop()
    assert not loop.take_over(release=True) and not bench.robot.sent


def test_a_rivals_commands_do_not_make_up_for_its_writer(bench):
    bench.robot.matched = 3
    for tick in range(1, 2000):
        bench.at(tick, lambda: bench.robot.echo.append(b"whatever"))
    with pytest.raises(DbpError, match="the only writer"):
        bench.loop.take_over(release=True)


def test_it_waits_for_another_writer_and_for_foreign_commands_to_end(bench):
    bench.robot.matched = 3
    bench.at(100, lambda: setattr(bench.robot, "matched", 2))
    for tick in range(100, 200):
        bench.at(tick, lambda: bench.robot.echo.append(b"whatever"))
    assert bench.loop.take_over(release=True) and bench.ticks >= 200


def test_the_standbys_writer_is_none_of_the_rivals_only_while_it_takes_beats(bench):
    bench.standby.close()
    bench.standby = None
    with pytest.raises(DbpError, match="the only writer"):
        bench.loop.take_over(release=True)


def test_without_a_standby_expected_one_writer_is_all_there_may_be(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, standby=False)
    bench.robot.matched = 1
    assert bench.loop.take_over(release=True) and not bench.beats
    bench.at(10, bench.stop)
    bench.at(5, lambda: setattr(bench.robot, "matched", 2))
    bench.loop.run()
    assert "second_writer" in bench.told[-1][1].faults


def test_every_lowstate_is_answered_once_at_the_robots_rate(bench):
    bench.at(1, lambda: bench.ask(Request.ESTOP))
    bench.at(300, bench.stop)
    begin = bench.clock.t
    bench.loop.run()
    states = [message for message, _ in bench.told if isinstance(message, RobotState)]
    assert len(states) in (298, 299) and states == sorted(states, key=lambda s: s.tick_ms)
    assert all(begin <= state.stamp <= bench.clock.t for state in states), "stamped on arrival"
    assert bench.clock.t - begin == pytest.approx(300 * PERIOD + 1.0, abs=0.01), "and then a second of damping"
    assert len(bench.robot.sent) == pytest.approx(300 + 500, abs=3)


def test_a_silent_robot_changes_nothing_in_the_guards_rate_and_is_told(bench):
    bench.at(1, lambda: bench.ask(Request.ESTOP))
    bench.at(50, lambda: setattr(bench.robot, "silent", True))
    bench.at(550, bench.stop)
    bench.loop.run()
    statuses = [message for message, _ in bench.told if isinstance(message, GuardStatus)]
    assert len(statuses) in (18, 19, 20), "every 50 ms of a second"
    assert "lowstate_stale" in statuses[-1].faults
    assert len(bench.robot.sent) == pytest.approx(550 + 500, abs=3)


def test_a_flood_of_lowstates_does_not_make_it_faster_than_a_millisecond(bench, monkeypatch):
    monkeypatch.setattr(bench.robot, "wait", lambda timeout: True)
    bench.at(101, bench.stop)
    begin = bench.clock.t
    bench.loop.run()
    assert bench.clock.t - begin == pytest.approx(100 * 0.5 * PERIOD, abs=PERIOD)


def test_damaged_lowstates_are_counted_and_faulted(bench):
    bench.robot.damaged = True
    bench.at(50, bench.stop)
    bench.loop.run()
    assert "lowstate_corrupt" in bench.told[-1][0].faults and bench.loop._bad_lowstates > 40


def test_a_fault_of_damaged_lowstates_goes_with_the_last_of_them(bench):
    bench.robot.damaged = True
    bench.at(20, lambda: setattr(bench.robot, "damaged", False))
    bench.at(600, bench.stop)
    bench.loop.run()
    faults = [status.faults for _, status in bench.told if status is not None]
    assert faults and "lowstate_corrupt" not in faults[-1]


def test_two_who_ask_at_once_get_an_answer_each(bench):
    other = Link(bench.folder)

    def ask_both() -> None:
        bench.ask(Request.START)
        assert other.send(encode(OperatorRequest(Request.STAND_UP, bench.clock.t)), GUARD_SOCKET)

    bench.at(100, ask_both)
    bench.at(110, bench.stop)
    bench.loop.run()
    bench.proceed()
    assert [a.refusal for a in bench.answers] == ["start refused in mode damping"]
    assert [message.refusal for message, _, _ in other.receive()] == [""]


def test_the_remote_stops_are_heard_in_the_loops_time_and_told_the_status(bench):
    heard: list[float] = []
    told: list[GuardStatus] = []

    class Stops:
        def report(self, now: float) -> EndpointReport:
            heard.append(now)
            return EndpointReport(pressed=len(heard) > 20)

        def tell(self, status: GuardStatus) -> None:
            told.append(status)

        def close(self) -> None: ...

    bench.loop._stops = Stops()
    bench.at(30, bench.stop)
    bench.loop.run()
    assert heard == sorted(heard) and 1000.0 < heard[0] and heard[-1] <= bench.clock.t
    assert not told[19].latched and told[20].latched and "estop" in told[20].faults


def test_a_silent_robots_status_is_told_once_per_period(bench, monkeypatch):
    """To the bit: what was told now is not told again."""
    monkeypatch.setattr(loop, "_STATUS_PERIOD", 0.0)
    bench.loop._told = bench.clock.t
    bench.loop._tell(GuardOutput(None, GuardStatus(), None))
    bench.proceed()
    assert not bench.told


def test_who_asks_is_answered_and_who_has_no_address_is_not(bench):
    bench.at(20, lambda: bench.ask(Request.START))
    bench.at(25, lambda: bench.tool.send(b"noise", GUARD_SOCKET))
    bench.at(26, lambda: bench.tool.send(encode(GuardStatus()), GUARD_SOCKET))
    bench.at(40, bench.stop)
    bench.loop.run()
    bench.proceed()
    assert [a.refusal for a in bench.answers] == ["start refused in mode damping"]


def walk(bench: Bench) -> None:
    """Up and into the policy within 1,300 ticks."""
    bench.at(100, lambda: bench.ask(Request.STAND_UP))
    bench.at(1200, lambda: bench.ask(Request.START))


def test_a_robot_that_stands_is_sat_down_before_the_end(bench):
    bench.at(100, lambda: bench.ask(Request.STAND_UP))
    bench.at(1300, bench.stop)
    bench.loop.run()
    commands = bench.commands()
    stiff = [c for c in commands if c.kp.any()]
    assert stiff[-1].q == pytest.approx(go2.CROUCH_Q, abs=0.02) and not commands[-1].kp.any()
    bench.proceed()
    last = bench.beats[-1]
    assert last == Beat(os.getpid(), in_control=True, leaving=True, stamp=last.stamp)
    assert not any(b.leaving for b in bench.beats[:-1])


def test_a_sitting_down_that_takes_too_long_ends_in_damping(bench, monkeypatch):
    monkeypatch.setattr(loop, "_SIT_DOWN_TIMEOUT", 0.5)
    bench.at(100, lambda: bench.ask(Request.STAND_UP))
    bench.at(1300, bench.stop)
    bench.loop.run()
    last = [c for c in bench.commands() if c.kp.any()][-1]
    assert np.abs(last.q - go2.CROUCH_Q).max() > 0.2 and not bench.commands()[-1].kp.any()


def test_without_time_to_sit_down_or_to_damp_there_is_one_tick_to_ask_and_no_more(bench, monkeypatch):
    monkeypatch.setattr(loop, "_SIT_DOWN_TIMEOUT", 0.0)
    monkeypatch.setattr(loop, "_SHUTDOWN_DAMPING", 0.0)
    bench.at(100, lambda: bench.ask(Request.STAND_UP))
    at_stop: list[int] = []
    bench.at(1300, lambda: at_stop.append(len(bench.robot.sent)))
    bench.at(1300, bench.stop)
    bench.loop.run()
    assert len(bench.robot.sent) - at_stop[0] == 1


def test_a_robot_that_walks_is_damped_at_the_end(bench):
    walk(bench)
    bench.at(1600, lambda: bench.told.append(bench.mode))
    bench.at(1600, bench.stop)
    bench.loop.run()
    assert Mode.POLICY in bench.told
    last_stiff = max(i for i, c in enumerate(bench.commands()) if c.kp.any())
    assert len(bench.robot.sent) - last_stiff == pytest.approx(501, abs=3)


def test_a_policy_process_that_is_gone_damps(bench):
    walk(bench)

    def end() -> None:
        bench.policy.close()
        bench.policy = None

    bench.at(1600, end)
    bench.at(1604, lambda: bench.told.append(bench.loop._guard._cause))
    bench.at(1610, bench.stop)
    bench.loop.run()
    assert ("policy_gone",) in bench.told


def test_a_standby_that_is_gone_is_a_fault(bench):
    def end() -> None:
        bench.standby.close()
        bench.standby = None

    bench.at(10, end)
    bench.at(100, bench.stop)
    bench.loop.run()
    assert bench.told[-1][1].faults == ("standby_gone",)


def test_a_standby_that_takes_no_beats_is_gone_too(bench):
    taken = bench.standby
    bench.at(10, lambda: setattr(bench, "standby", None))
    bench.at(100, bench.stop)
    bench.loop.run()
    assert bench.told[-1][1].faults == ("standby_gone",)
    assert 1 <= len(taken.receive()) < 20, "few wait for it"


def test_a_foreign_command_damps_and_its_own_do_not(bench):
    walk(bench)
    bench.at(1600, lambda: bench.told.append(bench.mode))
    bench.at(1601, lambda: bench.robot.echo.append(wire.encode_lowcmd(bench.commands()[100])))
    bench.at(1604, lambda: bench.told.append(bench.loop._guard._cause))
    bench.at(1610, bench.stop)
    bench.loop.run()
    assert Mode.POLICY in bench.told and ("second_writer",) in bench.told


def test_a_restarted_robot_ends_the_process_damped(bench):
    bench.robot._steps = 10_000
    bench.at(20, lambda: bench.ask(Request.ESTOP))
    bench.at(50, lambda: setattr(bench.robot, "_steps", 0))
    anew = "the robot has restarted, and its own motion service with it: start this stack anew"
    with pytest.raises(DbpError, match=f"^{anew}$"):
        bench.loop.run()
    assert not any(c.kp.any() for c in bench.commands()) and len(bench.robot.sent) > 500
    bench.proceed()
    assert bench.beats[-1].leaving


def test_before_it_has_control_it_ends_without_a_word(bench):
    bench.at(50, bench.stop)
    bench.loop.run()
    assert not bench.robot.sent


# A dry run ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_commands_and_has_nothing_to_send_them_by(tmp_path, monkeypatch, capsys):
    bench = Bench(tmp_path, monkeypatch, standby=False, dry_run=True)
    bench.robot.mode, bench.robot.matched = "normal", 3
    assert bench.loop.take_over(release=True), "whoever has the motors keeps them"
    assert bench.robot.mode == "normal"
    begin = bench.ticks
    bench.at(begin + 100, lambda: bench.ask(Request.STAND_UP))
    bench.at(begin + 120, lambda: bench.told.append(bench.mode))
    bench.at(begin + 150, bench.stop)
    bench.loop.run()
    assert Mode.STANDING_UP in bench.told and not bench.robot.sent
    statuses = [entry[1] for entry in bench.told if isinstance(entry, tuple)]
    assert statuses and not any("second_writer" in status.faults for status in statuses)
    assert all(status.dry_run for status in statuses) and statuses[-1].mode_name == "dry run: standing_up"
    said = capsys.readouterr().out
    assert said.startswith("guard: dry run, standing_up: would send kp ") and "FR " in said


def test_the_end_of_a_dry_run_sends_nothing_either(tmp_path, monkeypatch, capsys):
    bench = Bench(tmp_path, monkeypatch, standby=False, dry_run=True)
    bench.at(10, lambda: bench.ask(Request.ESTOP))
    bench.at(20, bench.stop)
    begin = bench.clock.t
    bench.loop.run()
    assert not bench.robot.sent and bench.clock.t - begin < 0.1
    assert capsys.readouterr().out == "guard: dry run, damping [estop]: would send damping, kd 3\n"


def test_what_may_wait_is_done_between_the_command_and_the_next_lowstate(bench, monkeypatch):
    done, seen = [], []
    write, catch_up = bench.robot.write, bench.loop._guard.catch_up
    monkeypatch.setattr(bench.robot, "write", lambda payload: (done.append("command"), write(payload)))
    monkeypatch.setattr(bench.loop._guard, "catch_up", lambda: (done.append("catch up"), catch_up()))
    bench.at(1, lambda: bench.ask(Request.ESTOP))
    bench.at(20, lambda: seen.extend(done[-6:]))
    bench.at(20, bench.stop)
    bench.loop.run()
    assert seen == ["command", "catch up"] * 3
