"""Datagrams on the local link: whole messages arrive whole, anything else is nothing."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy import go2, local_socket
from dbp_policy.errors import DbpError
from dbp_policy.guard.faults import FAULTS
from dbp_policy.local_link import GUARD_SOCKET, POLICY_SOCKET, Delivery, Link, decode, encode
from dbp_policy.types import GuardStatus, JointTarget, Mode, OperatorRequest, Request, RobotState

RNG = np.random.default_rng(0)
STATE = RobotState(
    tick_ms=2**32 - 1,
    stamp=123456.789,
    **{name: RNG.standard_normal(12) for name in ("q_sdk", "dq_sdk", "tau_sdk", "temperature_sdk")},
    lost_sdk=np.arange(12.0),
    quat_wxyz=RNG.standard_normal(4),
    gyro_body=np.array([np.nan, np.inf, -0.0]),
    acc_body=RNG.standard_normal(3),
    foot_force=RNG.standard_normal(4),
    battery_soc=55.5,
    battery_v=29.1,
    remote=bytes(range(40)),
)
STATUS = GuardStatus(Mode.POLICY, True, True, 0.5, ("policy_stale", "estop"), "start refused: no", 7, 9, True)
TARGET = JointTarget(42, 1.25, 99, go2.STAND_Q, np.full(12, 25.0), np.full(12, 0.5), estimator_diverged=True)
MESSAGES = (STATE, STATUS, TARGET, *(OperatorRequest(request, 3.5) for request in Request))


def same(a, b) -> bool:
    if type(a) is not type(b):
        return False
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name), equal_nan=_floats(getattr(a, f.name))) for f in fields(a)
    )


def _floats(value) -> bool:
    return isinstance(value, np.ndarray)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_as_it_went(message):
    data = encode(message)
    assert len(data) <= local_socket.MAX_SIZE
    assert same(decode(data)[0], message)


def test_a_state_brings_the_guards_status_along():
    state, status = decode(encode(STATE, STATUS))
    assert same(state, STATE) and status == STATUS
    assert decode(encode(STATE))[1] == GuardStatus()


def test_all_faults_at_once_fit_and_a_long_refusal_is_cut():
    status = decode(encode(GuardStatus(faults=tuple(FAULTS), refusal="x" * 1000)))[0]
    assert status.faults == tuple(FAULTS)
    assert set(status.refusal) == {"x"} and len(status.refusal) >= 100


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_no_part_of_a_message_is_a_message_and_nothing_more_is_either(message):
    data = encode(message)
    assert all(decode(data[:n]) is None for n in range(len(data)))
    assert decode(data + b"\0") is None


@given(st.binary(max_size=1500))
def test_noise_is_nothing(data):
    assert decode(data) is None or data[:3] == b"DBP"


@given(st.sampled_from(MESSAGES), st.data())
def test_a_flipped_byte_is_another_message_or_none_but_never_an_error(message, data):
    wire = bytearray(encode(message))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    decoded = decode(bytes(wire))
    if decoded is not None and isinstance(decoded[0], OperatorRequest):
        assert decoded[0].request in Request


@pytest.mark.parametrize("value", [0, 6, 255])
def test_unknown_requests_and_modes_are_nothing(value):
    request, status = bytearray(encode(OperatorRequest(Request.ESTOP, 0.0))), bytearray(encode(STATUS))
    request[8] = status[8] = value
    assert decode(bytes(request)) is None
    assert (decode(bytes(status)) is None) == (value not in list(Mode))


def test_another_version_is_nothing():
    data = bytearray(encode(TARGET))
    data[4] += 1
    assert decode(bytes(data)) is None


# Real sockets ---------------------------------------------------------------------------------------------------------


def test_both_ends_talk_and_an_anonymous_one_is_answered(tmp_path):
    guard, policy, tool = Link(tmp_path, GUARD_SOCKET), Link(tmp_path, POLICY_SOCKET), Link(tmp_path)
    assert guard.send(encode(STATE, STATUS), POLICY_SOCKET)
    assert policy.wait(1.0)
    ((state, status, _),) = policy.receive()
    assert same(state, STATE) and status == STATUS
    assert policy.send(encode(TARGET), GUARD_SOCKET) and tool.send(
        encode(OperatorRequest(Request.ESTOP, 1.0)), GUARD_SOCKET
    )
    (target, _, _), (request, _, sender) = guard.receive()
    assert same(target, TARGET) and request.request == Request.ESTOP
    assert guard.send(encode(STATUS), sender) and tool.wait(1.0)
    assert tool.receive()[0][0] == STATUS
    for link in (guard, policy, tool):
        link.close()
    assert not list(tmp_path.glob("*.sock"))


def test_a_name_has_one_owner_and_a_dead_owner_is_succeeded(tmp_path):
    guard = Link(tmp_path, GUARD_SOCKET)
    with pytest.raises(DbpError, match="another stack runs here"):
        Link(tmp_path, GUARD_SOCKET)
    tool = Link(tmp_path)
    assert tool.send(encode(TARGET), GUARD_SOCKET), "the refused one has taken nothing away"
    guard.close()
    (tmp_path / GUARD_SOCKET).touch()  # what a killed process leaves behind
    Link(tmp_path, GUARD_SOCKET).close()


def test_a_flood_is_taken_in_portions(tmp_path):
    guard, tool = Link(tmp_path, GUARD_SOCKET), Link(tmp_path)
    while tool.send(encode(TARGET), GUARD_SOCKET):
        pass
    assert 0 < len(guard.receive()) <= local_socket.MAX_DATAGRAMS


def test_a_folder_that_does_not_serve_is_named(tmp_path):
    with pytest.raises(DbpError, match="expected a folder for local sockets"):
        Link(tmp_path / ("long" * 40), GUARD_SOCKET)


def test_malformed_datagrams_between_good_ones_are_dropped(tmp_path):
    guard, tool = Link(tmp_path, GUARD_SOCKET), Link(tmp_path)
    for data in (b"", b"noise", encode(TARGET)[:-1], encode(TARGET), bytes(4000)):
        tool.send(data, GUARD_SOCKET)
    assert [type(m) for m, _, _ in guard.receive()] == [JointTarget]
    guard.close(), tool.close()


def test_nobody_there_is_no_error_and_a_full_queue_neither(tmp_path):
    tool = Link(tmp_path)
    assert tool.send(encode(TARGET), GUARD_SOCKET) is Delivery.REFUSED
    guard = Link(tmp_path, GUARD_SOCKET)
    sent = [tool.send(encode(TARGET), GUARD_SOCKET) for _ in range(10_000)]
    assert set(sent) == {Delivery.TAKEN, Delivery.FULL}, "it neither blocks nor raises"
    assert tool.receive() == [] and not tool.wait(0.0)
    guard._socket.close()
    assert tool.send(encode(TARGET), GUARD_SOCKET) is Delivery.REFUSED, "a dead one leaves its file behind"
    tool.close()


def test_a_new_guard_takes_over_a_dead_ones_socket_file(tmp_path):
    dead = Link(tmp_path, GUARD_SOCKET)
    dead._socket.close()
    guard, tool = Link(tmp_path, GUARD_SOCKET), Link(tmp_path)
    assert tool.send(encode(TARGET), GUARD_SOCKET) and len(guard.receive()) == 1
    guard.close(), tool.close()
