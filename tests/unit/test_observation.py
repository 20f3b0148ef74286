"""The observation vector, by hand, and its torch twin."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.errors import DbpError
from dbp_policy.observation import TERMS, Observer, Signals, advance_phase, observation_size, term


def signals(k: float = 0.0, batch: tuple[int, ...] = (), xp=np) -> Signals:
    """Signals whose every element tells which it is."""
    sizes = dict(gyro_body=3, gravity_body=3, command=3, q_error=12, dq=12, last_action=12, phase=1, velocity_body=3)
    arrays = {n: np.broadcast_to(100.0 * i + np.arange(s) + k, (*batch, s)) for i, (n, s) in enumerate(sizes.items())}
    arrays["phase"] = np.broadcast_to([0.25], (*batch, 1))
    return Signals(**{name: xp.asarray(array.copy()) for name, array in arrays.items()})


def test_terms_stand_in_the_order_of_the_list_and_are_scaled():
    observer = Observer([term("command", (1.0, 10.0, 0.5)), term("gyro_body", 0.1)])
    assert observer.observe(signals()) == pytest.approx([200.0, 2010.0, 101.0, 0.0, 0.1, 0.2])


def test_the_clock_turns_once_per_cycle():
    observer = Observer([term("clock")])
    assert observer.observe(signals()) == pytest.approx([1.0, 0.0], abs=1e-7)  # sin and cos at a quarter


@pytest.mark.parametrize("name", TERMS)
def test_every_term_has_its_size(name):
    assert Observer([term(name)]).observe(signals()).shape == (TERMS[name][0],)


def test_history_is_oldest_first_and_begins_filled_with_the_first_value():
    observer = Observer([term("gyro_body", history=3), term("command")])
    seen = [observer.observe(signals(k))[:9:3].tolist() for k in (0.0, 10.0, 20.0, 30.0)]
    assert seen == [[0, 0, 0], [0, 0, 10], [0, 10, 20], [10, 20, 30]]
    observer.reset()
    assert observer.observe(signals(50.0))[:9:3].tolist() == [50, 50, 50]


def test_size_counts_history():
    assert observation_size([term("gyro_body", history=3), term("clock")]) == 11


def test_leading_shapes_and_torch_give_the_same_numbers():
    torch = pytest.importorskip("torch")
    terms = [term(name, 0.5, history=1 + i % 2) for i, name in enumerate(TERMS)]
    ours, batched, theirs = Observer(terms), Observer(terms), Observer(terms, torch)
    for k in (0.0, 1.0):
        single = ours.observe(signals(k))
        np.testing.assert_array_equal(batched.observe(signals(k, (2, 3)))[1, 2], single)
        np.testing.assert_allclose(theirs.observe(signals(k, xp=torch)).numpy(), single, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("base_height",), "expected one of"),
        (("gyro_body", (1.0, 2.0)), "expected 1 or 3 finite scales"),
        (("gyro_body", float("nan")), "expected 1 or 3 finite scales"),
        (("gyro_body", 1.0, 0), "expected a history of at least 1, got 0"),
    ],
)
def test_a_bad_term_is_refused(arguments, message):
    with pytest.raises(DbpError, match=message):
        term(*arguments)


def test_phase_advances_modulo_one():
    assert advance_phase(np.array([0.99]), 2.0, 50.0) == pytest.approx([0.03])
