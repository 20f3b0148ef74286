"""The ring that windows are judged by: what is oldest, from when on it is full, and that it begins anew."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.guard.checks.history import Ring


@pytest.mark.parametrize("length", [1, 3, 50])
def test_the_oldest_value_is_the_one_of_length_pushes_ago(length):
    ring = Ring(length, 2)
    for i in range(3 * length):
        assert ring.full == (i >= length)
        assert not ring.full or ring.oldest.tolist() == [i - length, -(i - length)]
        ring.push(np.array([float(i), -float(i)]))


def test_it_begins_with_zeros_of_its_size():
    assert Ring(4, 3).oldest.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("pushes", [0, 2, 3, 7])
def test_cleared_it_takes_as_many_pushes_as_at_first(pushes):
    ring = Ring(3, 1)
    for _ in range(pushes):
        ring.push(np.array([9.0]))
    ring.clear()
    for i in range(3):
        assert not ring.full
        ring.push(np.array([float(i)]))
    assert ring.full and ring.oldest.tolist() == [0.0]
