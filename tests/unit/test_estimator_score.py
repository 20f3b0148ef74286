"""How the estimator is scored: by hand-computed numbers and textbook tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from dbp_bringup.bench import estimator as bench  # noqa: E402
from dbp_bringup.bench import estimator_score as score  # noqa: E402
from dbp_policy import go2  # noqa: E402
from dbp_policy.types import RobotState  # noqa: E402

SECOND = go2.LOWSTATE_HZ


def track(error: np.ndarray, sigma: float = 0.1, position: np.ndarray | None = None) -> score.Track:
    """Of a robot at rest whose velocity was estimated with this error."""
    n = len(error)
    return score.Track(
        velocity_body=error,
        velocity_cov=np.tile(sigma**2 * np.eye(3), (n, 1, 1)),
        position_odom=np.zeros((n, 3)) if position is None else position,
        contact=np.ones((n, 4), dtype=bool),
        valid=np.ones(n, dtype=bool),
        update_us=100.0,
        yardstick_us=2.0,
    )


def test_nees_is_the_error_in_standard_deviations_squared_and_its_first_second_does_not_count():
    error = np.tile([0.1, -0.2, 0.3], (SECOND + 10, 1))
    error[:SECOND] = 50.0
    values = score.nees(track(error), np.zeros_like(error))
    assert len(values) == 10 and values == pytest.approx(1.0 + 4.0 + 9.0)
    counted = score.velocity_error(track(error), np.zeros_like(error))
    assert score.pooled_rmse([counted]) == pytest.approx([0.1, 0.2, 0.3])


def test_rmse_of_runs_is_pooled_not_averaged():
    assert score.pooled_rmse([np.zeros((3, 3)), np.full((1, 3), 0.2)]) == pytest.approx([0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    "runs, low, high",
    # chi² with 6, 15 and 30 degrees of freedom
    [(2, 1.237 / 2.0, 14.449 / 2.0), (5, 6.262 / 5.0, 27.488 / 5.0), (10, 16.791 / 10.0, 46.979 / 10.0)],
)
def test_nees_band_is_that_of_the_chi_squared_tables(runs, low, high):
    assert score.nees_band(runs) == pytest.approx((low, high), abs=0.03)


def test_an_honest_covariance_stays_in_its_band_95_percent_of_the_time():
    rng = np.random.default_rng(0)
    errors = 0.1 * rng.standard_normal((5, SECOND + 4000, 3))
    mean = np.mean([score.nees(track(e), np.zeros_like(e)) for e in errors], axis=0)
    low, high = score.nees_band(5)
    assert np.mean((low <= mean) & (mean <= high)) == pytest.approx(0.95, abs=0.02)


def test_drift_is_the_planar_error_at_the_end_and_swaying_is_no_way():
    n = 10 * SECOND
    swaying = 0.01 * np.sin(2.0 * np.pi * 10.0 * np.arange(n) / SECOND)
    position = np.stack([np.linspace(1.0, 6.0, n), swaying, np.ones(n)])
    estimated = position.T - [1.0, 0.0, 0.0]
    estimated[-1] += [0.03, 0.04, 5.0]
    off, way = score.drift(track(np.zeros((n, 3)), position=estimated), position.T)
    assert off == pytest.approx(0.05, abs=1e-9)
    assert way == pytest.approx(5.0, rel=0.02)


def test_flipping_brings_a_detector_to_the_accuracy_asked_for():
    # right and not flipped, or wrong and flipped: 0.95 (1 - s) + 0.05 s = 0.85
    assert score.flips_for(0.95, 0.85) == pytest.approx(0.1 / 0.9)
    assert score.flips_for(0.8, 0.85) == 0.0
    detector, plain = score.FlippedContacts(0.15, seed=3), score.ContactDetector()
    force, wrong, ends = np.array([60.0, 2.0, 60.0, 2.0]), [], 0
    for _ in range(40000):
        probability = detector.update(force, np.zeros(4), 0.002)
        right = plain.update(force, np.zeros(4), 0.002)
        wrong.append(detector.stance != plain.stance)
        assert np.array_equal(probability, np.where(wrong[-1], 1.0 - right, right))
    ends = np.count_nonzero(np.diff(np.array(wrong).astype(int), axis=0) == -1)
    assert np.mean(wrong) == pytest.approx(0.15, abs=0.02)
    assert np.sum(wrong) / ends * 0.002 == pytest.approx(score.FLIP_TIME, rel=0.15)


def test_follow_runs_lowstates_in_order_and_times_each():
    states = [RobotState(tick_ms=2 * i, stamp=0.002 * i, acc_body=np.array([0.0, 0.0, 9.81])) for i in range(20)]
    states[7] = replace(states[7], q_sdk=np.full(12, np.nan))
    followed = score.follow(iter(states))
    assert followed.velocity_body.shape == (20, 3) and followed.velocity_cov.shape == (20, 3, 3)
    assert not followed.valid[7]
    assert followed.update_us > followed.yardstick_us > 0.0


def figures(rmse: float, drift: float = 0.5) -> dict:
    return {"rmse": [0.01, rmse, 0.01], "drift_percent": drift}


def test_shortfalls_name_axis_ground_and_contacts():
    def result(**cases) -> dict:
        fine = {case: figures(0.02) for case in bench.CASES}
        firm, slippery = ({"friction": f, "falls": 0, "cases": fine} for f in bench.FRICTIONS)
        return {"grounds": [{**firm, "cases": {**fine, **cases}}, slippery], "update_us": 100.0}

    assert bench.shortfalls(result()) == []
    assert bench.shortfalls(result(fused=figures(0.031))) == [
        "RMSE y 0.031 m/s at friction 0.8, torque and foot sensors"
    ]
    assert bench.shortfalls(result(flipped=figures(0.035))) == []
    assert len(bench.shortfalls(result(flipped=figures(0.037)))) == 1
    assert bench.shortfalls(result(fused=figures(0.01, drift=1.3))) == ["drift 1.3 % at friction 0.8"]
    assert bench.shortfalls({**result(), "update_us": 151.0}) == ["151 us an update"]
    assert len(bench.shortfalls(result(fused=figures(np.nan)))) == 1, "what is no number is not as wanted"
