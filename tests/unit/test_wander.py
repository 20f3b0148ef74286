"""The soak's velocity commands stay inside the range, go everywhere in it, stop now and then, and repeat by seed."""

from __future__ import annotations

from itertools import islice

import numpy as np

from dbp_bringup.bench.wander import STOPS, STRETCH, wander

LOW, HIGH = (-0.5, -0.25, -1.0), (1.0, 0.25, 1.0)


def commands(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    seconds, velocities = zip(*islice(wander(LOW, HIGH, seed), count), strict=True)
    return np.array(seconds), np.array(velocities)


def test_it_covers_the_range_and_never_leaves_it():
    seconds, velocities = commands(1000)
    assert (velocities >= LOW).all() and (velocities <= HIGH).all()
    assert (velocities.min(axis=0) == LOW).all() and (velocities.max(axis=0) == HIGH).all()
    assert ((seconds >= STRETCH[0]) & (seconds <= STRETCH[1])).all()


def test_it_stops_as_often_as_it_says():
    _, velocities = commands(2000)
    assert abs((velocities == 0.0).all(axis=1).mean() - STOPS) < 0.03


def test_the_same_seed_gives_the_same_walk():
    assert np.array_equal(commands(50, seed=3)[1], commands(50, seed=3)[1])
    assert not np.array_equal(commands(50, seed=3)[1], commands(50, seed=4)[1])
