"""Before the guard has anything to say: what it waits for, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.guard.take_over import LYING_TIME, RIVAL_TIMEOUT, STATE_MAX_AGE, TakeOver
from dbp_policy.types import RobotState

LOOK = 1.0 / 32.0  # exact in binary
LYING = RobotState(q_sdk=go2.CROUCH_Q)
STANDING = RobotState(q_sdk=go2.STAND_Q)
MOVING = RobotState(q_sdk=go2.CROUCH_Q, dq_sdk=np.full(12, 0.6))
UNKNOWN = RobotState(q_sdk=np.full(12, np.nan))


class Switcher:
    """A motion service that lets go when it is asked to while the robot lies."""

    def __init__(self, mode: str | None) -> None:
        self.mode = mode
        self.released_lying: list[bool] = []
        self.asked_at: list[float] = []

    def step_check(self, now: float) -> str | None:
        self.asked_at.append(now)
        return self.mode

    def step_release(self, now: float, lying: bool) -> bool:
        self.asked_at.append(now)
        if self.mode and lying:
            self.released_lying.append(lying)
            self.mode = ""
        return self.mode == ""


class Sport:
    """The robot's own control, asked to lie down."""

    def __init__(self) -> None:
        self.last_code: int | None = None
        self.asked_at: list[float] = []

    def step_stand_down(self, now: float) -> None:
        self.asked_at.append(now)


class Bench:
    def __init__(self, mode: str | None = "normal", release: bool = True, look_only: bool = False) -> None:
        self.now = 50.0
        self.switcher = Switcher(mode)
        self.sport = Sport()
        self.decision = TakeOver(self.switcher, self.sport, release, self.now, look_only)

    def step(self, state: RobotState | None = LYING, rivals: int = 0, bad: int = 0) -> bool:
        self.now += LOOK
        return self.decision.step(state, rivals, bad, self.now)

    def run(self, seconds: float, **more) -> list[bool]:
        return [self.step(**more) for _ in range(round(seconds / LOOK))]


def test_a_robot_that_lies_still_for_a_second_is_released_and_taken():
    bench = Bench()
    assert not any(bench.run(LYING_TIME))
    assert bench.decision.awaited == "the robot to lie still: its sport mode 'normal' is released only then"
    assert bench.step() and bench.switcher.mode == ""


@pytest.mark.parametrize("state", [STANDING, MOVING, UNKNOWN], ids=["standing", "moving", "unknown"])
def test_one_that_does_not_is_waited_for(state):
    bench = Bench()
    assert not any(bench.run(30.0, state=state)) and not bench.switcher.released_lying
    bench.run(LYING_TIME)
    assert bench.step()


def test_one_that_stands_is_laid_down_by_its_own_control_before_it_is_released():
    bench = Bench()
    bench.run(3 * LOOK, state=STANDING)
    assert bench.sport.asked_at == [50.0 + LOOK, 50.0 + 2 * LOOK, 50.0 + 3 * LOOK]
    bench.sport.last_code = 0
    bench.step(state=STANDING)
    asked = "was asked to lay it down (it answered 0) and is released only then"
    assert bench.decision.awaited == f"the robot to lie still: its sport mode 'normal' {asked}"
    bench.sport.asked_at.clear()
    assert not any(bench.run(LYING_TIME)) and bench.step() and not bench.sport.asked_at


@pytest.mark.parametrize(
    "mode, release, look_only, state",
    [
        (None, True, False, STANDING),
        ("", True, False, STANDING),
        ("", False, False, STANDING),
        (None, False, False, STANDING),
        ("normal", True, True, STANDING),
        ("normal", True, False, UNKNOWN),
        ("normal", True, False, MOVING),
        ("normal", True, False, None),
    ],
)
def test_nobody_else_is_laid_down(mode, release, look_only, state):
    """Not without a sport mode, nor if that is not ours to release, nor in a dry run, nor with legs unknown."""
    bench = Bench(mode, release, look_only)
    bench.run(5.0, state=state)
    assert not bench.sport.asked_at


@pytest.mark.parametrize("speed, still", [(0.5, False), (-0.5, False), (0.4999, True)])
def test_slower_than_half_a_radian_per_second_is_still(speed, still):
    bench = Bench()
    dq = np.where(np.arange(12) == 3, speed, 0.0)
    assert any(bench.run(2.0, state=RobotState(q_sdk=go2.CROUCH_Q, dq_sdk=dq))) == still


@pytest.mark.parametrize("release", [True, False])
def test_the_motion_service_is_asked_in_the_guards_time(release):
    bench = Bench(mode=None, release=release)
    bench.run(3 * LOOK)
    assert bench.switcher.asked_at == [50.0 + LOOK, 50.0 + 2 * LOOK, 50.0 + 3 * LOOK]


def test_what_is_awaited_with_a_robot_and_a_motion_service():
    bench = Bench(mode=None)
    assert bench.decision.awaited == ""
    bench.step(state=STANDING)
    assert bench.decision.awaited == "the motion_switcher service", "no sport mode is known of that it could wait for"
    bench = Bench(mode="ai")
    bench.switcher.step_release = lambda now, lying: False
    bench.run(2.0)
    assert bench.decision.awaited == "the motion_switcher service", "it lies; the service does not let go"


def test_the_second_begins_anew_with_every_movement():
    bench = Bench()
    for _ in range(5):
        assert not any(bench.run(LYING_TIME - LOOK)) and not bench.step(state=MOVING)


def test_between_two_lowstates_the_last_one_holds_for_a_tenth_of_a_second():
    bench = Bench()
    for _ in range(8):  # 8 x 4 looks are a second
        assert not bench.step() and not any(bench.run(3 * LOOK, state=None))
    assert bench.step()


def test_a_robot_that_is_not_heard_is_not_released():
    """It may have been stood up meanwhile."""
    bench = Bench()
    bench.step()
    assert not any(bench.run(10.0, state=None)) and bench.switcher.mode == "normal"
    assert not any(bench.run(LYING_TIME)) and bench.step(), "the second begins anew with the first that comes again"


@pytest.mark.parametrize("age, holds", [(STATE_MAX_AGE, True), (STATE_MAX_AGE + 1e-4, False), (np.nan, False)])
def test_how_old_a_lowstate_may_be(age, holds):
    decision = TakeOver(Switcher("normal"), Sport(), True, 0.0, False)
    assert not decision.step(LYING, 0, 0, 0.0)
    assert not decision.step(None, 0, 0, age) and not decision.step(LYING, 0, 0, LYING_TIME)
    assert decision.step(LYING, 0, 0, LYING_TIME + 1e-6) == holds


def test_without_a_robot_it_waits_and_says_for_what():
    bench = Bench(mode="")
    assert not any(bench.run(10.0, state=None)) and bench.decision.awaited.startswith("rt/lowstate (is the robot on")
    bench.step(state=None, bad=7)
    assert "7 came with a wrong length or CRC" in bench.decision.awaited
    assert bench.step()


def test_without_a_motion_service_it_waits():
    bench = Bench(mode=None)
    assert not any(bench.run(10.0)) and bench.decision.awaited == "the motion_switcher service"


def test_not_allowed_to_release_it_takes_a_released_robot_and_refuses_another():
    assert Bench(mode="", release=False).step()
    bench = Bench(mode=None, release=False)
    assert not any(bench.run(5.0))
    with pytest.raises(DbpError, match="to be released, got 'ai' active"):
        Bench(mode="ai", release=False).step()


def test_another_writer_has_twelve_seconds_to_leave():
    bench = Bench(mode="")
    assert not any(bench.run(RIVAL_TIMEOUT - 0.1, rivals=1))
    assert bench.decision.awaited == "another writer of rt/lowcmd to leave"
    assert bench.step(), "it has left"
    bench = Bench(mode="")
    bench.run(RIVAL_TIMEOUT + LOOK, rivals=1)  # 12 s after the first look, to the bit
    with pytest.raises(DbpError, match="^expected to be the only writer of rt/lowcmd, found another: end that first$"):
        bench.step(rivals=1)


def test_a_released_robot_may_stand_up_by_other_means_while_a_writer_leaves():
    """Once the motors are ours the motion service is not asked again."""
    bench = Bench(mode="")
    bench.step(rivals=1)
    bench.switcher.mode = None
    assert bench.step()


@pytest.mark.parametrize("state", [LYING, STANDING, MOVING], ids=["lying", "standing", "moving"])
def test_looking_only_it_takes_nothing_and_needs_no_more_than_a_robot(state):
    bench = Bench(look_only=True)
    assert not any(bench.run(10.0, state=None)) and bench.decision.awaited.startswith("rt/lowstate (is the robot on")
    bench.step(state=None, bad=7)
    assert "7 came with a wrong length or CRC" in bench.decision.awaited
    assert all(bench.run(30.0, state=state, rivals=2))
    assert bench.switcher.mode == "normal" and not bench.switcher.released_lying
