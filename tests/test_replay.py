"""Catching up: whatever happens while a block is on its way, a stream is sent what follows its cursor, once."""

from __future__ import annotations

import asyncio
import math
import re

import pytest

from rtserver.blocks import Blocks
from rtserver.counters import Counters
from rtserver.readers import Stream, StreamState
from rtserver.replay import Replay
from tests.builders import Database
from tests.test_reader import Desk, with_events


class Sink:
    is_paused = is_closed = is_chunked = False


class Served:
    """Keeps what streams are sent."""

    def __init__(self):
        self.sent = b""

    def write(self, stream, framed):
        self.sent += framed

    def send(self, stream, payload, pack=None):
        self.sent += payload

    def pause(self, stream):
        stream.state = StreamState.PAUSED

    def go_live(self, session, stream):
        stream.state = StreamState.LIVE

    @property
    def numbers(self):
        return [int(number) for number in re.findall(rb'"n":([0-9]+)', self.sent)]


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


@pytest.fixture(params=[None, frozenset({"note"})], ids=["all", "filtered"])
def stream(request):
    moments = {"ends_at": math.inf, "expires_at": math.inf, "opened_at": 0.0}
    facts = {"connection_id": "c", "subject": "alice", "is_participant": True, "heartbeat_seconds": 30}
    return Stream(Sink(), types=request.param, **facts, **moments)


async def test_a_stream_that_pauses_and_resumes_while_it_is_read_for_is_sent_everything_once(database, stream):
    """P2: two readings for one cursor are under way then, and one block too many."""
    desk, served = Desk(database), Served()
    there = with_events(database, 10)
    there.ring.evict_through(10)
    replay = Replay(desk.reader, Blocks(desk.reader, 4, 1 << 20), served, Counters())

    replay.catch_up(there, stream)
    while desk.worker.is_idle:
        await asyncio.sleep(0)
    for _ in range(2):
        stream.state = StreamState.PAUSED
        stream.state = StreamState.REPLAYING
        replay.catch_up(there, stream)
        await asyncio.sleep(0)
    while stream.state is not StreamState.LIVE:
        await asyncio.sleep(0)
        if not desk.worker.is_idle:
            (await desk.worker.next()).complete()
    for _ in range(10):
        await asyncio.sleep(0)
        if not desk.worker.is_idle:
            (await desk.worker.next()).complete()
    await replay.close()

    assert served.numbers == list(range(10))


async def test_a_sink_that_is_full_when_its_turn_comes_is_not_written_to(database, stream):
    """P4."""
    desk, served = Desk(database), Served()
    there = with_events(database, 3)
    replay = Replay(desk.reader, Blocks(desk.reader, 4, 1 << 20), served, Counters())
    replay.catch_up(there, stream)
    stream.sink.is_paused = True
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert served.sent == b"" and stream.state is StreamState.PAUSED
