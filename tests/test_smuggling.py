"""Where a request ends is in no doubt, however it comes: the corpus cut at every byte has one outcome (P7).

Also over sockets, and on both wires under the whole application.
"""

from __future__ import annotations

import asyncio
import re
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.wire import State
from tests.conftest import WIRES, until
from tests.corpus import CORPUS, End, Entry
from tests.echo import Line, answers_in, serve

# Of entries that are longer, the middle is cut at some places only.
EVERY_BYTE = 600
MIDDLE_STEP = 997


def outcome(entry: Entry, cuts: list[int]) -> tuple[list[object], End | bool]:
    """Send an entry in pieces; return the answers, and what has become of the connection."""
    line = Line()
    edges = [0, *sorted(cuts), len(entry.sent)]
    for start, end in pairwise(edges):
        if start < end:
            line.connection.data_received(entry.sent[start:end])
    line.wire._sweeper.cancel()
    methods = [each.line.method for each in line.app.asked]
    # Whoever waits for the body may have been told to go on with it.
    answers = [answer for answer in answers_in(line.transport.written, methods) if answer != 100]
    # `FOLLOWER` is the last request of its connection: only what waits is not over.
    return answers, line.connection.state is State.LINGERING


def expected(entry: Entry) -> tuple[list[object], bool]:
    return list(entry.answers), entry.end is not End.WAITS


def places(length: int) -> list[int]:
    """Return where to cut: everywhere, or at either end and at some places between."""
    if length <= 2 * EVERY_BYTE:
        return [*range(length + 1)]
    middle = range(EVERY_BYTE, length - EVERY_BYTE, MIDDLE_STEP)
    return [*range(EVERY_BYTE), *middle, *range(length - EVERY_BYTE, length + 1)]


@pytest.mark.parametrize("name", CORPUS)
async def test_an_entry_cut_at_any_byte_has_the_same_outcome(name):
    """P7."""
    entry = CORPUS[name]
    for place in places(len(entry.sent)):
        assert outcome(entry, [place]) == expected(entry), place


@pytest.mark.parametrize("name", CORPUS)
def test_an_entry_cut_in_many_pieces_has_the_same_outcome(name, io_loop):
    """P7."""
    entry = CORPUS[name]

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, len(entry.sent)), max_size=12))
    def cut(cuts):
        async def run():
            return outcome(entry, cuts)

        assert io_loop.run_sync(run) == expected(entry)

    cut()


@pytest.mark.parametrize("name", [name for name, entry in CORPUS.items() if len(entry.sent) < EVERY_BYTE])
async def test_an_entry_that_comes_byte_by_byte_has_the_same_outcome(name):
    """P7."""
    entry = CORPUS[name]
    assert outcome(entry, [*range(len(entry.sent))]) == expected(entry)


async def exchange(port: int, entry: Entry, wire: str = "fast") -> bytes:
    """Send an entry over a socket and return all that comes until the server closes."""
    loop, written = asyncio.get_running_loop(), b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        try:
            await loop.sock_sendall(client, entry.sent)
            if entry.end is End.WAITS:
                client.shutdown(socket.SHUT_WR)
            while data := await asyncio.wait_for(loop.sock_recv(client, 1 << 16), 10):
                written += data
        except ConnectionError:
            # Tornado resets the connection where something is left that it has not read.
            assert wire == "tornado"
    return written


async def test_over_a_socket_every_entry_has_its_outcome_and_the_connection_ends(subtests):
    """P7: the answer arrives although what was sent is not read to its end, and nothing stays behind."""
    async with serve() as (app, wire, port):
        for name, entry in CORPUS.items():
            with subtests.test(name):
                began_at = len(app.asked)
                written = await exchange(port, entry)
                methods = [each.line.method for each in app.asked[began_at:]]
                assert [answer for answer in answers_in(written, methods) if answer != 100] == entry.answers
        await until(lambda: not wire.connections)


# Where the application answers before the body has come, and ends the connection.
ANSWERED_AT_ONCE = {"a body that waits for leave and comes", "a length beyond all limits"}
# What Tornado's own server reads otherwise, and nothing else.
TORNADO = {
    "refuses chunk extensions and trailers": {
        "a chunk extension", "a quoted chunk extension", "trailers", "a length and a host in the trailer",
    },
    "refuses empty lines before a request": {"empty lines before"},
    "refuses a large chunk when it is announced": {"a chunk of four gigabytes"},
    "closes without a word when a line is too long": {
        "a head one byte too long", "a method too long", "a size of a hundred zeros", "an extension that is too long",
    },
    "refuses it with another status": {"an address too long with NUL"},
    "takes lines that end in LF": {
        "all lines end in LF", "the first line ends in LF", "the head ends in LF", "a length and lines that end in LF",
        "a coding behind a bare LF", "a head too long with LF LF", "a bare CR behind the version",
    },
    "takes chunks in HTTP/1.0": {"chunks in HTTP/1.0", "chunks in HTTP/1.0 that goes on"},
    "takes the same length twice, and of any number of digits": {
        "two lengths behind a body", "two equal lengths", "a list of lengths", "a length of a hundred and one digits",
    },
    "answers before it refuses a second host": {"two hosts", "two equal hosts"},
    "takes anything as a host": {
        "a host with a space", "a host with a comma", "a host with a path", "a host with a user",
    },
    "takes addresses and versions that are none": {
        "an address that is none", "a tunnel", "the absolute form of something else", "HTTP/1.2",
    },
    "counts no fields and measures no address": {
        "one field too many", "a thousand fields", "an address one byte too long",
    },
}  # fmt: skip
READ_OTHERWISE = set().union(*TORNADO.values())


@pytest.mark.parametrize("wire", WIRES)
async def test_the_application_sees_as_many_requests_on_either_wire(start_server, wire, subtests):
    """P7: every refusal is a 4xx, and who comes next is served."""
    api = await start_server()
    for name, entry in CORPUS.items():
        statuses = [status for status in statuses_in(await exchange(api.port, entry, wire)) if status != 100]
        count = len(entry.asked) + (entry.end is End.GOES_ON)
        expected = [404] * count + ([entry.end] if isinstance(entry.end, int) else [])
        if name in ANSWERED_AT_ONCE:
            expected = [404]
        with subtests.test(name):
            assert (statuses == expected) is not (wire == "tornado" and name in READ_OTHERWISE)
            assert all(400 <= status < 500 for status in statuses)
        assert (await api.get("/healthz")).status == 200


def statuses_in(written: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", written)]
