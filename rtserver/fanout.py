"""The pass: writing a session's news to all its live streams.

This is the hot path; it is paid once per event and stream.  The bytes are made once and shared, and a pass is cut when
it has held the loop for a while, so that requests are not held up behind ten thousand writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rtserver import deflate, sse
from rtserver.counters import Counters
from rtserver.deflate import GzipBody
from rtserver.event import Event, Transient
from rtserver.reader import Types
from rtserver.readers import Stream, StreamState
from rtserver.records import Status
from rtserver.session import Session

# How long one turn of the loop may go on delivering before requests get theirs.
PASS_SECONDS = 0.005
# A look at the clock costs a twentieth of a write; one every so many writes is enough.
WRITES_PER_LOOK = 32
# So far back does the compression of news refer; the newest item alone does most of it.
DICTIONARY_ITEMS = 16


class News:
    """What one pass writes: the session's items with live indexes ``base + 1`` to ``live_index``."""

    def __init__(self, session: Session) -> None:
        self.items = session.news
        session.news = []
        self.since = session.news_since
        self.live_index = session.live_index
        self.base = session.live_index - len(self.items)
        self.sequence = session.last_sequence
        self._payloads: dict[tuple[int, Types, bool], tuple[bytes, int]] = {}
        self._fragments: dict[tuple[int, Types, bool, int], bytes] = {}
        self._before: list[Event | Transient] = []
        if session.recent is not None:
            self._before = list(session.recent)
            remember(session.recent, self.items)

    def payload(self, after: int, types: Types, is_chunked: bool) -> tuple[bytes, int]:
        """Return the bytes for a stream at live index ``after``, made once for all such streams, and the newest
        sequence among them (0 if there is none)."""
        key = (after, types, is_chunked)
        made = self._payloads.get(key)
        if made is None:
            made = self._payloads[key] = self._make(after, types, is_chunked)
        return made

    def gzipped(self, stream: Stream, body: GzipBody) -> tuple[bytes, int]:
        """Return the same as `payload` for a stream whose body is gzipped, and count it there.

        Compressed once for all streams that were sent the same before: everything that fragments may refer to, or at
        least the newest item, or something of their own.
        """
        after, types = stream.live_index, stream.types
        plain, told_sequence = self.payload(after, types, False)
        if not plain:
            return plain, told_sequence
        body.count(plain)
        shared = after - body.shared_from
        depth = DICTIONARY_ITEMS if shared >= DICTIONARY_ITEMS else min(shared, 1)
        return self._fragment(after, types, stream.sink.is_chunked, depth), told_sequence

    def _fragment(self, after: int, types: Types, is_chunked: bool, depth: int) -> bytes:
        key = (after, types, is_chunked, depth)
        made = self._fragments.get(key)
        if made is None:
            if is_chunked:
                made = sse.chunk(self._fragment(after, types, False, depth))
            else:
                made = deflate.fragment(self.payload(after, types, False)[0], self._dictionary(after, types, depth))
            self._fragments[key] = made
        return made

    def _dictionary(self, after: int, types: Types, depth: int) -> bytes:
        """Return what a stream was sent of the last ``depth`` items up to live index ``after``."""
        if not depth:
            return b""
        told = [*self._before, *self.items[: after - self.base]][-depth:]
        sent = b"".join([item.frame for item in told if types is None or item.type in types])
        return sent[-deflate.WINDOW_BYTES :]

    def _make(self, after: int, types: Types, is_chunked: bool) -> tuple[bytes, int]:
        wanted = [item for item in self.items[after - self.base :] if types is None or item.type in types]
        told_sequence = max((item.sequence for item in wanted if isinstance(item, Event)), default=0)
        payload = b"".join([item.frame for item in wanted])
        return (sse.chunk(payload) if is_chunked and payload else payload), told_sequence


def remember(recent: deque[Event | Transient], items: list[Event | Transient]) -> None:
    """Keep the newest items as far as compression can refer to them, so that large ones are not held (P4)."""
    recent.extend(items[-DICTIONARY_ITEMS:])
    while len(recent) > DICTIONARY_ITEMS:
        recent.popleft()
    size = sum(len(item.frame) for item in recent)
    while recent and size - len(recent[0].frame) >= deflate.WINDOW_BYTES:
        size -= len(recent.popleft().frame)


class Pass:
    """One round over the streams that a session had when its news was taken."""

    def __init__(self, session: Session, settle: Callable[[Session, Stream], None], counters: Counters) -> None:
        self._session = session
        self._counters = counters
        self._settle = settle
        self._news = News(session)
        self._remaining = iter(list(session.streams))

    def run(self, clock: Callable[[], float], deadline: float) -> bool:
        """Write until done or past ``deadline``; True when done."""
        news, session = self._news, self._session
        needs_settling = session.status is Status.CLOSED
        writes = written = 0
        # Neighbours mostly get the same bytes: these are what the last one got, and what it was.
        after, types, is_chunked, payload, told_sequence = -1, None, None, b"", 0
        live, sequence, live_index = StreamState.LIVE, news.sequence, news.live_index
        for stream in self._remaining:
            # Those that are not live catch up by themselves; a live one may have come after this news was shown.
            if stream.state is not live or stream.live_index >= live_index:
                continue
            sink = stream.sink
            if stream.gzip is not None:
                assert stream.live_index >= news.base, "a live stream was left behind by a pass"
                payload, told_sequence = news.gzipped(stream, stream.gzip)
                after = -1
            elif stream.live_index != after or stream.types is not types or sink.is_chunked is not is_chunked:
                assert stream.live_index >= news.base, "a live stream was left behind by a pass"
                after, types, is_chunked = stream.live_index, stream.types, sink.is_chunked
                payload, told_sequence = news.payload(after, types, is_chunked)
            stream.live_index = live_index
            stream.sequence = sequence
            if payload:
                if told_sequence:
                    stream.told_sequence = told_sequence
                sink.write(payload)
                written += len(payload)
            if needs_settling or sink.is_paused:
                self._settle(session, stream)
            writes += 1
            if writes % WRITES_PER_LOOK == 0 and clock() > deadline:
                self._count(writes, written)
                return False
        self._count(writes, written)
        self._counters.delivery_seconds.observe(clock() - news.since)
        return True

    def _count(self, writes: int, written: int) -> None:
        self._counters.deliveries += writes
        self._counters.stream_bytes += written


class Fanout:
    """Runs passes, one session after the other, a slice of time per turn of the loop."""

    def __init__(self, settle: Callable[[Session, Stream], None], counters: Counters) -> None:
        """``settle`` is called for a stream whose socket is full, or whose session is closed, after its write."""
        self._settle = settle
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._sessions: deque[Session] = deque()
        self._queued: set[Session] = set()
        self._current: Pass | None = None
        self._turn: asyncio.Handle | None = None

    def schedule(self, session: Session) -> None:
        """Deliver the session's news; whatever gathers until its turn goes in the same pass."""
        if session not in self._queued:
            self._queued.add(session)
            self._sessions.append(session)
        if self._turn is None:
            self._turn = self._loop.call_soon(self._run)

    def close(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._sessions.clear()
        self._queued.clear()
        self._current = None

    def _run(self) -> None:
        self._turn = None
        clock = self._loop.time
        deadline = clock() + PASS_SECONDS
        while self._current or self._sessions:
            if self._current is None:
                session = self._sessions.popleft()
                self._queued.discard(session)
                self._current = Pass(session, self._settle, self._counters)
            if self._current.run(clock, deadline):
                self._current = None
            if clock() > deadline:
                break
        if self._current or self._sessions:
            self._turn = self._loop.call_soon(self._run)
