"""The parser of event streams, row by row of the HTML standard, section 9.2.6, and cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.client import eventstream
from rtserver.client.errors import Blocked
from rtserver.client.eventstream import Block, EventStream


def parse(*pieces):
    stream = EventStream()
    return [block for piece in pieces for block in stream.feed(piece)]


def message(data, type="message", id="", has_id=False):
    return Block(type, data, id, has_id)


@pytest.mark.parametrize(
    ("raw", "blocks"),
    [
        (b"data: hello\n\n", [message("hello")]),
        (b"data:hello\n\n", [message("hello")]),
        (b"data:  hello\n\n", [message(" hello")]),
        (b"data: a\ndata: b\n\n", [message("a\nb")]),
        (b"data\n\n", [message("")]),
        (b"data\ndata\n\n", [message("\n")]),
        (b"data: a:b\n\n", [message("a:b")]),
        (b"event: x\ndata: a\n\n", [message("a", "x")]),
        (b"event: x\nevent: y\ndata: a\n\n", [message("a", "y")]),
        (b"event:\ndata: a\n\n", [message("a")]),
        (b"event: x\n\ndata: a\n\n", [message("a")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [message("a", id="7", has_id=True), message("b", id="7")]),
        (b"id: 7\n\n", [Block("message", None, "7", True)]),
        (b"id\ndata: a\n\n", [message("a", id="", has_id=True)]),
        (b"id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n", [message("a", id="7", has_id=True), message("b", id="7")]),
        (b": a comment\n\n", []),
        (b":\n\n\n\n", []),
        (b"unknown: a\ndata : b\n\n", []),
        (b"data: never completed\n", []),
        (b"id: 9\ndata: never completed", []),
        (b"\xef\xbb\xbfdata: a\n\n", [message("a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [message("a")]),
        (b"data: \xff\xc3\xa4\n\n", [message("\ufffd\u00e4")]),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [message("a"), message("b"), message("c")]),
        (b"data: a\r\n\ndata: b\n\r\n", [message("a"), message("b")]),
        ("data: a\u2028b\x85c\x0bd\n\n".encode(), [message("a\u2028b\x85c\x0bd")]),
    ],
)
def test_a_stream_means_what_the_standard_says(raw, blocks):
    assert parse(raw) == blocks
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == blocks


@pytest.mark.parametrize(
    ("raw", "retry_ms"),
    [(b"retry: 2500\n", 2500), (b"retry:0\n", 0), (b"retry: 2.5\n", None), (b"retry: -1\n", None), (b"retry\n", None),
     (b"retry: 1\nretry: x\n", 1), ("retry: \u0663\n".encode(), None), (b"retry:  1\n", None)],
)  # fmt: skip
def test_a_reconnection_time_is_digits_and_nothing_else(raw, retry_ms):
    stream = EventStream()

    assert stream.feed(raw) == []
    assert stream.retry_ms == retry_ms


def test_a_cr_at_the_end_of_a_piece_ends_the_line_at_once():
    stream = EventStream()

    assert stream.feed(b"data: a\r\n\r") == [message("a")]
    assert stream.feed(b"\ndata: b\n\n") == [message("b")]


LINES = st.sampled_from(
    ["data: x", "data", "event: e", "id: 1", "id: 2", "retry: 9", ": c", "", "", "\ufeffdata: y", "o"]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.data())
def test_where_a_stream_is_cut_makes_no_difference(lines, data):
    raw = "".join(line + end for line, end in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert parse(*pieces) == parse(raw)


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 200, b"data: xxxx\n" * 60])
def test_what_never_ends_is_not_gathered_for_ever(monkeypatch, raw):
    monkeypatch.setattr(eventstream, "MAX_BLOCK_CHARACTERS", 150)

    with pytest.raises(Blocked):
        parse(raw)
