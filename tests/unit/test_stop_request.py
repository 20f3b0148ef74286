"""Asking to stop from a signal handler, which runs in the middle of whatever the main thread does."""

import os
import signal
import sys
import threading

import pytest

from dbp_policy import stop_request
from dbp_policy.stop_request import ENDING, StopRequest


def returns(action, interruption) -> bool:
    """Whether `action` comes to its end though `interruption` is called before each of its lines, as a handler may."""

    def interrupt(frame, event, _):
        if event == "line":
            interruption()
        return interrupt

    def run():
        sys.settrace(interrupt)
        action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10.0)
    return not thread.is_alive()


def test_asking_in_the_middle_of_anything_returns():
    for action in (lambda stop: stop.wait(0.0), lambda stop: stop.ask()):
        stop = StopRequest()
        assert returns(lambda action=action, stop=stop: action(stop), stop.ask)
        assert stop.asked


def test_an_event_would_wait_for_itself():
    event = threading.Event()
    assert not returns(event.set, event.set), "then StopRequest has lost its reason"


def test_who_waits_sleeps_unless_asked_already(monkeypatch):
    slept = []
    monkeypatch.setattr(stop_request.clock, "sleep", slept.append)
    stop = StopRequest()
    assert not stop.wait(0.5) and slept == [0.5]
    stop.ask()
    assert stop.wait(0.5) and slept == [0.5]


@pytest.fixture
def as_before():
    handlers = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_ask(as_before, number):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as it is outside of nohup
    stop = StopRequest().on_signals()
    os.kill(os.getpid(), number)
    assert stop.asked


def test_one_started_with_nohup_outlives_its_terminal(as_before):
    for number in ENDING:  # a shell's background ignores Ctrl-C, which must not make a guard deaf
        signal.signal(number, signal.SIG_IGN)
    stop = StopRequest().on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.asked and signal.getsignal(signal.SIGINT) == stop.ask
