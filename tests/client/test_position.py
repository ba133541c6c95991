"""One cursor for all tiers: what is new, in order, once."""

import pytest

from rtserver.client.position import BEGINNING, Event, Position, event_of_block, is_cursor, moment_of
from rtserver.cursor import encode_id

MOMENT_US = 1_769_860_800_000_001


def id_of(sequence, epoch=7):
    return encode_id(MOMENT_US + sequence, epoch, sequence)


def event(sequence, epoch=7):
    return Event("message_added", {"n": sequence}, None, id_of(sequence, epoch), sequence)


PASSING = Event("typing_indicator", {}, None)


def sequences(events):
    return [each.sequence for each in events]


def test_what_comes_out_of_order_is_put_back_and_passing_states_come_last():
    position = Position(id_of(1))

    assert sequences(position.take([event(4), PASSING, event(2), event(3)])) == [2, 3, 4, None]
    assert position.cursor == id_of(4)


def test_what_was_taken_is_not_taken_again():
    position = Position()
    position.take([event(1), event(2)])

    assert sequences(position.take([event(1), event(2), event(3)])) == [3]
    assert position.take([event(3), event(2)]) == []
    assert position.cursor == id_of(3)


def test_what_a_filter_leaves_out_is_passed_over():
    position = Position(id_of(1))

    assert sequences(position.take([event(5), event(9)])) == [5, 9]
    position.move(id_of(12))
    assert position.cursor == id_of(12)
    for older in (id_of(3), "nonsense", BEGINNING, id_of(99, epoch=8)):
        position.move(older)
    assert position.cursor == id_of(12)


def test_another_life_of_the_session_begins_with_a_reset_and_no_earlier():
    """P3."""
    position = Position(id_of(5))

    assert position.take([event(6, epoch=8)]) == []
    assert position.reset(id_of(2, epoch=8), presented=id_of(5))
    assert sequences(position.take([event(3, epoch=8)])) == [3]


def test_a_reset_is_news_where_it_takes_us_further_or_answers_to_where_we_are():
    position = Position(id_of(5))
    assert position.reset(id_of(9), presented=id_of(5))
    position.take([event(10)])

    assert not position.reset(id_of(9), presented=id_of(5)), "another tier brought us beyond it"
    assert position.cursor == id_of(10)
    assert position.reset(id_of(3), presented=id_of(10)), "we were ahead of the end"
    assert position.cursor == id_of(3)


def test_a_position_may_be_a_plain_sequence():
    position = Position("3")

    assert sequences(position.take([event(3), event(4)])) == [4]


def test_the_moment_in_a_cursor_is_read_whole():
    assert moment_of(encode_id(MOMENT_US, 7, 1)) == "2026-01-31T12:00:00.000001Z"
    assert moment_of(BEGINNING) == moment_of("12") == "1970-01-01T00:00:00.000000Z"


def test_an_event_of_a_stream_has_its_sequence_and_time_from_its_id():
    found = event_of_block("message_added", {}, encode_id(MOMENT_US, 7, 4))

    assert (found.sequence, found.timestamp) == (4, "2026-01-31T12:00:00.000001Z")
    assert event_of_block("typing_indicator", {}, None) == PASSING


@pytest.mark.parametrize(("text", "is_one"), [(id_of(1), True), ("12", True), ("0", True), ("x", False), ("", False)])
def test_what_can_be_a_cursor(text, is_one):
    assert is_cursor(text) == is_one
