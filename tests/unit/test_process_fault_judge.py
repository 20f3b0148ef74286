"""What a record of the wire is judged by, on records made by hand: guard 1, standby 2, somebody else 3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dbp_bringup.faults.fault_list import FAULT_LIST
from dbp_bringup.faults.processes.campaign import Result
from dbp_bringup.faults.processes.ear import Heard
from dbp_bringup.faults.processes.judge import Verdict, WireRecord, gains_changed, judge, spread, undisturbed
from dbp_bringup.faults.processes.others import OTHERS, stopped_at
from dbp_bringup.faults.processes.plan import Expected, ProcessFault, disk_full_faults, process_faults
from dbp_bringup.faults.processes.report import histogram, passed, report
from dbp_bringup.faults.processes.restarts import MOTION_MAX, Restart
from dbp_bringup.time_keeper import stall
from dbp_policy import go2
from dbp_policy.types import Mode

GUARD, STANDBY, OTHER = 1, 2, 3
PERIOD = 0.002
INJECTED = 1.0
WALK, SETTLE, DAMP = (25.0, 0.5), (30.0, 1.0), (0.0, go2.DAMPING_KD)
DAMPS = ProcessFault("x", 1, Mode.POLICY, ("guard",), Expected.DAMPS)
SETTLES = replace(DAMPS, expected=Expected.SETTLES)
GOES_ON = replace(DAMPS, expected=Expected.GOES_ON)


def wire(*stretches: tuple[float, float, int, tuple[float, float]]) -> WireRecord:
    """Commands from stretches of (begin, end, writer, (kp, kd)), in the standing pose, of a robot that stands."""
    t, writer, rows = [], [], []
    for begin, end, who, (kp, kd) in stretches:
        times = np.arange(begin, end - 1e-9, PERIOD)
        row = np.zeros((5, 12))
        row[0], row[2], row[3] = go2.STAND_Q, kp, kd
        t += times.tolist()
        writer += [who] * len(times)
        rows += [row] * len(times)
    order = np.argsort(t, kind="stable")
    state_t = np.arange(0.0, 3.0, PERIOD)
    q = np.tile(go2.STAND_Q, (len(state_t), 1))
    return WireRecord(np.array(t)[order], np.array(writer)[order], np.array(rows)[order], state_t, q, np.zeros_like(q))


def judged(kind: ProcessFault, *stretches, end: float = 2.0) -> Verdict:
    return judge(kind, wire(*stretches), INJECTED, end)


class TestDamping:
    def test_the_standby_takes_over(self):
        verdict = judged(DAMPS, (0.5, 1.0, GUARD, WALK), (1.018, 2.0, STANDBY, DAMP))
        assert (verdict.unsafe, verdict.writer) == ("", STANDBY)
        assert verdict.reaction == verdict.damped == pytest.approx(0.018)

    def test_stiff_commands_before_the_reaction_count_as_time(self):
        verdict = judged(DAMPS, (0.5, 1.4, GUARD, WALK), (1.4, 2.0, GUARD, DAMP))
        assert verdict.unsafe == "" and verdict.reaction == pytest.approx(0.4)

    @pytest.mark.parametrize(
        "reason, stretches",
        [
            ("never damped", [(0.5, 2.0, GUARD, WALK)]),
            ("the stream has stopped", [(0.5, 1.0, GUARD, WALK)]),
            ("the stream has stopped", [(0.5, 1.0, GUARD, WALK), (1.01, 1.5, STANDBY, DAMP)]),
            (
                "damping was interrupted",
                [(0.5, 1.0, GUARD, WALK), (1.01, 1.2, STANDBY, DAMP), (1.5, 2.0, STANDBY, DAMP)],
            ),
            ("two writers speak in turns", [(0.5, 1.1, GUARD, WALK), (1.02, 2.0, STANDBY, DAMP)]),
            (
                "two writers speak in turns",
                [
                    (0.5, 1.0, GUARD, WALK),
                    (1.01, 1.5, STANDBY, DAMP),
                    (1.5, 1.51, GUARD, DAMP),
                    (1.51, 2.0, STANDBY, DAMP),
                ],
            ),
            ("never damped", [(0.5, 1.0, GUARD, WALK), (1.01, 1.5, STANDBY, DAMP), (1.5, 2.0, OTHER, WALK)]),
            ("a gain is out of bounds", [(0.5, 1.0, GUARD, (101.0, 1.0)), (1.0, 2.0, STANDBY, DAMP)]),
        ],
    )
    def test_what_must_never_be(self, reason, stretches):
        assert judged(DAMPS, *stretches).unsafe == reason

    def test_stiffness_after_damping_has_begun(self):
        record = wire(
            (0.5, 1.0, GUARD, WALK), (1.0, 1.3, GUARD, DAMP), (1.3, 1.302, GUARD, WALK), (1.302, 2.0, GUARD, DAMP)
        )
        assert judge(DAMPS, record, INJECTED, 2.0).unsafe == "a stiff command after damping had begun"

    def test_a_number_that_is_not_finite(self):
        record = wire((0.5, 2.0, GUARD, DAMP))
        record.rows.setflags(write=True)
        record.rows[3, 0, 5] = np.nan
        assert judge(DAMPS, record, INJECTED, 2.0).unsafe == "a number is not finite"

    def test_a_command_that_no_robot_takes(self):
        record = replace(wire((0.5, 1.0, GUARD, WALK), (1.0, 2.0, GUARD, DAMP)), refused="rt/lowcmd: wrong CRC")
        assert judge(DAMPS, record, INJECTED, 2.0).unsafe == "rt/lowcmd: wrong CRC"

    def test_a_foreign_writer_can_be_left_out(self):
        record = wire((0.5, 1.02, GUARD, WALK), (1.0, 2.0, OTHER, WALK), (1.02, 2.0, GUARD, DAMP))
        assert judge(DAMPS, record.without(OTHER), INJECTED, 2.0).reaction == pytest.approx(0.02)


class TestSettlingAndGoingOn:
    def test_settling_counts_from_the_first_changed_gains(self):
        verdict = judged(SETTLES, (0.5, 1.026, GUARD, WALK), (1.026, 1.062, GUARD, SETTLE), (1.062, 2.0, GUARD, DAMP))
        assert verdict.unsafe == ""
        assert (verdict.reaction, verdict.damped) == (pytest.approx(0.026), pytest.approx(0.062))

    def test_gains_that_never_change(self):
        assert gains_changed(wire((0.5, 2.0, GUARD, WALK)), INJECTED) == np.inf

    def test_going_on(self):
        assert judged(GOES_ON, (0.5, 2.0, GUARD, WALK)) == Verdict()
        assert judged(GOES_ON, (0.5, 1.2, GUARD, WALK), (1.2, 2.0, GUARD, DAMP)).unsafe == "damped without a reason"
        assert judged(GOES_ON, (0.5, 1.2, GUARD, WALK)).unsafe == "the stream has stopped"


@pytest.mark.parametrize(
    "calm, stretches",
    [
        (True, [(0.5, 2.0, GUARD, WALK)]),
        (True, [(0.5, 0.97, GUARD, SETTLE), (0.97, 2.0, GUARD, WALK)]),
        (False, [(0.5, 0.99, GUARD, WALK), (0.99, 2.0, GUARD, SETTLE)]),
        (False, [(0.5, 2.0, GUARD, DAMP)]),
        (False, [(0.5, 0.97, GUARD, WALK)]),
    ],
)
def test_a_robot_that_had_begun_to_stop_is_no_proof(calm, stretches):
    assert undisturbed(wire(*stretches), INJECTED) == calm


class TestControl:
    TICKS = ((0.998, 1.004), (1.006, 1.0061), (1.010, 1.025), (1.5, 1.6))

    @pytest.mark.parametrize(
        "begin, end, expected", [(1.0, 1.02, 0.010), (1.0, 1.03, 0.015), (1.0, 1.009, 0.004), (1.03, 1.4, 0.0)]
    )
    def test_only_what_lies_between_injection_and_reaction_counts(self, begin, end, expected):
        assert stall(self.TICKS, begin, end) == pytest.approx(expected)

    def test_the_percentile_is_one_of_the_values(self):
        assert spread([0.001] * 98 + [0.005, 0.030]) == {"n": 100, "median": 1.0, "p99": 30.0, "max": 30.0}
        assert spread([]) is None


def result(
    reaction: float = 0.015, stalled: float = 0.0, unsafe: str = "", pooled: bool = True, bound: float = 0.02
) -> Result:
    verdict = Verdict(unsafe) if unsafe else Verdict("", reaction, reaction, STANDBY)
    return Result("guard killed", True, verdict, bound, pooled, stalled, bound, "standby")


def reported(results, done=()) -> dict:
    return report(results, done, (), 1.0, "no load")


class TestReport:
    def test_good_runs_pass_and_raw_figures_stay(self):
        data = reported([result(0.016, 0.004)] * 3, [Restart("", 0.003, 0.003, 1.6, 1.0)])
        assert data["passed"]
        assert data["reaction_ms"]["p99"] == 16.0 and data["excess_ms"]["p99"] == 12.0
        assert data["kinds"][0]["each"][0] == {"reaction_ms": 16.0, "damped_ms": 16.0, "stall_ms": 4.0}

    @pytest.mark.parametrize(
        "results, done",
        [
            ([result(unsafe="never damped")], ()),
            ([result(0.0201)], ()),
            ([result(0.050, pooled=False, bound=0.032)], ()),
            ([result()], [Restart("a stiff command after an e-stop", 0.0, 0.0, 1.6, 1.0)]),
            ([result()], [Restart("", MOTION_MAX, MOTION_MAX, 1.6, 1.0)]),
            ([result()], [Restart("", 0.004, 0.001, 1.6, 1.0)] * 4),
        ],
    )
    def test_what_does_not_pass(self, results, done):
        assert not reported(results, done)["passed"]

    def test_a_process_that_ends_by_itself_does_not_pass(self):
        assert not passed({**reported([result()]), "ended_by_themselves": ["guard: exit code 2"]})

    def test_a_stall_of_the_machine_excuses_only_its_own_length(self):
        assert reported([result(0.030, 0.012)])["passed"]
        assert not reported([result(0.030, 0.008)])["passed"]

    def test_the_distribution_loses_nothing(self):
        assert histogram([0.001, 0.0179, 0.018, 0.5]) == {"0-2": 1, "16-18": 1, "18-20": 1, "38-40": 1}


def test_a_robot_has_stopped_once_its_mean_speed_stays_low():
    t = np.arange(0.0, 3.0, 0.01)
    speed = np.where(t < 1.5, 0.5, 0.0) + 0.1 * np.sin(40.0 * t)
    heard = Heard([], [], [], [(x, v, 0.0, 0.3) for x, v in zip(t, speed, strict=True)])
    assert 1.5 < stopped_at(heard, 1.0) < 1.9
    assert stopped_at(Heard([], [], [], [(x, 0.5, 0.0, 0.3) for x in t]), 1.0) == np.inf


def test_the_fault_list_names_only_what_is_tried():
    kinds = [*process_faults(), *disk_full_faults(), *(kind for kind, _ in OTHERS)]
    tried = [*(kind.key for kind in kinds), "restarts"]
    named = {name for listed in FAULT_LIST for name in listed.processes}
    assert {name for name in named if not any(key.startswith(name) for key in tried)} == set()


def test_the_plan_holds_a_hundred_injections_and_no_kind_twice():
    kinds = [*process_faults(), *disk_full_faults()]
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert sum(kind.count for kind in kinds) >= 100
    assert all(kind.count == 1 for kind in process_faults(0.001))
