"""Who drives: every source times every event, and what no sequence of events may break."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbp_policy.command import NOBODY, SOURCES, CommandLimits, CommandMux, Source
from dbp_policy.errors import DbpError

PERIOD = 0.02
FORWARD, SIDEWAYS = np.array([0.4, 0.0, 0.0]), np.array([0.0, -0.3, 0.0])
HOLD_OFF = {s.name: s.hold_off for s in SOURCES}
TIMEOUT = {s.name: s.timeout for s in SOURCES}
HUMANS = {s.name for s in SOURCES} - {"autonomy"}


class Drive:
    """Calls a mux at 50 Hz; `sources` maps a name to the velocity it goes on sending at 10 Hz."""

    def __init__(self, mux: CommandMux | None = None) -> None:
        self.mux = mux or CommandMux()
        self.now = 100.0
        self.sources: dict[str, np.ndarray] = {}
        self.age = 0.0
        self.velocity, self.name = np.zeros(3), NOBODY

    def run(self, seconds: float, halt: bool = False) -> list[tuple[float, np.ndarray, str]]:
        history = []
        for i in range(round(seconds / PERIOD)):
            if i % 5 == 0:
                for name, velocity in self.sources.items():
                    self.mux.update(name, velocity, self.now, self.age)
            self.velocity, self.name = self.mux.command(self.now, halt)
            history.append((self.now, self.velocity, self.name))
            self.now += PERIOD
        return history


def driven(*names: str) -> Drive:
    """A second of driving by these sources: autonomy forward, anyone else sideways."""
    drive = Drive()
    drive.sources = {n: FORWARD if n == "autonomy" else SIDEWAYS for n in names}
    drive.run(1.0)
    return drive


def test_nobody_drives_before_the_first_message():
    drive = Drive()
    drive.run(0.1)
    assert drive.name == NOBODY and not drive.velocity.any()
    assert "no source" in drive.mux.reason


# Every source times every event ---------------------------------------------------------------------------------------


def starts(drive: Drive, source: str) -> None:
    fresh = Drive()
    fresh.sources = {source: FORWARD}
    assert fresh.run(PERIOD)[0][2] == source, "at once"
    fresh.run(1.0)
    assert np.allclose(fresh.velocity, FORWARD)


def stops(drive: Drive, source: str) -> None:
    """By silence: a process killed, a link broken."""
    last_message = drive.now - 5 * PERIOD
    drive.sources = {}
    stopped = 0.2 if source in HUMANS else TIMEOUT[source] + 0.1
    for now, velocity, name in drive.run(1.5):
        age = now - last_message
        if age < TIMEOUT[source] - 1e-6:
            assert name == source
        elif age > TIMEOUT[source] + 1e-6:
            assert name == NOBODY
        if age >= stopped - 1e-6:
            assert not velocity.any()


def lets_go(drive: Drive, source: str) -> None:
    drive.sources = {}
    drive.mux.release(source, drive.now)
    history = drive.run(HOLD_OFF[source] + 0.5)
    assert all(name == NOBODY for _, _, name in history)
    assert not any(velocity.any() for now, velocity, _ in history[5:]), "zero within 0.1 s"


def sends_nan(drive: Drive, source: str) -> None:
    before = drive.velocity
    for bad in (np.full(3, np.nan), np.array([0.1, np.inf, 0.0]), np.zeros(2), np.array(0.3)):
        assert not drive.mux.update(source, bad, drive.now)
        assert np.array_equal(drive.mux.command(drive.now)[0], before)
        assert "finite" in drive.mux.problem
    drive.sources = {source: np.full(3, np.nan)}
    assert_keeps_nobody_alive(drive, source)


def sends_out_of_range(drive: Drive, source: str) -> None:
    drive.sources = {source: np.array([9.0, -9.0, 9e300])}
    drive.run(2.0)
    assert np.allclose(drive.velocity, [0.6, -0.6, 1.0])


def sends_stale(drive: Drive, source: str) -> None:
    drive.age = TIMEOUT[source] + 0.01
    assert_keeps_nobody_alive(drive, source)


def sends_slightly_old(drive: Drive, source: str) -> None:
    """A message delayed on its way is as old as its stamp says."""
    drive.sources = {}
    drive.mux.update(source, FORWARD, drive.now, age=TIMEOUT[source] - 0.03)
    assert [name for _, _, name in drive.run(0.1)] == [source] * 2 + [NOBODY] * 3


def sends_from_the_future(drive: Drive, source: str) -> None:
    drive.age = -CommandMux.FUTURE - 0.01
    assert_keeps_nobody_alive(drive, source)


def sends_no_time(drive: Drive, source: str) -> None:
    drive.age = np.nan
    assert_keeps_nobody_alive(drive, source)


def hold_off_ends(drive: Drive, source: str) -> None:
    """A lower source that sends all the while takes over then, not before, and from zero."""
    lowest = Source("lowest", rank=0, timeout=0.15)
    drive.mux = CommandMux(sources=(*SOURCES, lowest))
    drive.sources = {source: FORWARD, "lowest": SIDEWAYS}
    drive.run(1.0)
    assert drive.name == source
    last_message = drive.now - 5 * PERIOD
    del drive.sources[source]
    for now, velocity, name in drive.run(2.0):
        age = now - last_message
        free = TIMEOUT[source] + HOLD_OFF[source]
        if min(abs(age - TIMEOUT[source]), abs(age - free)) > 1e-6:
            assert name == (source if age < TIMEOUT[source] else NOBODY if age < free else "lowest"), age
        assert velocity[0] >= 0.0 >= velocity[1]
    assert np.allclose(drive.velocity, SIDEWAYS)


def assert_keeps_nobody_alive(drive: Drive, source: str) -> None:
    dropped = drive.mux.dropped[source]
    drive.run(TIMEOUT[source] + 0.3)
    assert drive.name == NOBODY and not drive.velocity.any()
    assert drive.mux.dropped[source] > dropped
    assert drive.mux.problem.startswith(source)


EVENTS = (
    *(starts, stops, lets_go, hold_off_ends),
    *(sends_nan, sends_out_of_range, sends_stale, sends_slightly_old, sends_from_the_future, sends_no_time),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("source", TIMEOUT)
def test_matrix(source, event):
    drive = driven(source)
    assert drive.name == source and np.allclose(drive.velocity, drive.sources[source])
    event(drive, source)


@pytest.mark.parametrize("high, low", list(itertools.combinations([s.name for s in SOURCES], 2)))
def test_the_higher_of_two_takes_over_at_once_and_without_a_bump(high, low):
    drive = driven(low)
    drive.sources = {low: FORWARD, high: SIDEWAYS}
    before = drive.velocity
    history = drive.run(1.0)
    assert all(name == high for _, _, name in history)
    path = np.array([before, *(velocity for _, velocity, _ in history)])
    assert np.all(np.abs(np.diff(path, axis=0)) <= PERIOD * np.array(CommandLimits().acceleration) + 1e-9)
    assert np.allclose(drive.velocity, SIDEWAYS)


# What else -----------------------------------------------------------------------------------------------------------


def test_a_standing_human_keeps_charge_with_zero():
    drive = driven("autonomy", "teleop")
    drive.sources["teleop"] = np.zeros(3)
    drive.run(2.0)
    assert drive.name == "teleop" and np.allclose(drive.velocity, 0.0)


def test_autonomy_lost_and_found_needs_no_hold_off():
    drive = driven("autonomy")
    drive.sources = {}
    drive.run(1.0)
    drive.sources = {"autonomy": FORWARD}
    assert drive.run(PERIOD)[0][2] == "autonomy"


def test_halt_stops_and_release_starts_gently():
    drive = driven("autonomy")
    drive.run(0.2, halt=True)
    assert drive.name == "autonomy" and np.allclose(drive.velocity, 0.0)
    assert np.allclose(drive.run(2 * PERIOD)[-1][1], [2 * PERIOD * 2.0, 0.0, 0.0])  # 2 m/s² again


def test_slew_keeps_the_direction_of_the_change():
    mux = CommandMux()
    mux.command(0.0)
    mux.update("autonomy", np.array([0.6, 0.3, 0.0]), 0.0)
    velocity, _ = mux.command(0.1)
    assert np.allclose(velocity, [0.2, 0.1, 0.0])  # vx at its 2 m/s², vy in proportion


def test_a_long_pause_between_calls_does_not_become_a_jump_but_stopping_is_exempt():
    mux = CommandMux()
    mux.command(0.0)
    mux.update("autonomy", np.array([0.6, 0.0, 0.0]), 5.0)
    assert np.allclose(mux.command(5.0)[0], [0.2, 0.0, 0.0])  # 0.1 s at 2 m/s²
    assert not mux.command(9.0)[0].any()


def test_new_limits_hold_from_the_next_command_on():
    drive = driven("autonomy")
    drive.mux.limits = CommandLimits(low=(0.0, 0.0, 0.0), high=(0.2, 0.0, 0.5))
    drive.run(0.5)
    assert np.allclose(drive.velocity, [0.2, 0.0, 0.0])


def test_a_stick_reaches_the_limits_of_both_sides():
    limits = CommandLimits(low=(-0.3, -0.4, -1.0), high=(0.6, 0.5, 2.0))
    np.testing.assert_allclose(limits.scale(np.array([1.0, 1.0, -0.5])), [0.6, 0.5, -0.5])
    np.testing.assert_allclose(limits.scale(np.array([-1.0, -0.5, 0.0])), [-0.3, -0.2, 0.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: CommandMux().update("cmd_vel", np.zeros(3), 0.0),
        lambda: CommandMux().release("cmd_vel", 0.0),
        lambda: CommandMux(sources=(SOURCES[0], SOURCES[0])),
        lambda: CommandMux(sources=(Source("a", 1, 0.5), Source("b", 1, 0.5))),
        lambda: CommandMux(sources=(Source("a", 1, float("nan")),)),
        lambda: CommandLimits(low=(0.1, 0.0, 0.0)),
        lambda: CommandLimits(high=(float("nan"), 0.6, 1.0)),
        lambda: CommandLimits(acceleration=(0.0, 1.0, 1.0)),
        lambda: CommandLimits(stop_time=float("inf")),
    ],
)
def test_wrong_settings_are_refused_with_expected_and_got(make):
    with pytest.raises(DbpError, match="expected .* got"):
        make()


number = st.floats(allow_nan=True, allow_infinity=True, width=32)
events = st.lists(
    st.tuples(
        st.sampled_from([None, *TIMEOUT]),
        st.tuples(number, number, number),
        st.floats(0.0, 1.0),
        st.booleans(),
        st.sampled_from([0.0, 0.1, -1.0, np.nan]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(events)
def test_whatever_happens_the_command_is_finite_in_range_and_smooth(sequence):
    limits = CommandLimits()
    mux, now, last = CommandMux(limits), 0.0, np.zeros(3)
    mux.command(now)
    high, acceleration = np.array(limits.high), np.array(limits.acceleration)
    for source, velocity, pause, halt, age in sequence:
        if source is not None and halt:
            mux.release(source, now)
        elif source is not None:
            mux.update(source, np.array(velocity), now, age)
        now += pause
        command, name = mux.command(now, halt)
        assert np.all(np.abs(command) <= high + 1e-12)  # NaN fails too
        stopping = halt or name == NOBODY
        bound = pause * high / limits.stop_time if stopping else pause * acceleration
        assert np.all(np.abs(command - last) <= bound + 1e-9)
        if stopping:
            assert np.all(np.abs(command) <= np.abs(last) + 1e-12)
        last = command
