"""Where a request ends is never in doubt: what could be read in two ways is refused (P7; RFC 9112)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.errors import AddressTooLong, HeadTooLarge, Malformed
from rtserver.framing import (
    MAX_CHUNK_LINE_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    Chunks,
    find_head,
    parse_head,
    path_of,
)


def head(*lines: str, first: str = "GET / HTTP/1.1", host: str = "Host: x") -> bytes:
    return "\r\n".join([first, *([host] if host else []), *lines, "", ""]).encode("latin1")


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 1", "Content-Length: 1"),
        ("Content-Length: 1", "Content-Length: 2"),
        ("Content-Length: 1, 1",),
        ("Content-Length: +1",),
        ("Content-Length: -1",),
        ("Content-Length: 0x1",),
        ("Content-Length: 1 1",),
        ("Content-Length: \xb2",),
        ("Content-Length:",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding:\x0bchunked",),
        ("Transfer-Encoding : chunked",),
        (" Transfer-Encoding: chunked",),
        ("X: a", " b: c"),
        ("X: a\x00b",),
        ("X: a\nTransfer-Encoding: chunked",),
        ("X: a\rY: b",),
        ("X",),
        (": a",),
        ("X Y: a",),
        ("Host: y",),
    ],
)
def test_a_head_that_two_readers_could_read_differently_is_refused(lines):
    with pytest.raises(Malformed):
        parse_head(head(*lines, first="POST / HTTP/1.1"))


@pytest.mark.parametrize(
    "first",
    [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        " GET / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "G(T / HTTP/1.1",
        "GET x HTTP/1.1",
        "GET a:b HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "",
    ],
)
def test_a_first_line_that_is_not_one_is_refused(first):
    with pytest.raises(Malformed):
        parse_head(head(first=first))


@pytest.mark.parametrize("host", ["", "Host: a b", "Host: a/b", "Host: a@b", "Host: a, b"])
def test_who_is_asked_must_be_said_once_and_well(host):
    with pytest.raises(Malformed):
        parse_head(head(host=host))


def test_http_1_0_needs_no_host_and_has_no_chunks():
    assert parse_head(head(first="GET / HTTP/1.0", host="")).version == "HTTP/1.0"
    with pytest.raises(Malformed):
        parse_head(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0"))


@pytest.mark.parametrize(
    ("version", "line", "keeps_alive"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: keep-alive, Close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_a_connection_goes_on_as_its_version_has_it(version, line, keeps_alive):
    assert parse_head(head(line, first=f"GET / HTTP/{version}")).keeps_alive is keeps_alive


def test_the_absolute_form_names_the_host_that_counts():
    """RFC 9112 section 3.2.2."""
    found = parse_head(head(first="GET http://other:81/a?b HTTP/1.1"))
    assert (found.target, found.fields["host"]) == ("/a?b", "other:81")
    assert parse_head(head(first="GET http://other HTTP/1.1")).target == "/"


def test_fields_are_found_in_any_case_and_keep_their_order():
    fields = parse_head(head("X-A: 1", "x-a:2 ", "Y:")).fields
    assert fields.get_list("X-a") == ["1", "2"] and fields.get("x-A") == "1,2" and fields.get("y") == ""
    assert fields.get("z") is None and "Y" in fields and "z" not in fields


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_fields_of_a_head_are_counted(excess):
    """P4."""
    lines = [f"X{number}: y" for number in range(MAX_FIELDS - 1 + excess)]
    if excess > 0:
        with pytest.raises(HeadTooLarge):
            parse_head(head(*lines))
    else:
        parse_head(head(*lines))


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_bytes_of_a_head_are_bounded(excess):
    """P4."""
    whole = head("X: " + "a" * (MAX_HEAD_BYTES - len(head("X: ")) + excess))
    assert len(whole) == MAX_HEAD_BYTES + excess
    if excess > 0:
        with pytest.raises(HeadTooLarge):
            find_head(whole)
    else:
        assert find_head(whole) == len(whole)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_bytes_of_an_address_are_bounded(excess):
    """P4."""
    whole = head(first=f"GET /{'a' * (MAX_TARGET_BYTES - 1 + excess)} HTTP/1.1")
    if excess > 0:
        with pytest.raises(AddressTooLong):
            parse_head(whole)
    else:
        assert find_head(whole) == len(whole) and parse_head(whole)


@pytest.mark.parametrize("first", [f"GET /{'a' * (MAX_TARGET_BYTES - 1)} HTTP/1.1", "1GET / HTTP/1.1", "! / HTTP/1.1"])
def test_a_head_that_is_allowed_is_waited_for_wherever_it_is_cut(first):
    whole = head(first=first)
    assert {find_head(whole[:size]) for size in range(1, len(whole))} == {0}
    assert parse_head(whole)


def test_an_address_without_end_is_refused_before_all_of_it_has_come():
    with pytest.raises(AddressTooLong):
        find_head(b"GET /" + b"a" * MAX_TARGET_BYTES)


@pytest.mark.parametrize("beginning", [b"\x16\x03\x01", b"GET / HTTP/1.1\nHost: x\n\n", b"\x00", b"{}"])
def test_what_is_no_http_is_refused_at_once(beginning):
    with pytest.raises(Malformed):
        find_head(beginning)


def test_a_refused_request_is_told_its_path_without_the_query():
    assert path_of(b"GET /api/x?ticket=secret HTTP/1.1\r\n") == "/api/x"
    assert path_of(b"\x16\x03") == "/"


BODY = b"5\r\nhello\r\n1;name=value\r\n!\r\n0\r\nTrailer: x\r\n\r\n"


@given(st.lists(st.integers(0, len(BODY)), max_size=6))
def test_chunks_are_put_together_however_they_are_cut(cuts):
    edges = [0, *sorted(cuts), len(BODY)]
    chunks, rest, body = Chunks(), b"", b""
    for start, end in pairwise(edges):
        rest += BODY[start:end]
        piece, taken = chunks.take(rest)
        body, rest = body + piece, rest[taken:]
    assert (body, rest, chunks.is_done) == (b"hello!", b"", True)


def test_what_follows_the_last_chunk_is_left():
    chunks = Chunks()
    assert chunks.take(b"1\r\na\r\n0\r\n\r\nGET /") == (b"a", 11) and chunks.is_done


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\na",
        b"0x1\r\n",
        b"1 1\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\r\r\n",
        b"11111111111111111\r\n",
        b"1;\x00\r\n",
        b"1" + b";" + b"a" * MAX_CHUNK_LINE_BYTES,
        b"0\r\n x: y\r\n\r\n",
        b"0\r\nx\r\n\r\n",
        b"0\r\n" + b"x: y\r\n" * 2000 + b"\r\n",
    ],
)
def test_chunks_that_two_readers_could_read_differently_are_refused(body):
    with pytest.raises(Malformed):
        Chunks().take(body)
