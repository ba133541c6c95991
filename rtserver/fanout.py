"""The pass: writing a session's news to all its live streams.

This is the hot path; it is paid once per event and stream.  The bytes are made once and shared, and a pass is cut when
it has held the loop for a while, so that requests are not held up behind ten thousand writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rtserver import sse
from rtserver.counters import Counters
from rtserver.event import Event
from rtserver.reader import Types
from rtserver.readers import Stream, StreamState
from rtserver.records import Status
from rtserver.session import Session

# How long one turn of the loop may go on delivering before requests get theirs.
PASS_SECONDS = 0.005
# A look at the clock costs a twentieth of a write; one every so many writes is enough.
WRITES_PER_LOOK = 32


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

    def payload(self, after: int, types: Types, is_chunked: bool) -> tuple[bytes, int]:
        """Return the bytes for a stream at live index ``after``, made once for all such streams, and the newest
        sequence among them (0 if there is none)."""
        key = (after, types, is_chunked)
        made = self._payloads.get(key)
        if made is None:
            made = self._payloads[key] = self._make(after, types, is_chunked)
        return made

    def _make(self, after: int, types: Types, is_chunked: bool) -> tuple[bytes, int]:
        wanted = [item for item in self.items[after - self.base :] if types is None or item.type in types]
        told_sequence = max((item.sequence for item in wanted if isinstance(item, Event)), default=0)
        payload = b"".join([item.frame for item in wanted])
        return (sse.chunk(payload) if is_chunked and payload else payload), told_sequence


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
            if stream.live_index != after or stream.types is not types or sink.is_chunked is not is_chunked:
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
