"""A soak's verdict: a leak is found, noise and steps are not taken for one, and any fault fails."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.bench.growth import BOUND, STEP, WARM_UP, growth, theil_sen
from dbp_bringup.bench.verdict import EVENTS_LISTED, STALL, Events, Soak, failures, growths

HOUR = np.arange(0.0, 3601.0, 10.0)


def soak(kib: np.ndarray, times: np.ndarray = HOUR) -> Soak:
    """A walk to the end with this memory of the guard."""
    samples = [{"t": t, "memory_kib": {"guard": {"rss": 0.0, "anonymous": m}}} for t, m in zip(times, kib, strict=True)]
    return Soak(samples=samples, finished=True)


def judge(seen: Soak) -> list[str]:
    return failures(seen, growths(seen, ("guard",)), ("guard",))


def test_the_slope_is_the_median_of_all_pairs():
    # Pairs: (4-0)/1, (2-0)/2, (9-0)/3, (2-4)/1, (9-4)/2, (9-2)/1 = 4, 1, 3, -2, 2.5, 7; the median of these is 2.75.
    assert theil_sen(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 4.0, 2.0, 9.0])) == 2.75
    assert theil_sen(np.array([1.0]), np.array([5.0])) == 0.0


def test_outliers_do_not_move_the_slope():
    values = 3.0 * HOUR
    values[::5] += 1e6
    assert theil_sen(HOUR, values) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("slope, grew", [(0.9 * BOUND, False), (1.1 * BOUND, True), (-5.0 * BOUND, False)])
def test_a_leak_above_the_bound_is_growth(slope, grew):
    noise = 40.0 * np.random.default_rng(0).standard_normal(len(HOUR))
    found = growth(HOUR, 30000.0 + slope * HOUR / 3600.0 + noise)
    assert found.slope_kib_per_hour == pytest.approx(slope, abs=0.05 * BOUND)
    assert found.grew is grew


def test_noise_and_a_single_step_are_no_growth():
    noise = 100.0 * np.random.default_rng(1).standard_normal(len(HOUR))
    assert not growth(HOUR, 30000.0 + noise).grew
    assert not growth(HOUR, np.where(HOUR < 1800.0, 30000.0, 33000.0)).grew


def test_the_warm_up_does_not_count():
    warming = 30000.0 + 20000.0 * np.minimum(HOUR / (WARM_UP * HOUR[-1]), 1.0)
    found = growth(HOUR, warming)
    assert (found.slope_kib_per_hour, found.first_kib, found.grew) == (0.0, 50000.0, False)


def test_a_short_run_is_not_failed_for_a_page_or_two_but_for_a_flood():
    minute = np.arange(0.0, 61.0, 10.0)
    assert not growth(minute, 30000.0 + 0.9 * STEP * minute / 60.0).grew
    assert growth(minute, 30000.0 + 320.0 * minute).grew


def test_one_sample_is_no_growth():
    assert not growth([0.0], [30000.0]).grew


def test_a_quiet_walk_passes():
    assert judge(soak(np.full(len(HOUR), 30000.0))) == []


def test_every_reason_fails_alone():
    flat = np.full(len(HOUR), 30000.0)
    (reason,) = judge(soak(30000.0 + 2.0 * BOUND * HOUR / 3600.0))
    assert reason == f"guard grows by {2 * BOUND:.0f} KiB/h"
    faulty, fallen, stopped, cut = (soak(flat) for _ in range(4))
    faulty.note_faults(7.0, {"battery_low"})
    fallen.fell = True
    stopped.problem, stopped.finished = "interrupted", False
    cut.finished = False
    assert judge(faulty) == ["1 faults, 0 of them as the machine stood still: battery_low"]
    assert judge(fallen) == ["the robot fell"]
    assert judge(stopped) == ["interrupted"]
    assert judge(cut) == ["it has not finished"]


def test_memory_of_the_simulator_is_not_judged():
    seen = soak(30000.0 + 2.0 * BOUND * HOUR / 3600.0)
    assert failures(seen, growths(seen, ("guard",)), judged=()) == []


def test_warnings_are_listed_and_do_not_fail_unknown_names_do():
    seen = soak(np.full(len(HOUR), 30000.0))
    seen.note_faults(3.0, {"guard_overrun"})
    assert seen.warnings.listed == [{"t": 3.0, "what": "guard_overrun", "stall_ms": 0.0}]
    assert judge(seen) == []
    seen.note_faults(4.0, {"no_row_of_the_table"})
    assert judge(seen) == ["1 faults, 0 of them as the machine stood still: no_row_of_the_table"]


def test_a_stall_of_the_machine_is_told_and_excuses_nothing():
    seen = soak(np.full(len(HOUR), 30000.0))
    seen.note_faults(3.0, {"policy_slow"}, 1.01 * STALL)
    seen.note_faults(3.1, {"lowstate_stale"}, 0.99 * STALL)
    seen.interruptions.note(3.0, "settling", stall_ms=10.1)
    assert seen.faults.listed[0] == {"t": 3.0, "what": "policy_slow", "stall_ms": 10.1}
    assert judge(seen) == [
        "2 faults, 1 of them as the machine stood still: lowstate_stale, policy_slow",
        "the walk was interrupted 1 times",
    ]


def test_a_flood_of_events_is_counted_but_not_kept():
    events = Events()
    for second in range(2 * EVENTS_LISTED):
        events.note(second, "x")
    assert (events.count, len(events.listed)) == (2 * EVENTS_LISTED, EVENTS_LISTED)
