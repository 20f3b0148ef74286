"""The replay keeps the newest rows, whole, and samples them reproducibly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbp_training.replay import Replay


def _rows(start: int, count: int) -> dict[str, torch.Tensor]:
    number = torch.arange(start, start + count, dtype=torch.float32)[:, None]
    return {"a": number.repeat(1, 2), "b": -number}


def _kept(replay: Replay) -> set[float]:
    drawn = replay.sample(4000, torch.Generator().manual_seed(0))
    return set(drawn["b"].flatten().neg().tolist())


@given(counts=st.lists(st.integers(0, 10), min_size=1, max_size=12))
def test_the_newest_rows_are_kept(counts):
    replay, added = Replay(10, a=2, b=1), 0
    for count in counts:
        replay.add(**_rows(added, count))
        added += count
    assert len(replay) == min(added, 10)
    if added:
        assert _kept(replay) == set(range(max(0, added - 10), added))


def test_the_vectors_of_a_row_stay_together():
    replay = Replay(10, a=2, b=1)
    replay.add(**_rows(0, 7))
    replay.add(**_rows(7, 7))
    drawn = replay.sample(100, torch.Generator().manual_seed(1))
    assert torch.equal(drawn["a"], -drawn["b"].repeat(1, 2))


def test_stored_rows_carry_no_gradient():
    replay = Replay(4, a=1)
    replay.add(a=torch.ones(2, 1, requires_grad=True))
    assert not replay.sample(3, torch.Generator())["a"].requires_grad


def test_a_restored_replay_samples_and_overwrites_the_same():
    one, other = Replay(10, a=2, b=1), Replay(10, a=2, b=1)
    one.add(**_rows(0, 10))
    one.add(**_rows(10, 3))
    other.load_state_dict(one.state_dict())
    for replay in (one, other):
        replay.add(**_rows(13, 2))
    draws = [r.sample(50, torch.Generator().manual_seed(2)) for r in (one, other)]
    assert torch.equal(draws[0]["a"], draws[1]["a"])


def test_rows_that_do_not_fit_are_refused():
    replay = Replay(4, a=2, b=1)
    with pytest.raises(ValueError, match="expected up to 4 rows"):
        replay.add(**_rows(0, 5))
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        replay.add(a=torch.zeros(1, 2))
