"""Keys that ask for something: whom a stop reaches, and what is pressed while an answer is awaited."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbp_bringup import teleop
from dbp_policy import paths
from dbp_policy.errors import DbpError
from dbp_policy.types import GuardStatus, Mode


class Stack:
    """Answers services, some only after a while; `keys` are pressed meanwhile, one at each look."""

    def __init__(self, slow: tuple[str, ...] = (), keys: str = "") -> None:
        self.asked: list[str] = []
        self._slow = slow
        self._keys = list(keys)

    def ask(self, service, give_up):
        self.asked.append(service)
        while service in self._slow:
            if give_up():
                raise DbpError("did not wait")
            if not self._keys:
                raise DbpError("no answer")
        return True, service + " granted"

    def keys(self) -> list[str]:
        return [self._keys.pop(0)] if self._keys else []


def served(stack: Stack, service: str) -> list[str]:
    return list(teleop.serve(stack, service, None, stack.keys))


def test_an_answer_is_shown():
    assert served(Stack(), "stand_up") == ["stand_up: stand_up granted"]


def test_a_stop_does_not_wait_for_an_answer_that_does_not_come():
    stack = Stack(slow=("start",), keys="wx")
    assert served(stack, "start") == ["start: FAILED, did not wait", "estop: estop granted"]


def test_what_else_is_typed_ahead_is_thrown_away():
    stack = Stack(slow=("stand_up",), keys="12w")
    assert served(stack, "stand_up") == ["stand_up: FAILED, no answer"]
    assert stack.asked == ["stand_up"] and stack.keys() == []


def test_a_stop_typed_ahead_counts_each_time():
    assert served(Stack(keys="xx"), "estop") == ["estop: estop granted"] * 3


@pytest.fixture
def guard_here(monkeypatch):
    """A guard on this host; the folders that it was asked in."""
    folders = []

    def ask_guard(folder, request):
        folders.append(folder)
        return GuardStatus(mode=Mode.SETTLING)

    monkeypatch.setattr(teleop, "ask_guard", ask_guard)
    return folders


def test_a_stop_goes_past_ros_where_the_stack_is_on_this_host(guard_here, tmp_path):
    stack = Stack()
    assert teleop.ask(stack, "estop", tmp_path) == "settling, latched"
    assert guard_here == [tmp_path] and not stack.asked


def test_a_stop_for_another_robot_does_not_end_at_the_guard_of_this_host(guard_here):
    stack = Stack()
    assert teleop.ask(stack, "estop", None) == "estop granted" and stack.asked == ["estop"] and not guard_here


@pytest.mark.parametrize(
    "args, folder",
    [
        ({}, paths.runtime_dir()),
        ({"network": True}, None),
        ({"namespace": "robot1"}, None),
        ({"network": True, "runtime_dir": Path("/run/robot")}, Path("/run/robot")),
        ({"namespace": "robot1", "runtime_dir": Path("/run/robot")}, Path("/run/robot")),
    ],
)
def test_whose_guard_a_stop_reaches_past_ros(args, folder):
    assert teleop.Args(**args).way_past_ros() == folder
