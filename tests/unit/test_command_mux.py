"""Who drives: every source times every event, and what no sequence of events may break."""

from __future__ import annotations

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


class Drive:
    """Calls a mux at 50 Hz; `sources` maps a name to the velocity it goes on sending at 10 Hz."""

    def __init__(self, mux: CommandMux | None = None) -> None:
        self.mux = mux or CommandMux()
        self.now = 100.0
        self.sources: dict[str, np.ndarray] = {}
        self.velocity, self.name = np.zeros(3), NOBODY

    def run(self, seconds: float, halt: bool = False) -> list[tuple[float, np.ndarray, str]]:
        history = []
        for i in range(round(seconds / PERIOD)):
            if i % 5 == 0:
                for name, velocity in self.sources.items():
                    self.mux.update(name, velocity, self.now)
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


@pytest.mark.parametrize("source", TIMEOUT)
def test_a_live_source_drives_at_its_velocity(source):
    drive = driven(source)
    assert drive.name == source
    assert np.allclose(drive.velocity, drive.sources[source])


@pytest.mark.parametrize("source", TIMEOUT)
def test_a_silent_source_gives_zero_within_200_ms_of_its_time_out(source):
    drive = driven(source)
    last_message = drive.now - 5 * PERIOD
    drive.sources = {}
    history = drive.run(1.5)
    for now, velocity, name in history:
        age = now - last_message
        if age < TIMEOUT[source] - 1e-6:
            assert name == source
        elif age > TIMEOUT[source] + 1e-6:
            assert name == NOBODY
        if age >= TIMEOUT[source] + 0.2:
            assert not velocity.any()


@pytest.mark.parametrize("bad", [np.full(3, np.nan), np.array([0.1, np.inf, 0.0]), np.zeros(2), np.array(0.3)])
@pytest.mark.parametrize("source", TIMEOUT)
def test_bad_messages_are_dropped_and_keep_nobody_alive(source, bad):
    drive = driven(source)
    before = drive.velocity
    assert not drive.mux.update(source, bad, drive.now)
    assert np.array_equal(drive.mux.command(drive.now)[0], before)
    drive.sources = {source: bad}
    drive.run(TIMEOUT[source] + 0.3)
    assert drive.name == NOBODY and not drive.velocity.any()
    assert drive.mux.dropped[source] > 1


@pytest.mark.parametrize("source", TIMEOUT)
def test_out_of_range_is_clipped(source):
    drive = Drive()
    drive.sources = {source: np.array([9.0, -9.0, 9.0])}
    drive.run(2.0)
    assert np.allclose(drive.velocity, [0.6, -0.6, 1.0])


def test_teleop_takes_over_at_once_and_autonomy_is_ignored():
    drive = driven("autonomy")
    drive.sources["teleop"] = SIDEWAYS
    history = drive.run(1.0)
    assert all(name == "teleop" for _, _, name in history)
    assert np.allclose(drive.velocity, SIDEWAYS)


def test_a_standing_human_keeps_charge_with_zero():
    drive = driven("autonomy", "teleop")
    drive.sources["teleop"] = np.zeros(3)
    drive.run(2.0)
    assert drive.name == "teleop" and np.allclose(drive.velocity, 0.0)


def test_after_teleop_goes_silent_autonomy_waits_for_the_hold_off():
    drive = driven("autonomy", "teleop")
    last_message = drive.now - 5 * PERIOD
    del drive.sources["teleop"]
    history = drive.run(3.0)
    for now, velocity, name in history:
        age = now - last_message
        expected = "teleop" if age <= 0.3 else NOBODY if age <= 1.3 else "autonomy"
        if min(abs(age - 0.3), abs(age - 1.3)) > 1e-6:
            assert name == expected, age
        if 0.5 <= age <= 1.3:
            assert not velocity.any()
    assert drive.name == "autonomy" and np.allclose(drive.velocity, FORWARD)


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


def test_a_remote_above_teleop_is_one_more_row():
    sources = (*SOURCES, Source("remote", rank=30, timeout=0.1, hold_off=1.0))
    mux = CommandMux(sources=sources)
    for name in ("autonomy", "teleop", "remote"):
        mux.update(name, FORWARD, 1.0)
    assert mux.command(1.0)[1] == "remote"
    mux.update("teleop", FORWARD, 1.9)
    assert mux.command(2.0)[1] == NOBODY  # in the remote's hold-off
    mux.update("teleop", FORWARD, 2.2)
    assert mux.command(2.2)[1] == "teleop"


@pytest.mark.parametrize(
    "make",
    [
        lambda: CommandMux().update("cmd_vel", np.zeros(3), 0.0),
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
    for source, velocity, pause, halt in sequence:
        if source is not None:
            mux.update(source, np.array(velocity), now)
        now += pause
        command, name = mux.command(now, halt)
        assert np.all(np.abs(command) <= high + 1e-12)  # NaN fails too
        stopping = halt or name == NOBODY
        bound = pause * high / limits.stop_time if stopping else pause * acceleration
        assert np.all(np.abs(command - last) <= bound + 1e-9)
        if stopping:
            assert np.all(np.abs(command) <= np.abs(last) + 1e-12)
        last = command
