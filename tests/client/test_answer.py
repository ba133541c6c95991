"""Reading answers: heads as proxies write them, ends of bodies, and what is not ours."""

import gzip

import pytest

from rtserver.client import answer
from rtserver.client.answer import Answer, Head, Inflater, parse_chunk_size, parse_head
from rtserver.client.errors import Blocked

JSON = {"content-type": "application/json; charset=UTF-8"}


def test_a_head_is_read_with_names_in_lower_case_and_repeated_ones_joined():
    head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; x=y\r\nVia: a\r\nVIA: b\r\n\r\n")

    assert (head.status, head.content_type, head.headers["via"]) == (200, "text/html", "a, b")
    assert not head.is_http_1_0


@pytest.mark.parametrize("raw", [b"HTTP/1.0 503\r\n\r\n", b"HTTP/1.0 503 \n\n", b"HTTP/1.0 503 Busy: now\nA:b\n\n"])
def test_careless_heads_are_read(raw):
    head = parse_head(raw)

    assert (head.status, head.is_http_1_0) == (503, True)


@pytest.mark.parametrize("raw", [b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 999 x\r\n\r\n", b"\r\n\r\n"])
def test_what_is_not_http_is_blocked(raw):
    with pytest.raises(Blocked):
        parse_head(raw)


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("GET", 200, {"content-length": "7"}, 7),
        ("GET", 200, {"content-length": "7, 7"}, 7),
        ("HEAD", 200, {"content-length": "7"}, 0),
        ("GET", 204, {}, 0),
        ("GET", 304, {"content-length": "7"}, 0),
        ("GET", 200, {}, None),
        ("GET", 200, {"transfer-encoding": "chunked"}, None),
        ("GET", 200, {"transfer-encoding": "chunked", "content-length": "7"}, None),
    ],
)
def test_the_length_of_a_body_is_what_the_head_says(method, status, headers, length):
    assert Head(status, headers).body_length(method) == length


@pytest.mark.parametrize("length", ["-1", "x", "1, 2", "+1", "\u0663"])
def test_a_length_that_is_none_is_blocked(length):
    with pytest.raises(Blocked):
        Head(200, {"content-length": length}).body_length("GET")


@pytest.mark.parametrize(
    ("headers", "is_http_1_0", "keeps"),
    [({}, False, True), ({"connection": "close"}, False, False), ({"connection": "Keep-Alive, Close"}, False, False),
     ({}, True, False), ({"connection": "Keep-Alive"}, True, True)],
)  # fmt: skip
def test_a_connection_is_kept_as_the_version_says(headers, is_http_1_0, keeps):
    assert Head(200, headers, is_http_1_0).keeps_alive == keeps


def test_chunk_sizes_are_hexadecimal_and_nothing_else():
    assert parse_chunk_size(b"1F;a=b\r\n") == 31
    assert parse_chunk_size(b"0\n") == 0
    for line in (b"\r\n", b"-1\r\n", b"0x1\r\n", b"1 2\r\n", b"f" * 17 + b"\r\n"):
        with pytest.raises(Blocked):
            parse_chunk_size(line)


def test_json_is_read_where_json_is_said():
    assert Answer(200, JSON, b'{"a": 1}').json() == {"a": 1}
    assert Answer(403, {"content-type": "application/problem+json"}, b"{}").json() == {}


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"content-type": "text/html"}, b"{}"), ({}, b"{}"), (JSON, b"<html>"), (JSON, b"[]"), (JSON, b""),
     (JSON, b"{\xff"), (JSON, b"[" * 100_000)],
    ids=["html", "no type", "html called JSON", "a list", "nothing", "not UTF-8", "too deep"],
)  # fmt: skip
def test_anything_else_where_json_belongs_is_blocked_and_never_shown(headers, body):
    with pytest.raises(Blocked) as blocked:
        Answer(200, headers, body).json()
    assert "<html>" not in str(blocked.value)


def test_gzip_is_undone_piece_by_piece_and_bombs_are_not():
    packed = gzip.compress(b"hello" * 100)
    inflate = Inflater(Head(200, {"content-encoding": "gzip"}))
    assert b"".join(inflate(packed[i : i + 1]) for i in range(len(packed))) == b"hello" * 100
    assert Inflater(Head(200, {}))(b"plain") == b"plain"
    with pytest.raises(Blocked):
        Inflater(Head(200, {"content-encoding": "br"}))
    with pytest.raises(Blocked):
        Inflater(Head(200, {"content-encoding": "gzip"}))(b"not gzip at all")


def test_what_inflates_to_too_much_is_blocked(monkeypatch):
    monkeypatch.setattr(answer, "MAX_BODY_BYTES", 1000)

    with pytest.raises(Blocked):
        Inflater(Head(200, {"content-encoding": "gzip"}))(gzip.compress(b"0" * 1001))
