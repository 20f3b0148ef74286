"""The guard's process: what it makes of its command line, and what its loop is made of."""

from __future__ import annotations

import pytest

from dbp_policy import go2, local_link
from dbp_policy.guard import process


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Runs `main` around a process that does nothing; what it was made of."""
    made: dict = {}

    class Loop:
        def __init__(self, *parts) -> None:
            made["parts"] = parts

        def take_over(self, release: bool) -> bool:
            made["release"] = release
            return made.get("taken", True)

        def run(self) -> None:
            made["ran"] = True

        def stop(self, *_) -> None: ...

    class Participant:
        def __init__(self, *where) -> None:
            made["where"] = where

        def reader(self, topic, depth=16):
            return f"reader of {topic}"

        def writer(self, topic):
            return f"writer of {topic}"

    monkeypatch.setattr(process, "GuardLoop", Loop)
    monkeypatch.setattr(process, "Participant", Participant)
    monkeypatch.setattr(process, "MotionSwitcherClient", lambda participant: "switcher")
    monkeypatch.setattr(process, "SportClient", lambda participant: "sport")
    monkeypatch.setattr(process, "on_ending", lambda action: made.update(on_ending=action))
    monkeypatch.setattr(process.realtime, "take_priority", lambda priority: "no priority")
    monkeypatch.setattr(process.realtime, "lock_memory", lambda: "")
    monkeypatch.setattr(process.realtime, "quiet_collector", lambda collect_garbage: made.update(gc=collect_garbage))

    def run(*arguments: str, **more) -> dict:
        made.update(more)
        monkeypatch.setattr("sys.argv", ["guard", "--runtime-dir", str(tmp_path), *arguments])
        made["code"] = process.main()
        for part in made.get("parts", ()):
            if isinstance(part, local_link.Link):
                part.close()
        return made

    return run


def test_it_starts_says_what_is_not_permitted_and_runs(started, capsys):
    made = started()
    assert made["code"] == 0 and made["ran"] and made["gc"] is False and made["release"] is True
    assert made["where"] == ("lo", 1) and made["on_ending"].__name__ == "stop"
    robot, guard, standby, _, nose_down = made["parts"]
    assert robot.commands == "writer of rt/lowcmd" and robot.lowstates == "reader of rt/lowstate"
    assert standby is not None and nose_down == 0.0
    assert capsys.readouterr().out == "guard: ready\nguard: no priority\n"


def test_it_does_without_a_standby_and_ends_where_it_may_not_begin(started):
    made = started("--no-standby", "--no-release-sport-mode", taken=False)
    assert made["code"] == 0 and "ran" not in made and made["parts"][2] is None and made["release"] is False


def test_a_dry_run_makes_no_writer_and_expects_no_standby(started, capsys):
    made = started("--dry-run")
    robot, _, standby, _, _ = made["parts"]
    assert made["ran"] and robot.commands is None and robot.lowstates == "reader of rt/lowstate" and standby is None
    assert "DRY RUN: it has no writer of rt/lowcmd" in capsys.readouterr().out


def test_it_is_told_how_a_policy_may_hold_the_trunk(started):
    assert started("--posture", "front_legs")["parts"][4] == go2.POSTURES["front_legs"] == 1.374


def test_a_network_that_is_not_allowed_is_refused_in_one_line(started, capsys):
    made = started("--domain", "0")
    assert made["code"] == 2 and "parts" not in made
    assert capsys.readouterr().err.startswith("error: ")
