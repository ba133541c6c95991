"""gzip on streams (DESIGN 4.5): off unless set and asked for, decodable at every write, compressed once for all.

What a gzipped stream carries is judged by a plain one beside it.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import random
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from rtserver import deflate
from rtserver.event import Event, Transient
from rtserver.fanout import DICTIONARY_ITEMS, remember
from rtserver.reader import Location
from rtserver.sse import Ending
from tests import builders
from tests.builders import settle
from tests.conftest import until
from tests.http import Connection, parse_block
from tests.readers import CONTROL
from tests.test_streams import raw_head

ACCEPT = {"Accept-Encoding": "gzip"}
TEXT = (Path(__file__).parent.parent / "README.rst").read_text()


@pytest.fixture
def gzip_api(io_loop, start_server):
    """A server that gzips streams, with the session ``s`` of alice and bob."""

    async def start():
        api = await start_server(sse_gzip=True)
        await api.create()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


class Tap:
    """A sink that takes a stream's body apart as it is written: after every write, whole blocks must be there."""

    def __init__(self, *, is_gzip: bool, is_chunked: bool = False) -> None:
        self.is_chunked = is_chunked
        self.is_paused = self.was_paused = False
        self.is_closed = False
        self.on_resume: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.inflater = zlib.decompressobj(31) if is_gzip else None
        self.sizes: list[tuple[int, int]] = []  # of each write, as it went and as it is plain
        # The blocks that every stream of the session and filter must have alike, and those of them that have a number.
        self.events: list[bytes] = []
        self.durable: list[bytes] = []

    def write(self, payload: bytes) -> None:
        plain = b"".join(unchunked(payload)) if self.is_chunked else payload
        if self.inflater is not None:
            plain = self.inflater.decompress(plain)
        assert plain.endswith(b"\n\n"), "what was written is not all there"
        self.sizes.append((len(payload), len(plain)))
        for block in plain.split(b"\n\n")[:-1]:
            if (event := parse_block(block)).data and event.type not in CONTROL:
                self.events.append(block)
                if event.id:
                    self.durable.append(block)

    def close(self, payload: bytes) -> None:
        self.write(payload)
        self.is_closed = True

    def pause(self) -> None:
        self.is_paused = self.was_paused = True

    def resume(self) -> None:
        self.is_paused = False
        self.on_resume()


def unchunked(payload: bytes) -> list[bytes]:
    chunks = []
    while payload:
        size, _, rest = payload.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        payload = rest[int(size, 16) + 2 :]
    return chunks


def open_tap(api, *, is_gzip=True, types=None, start=None, is_chunked=False):
    session = api.hub.registry.peek("s")
    sink = Tap(is_gzip=is_gzip, is_chunked=is_chunked)
    stream = api.hub.streams.open(
        session,
        sink,
        subject="alice",
        is_participant=True,
        expires_in_seconds=math.inf,
        start=Location(session.last_sequence if start is None else start, session.last_event_id),
        types=types,
        is_gzip=is_gzip,
    )
    return sink, stream


async def publish(api, *events):
    """Publish (type, content) pairs as one batch."""
    more = {"ai_progress": {"participantId": "ava", "status": "writing"}}
    batch = [{"type": type, "data": {"content": content} | more.get(type, {})} for type, content in events]
    assert (await api.post("/sessions/s/events", {"events": batch}, who="service")).status in (201, 202)
    await settle()


# Asked for or not


async def test_who_asks_gets_gzip_and_is_told(gzip_api):
    async with gzip_api.stream("from=earliest", headers=ACCEPT) as stream:
        assert stream.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in stream.headers["vary"]
        assert (await stream.until("connected")).data["sessionId"] == "s"
        assert [(await stream.durable()).data["participantId"] for _ in range(2)] == ["alice", "bob"]
        for number in range(40):
            await gzip_api.publish(f"m{number}")
            assert (await stream.durable()).data["content"] == f"m{number}"
        assert (await stream.until("probe")).data["serverTime"]


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "br"}, {"Accept-Encoding": "gzip;q=0, *"}])
async def test_who_does_not_ask_gets_plain_text(gzip_api, headers):
    async with gzip_api.stream(headers=headers) as stream:
        assert "content-encoding" not in stream.headers
        assert "Accept-Encoding" in stream.headers["vary"]
        assert (await stream.until("connected")).data["sessionId"] == "s"
        assert gzip_api.hub.registry.peek("s").recent is None


async def test_nobody_gets_gzip_unless_it_is_set(api):
    async with api.stream(headers=ACCEPT) as stream:
        assert "content-encoding" not in stream.headers
        assert (await stream.until("connected")).data["sessionId"] == "s"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_head_says_what_get_says(gzip_api, version):
    for headers in ({}, ACCEPT):
        head = await gzip_api.request("HEAD", "/sessions/s/events", who="alice", headers=headers)
        async with gzip_api.stream(headers=headers) as stream:
            names = ("content-encoding", "content-type", "cache-control", "vary")
            assert [head.headers.get(name) for name in names] == [stream.headers.get(name) for name in names]
        assert head.body == b""


async def test_the_end_of_a_closed_session_is_no_gzip(gzip_api):
    assert (await gzip_api.request("PATCH", "/sessions/s", {"status": "closed"})).status == 200
    answer = await gzip_api.get("/sessions/s/events", who="alice", headers=ACCEPT)
    assert answer.status == 204 and "content-encoding" not in answer.headers


async def test_while_draining_everybody_is_told_in_plain_text(gzip_api):
    """P5."""
    draining = asyncio.create_task(gzip_api.hub.drain(1))
    await until(lambda: gzip_api.hub.is_draining)
    async with gzip_api.stream(headers=ACCEPT) as stream:
        assert "content-encoding" not in stream.headers
        assert (await stream.until("reconnect")).data == {"reason": "shutdown"}
    await draining


# Whole bodies


async def test_http_10_gets_one_gzip_body_that_the_close_ends(gzip_api):
    head, connection = await raw_head(gzip_api, "1.0", headers=["Accept-Encoding: gzip"])
    assert "Content-Encoding: gzip" in head and "transfer-encoding" not in head.lower()
    for number in range(3):
        await gzip_api.publish(f"m{number}")
    await gzip_api.request("DELETE", "/sessions/s")
    blocks = gzip.decompress(await connection.reader.read()).split(b"\n\n")[:-1]
    types = [parse_block(block).type for block in blocks if b"data:" in block]
    assert types == ["connected", *["message_added"] * 3, "reconnect"]
    await connection.close()


async def test_a_deliberate_end_is_announced_and_ends_the_gzip_body(gzip_api):
    """P5: programs that check the trailer see a whole body."""
    async with Connection(gzip_api.port) as connection:
        connection.send("GET", "/api/sessions/s/events", gzip_api.headers("alice") | ACCEPT)
        status, headers = await connection.read_head()
        await gzip_api.publish("hello")
        await gzip_api.request("DELETE", "/sessions/s/participants/alice")
        text = gzip.decompress((await connection.read_rest("GET", status, headers)).body)
    blocks = [parse_block(block) for block in text.split(b"\n\n")[:-1]]
    assert [block.type for block in blocks if block.data][-2:] == ["message_added", "reconnect"]
    assert blocks[-1].data == {"reason": "removed"}


async def test_padding_stays_as_long_as_it_is(gzip_api):
    """Proxies that hold the first kilobytes back count what passes, not what it inflates to."""
    sink, _ = open_tap(gzip_api)
    assert sink.sizes[0][0] >= sink.sizes[0][1] > 2048


# Every write


@pytest.mark.parametrize("settings", [{}, {"ring_events": 1, "replay_step": 3}], ids=["ring", "store"])
@pytest.mark.parametrize("seed", range(4))
async def test_every_write_is_decodable_whatever_a_stream_was_sent_before(start_server, seed, settings):
    """P2: newcomers, filters, pauses, heartbeats in between; each gzipped stream has a plain twin."""
    rng = random.Random(seed)
    api = await start_server(sse_gzip=True, typing_indicators=True, **settings)
    await api.create()
    session = api.hub.registry.peek("s")
    filters = (None, None, frozenset({"note", "message_added"}), frozenset({"note"}), frozenset({"never"}))
    pairs = []

    async def calm():
        await settle()
        await until(lambda: all(stream.sequence == session.last_sequence or tap.is_paused
                                for pair in pairs for tap, stream in pair))  # fmt: skip

    for _ in range(120):
        if len(pairs) < 8 and rng.random() < 0.15:
            options = {"types": rng.choice(filters), "start": rng.choice((None, 0)), "is_chunked": rng.random() < 0.5}
            pairs.append([open_tap(api, is_gzip=is_gzip, **options) for is_gzip in (True, False)])
        for (packed, stream), (plain, _) in pairs:
            if packed.is_paused and rng.random() < 0.4:
                packed.resume(), plain.resume()
            elif rng.random() < 0.03:
                packed.pause(), plain.pause()
                if rng.random() < 0.5:
                    # It notices at its next write, the twin at another.
                    api.hub.streams._keep_alive(stream, stream.heartbeat_at)
            elif rng.random() < 0.05:
                api.hub.streams._keep_alive(stream, stream.heartbeat_at)
        await calm()
        events = []
        for _ in range(rng.choice((1, 1, 1, 3, 20))):
            start, size = rng.randrange(len(TEXT) - 3000), rng.choice((10, 100, 300, 3000))
            type = rng.choice(("message_added", "message_added", "note", "ai_progress"))
            events.append((type, TEXT[start : start + size] + "\N{PILE OF POO}" * rng.randrange(2)))
        await publish(api, *events)
        await calm()
        for (packed, _), (plain, _) in pairs:
            # Twins that are paused may have come to a stop at different places (a probe or a heartbeat is enough, and
            # each has its own), and go on from there; what passed meanwhile only one of them was told.
            told = [tap.durable if packed.was_paused else tap.events for tap in (packed, plain)]
            count = min(map(len, told)) if packed.is_paused else None
            assert told[0][:count] == told[1][:count]
    for (packed, _), (plain, _) in pairs:
        packed.resume(), plain.resume()
    await calm()
    for (packed, _), (plain, _) in pairs:
        assert packed.durable == plain.durable
    assert sum(len(packed.sizes) for (packed, _), _ in pairs) > 300
    api.hub.streams.end_all(session, Ending.SESSION_DELETED)
    for (packed, _), _ in pairs:
        assert packed.inflater.eof and not packed.inflater.unused_data, "the trailer is wrong or not the end"


# Once for all


@pytest.fixture
def compressed(monkeypatch):
    """The plain text of every compression, in a list."""
    calls, really = [], deflate.fragment

    def counted(payload, dictionary=b""):
        calls.append(payload)
        return really(payload, dictionary)

    monkeypatch.setattr(deflate, "fragment", counted)
    return calls


async def test_an_event_is_compressed_once_for_a_hundred_streams(gzip_api, compressed):
    taps = [open_tap(gzip_api, is_chunked=number % 2 == 0)[0] for number in range(100)]
    assert compressed == [], "what a stream says of itself is short"
    for number in range(DICTIONARY_ITEMS + 3):
        await publish(gzip_api, ("note", f"number {number}"))
        assert len(compressed) == number + 1
    assert all(len(tap.events) == DICTIONARY_ITEMS + 3 for tap in taps)


async def test_an_event_is_compressed_at_most_three_times_whatever_came_in_between(gzip_api, compressed):
    """Once more for those with something of their own just before it, and once for those with one event since."""
    streams = gzip_api.hub.streams
    pairs = [open_tap(gzip_api) for _ in range(30)]
    for number in range(60):
        if number % 2 == 0:
            stream = pairs[number // 2][1]
            streams._keep_alive(stream, stream.heartbeat_at)
        before = len(compressed)
        await publish(gzip_api, ("note", f"number {number}"))
        assert len(compressed) - before <= 3
    assert len({tuple(tap.events) for tap, _ in pairs}) == 1 and len(pairs[0][0].events) == 60


async def test_readers_that_come_back_together_are_sent_one_compressed_page(gzip_api, compressed):
    await publish(gzip_api, *[("note", f"number {number}") for number in range(100)])
    deflate.page.cache_clear()
    taps = [open_tap(gzip_api, start=2)[0] for _ in range(20)]
    await until(lambda: all(len(tap.events) == 100 for tap in taps))
    assert len(compressed) == 1
    assert all(len(tap.events) == 100 for tap in taps)


async def test_events_of_300_bytes_shrink_to_well_under_half(gzip_api):
    taps = [open_tap(gzip_api)[0] for _ in range(2)]
    for number in range(200):
        start = 150 * number % (len(TEXT) - 150)
        await publish(gzip_api, ("message_added", TEXT[start : start + 120]))
    for tap in taps:
        sent, plain = (sum(column) for column in zip(*tap.sizes[1:], strict=True))
        assert 250 < plain / 200 < 350
        assert sent < 0.45 * plain


async def test_one_event_is_enough_to_shrink_the_next_after_a_heartbeat(gzip_api):
    tap, stream = open_tap(gzip_api)
    for step in range(4):
        if step == 2:
            gzip_api.hub.streams._keep_alive(stream, stream.heartbeat_at)
        await publish(gzip_api, ("note", TEXT[:300]))
    sent = [sent for sent, plain in tap.sizes if plain > 300][1:]  # without the greeting
    assert [size < 150 for size in sent] == [False, True, False, True]


def test_what_fragments_may_refer_to_is_bounded():
    """P4: in number and, but for the newest, in bytes."""
    recent: deque[Event | Transient] = deque()
    for number in range(100):
        remember(recent, [builders.event(number + 1)])
    assert len(recent) == DICTIONARY_ITEMS
    remember(recent, [builders.event(number, data=b'{"x":"%b"}' % (b"x" * 6000)) for number in range(101, 110)])
    assert sum(len(item.frame) for item in list(recent)[1:]) < deflate.WINDOW_BYTES
    remember(recent, [builders.event(200, data=b'{"x":"%b"}' % (b"x" * 60000))])
    assert len(recent) == 1
