"""Ids hold timestamp, epoch and sequence, sort like their events, and are read strictly."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.cursor import MAX_EPOCH, MAX_SEQUENCE, Cursor, Edge, encode_id, parse_cursor, parse_edge
from rtserver.errors import Malformed
from tests.builders import EPOCH, NOW_US

MAX_TIMESTAMP_US = (1 << 48) * 1000 - 1

timestamps = st.integers(0, MAX_TIMESTAMP_US)
epochs = st.integers(0, MAX_EPOCH)
sequences = st.integers(0, MAX_SEQUENCE)
quickly = settings(deadline=None, max_examples=200)


def parse(text: str) -> Cursor:
    cursor = parse_cursor(text, "lastEventId")
    assert isinstance(cursor, Cursor)
    return cursor


@quickly
@given(timestamps, epochs, sequences)
def test_id_gives_back_what_it_was_made_of(timestamp_us, epoch, sequence):
    text = encode_id(timestamp_us, epoch, sequence)

    assert parse(text) == Cursor(text, sequence, epoch, timestamp_us, is_foreign=False)


@quickly
@given(timestamps, epochs, sequences)
def test_id_is_a_version_7_uuid_with_the_milliseconds_in_front(timestamp_us, epoch, sequence):
    text = encode_id(timestamp_us, epoch, sequence)

    id = uuid.UUID(text)
    assert str(id) == text
    assert (id.version, id.variant) == (7, uuid.RFC_4122)
    assert id.int >> 80 == timestamp_us // 1000
    assert id.int >> 64 & 0xFFF == timestamp_us % 1000


@quickly
@given(epochs, st.tuples(timestamps, sequences), st.tuples(timestamps, sequences))
def test_ids_of_one_life_sort_as_text_like_time_and_sequence(epoch, one, other):
    assert (encode_id(one[0], epoch, one[1]) < encode_id(other[0], epoch, other[1])) == (one < other)


@pytest.mark.parametrize("timestamp_us", [0, 999, 1000, 1001, MAX_TIMESTAMP_US])
@pytest.mark.parametrize("epoch", [0, 1, MAX_EPOCH - 1, MAX_EPOCH])
@pytest.mark.parametrize("sequence", [0, 1, MAX_SEQUENCE - 1, MAX_SEQUENCE])
def test_fields_at_their_limits_do_not_spill_into_each_other(timestamp_us, epoch, sequence):
    cursor = parse(encode_id(timestamp_us, epoch, sequence))

    assert (cursor.timestamp_us, cursor.epoch, cursor.sequence) == (timestamp_us, epoch, sequence)


def test_id_has_the_layout_of_the_contract():
    # 48 bits milliseconds, 7, 12 bits microseconds within them, 10, 22 bits epoch, 40 bits sequence.
    text = encode_id(0x019B7A4F1C00 * 1000 + 0x3E7, 0x2ABCDE, 0x0123456789)

    assert text == "019b7a4f-1c00-73e7-aabc-de0123456789"


def test_upper_case_id_is_the_same_position():
    text = encode_id(NOW_US, EPOCH, 42)

    assert parse(text.upper()) == parse(text)._replace(text=text.upper())


def test_zero_cursor_is_an_id_like_any_other():
    cursor = parse(encode_id(NOW_US, EPOCH, 0))

    assert (cursor.sequence, cursor.epoch, cursor.timestamp_us) == (0, EPOCH, NOW_US)


@pytest.mark.parametrize(
    "text",
    [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",  # version 1
        "0b7a1c1e-6d0f-4a4e-9a5c-3c1d2b4e5f60",  # version 4
        "019b7a4f-1c00-83e7-aabc-de0123456789",  # version 8
        "019b7a4f-1c00-73e7-2abc-de0123456789",  # variants of NCS and Microsoft, and the reserved one
        "019b7a4f-1c00-73e7-cabc-de0123456789",
        "019b7a4f-1c00-73e7-eabc-de0123456789",
        "019b7a4f-1c00-73e8-aabc-de0123456789",  # 1000 microseconds within a millisecond
        "019b7a4f-1c00-7fff-aabc-de0123456789",
    ],
)
def test_uuid_that_is_not_ours_is_foreign_and_not_an_error(text):
    """P3: it is told of by a reset, in-band."""
    cursor = parse(text)

    assert cursor.is_foreign
    assert cursor.text == text
    assert cursor.epoch is None and cursor.timestamp_us is None


def test_microsecond_999_is_still_ours():
    assert not parse("019b7a4f-1c00-73e7-aabc-de0123456789").is_foreign


@pytest.mark.parametrize("sequence", [1, 7, MAX_SEQUENCE - 1, MAX_SEQUENCE])
def test_plain_sequence_is_a_cursor_without_an_epoch(sequence):
    text = str(sequence)

    assert parse(text) == Cursor(text, sequence, epoch=None, timestamp_us=None, is_foreign=False)


def test_leading_zeros_of_a_plain_sequence_mean_nothing():
    assert parse("0000000000042").sequence == 42


@pytest.mark.parametrize("text", ["0", "0000000000000"])
def test_plain_sequence_zero_is_the_oldest_kept(text):
    assert parse_cursor(text, "lastEventId") is Edge.EARLIEST


@pytest.mark.parametrize(
    "text",
    [
        str(MAX_SEQUENCE + 1),
        "9" * 13,
        "1" * 14,
        "00000000000001",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "1\n",
        "\u0661",  # a digit, but not of ASCII
        "",
        "null",
        "earliest",
        "019b7a4f1c0073e7aabcde0123456789",
        "{019b7a4f-1c00-73e7-aabc-de0123456789}",
        "urn:uuid:019b7a4f-1c00-73e7-aabc-de0123456789",
        "019b7a4f-1c00-73e7-aabc-de012345678",
        "019b7a4f-1c00-73e7-aabc-de01234567890",
        "019b7a4f-1c00-73e7-aabc-de012345678g",
        "019b7a4f-1c00-73e7-aabc-de0123456789\n",
        "019b7a4f-1c00-73e7-aabcde-0123456789",
    ],
)
def test_what_is_neither_id_nor_sequence_is_refused(text):
    """P7."""
    with pytest.raises(Malformed) as refused:
        parse_cursor(text, "Last-Event-ID")

    assert refused.value.status == 400
    assert refused.value.detail.startswith(f"Last-Event-ID is {text[:64]!r}; it must be ")


def test_long_garbage_is_cut_in_the_message():
    with pytest.raises(Malformed) as refused:
        parse_cursor("x" * 10_000, "lastEventId")

    assert len(refused.value.detail) < 200


@pytest.mark.parametrize(("text", "edge"), [("earliest", Edge.EARLIEST), ("now", Edge.NOW)])
def test_edges_are_known_by_name(text, edge):
    assert parse_edge(text) is edge


@pytest.mark.parametrize("text", ["", "Now", "EARLIEST", "now ", "latest", "0"])
def test_other_edges_are_refused_with_what_is_allowed(text):
    """P7."""
    with pytest.raises(Malformed, match="'earliest' or 'now'"):
        parse_edge(text)
