"""What hands on the remote and on a gamepad ask of the command mux."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_policy.command import NOBODY, CommandLimits, CommandMux
from dbp_policy.sticks import DEAD_ZONE, Gamepad, GamepadMap, RemoteSticks
from dbp_policy.unitree.remote import Remote, encode_remote

LIMITS = CommandLimits(low=(-0.4, -0.5, -1.0), high=(0.8, 0.5, 1.0))


@pytest.fixture
def mux() -> CommandMux:
    return CommandMux(LIMITS)


def settled(mux: CommandMux, hand, seconds: float = 1.0, begin: float = 10.0) -> tuple[np.ndarray, str]:
    """The command after a hand has done the same for a time."""
    mux.command(begin)
    for now in np.arange(begin, begin + seconds, 0.02):
        hand(now)
        command = mux.command(now)
    return command


def remote_bytes(**sticks: float) -> bytes:
    return encode_remote(Remote(present=True, **sticks))


@pytest.mark.parametrize(
    "sticks, velocity",
    [
        ({"ly": 1.0}, [0.8, 0.0, 0.0]),
        ({"ly": -1.0}, [-0.4, 0.0, 0.0]),
        ({"lx": 1.0}, [0.0, -0.5, 0.0]),  # to the right: y is to the left
        ({"rx": -1.0}, [0.0, 0.0, 1.0]),
        ({"ly": 0.55, "rx": 0.55}, [0.4, 0.0, -0.5]),  # half way from the dead zone to the end
        ({"ly": 7.0}, [0.8, 0.0, 0.0]),
    ],
)
def test_the_remotes_sticks_drive(mux, sticks, velocity):
    hand = RemoteSticks(mux)
    command, source = settled(mux, lambda now: hand.update(remote_bytes(**sticks), now))
    assert source == "remote"
    np.testing.assert_allclose(command, velocity, atol=1e-6)


@pytest.mark.parametrize(
    "remote",
    [
        bytes(40),
        remote_bytes(),
        remote_bytes(ly=DEAD_ZONE - 0.01, rx=-DEAD_ZONE + 0.01),
        remote_bytes(ry=1.0),  # means nothing
        remote_bytes(ly=float("nan")),
        encode_remote(Remote(present=True, buttons=frozenset({"a", "l2_button"}))),
    ],
)
def test_a_resting_remote_leaves_the_robot_to_others(mux, remote):
    hand = RemoteSticks(mux)

    def both(now):
        mux.update("autonomy", np.array([0.3, 0.0, 0.0]), now)
        hand.update(remote, now)

    command, source = settled(mux, both)
    assert source == "autonomy" and command[0] == pytest.approx(0.3)


@pytest.mark.parametrize("rest", [remote_bytes(), bytes(40)])
def test_a_stick_that_returns_and_a_remote_that_is_switched_off_let_go(mux, rest):
    hand = RemoteSticks(mux)
    settled(mux, lambda now: hand.update(remote_bytes(ly=1.0), now), begin=10.0)
    hand.update(rest, 11.0)
    assert mux.command(11.0)[1] == NOBODY and "let go" in mux.reason
    assert not mux.command(11.1)[0].any()
    mux.update("autonomy", np.array([0.3, 0.0, 0.0]), 11.9)
    assert mux.command(11.9)[1] == NOBODY, "in the hold-off"
    hand.update(rest, 12.0)  # resting on does not prolong it
    mux.update("autonomy", np.array([0.3, 0.0, 0.0]), 12.1)
    assert mux.command(12.1)[1] == "autonomy"
    hand.update(remote_bytes(ly=1.0), 12.2)
    assert mux.command(12.2)[1] == "remote", "and takes over again at once"


AXES = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]


def pad(enable: int = 1, stop: int = 0) -> list[int]:
    return [0, stop, 0, 0, enable, 0]


def test_a_gamepad_drives_only_while_its_enable_button_is_held(mux):
    gamepad = Gamepad(mux)
    axes = [-1.0, 0.5, 1.0, 2.0, 0.0, 1.0]
    assert settled(mux, lambda now: gamepad.update(axes, pad(enable=0), now))[1] == NOBODY
    command, source = settled(mux, lambda now: gamepad.update(axes, pad(), now), begin=20.0)
    assert source == "joy"
    np.testing.assert_allclose(command, [0.4, -0.5, 1.0], atol=1e-9)  # axis 3 reads as at its end
    gamepad.update(axes, pad(enable=0), 21.0)
    assert mux.command(21.0)[1] == NOBODY and not mux.command(21.1)[0].any()


def test_a_held_enable_button_with_sticks_at_rest_is_a_human_who_stands(mux):
    gamepad = Gamepad(mux)

    def both(now):
        mux.update("autonomy", np.array([0.3, 0.0, 0.0]), now)
        gamepad.update(AXES, pad(), now)

    command, source = settled(mux, both)
    assert source == "joy" and not command.any()


@pytest.mark.parametrize("axes, buttons", [([0.0, 1.0], pad()), (AXES, [0, 0]), ([], []), ([np.nan] * 6, pad())])
def test_a_gamepad_of_another_shape_is_dropped(mux, axes, buttons):
    gamepad = Gamepad(mux)
    assert settled(mux, lambda now: gamepad.update(axes, buttons, now))[1] == NOBODY
    assert mux.dropped["joy"] == 50 and mux.problem.startswith("joy: expected")


def test_the_stop_button_tells_of_its_press_once_and_needs_no_enable_button(mux):
    gamepad = Gamepad(mux)
    presses = [gamepad.update(AXES, pad(enable=0, stop=held), 1.0) for held in (0, 1, 1, 0, 1, 1, 0)]
    assert presses == [False, True, False, False, True, False, False]
    assert Gamepad(mux).update(AXES, pad(stop=1), 1.0), "one that is held when the gamepad is first heard stops too"
    assert not Gamepad(mux, GamepadMap(stop_button=-1)).update(AXES, [1] * 6, 1.0)
    assert not Gamepad(mux, GamepadMap(stop_button=9)).update(AXES, pad(), 1.0)
