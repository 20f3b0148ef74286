"""Returns, values and targets of a window by hand-computed numbers."""

from __future__ import annotations

import torch

from dbp_training.returns import returns_to_go, td_lambda, window_returns

REWARD = [1.0, 2.0, 3.0, 4.0]
VALUE = [10.0, 20.0, 40.0, 80.0]


def _column(values: list) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def _returns(terminated: list[int], truncated: list[int], value: list[float] | None = None) -> float:
    """Of one environment with rewards 1, 2, 3, 4 and discount 0.5."""
    column = [torch.tensor(x)[:, None] for x in ([1.0, 2.0, 3.0, 4.0], terminated, truncated)]
    value = None if value is None else torch.tensor(value)[:, None]
    return window_returns(column[0], column[1].bool(), column[2].bool(), 0.5, value).item()


def test_discounting_starts_anew_with_each_episode():
    assert _returns([0, 0, 0, 0], [0, 0, 0, 0]) == 1 + 2 / 2 + 3 / 4 + 4 / 8
    assert _returns([0, 1, 0, 0], [0, 0, 0, 0]) == (1 + 2 / 2) + (3 + 4 / 2)
    assert _returns([0, 0, 0, 0], [0, 1, 0, 0]) == (1 + 2 / 2) + (3 + 4 / 2)


def test_a_time_limit_goes_on_with_the_value_and_a_failure_does_not():
    value = [10.0, 20.0, 40.0, 80.0]
    assert _returns([0, 0, 0, 0], [0, 0, 0, 0], value) == 1 + 2 / 2 + 3 / 4 + 4 / 8 + 80 / 16
    assert _returns([0, 0, 0, 0], [0, 1, 0, 0], value) == (1 + 2 / 2 + 20 / 4) + (3 + 4 / 2 + 80 / 4)
    assert _returns([0, 1, 0, 0], [0, 0, 0, 0], value) == (1 + 2 / 2) + (3 + 4 / 2 + 80 / 4)
    assert _returns([0, 0, 0, 1], [0, 0, 0, 0], value) == 1 + 2 / 2 + 3 / 4 + 4 / 8


def _to_go(done: list[int]) -> list[float]:
    return returns_to_go(_column(REWARD), _column(done).bool(), 0.5).flatten().tolist()


def test_the_observed_rest_of_a_window_ends_with_the_episode():
    assert _to_go([0, 0, 0, 0]) == [2 + 3 / 2 + 4 / 4, 3 + 4 / 2, 4, 0]
    assert _to_go([0, 1, 0, 0]) == [2, 0, 4, 0]


def test_segments_with_their_observed_rest_are_worth_the_whole():
    ends = [_column([0, 0, 0, 0]).bool()] * 2
    rest = returns_to_go(_column(REWARD), ends[0], 0.5)
    first = window_returns(_column(REWARD)[:2], ends[0][:2], ends[1][:2], 0.5, rest[:2])
    assert first.item() == _returns([0, 0, 0, 0], [0, 0, 0, 0])


def _targets(lam: float, terminated: list[int], truncated: list[int]) -> list[float]:
    """Rewards 1, 2, 3, 4, values 10, 20, 40, 80 of the reached states, discount 0.5."""
    ends = (_column(terminated).bool(), _column(truncated).bool())
    return td_lambda(_column(REWARD), *ends, _column(VALUE), 0.5, lam).flatten().tolist()


def test_td_targets_by_hand():
    none = [0, 0, 0, 0]
    assert _targets(0.0, none, none) == [1 + 5, 2 + 10, 3 + 20, 4 + 40]
    assert _targets(1.0, none, none) == [8.25, 14.5, 25, 44]  # 25 = 3 + 44/2, 14.5 = 2 + 25/2, 8.25 = 1 + 14.5/2
    # lambda 1/2: 44; 3 + (40/2 + 44/2)/2 = 24; 2 + (20/2 + 24/2)/2 = 13; 1 + (10/2 + 13/2)/2 = 6.75
    assert _targets(0.5, none, none) == [6.75, 13, 24, 44]


def test_a_failure_is_worth_its_reward_and_a_time_limit_the_value_of_what_was_reached():
    none = [0, 0, 0, 0]
    # step 1 fails: 2; 1 + (10/2 + 2/2)/2 = 4
    assert _targets(0.5, [0, 1, 0, 0], none) == [4, 2, 24, 44]
    # step 1 ends at the limit: 2 + 20/2 = 12; 1 + (10/2 + 12/2)/2 = 6.5
    assert _targets(0.5, none, [0, 1, 0, 0]) == [6.5, 12, 24, 44]
    # the last step fails: 4; 3 + (40/2 + 4/2)/2 = 14; 2 + (20/2 + 14/2)/2 = 10.5; 1 + (10/2 + 10.5/2)/2 = 6.125
    assert _targets(0.5, [0, 0, 0, 1], none) == [6.125, 10.5, 14, 4]
