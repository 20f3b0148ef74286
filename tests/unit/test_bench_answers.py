"""How long lowstates wait for their lowcmds, from times written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.bench.answers import answers, percentiles_us


def test_each_lowstate_waits_for_the_first_lowcmd_after_it():
    heard = answers([0.0, 2.0, 4.0], [0.5, 2.25, 4.75], period=2.0)
    assert heard.latencies.tolist() == [0.5, 0.25, 0.75]
    assert heard.late == 0


def test_a_lowcmd_between_answers_nothing_and_does_not_count_twice():
    heard = answers([0.0, 2.0], [-0.5, 0.5, 1.5, 2.5], period=2.0)
    assert heard.latencies.tolist() == [0.5, 0.5]


def test_a_lowstate_without_answer_before_the_next_is_late():
    heard = answers([0.0, 2.0, 4.0], [2.5, 4.5], period=2.0)
    assert heard.latencies.tolist() == [2.5, 0.5, 0.5]
    assert heard.late == 1


def test_what_is_never_answered_is_late_and_has_no_latency():
    heard = answers([0.0, 2.0, 4.0], [0.5], period=2.0)
    assert heard.latencies.tolist() == [0.5]
    assert heard.late == 2
    assert answers([0.0, 2.0], [], period=2.0).late == 2


def test_the_last_lowstate_is_late_after_a_period():
    assert answers([0.0], [1.9], period=2.0).late == 0
    assert answers([0.0], [2.1], period=2.0).late == 1


def test_percentiles_are_in_microseconds():
    figures = percentiles_us(np.arange(1001) * 1e-6)
    assert figures == pytest.approx({"p50_us": 500.0, "p99_us": 990.0, "p999_us": 999.0, "max_us": 1000.0})
