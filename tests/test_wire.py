"""The wire: every request is answered once and in order, however it is cut; what is not HTTP ends the connection."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httputil import ResponseStartLine

from rtserver import wire as module
from rtserver.handlers.exchange import Headers
from rtserver.terms import Timeouts
from rtserver.wire import State
from tests.conftest import until
from tests.echo import Line


@pytest.fixture
def line(io_loop):
    async def make():
        return Line()

    line = io_loop.run_sync(make)
    yield line
    io_loop.run_sync(lambda: line.wire.close(0))


def get(path="/a", *lines):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def post(body, path="/p", *lines):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", body]).encode()


CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
H2C = post("whole", "/h", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
SEQUENCES = {
    "one": (get(), [["GET", "/a", ""]]),
    "several": (get("/1") + get("/2") + get("/3"), [["GET", f"/{n}", ""] for n in (1, 2, 3)]),
    "bodies": (post("x") + CHUNKED + post("") + get(), [["POST", "/p", "x"], ["POST", "/c", "abc"], ["POST", "/p", ""],
               ["GET", "/a", ""]]),
    "an upgrade to h2c": (H2C + get(), [["POST", "/h", "whole"], ["GET", "/a", ""]]),
    "empty lines before": (b"\r\n\r\n" + get() + b"\r\n" + get(), [["GET", "/a", ""]] * 2),
    "the last": (get("/a", "Connection: close") + get(), [["GET", "/a", ""]]),
    "http 1.0": (b"GET /o HTTP/1.0\r\n\r\n" + get(), [["GET", "/o", ""]]),
    "a bad one": (get() + b"GET /\r\n\r\n" + get(), [["GET", "/a", ""], 400]),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" + get(), [400]),
    "a bad chunk": (CHUNKED.replace(b"3\r\n", b"4\r\n") + get(), [400]),
    "no host": (b"GET / HTTP/1.1\r\n\r\n" + get(), [400]),
    "tls": (b"\x16\x03\x01\x00\xa5\x01\x00", [400]),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
async def test_requests_are_answered_in_order_wherever_they_are_cut(name):
    raw, expected = SEQUENCES[name]
    for size in (1, 2, 3, 7, len(raw)):
        line = Line()
        for start in range(0, len(raw), size):
            line.connection.data_received(raw[start : start + size])
        assert line.answers() == expected, size
        is_over = expected[-1] == 400 or b"close" in raw or b"HTTP/1.0" in raw
        assert (line.connection.state is State.LINGERING) is is_over
        await line.wire.close(0)


async def test_a_request_that_takes_time_holds_back_those_behind_it(line):
    """Answers are in order, and nothing is begun that could overtake."""
    line.connection.data_received(get("/later") + get("/next"))
    assert line.answers() == [] and len(line.app.asked) == 1

    line.app.asked[0].answer()
    assert [answer[1] for answer in line.answers()] == ["/later", "/next"]


async def test_a_client_that_sends_far_ahead_is_left_waiting(line):
    """P4."""
    line.connection.data_received(get("/later"))
    line.connection.data_received(b"x" * module.MAX_AHEAD_BYTES)
    assert not line.transport.is_paused
    line.connection.data_received(b"x")
    assert line.transport.is_paused


async def test_a_client_that_sends_and_does_not_read_is_left_waiting(line):
    """P4: between two requests, too."""
    line.connection.pause_writing()
    line.connection.data_received(get() * (module.MAX_AHEAD_BYTES // len(get()) + 1))
    assert line.transport.is_paused and line.answers() == []

    line.connection.resume_writing()
    while line.transport.is_paused:
        await asyncio.sleep(0)
    assert len(line.connection._buffer) <= module.MAX_AHEAD_BYTES


async def test_a_flood_of_requests_is_read_only_as_fast_as_it_is_answered(line):
    """P4: each answer lets some more be read, and what waits must not grow by that."""
    flood = get("/later") * (2 * module.MAX_AHEAD_BYTES // len(get("/later")))
    line.connection.data_received(flood)
    assert line.transport.is_paused
    while line.transport.is_paused:
        assert len(line.connection._buffer) + len(get("/later")) > module.MAX_AHEAD_BYTES
        line.app.asked[-1].answer()
    assert len(line.connection._buffer) <= module.MAX_AHEAD_BYTES


async def test_a_stream_whose_client_has_sent_far_ahead_still_sees_it_leave(line):
    """A transport that is not read never says that the client has gone."""
    line.connection.data_received(get("/later") + b"x" * 2 * module.MAX_AHEAD_BYTES)
    assert line.transport.is_paused
    assert line.connection.hand_over() is line.transport
    assert not line.transport.is_paused


async def test_many_requests_in_one_read_let_others_have_their_turn(line):
    count = module.MAX_AT_ONCE * 3
    line.connection.data_received(get() * count)
    assert len(line.answers()) < count
    while len(line.answers()) < count:
        await asyncio.sleep(0)


async def test_a_client_that_does_not_read_its_answers_gets_no_more_of_them(line):
    """P4."""
    line.connection.pause_writing()
    line.connection.data_received(get() * 2)
    assert line.answers() == []
    line.connection.resume_writing()
    assert len(line.answers()) == 2


async def test_a_client_that_asks_first_is_told_to_go_on(line):
    """RFC 9110 section 10.1.1."""
    head, body = post("abc", "/p", "Expect: 100-continue").split(b"\r\n\r\n")
    line.connection.data_received(head + b"\r\n\r\n")
    assert line.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.connection.data_received(body)
    assert line.answers()[1:] == [["POST", "/p", "abc"]]


async def test_an_answer_before_the_body_ends_the_connection_and_says_so(line):
    line.connection.data_received(post("abc", "/early")[:-3])
    assert b"Connection: close" in line.transport.written
    assert line.transport.is_half_closed and line.connection.state is State.LINGERING


async def test_who_leaves_is_noticed(line):
    line.connection.data_received(get("/later"))
    line.connection.connection_lost(None)
    assert line.app.asked[0].is_gone
    line.app.asked[0].answer()
    assert line.transport.written == b"" and not line.wire.connections


def later(line, seconds):
    """Let time pass for the server, as its sweep sees it."""
    line.wire.now += seconds
    for connection in [each for each in line.wire.connections if each.deadline <= line.wire.now]:
        connection.expire()


@pytest.mark.parametrize(
    ("begun", "seconds", "status"),
    [
        (b"", Timeouts().head, None),
        (b"GET / HT", Timeouts().head, 408),
        (post("abc")[:-1], Timeouts().body, 408),
    ],
)
async def test_what_does_not_come_in_time_ends_the_connection(line, begun, seconds, status):
    """P4: a slow head, a slow body, or nothing at all."""
    line.connection.data_received(begun) if begun else None
    later(line, seconds)
    assert line.transport.written == b"" and not line.transport.is_closed
    later(line, module.SWEEP_SECONDS)
    assert line.answers() == ([status] if status else [])
    assert line.transport.is_closed or line.transport.is_half_closed


async def test_empty_lines_now_and_then_keep_no_connection_open(line):
    """P4."""
    for _ in range(round(Timeouts().head)):
        line.connection.data_received(b"\r\n")
        later(line, 1)
    assert not line.transport.is_closed
    later(line, module.SWEEP_SECONDS)
    assert line.transport.is_closed


async def test_of_many_that_are_late_some_are_ended_at_a_time(line):
    """P4: a wave of thousands must not hold up everybody else."""
    others = [Line(line.wire) for _ in range(3 * module.EXPIRIES_AT_ONCE)]
    for each in others:
        each.connection.deadline = 0
    line.wire._sweep()
    line.wire._sweep()
    assert sum(each.transport.is_closed for each in others) == module.EXPIRIES_AT_ONCE
    await until(lambda: all(each.transport.is_closed for each in others))
    assert not line.transport.is_closed


async def test_an_idle_connection_ends_and_a_waiting_request_does_not(line):
    line.connection.data_received(get())
    line.connection.data_received(get("/later"))
    later(line, 10 * Timeouts().idle)
    assert not line.transport.is_closed
    line.app.asked[1].answer()
    later(line, Timeouts().idle + module.SWEEP_SECONDS)
    assert line.transport.is_closed


async def test_a_line_break_in_a_header_of_an_answer_is_never_sent(line):
    line.connection.data_received(get("/later"))
    with pytest.raises(ValueError, match="line break"):
        line.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), Headers({"X": "a\r\nSet-Cookie: b"}))
    assert line.transport.written == b""
