"""The remote's 40 bytes: bits by hand, both ways."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy.unitree import remote
from dbp_policy.unitree.remote import Remote, decode_remote, encode_remote

BITS = {
    "r1": (2, 0), "l1": (2, 1), "start": (2, 2), "select": (2, 3), "r2": (2, 4), "l2_button": (2, 5), "f1": (2, 6),
    "f2": (2, 7), "a": (3, 0), "b": (3, 1), "x": (3, 2), "y": (3, 3), "up": (3, 4), "right": (3, 5), "down": (3, 6),
    "left": (3, 7),
}  # fmt: skip

sticks = st.floats(-1.0, 1.0, width=32)
remotes = st.builds(
    Remote,
    present=st.just(True),
    buttons=st.frozensets(st.sampled_from(sorted(BITS))),
    lx=sticks,
    ly=sticks,
    rx=sticks,
    ry=sticks,
    l2=sticks,
)


def frame(**changed: int) -> bytes:
    data = bytearray(40)
    for position, value in changed.items():
        data[int(position[1:])] = value
    return bytes(data)


@pytest.mark.parametrize(("name", "place"), BITS.items())
def test_each_button_has_its_bit(name, place):
    byte, bit = place
    assert decode_remote(frame(**{f"b{byte}": 1 << bit})).buttons == {name}


@pytest.mark.parametrize(("name", "offset"), [("lx", 4), ("rx", 8), ("ry", 12), ("l2", 16), ("ly", 20)])
def test_each_stick_has_its_place(name, offset):
    data = bytearray(40)
    struct.pack_into("<f", data, offset, 0.5)
    assert decode_remote(bytes(data)) == Remote(present=True, **{name: 0.5})


def test_all_zero_is_no_remote():
    assert decode_remote(bytes(40)) == remote.ABSENT
    assert not remote.ABSENT.present
    assert encode_remote(remote.ABSENT) == bytes(40)


def test_a_remote_lying_still_is_there():
    assert decode_remote(encode_remote(Remote(present=True))) == Remote(present=True)


@given(remotes)
def test_comes_back(original):
    assert decode_remote(encode_remote(original)) == original


@pytest.mark.parametrize(
    ("buttons", "pressed"),
    [
        ({"l2_button", "b"}, True),
        ({"l2_button", "b", "start"}, True),
        ({"l2_button"}, False),
        ({"b"}, False),
        ({"r2", "b"}, False),
        (set(), False),
    ],
)
def test_estop_is_l2_and_b(buttons, pressed):
    assert decode_remote(encode_remote(Remote(True, frozenset(buttons)))).estop_pressed is pressed


@given(st.binary(min_size=40, max_size=40))
def test_sticks_of_any_bytes_are_usable(data):
    """Noise never gives a velocity beyond the sticks' range, nor one that is not a number."""
    read = decode_remote(data)
    assert all(-1.0 <= value <= 1.0 for value in (read.lx, read.ly, read.rx, read.ry, read.l2))


def test_wrong_input_says_what_was_expected():
    with pytest.raises(ValueError, match="expected 40 bytes of the remote, got 39"):
        decode_remote(bytes(39))
    with pytest.raises(ValueError, match="got panic"):
        encode_remote(Remote(True, frozenset({"panic"})))
