"""The records between guard and e-stop endpoints: nothing but what was written with the key is read as one."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbp_policy.errors import DbpError
from dbp_policy.estop_key import make_key, read_key
from dbp_policy.estop_records import (
    Answer,
    CheckIn,
    Wish,
    _sealed,
    check_name,
    decode_answer,
    decode_check_in,
    encode_answer,
    encode_check_in,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CHECK_IN = CheckIn("gate", Wish.RUN, b"12345678", 12.5)
ANSWER = Answer("gate", b"abcdefgh", 12.5, 3, True)
RECORDS = (
    (encode_check_in(CHECK_IN, KEY), decode_check_in),
    (encode_answer(ANSWER, KEY), decode_answer),
)

names = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=16).filter(
    lambda name: name.isprintable() and len(name.encode()) <= 16
)
challenges = st.binary(min_size=8, max_size=8)
times = st.floats(allow_nan=False)


@given(names, st.sampled_from(Wish), challenges, times)
def test_a_check_in_comes_back_as_it_was(name, wish, challenge, sent):
    check_in = CheckIn(check_name(name), wish, challenge, sent)
    assert decode_check_in(encode_check_in(check_in, KEY), KEY) == check_in


@given(names, challenges, times, st.integers(0, 255), st.booleans())
def test_an_answer_comes_back_as_it_was(name, challenge, sent, mode, latched):
    answer = Answer(name, challenge, sent, mode, latched)
    assert decode_answer(encode_answer(answer, KEY), KEY) == answer


@pytest.mark.parametrize(("datagram", "decode"), RECORDS)
def test_every_changed_bit_and_every_wrong_length_is_nothing(datagram, decode):
    assert decode(datagram, KEY) is not None
    for bit in range(8 * len(datagram)):
        changed = bytearray(datagram)
        changed[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(changed), KEY) is None, bit
    for size in range(len(datagram)):
        assert decode(datagram[:size], KEY) is None
    assert decode(datagram + b"\0", KEY) is None


@pytest.mark.parametrize(("datagram", "decode"), RECORDS)
def test_another_key_reads_nothing(datagram, decode):
    assert decode(datagram, OTHER) is None and decode(datagram, b"") is None


def test_a_record_sent_back_to_where_it_came_from_is_nothing():
    assert decode_answer(RECORDS[0][0], KEY) is None and decode_check_in(RECORDS[1][0], KEY) is None


@given(st.binary(max_size=200))
def test_bytes_of_no_meaning_are_nothing(datagram):
    assert decode_check_in(datagram, KEY) is None and decode_answer(datagram, KEY) is None


@given(st.binary(min_size=40, max_size=40))
def test_an_owner_of_the_key_who_writes_nonsense_is_not_believed(body):
    for head, decode in ((b"DBPe\x01", decode_check_in), (b"DBPa\x01", decode_answer)):
        record = decode(_sealed(head + body[5:], KEY), KEY)
        assert record is None or isinstance(record.name, str)


def test_a_wish_that_is_none_and_a_name_that_is_no_text_are_nothing():
    for datagram, decode, changes in (
        (RECORDS[0][0], decode_check_in, ((5, 2), (8, 0xFF))),
        (RECORDS[1][0], decode_answer, ((8, 0xFF),)),
    ):
        for index, value in changes:
            body = bytearray(datagram[:-16])
            body[index] = value
            assert decode(_sealed(bytes(body), KEY), KEY) is None


@pytest.mark.parametrize("name", ["", "seventeen bytes..", "ä" * 9, "a\0b", "a\nb", "\udcff"])
def test_a_name_that_does_not_fit_is_refused(name):
    with pytest.raises(DbpError, match="expected an e-stop endpoint's name of 1 to 16 bytes"):
        check_name(name)


# The key -------------------------------------------------------------------------------------------------------------


def test_a_key_is_random_and_its_owners_alone(tmp_path):
    files = tmp_path / "a", tmp_path / "b"
    for file in files:
        make_key(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = (read_key(file) for file in files)
    assert len(first) == 32 and first != second
    assert sorted(tmp_path.iterdir()) == sorted(files), "nothing else is left"


def test_a_key_that_is_there_stays(tmp_path):
    file = tmp_path / "key"
    make_key(file)
    before = file.read_bytes()
    with pytest.raises(DbpError, match="is there already"):
        make_key(file)
    assert file.read_bytes() == before


def test_a_key_needs_a_folder(tmp_path):
    with pytest.raises(DbpError, match="existing folder"):
        make_key(tmp_path / "no" / "key")
    with pytest.raises(DbpError, match="cannot write"):
        make_key(tmp_path / ("k" * 300))


def test_a_key_that_is_missing_short_or_no_file_is_refused(tmp_path):
    short = tmp_path / "short"
    short.write_bytes(bytes(31))
    for path, reason in ((tmp_path / "no", "No such file"), (short, "32 bytes, got 31"), (tmp_path, "Is a directory")):
        with pytest.raises(DbpError, match=reason) as error:
            read_key(path)
        assert "\n" not in str(error.value)
