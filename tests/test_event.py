"""An event's bytes: the same for every reader, exact in JSON, unbreakable in a stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.cursor import encode_id
from rtserver.event import EVENT_OVERHEAD_BYTES, TRANSIENT_SECONDS, Event, Transient, format_timestamp
from tests.builders import EPOCH, NOW_US, message, progress, publish

quickly = settings(deadline=None, max_examples=100)

# Everything that ends a line somewhere: in SSE, in JavaScript, in Python's splitlines, in C.
NASTY = [
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\n\n",
    "\n\ndata: x\n\n",
    "\u2028",
    "\u2029",
    "\x85",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x7f",
]
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from([*NASTY, "x", "\\", '"', "😀"])).map("".join))


def sealed(content: str) -> Event:
    """Return the event of a message, as publishing makes it."""
    return Event(EPOCH, 7, NOW_US, "message_added", message(content).data_at(format_timestamp(NOW_US)))


def fields_of(frame: bytes) -> list[tuple[bytes, bytes]]:
    """Split one frame as the HTML standard (9.2.6) does: CRLF, LF and CR all end a line; a blank line the event."""
    assert frame.endswith(b"\n\n")
    lines = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n\n").split(b"\n")
    return [(name, value.removeprefix(b" ")) for name, _, value in (line.partition(b":") for line in lines)]


def test_item_is_the_json_that_polls_promise():
    event = Event(EPOCH, 7, NOW_US + 1, "note", b'{"a": 1}')

    assert json.loads(event.item) == {
        "id": encode_id(NOW_US + 1, EPOCH, 7),
        "sequence": 7,
        "type": "note",
        "timestamp": "2026-01-01T12:00:00.000001Z",
        "data": {"a": 1},
    }


def test_event_knows_its_place_and_time():
    event = Event(EPOCH, 7, NOW_US + 1, "note", b"{}")

    assert (event.sequence, event.timestamp_us, event.type) == (7, NOW_US + 1, "note")


def test_frame_is_the_block_that_streams_promise():
    event = Event(EPOCH, 7, NOW_US, "note", b'{"a": 1}')

    assert event.frame == b'event: note\nid: %b\ndata: {"a": 1}\n\n' % event.id.encode()


@pytest.mark.parametrize("data", [b"{}", b'{"a": 1}', b'{"text": "}]}"}', '{"text": "😀"}'.encode()])
def test_data_are_given_back_byte_for_byte(data):
    assert Event(EPOCH, 7, NOW_US, "note", data).data == data


def test_size_is_what_the_event_holds_in_memory():
    """P4: bytes of a ring are counted, and more than the data alone."""
    event = Event(EPOCH, 7, NOW_US, "note", b"{}")
    larger = Event(EPOCH, 7, NOW_US, "note", b'{"a":1}')

    assert event.size == len(event.data) + len(event.item) + len(event.frame) + EVENT_OVERHEAD_BYTES
    assert larger.size == event.size + 3 * len(b'"a":1')


@pytest.mark.parametrize("content", NASTY)
def test_no_content_breaks_out_of_its_frame(content):
    assert [name for name, _ in fields_of(sealed(content).frame)] == [b"event", b"id", b"data"]


@quickly
@given(texts)
def test_any_content_arrives_whole_on_every_tier(content):
    """P2."""
    event = sealed(content)

    fields = dict(fields_of(event.frame))
    assert len(fields_of(event.frame)) == 3
    assert b"\0" not in event.frame
    assert (fields[b"event"], fields[b"id"]) == (b"message_added", event.id.encode())
    assert json.loads(fields[b"data"])["content"] == content
    assert json.loads(event.item)["data"] == json.loads(fields[b"data"])


@quickly
@given(st.dictionaries(texts, st.one_of(st.none(), st.booleans(), st.integers(), texts, st.lists(texts, max_size=3))))
def test_any_object_arrives_as_it_was_published(data):
    """P2: keys too, and numbers beyond 64 bits."""
    draft = publish({"type": "note", "data": data}).drafts[0]
    event = Event(EPOCH, 7, NOW_US, draft.type, draft.data_at(format_timestamp(NOW_US)))

    assert json.loads(event.item)["data"] == data
    assert [name for name, _ in fields_of(event.frame)] == [b"event", b"id", b"data"]


@quickly
@given(st.integers(0, 253_402_300_799_999_999))
def test_timestamps_are_iso_8601_to_the_microsecond(timestamp_us):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp_us)

    assert format_timestamp(timestamp_us) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("timestamp_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999_999, "1970-01-01T00:00:00.999999Z"),
        (1_000_000, "1970-01-01T00:00:01.000000Z"),
        (951_825_599_999_999, "2000-02-29T11:59:59.999999Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_at_the_turns_of_the_calendar(timestamp_us, text):
    assert format_timestamp(timestamp_us) == text


def test_passing_states_count_as_long_as_the_contract_says():
    assert TRANSIENT_SECONDS == {"typing_indicator": 10, "ai_progress": 60}


def test_passing_state_has_no_id_and_no_sequence():
    draft = progress("reading", subject="ava")
    state = Transient(draft.type, draft.participant_id, NOW_US, draft.data)

    assert fields_of(state.frame) == [(b"event", b"ai_progress"), (b"data", draft.data)]
    assert json.loads(state.item) == {
        "type": "ai_progress",
        "timestamp": "2026-01-01T12:00:00.000000Z",
        "data": {"status": "reading", "participantId": "ava"},
    }


@pytest.mark.parametrize("content", NASTY)
def test_no_status_breaks_out_of_its_frame(content):
    draft = progress(content)

    fields = fields_of(Transient(draft.type, draft.participant_id, NOW_US, draft.data).frame)

    assert [name for name, _ in fields] == [b"event", b"data"]
    assert json.loads(fields[1][1])["status"] == content


def test_log_shows_an_event_without_its_data():
    """P6: what people write is no business of the log's."""
    shown = repr(sealed("my card number"))

    assert "message_added" in shown and "7" in shown
    assert "card" not in shown
