"""What a stream says of itself, piece by piece, and when its pieces come."""

import contextlib

import pytest

from rtserver.client.answer import Head
from rtserver.client.delays import Heartbeat, Retries
from rtserver.client.errors import Unreachable
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Tier
from rtserver.client.position import Position
from rtserver.client.stream import Stream
from rtserver.cursor import encode_id
from tests.client.clock import HandClock

CONNECTED = b'event: connected\ndata: {"heartbeatInterval": 7}\n\n'
PROBE = b"event: probe\ndata: {}\n\n"
HEAD = Head(200, {"content-type": "text/event-stream"})


def id_of(sequence):
    return encode_id(1_000_000 + sequence, 1, sequence)


def message(sequence, data=b"{}"):
    return b"event: message_added\nid: %b\ndata: %b\n\n" % (id_of(sequence).encode(), data)


class Script:
    """Stands in for the server: pieces of a stream, and the seconds between them."""

    def __init__(self, *pieces, head=HEAD):
        self.clock = HandClock()
        self.asked = []
        self.heartbeat = Heartbeat()
        self._pieces = pieces
        self._head = head

    @contextlib.asynccontextmanager
    async def stream(self, cursor):
        self.asked.append(cursor)
        yield self._head, self._come()

    async def _come(self):
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, Exception):
                raise piece
            else:
                self.clock.jump(piece)


async def read(*pieces, head=HEAD, position=None):
    script = Script(*pieces, head=head)
    inbox, retries = Inbox(position or Position(id_of(1))), Retries()
    stream = Stream(script, inbox, script.clock, retries)
    events = [str(signal.event) async for signal in stream.signals()]
    return events, inbox, stream, retries


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ((CONNECTED, 2.0, PROBE), ["connected", "probe apart"]),
        ((CONNECTED, 0.6, PROBE), ["connected", "probe apart"]),
        # What holds a stream back lets go of it in one piece, or in pieces one after the other.
        ((2.0, CONNECTED + PROBE), ["connected", "probe together"]),
        ((2.0, CONNECTED, PROBE), ["connected", "probe together"]),
        ((CONNECTED, 0.4, PROBE), ["connected", "probe together"]),
        ((PROBE, 2.0, CONNECTED), ["connected"]),
    ],
)
async def test_a_stream_proves_itself_by_two_events_that_come_apart(pieces, events):
    assert (await read(*pieces, 20.0))[0] == [*events, "stream lost"]


async def test_a_stream_that_ends_soon_was_cut_early_and_one_that_is_heard_for_long_has_lasted():
    assert (await read(CONNECTED, 2.0, PROBE, 17.9))[0] == ["connected", "probe apart", "stream cut early"]
    assert (await read(CONNECTED, 119.9, message(2), 50.0))[0] == ["connected", "stream lost"]
    lasting = await read(CONNECTED, 120.0, message(2), 1.0, message(3))
    assert lasting[0] == ["connected", "lasted", "stream lost"]


@pytest.mark.parametrize(
    ("reason", "event"),
    [("max_connection_time", "goodbye"), ("shutdown", "goodbye"), ("slow_reader", "goodbye"),
     ("token_expired", "goodbye"), ("something new", "goodbye"), ("removed", "forbidden"),
     ("session_closed", "ended"), ("session_deleted", "gone")],
)  # fmt: skip
async def test_why_the_server_ends_a_stream_decides_what_follows(reason, event):
    farewell = b'retry: 1500\nevent: reconnect\ndata: {"reason": "%b"}\n\n' % reason.encode()
    events, _, _, retries = await read(CONNECTED, farewell)

    assert events == ["connected", event]
    assert retries.next(Tier.SSE, 0.5) == 1.5


async def test_events_are_taken_in_and_resume_from_the_last_one_that_came_whole():
    _, inbox, _, _ = await read(CONNECTED, message(2) + message(3)[:-1], b"\n" + message(4)[:-2])

    assert inbox.position.cursor == id_of(3)
    assert [item.sequence for item in inbox._items] == [2, 3]


async def test_a_bare_id_moves_the_cursor_and_brings_nothing():
    _, inbox, _, _ = await read(CONNECTED, b"id: %b\n\n" % id_of(8).encode())

    assert inbox.position.cursor == id_of(8)
    assert not inbox._items


async def test_an_id_belongs_to_its_own_block():
    """A passing state after an event has no id, though the stream still has that of the event."""
    _, inbox, _, _ = await read(CONNECTED, message(2) + b'event: typing_indicator\ndata: {"isTyping": true}\n\n')

    assert [item.id for item in inbox._items] == [id_of(2), None]


async def test_a_reset_stands_in_its_place_among_the_events():
    id = id_of(9).encode()
    reset = b'event: reset\nid: %b\ndata: {"reason": "trimmed", "requested": "x", "lastEventId": "%b"}\n\n' % (id, id)
    _, inbox, _, _ = await read(CONNECTED, reset + message(10))

    assert [getattr(item, "reason", "event") for item in inbox._items] == ["trimmed", "event"]
    assert inbox.position.cursor == id_of(10)


async def test_the_heartbeat_is_as_often_as_the_stream_says():
    _, _, stream, _ = await read(CONNECTED)

    assert stream.heartbeat_seconds == 7


@pytest.mark.parametrize(
    ("pieces", "event"),
    [((20.0, Unreachable("cut")), "stream lost"), ((b"event: message_added\ndata: <html>\n\n",), "page"),
     ((b"event: message_added\ndata: [1]\n\n",), "page")],
)  # fmt: skip
async def test_what_goes_wrong_is_said(pieces, event):
    assert (await read(CONNECTED, *pieces))[0] == ["connected", event]


@pytest.mark.parametrize(
    ("head", "event"),
    [(Head(200, {"content-type": "text/html"}), "page"), (Head(204, {}), "ended"), (Head(304, {}), "page"),
     (Head(302, {"content-type": "text/html"}), "page"), (Head(503, {}), "busy"), (Head(500, {}), "broken")],
)  # fmt: skip
async def test_an_answer_that_is_no_stream_is_judged(head, event):
    assert (await read(b"<html>", head=head))[0] == [event]
