"""The comparisons that all element-wise checks of the guard rest on."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.guard.checks.bounds import every, within


@pytest.mark.parametrize("place", range(4))
def test_one_that_does_not_hold_is_enough(place):
    condition = np.ones(4, bool)
    assert every(condition) is True
    condition[place] = False
    assert every(condition) is False


@pytest.mark.parametrize("bound", [2.0, np.full(4, 2.0)])
def test_values_on_the_bound_are_within_and_what_is_no_number_is_not(bound):
    values = np.array([0.0, -2.0, 2.0, 1.0])
    assert within(values, bound)
    for bad in (np.nextafter(2.0, 3.0), -np.nextafter(2.0, 3.0), np.nan, np.inf, -np.inf):
        for place in range(4):
            wrong = values.copy()
            wrong[place] = bad
            assert not within(wrong, bound)


def test_a_bound_that_is_no_number_lets_nothing_through():
    assert not within(np.zeros(3), np.nan) and not within(np.zeros(3), np.array([1.0, np.nan, 1.0]))
