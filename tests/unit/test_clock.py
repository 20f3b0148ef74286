"""The stack's clock: slowed down all of it is, sleeps and waits included; before a real robot it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from dbp_policy import clock
from dbp_policy.errors import DbpError
from dbp_policy.unitree.network import Interface, NetworkError, check_robot_network


@pytest.fixture
def half_speed(monkeypatch):
    """Real time itself is played: a sleep lets it pass at once."""
    real = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: real[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: real.__setitem__(0, real[0] + seconds))
    monkeypatch.setenv(clock.VARIABLE, "1")  # put back after the test
    clock.slow_down(0.5)
    yield real
    clock.slow_down(1.0)


def test_two_seconds_of_real_time_are_one_on_a_clock_of_half_speed(half_speed):
    begin = clock.now()
    half_speed[0] += 2.0
    assert clock.now() - begin == 1.0
    assert clock.real(0.25) == 0.5


def test_a_sleep_lasts_so_long_on_the_stacks_clock(half_speed):
    begin = clock.now()
    clock.sleep(0.3)
    assert clock.now() - begin == pytest.approx(0.3) and half_speed[0] == pytest.approx(100.6)


def test_a_ticker_keeps_its_period_on_the_stacks_clock(half_speed):
    ticker = clock.Ticker(0.002)
    begin = clock.now()
    for _ in range(50):
        assert ticker.sleep() == pytest.approx(0.0, abs=1e-9)
    assert clock.now() - begin == pytest.approx(0.1)
    assert half_speed[0] - 100.0 == pytest.approx(0.2) and ticker.overruns == 0


def test_without_a_factor_it_is_the_monotonic_clock():
    assert clock.real_time_factor() == 1.0
    before, at, after = time.monotonic(), clock.now(), time.monotonic()
    assert before <= at <= after


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.09, 1.1, float("nan"), float("inf"), "fast", ""])
def test_what_is_no_factor_is_refused(factor):
    with pytest.raises(DbpError, match="real-time factor: expected a number from 0.1 to 1"):
        clock.slow_down(factor)
    assert clock.real_time_factor() == 1.0


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0])
def test_processes_that_are_started_have_the_same_clock(factor, monkeypatch):
    monkeypatch.setenv(clock.VARIABLE, "1")
    clock.slow_down(factor)
    try:
        code = "from dbp_policy import clock; import time; print(clock.now() / time.monotonic())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    finally:
        clock.slow_down(1.0)
    assert float(done.stdout) == pytest.approx(factor, rel=1e-3)


def test_a_wrong_factor_in_the_environment_is_one_line():
    code = "from dbp_policy import clock"
    environment = os.environ | {clock.VARIABLE: "fast"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    wanted = "error: DBP_REAL_TIME_FACTOR: real-time factor: expected a number from 0.1 to 1, got 'fast'\n"
    assert (done.returncode, done.stderr) == (1, wanted)


def test_the_faults_of_processes_are_measured_in_real_time_only():
    """Its bounds are of real time: in slow motion they would be wider than they say."""
    environment = os.environ | {clock.VARIABLE: "0.5"}
    command = [sys.executable, "-m", "dbp_bringup.faults", "--processes"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wanted = "error: --processes measures in real time: expected no DBP_REAL_TIME_FACTOR in the environment\n"
    assert (done.returncode, done.stderr) == (2, wanted)


def test_a_real_robot_has_no_slow_motion(half_speed):
    machine = [Interface("eth0", ("192.168.123.99/24",)), Interface("lo", ("127.0.0.1/8",), is_loopback=True)]
    with pytest.raises(NetworkError, match="no slow motion: expected no DBP_REAL_TIME_FACTOR"):
        check_robot_network("eth0", 0, machine, dds_version="0.10.2")
    check_robot_network("lo", 1, machine, dds_version="0.10.2")
