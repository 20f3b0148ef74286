"""Commands on rt/lowcmd that are not the guard's own."""

from __future__ import annotations

import numpy as np

from dbp_policy import go2
from dbp_policy.guard import motions
from dbp_policy.guard.checks.writers import CommandWatch
from dbp_policy.guard.thresholds import COMMANDS_KEPT
from dbp_policy.types import damping_command
from dbp_policy.unitree import wire


def command(i: int) -> bytes:
    return wire.encode_lowcmd(motions.hold(go2.STAND_Q + 1e-3 * i))


def test_its_own_commands_are_known_again_in_any_order_and_more_than_once():
    watch = CommandWatch()
    assert watch.foreign([]) == 0
    for i in range(5):
        watch.sent(command(i))
    assert watch.foreign([command(i) for i in (4, 0, 0, 2)]) == 0


def test_others_are_counted():
    watch = CommandWatch()
    assert watch.foreign([command(0)]) == 1, "before it has said anything"
    watch.sent(command(0))
    assert watch.foreign([command(0), command(1), wire.encode_lowcmd(damping_command())]) == 2


def test_a_command_differs_by_a_single_bit_and_not_by_its_transport():
    watch = CommandWatch()
    watch.sent(command(0))
    own = command(0)
    assert watch.foreign([bytes([0, 3, 0, 0]) + own[4:]]) == 0, "the header is the middleware's"
    for position in np.linspace(4, len(own) - 1, 40, dtype=int):
        other = bytearray(own)
        other[position] ^= 1
        assert watch.foreign([bytes(other)]) == 1


def test_the_last_ones_are_kept_and_no_more():
    watch = CommandWatch()
    for i in range(COMMANDS_KEPT + 1):
        watch.sent(command(i))
    assert watch.foreign([command(COMMANDS_KEPT), command(1)]) == 0
    assert watch.foreign([command(0)]) == 1, "a replay of an old one is somebody else's"
