"""The replay keeps the newest rows, whole, and samples them reproducibly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbp_training.replay import Replay, SequenceReplay


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


def _step(number: int, envs: int = 2) -> dict[str, torch.Tensor]:
    """A step of all environments: which it is, and of which environment."""
    which = torch.arange(envs, dtype=torch.float32)
    return {"a": torch.stack([torch.full((envs,), float(number)), which], -1), "h": 10.0 * number + which[:, None]}


def test_sequences_are_steps_in_a_row_of_one_environment():
    replay = SequenceReplay(100, 3, ("h",), a=2, h=1)
    for number in range(8):
        replay.add(**_step(number))
    assert len(replay) == 4, "two of each environment; the steps after them are no sequence yet"
    drawn = replay.sample(50, torch.Generator().manual_seed(0))
    assert drawn["a"].shape == (50, 3, 2) and drawn["h"].shape == (50, 1)
    begin, which = drawn["a"][:, 0, 0], drawn["a"][:, 0, 1]
    assert set(begin.tolist()) == {0.0, 3.0} and set(which.tolist()) == {0.0, 1.0}
    assert torch.equal(drawn["a"][..., 0] - begin[:, None], torch.arange(3.0).expand(50, 3))
    assert torch.equal(drawn["a"][..., 1], which[:, None].expand(50, 3))
    assert torch.equal(drawn["h"][:, 0], 10.0 * begin + which), "before the first step"


def test_the_newest_sequences_are_kept():
    replay = SequenceReplay(12, 3, a=2, h=1)  # four sequences
    for number in range(12):
        replay.add(**_step(number))
    assert set(replay.sample(100, torch.Generator().manual_seed(0))["a"][:, 0, 0].tolist()) == {6.0, 9.0}


def test_a_restored_replay_goes_on_with_the_sequence_that_was_begun():
    one, other = (SequenceReplay(100, 3, ("h",), a=2, h=1) for _ in range(2))
    for number in range(4):
        one.add(**_step(number))
    other.load_state_dict(one.state_dict())
    for replay in (one, other):
        replay.add(**_step(4))
        replay.add(**_step(5))
    draws = [r.sample(50, torch.Generator().manual_seed(2)) for r in (one, other)]
    assert torch.equal(draws[0]["a"], draws[1]["a"]) and draws[1]["a"][:, 0, 0].max() == 3.0
