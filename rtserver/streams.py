"""Open event streams: how they start, are served, kept alive and ended.

A live stream costs nothing while nothing happens.  When a session has news, one pass writes the same bytes to all its
streams; a stream whose socket is full is left out and catches up from its cursor when the socket is free again, so the
ring is the only buffer (P4).

    news ---> pass over the session's streams (`rtserver.fanout`)
                 | LIVE: one shared write                        | PAUSED, REPLAYING: nothing
                 v                                               v
              socket  <--- full: PAUSED; free: catch up <--- ring, or the store in steps
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from rtserver import deflate, fanout, interval, sse
from rtserver.blocks import Blocks
from rtserver.counters import Counters
from rtserver.errors import Overloaded, TooManyStreams
from rtserver.event import format_timestamp
from rtserver.fanout import Fanout
from rtserver.reader import Location, Reader, Types
from rtserver.readers import Sink, Stream, StreamState
from rtserver.records import Status
from rtserver.replay import Replay
from rtserver.session import Session
from rtserver.sse import Ending
from rtserver.timers import Timed, Wheel

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
# When who found the server full may try again.
RETURN_SECONDS = 5


class StreamSettings(NamedTuple):
    heartbeat_seconds: float
    max_connection_seconds: float
    retry_seconds: float
    padding_bytes: int
    slow_reader_seconds: float
    max_streams: int
    max_streams_per_participant: int
    features: dict[str, dict[str, object]]


class Streams:
    """Serves the streams of all sessions."""

    def __init__(
        self,
        reader: Reader,
        blocks: Blocks,
        settings: StreamSettings,
        clock: Callable[[], int],
        rng: random.Random,
        counters: Counters,
    ) -> None:
        """``clock`` gives microseconds since 1970."""
        self._counters = counters
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._wheel = Wheel(TICK_SECONDS, self._loop.time())
        self._fanout = Fanout(self._settle, counters)
        self._sessions: dict[Stream, Session] = {}
        self._own: Counter[str] = Counter()  # open streams by participant
        self._kept: Counter[str] = Counter()  # and those about to be opened
        self._replay = Replay(reader, blocks, self, counters)
        self._due: deque[Timed] = deque()  # what the wheel has given and is still to be attended to
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)

    @property
    def count(self) -> int:
        return len(self._sessions)

    def count_of(self, subject: str) -> int:
        """Return how many streams a participant has open."""
        return self._own[subject]

    @contextmanager
    def place(self, subject: str, *, is_participant: bool) -> Iterator[None]:
        """Keep a place for a stream that is about to be opened, across what has to be awaited before it is (P4).

        Raises `Overloaded` if the server is full, and `TooManyStreams` if this participant has all it may.
        """
        open_now = self.count + sum(self._kept.values())
        if open_now >= self._settings.max_streams:
            raise Overloaded(
                f"{open_now} streams are open; at most {self._settings.max_streams} may be", RETURN_SECONDS
            )
        allowed = self._settings.max_streams_per_participant
        own = self._own[subject] + self._kept[subject]
        if is_participant and allowed and own >= allowed:
            raise TooManyStreams(f"{subject!r} has {own} streams open; at most {allowed} may be", RETURN_SECONDS)
        # Service and admin are counted under a name that no participant has.
        name = subject if is_participant else ""
        self._kept[name] += 1
        try:
            yield
        finally:
            self._kept[name] -= 1
            if not self._kept[name]:
                del self._kept[name]

    def open(
        self,
        session: Session,
        sink: Sink,
        *,
        subject: str,
        is_participant: bool,
        expires_in_seconds: float,
        start: Location,
        reset: dict[str, Any] | None = None,
        types: Types = None,
        heartbeat_seconds: float | None = None,
        is_gzip: bool = False,
        preamble: bytes = b"",
    ) -> Stream:
        """Serve ``sink`` with everything after ``start``, until one side ends it.

        With ``reset`` the reader's cursor could not be continued: it is told so, and ``start`` is the session's end.
        ``preamble`` goes before the first byte of the stream: the head of the response.  With ``is_gzip`` the head says
        that the body is gzipped.
        """
        now = self._loop.time()
        stream = Stream(
            sink,
            connection_id=str(uuid.uuid4()),
            subject=subject,
            is_participant=is_participant,
            types=types,
            heartbeat_seconds=heartbeat_seconds or self._settings.heartbeat_seconds,
            ends_at=now + interval.lifetime_seconds(self._settings.max_connection_seconds, self._rng),
            expires_at=now + expires_in_seconds,
            opened_at=now,
            is_gzip=is_gzip,
        )
        stream.sequence = stream.told_sequence = start.sequence
        session.streams[stream] = None
        self._sessions[stream] = session
        self._counters.opened["sse"] += 1
        if is_participant:
            self._own[subject] += 1
        sink.on_resume, sink.on_lost = partial(self.resumed, stream), partial(self.disconnected, stream)
        if is_gzip and session.recent is None:
            session.recent = deque()
        greeting = self._packed(stream, self._greeting(session, stream, start, reset))
        sink.write(preamble + self._framed(stream, deflate.HEADER + greeting if is_gzip else greeting))
        self._schedule(stream)
        # Any of these may have happened while the reader was being located.
        if sink.is_closed:
            self.disconnected(stream)
        elif session.is_deleted:
            self.end(stream, Ending.SESSION_DELETED)
        elif is_participant and subject not in session.participants:
            self.end(stream, Ending.REMOVED)
        else:
            self._replay.catch_up(session, stream)
        return stream

    def refuse(self, sink: Sink, reason: Ending, preamble: bytes = b"") -> None:
        """Answer a reader that comes while the server goes: a refusal would stop a native EventSource for good."""
        payload = sse.opening(self._settings.padding_bytes, self._retry_ms()) + sse.reconnect(reason, self._retry_ms())
        sink.close(preamble + (sse.chunk(payload) + sse.LAST_CHUNK if sink.is_chunked else payload))

    def announce(self, session: Session) -> None:
        """Deliver the session's news to its streams, in this turn of the loop or the next."""
        if session.news:
            self._fanout.schedule(session)

    # What the transport reports

    def resumed(self, stream: Stream) -> None:
        """The reader takes bytes again: continue where it stopped."""
        if stream.state is StreamState.PAUSED and not stream.sink.is_paused:
            stream.state = StreamState.REPLAYING
            stream.paused_at = math.inf
            self._counters.resumed += 1
            self._replay.catch_up(self._sessions[stream], stream)

    def disconnected(self, stream: Stream) -> None:
        """The reader has gone."""
        if stream.state is not StreamState.ENDED:
            self._forget(stream, "disconnected")

    # Ending

    def end(self, stream: Stream, reason: Ending) -> None:
        """Say why, where the socket still takes bytes, and close (P5)."""
        if stream.state is StreamState.ENDED:
            return
        farewell = self._packed(stream, sse.reconnect(reason, self._retry_ms()))
        if stream.gzip is not None:
            farewell += stream.gzip.trailer()
        farewell = self._framed(stream, farewell)
        if stream.sink.is_chunked:
            farewell += sse.LAST_CHUNK
        self._forget(stream, reason)
        stream.sink.close(farewell)

    def end_all(self, session: Session, reason: Ending, subject: str | None = None) -> None:
        """End a session's streams: all, or those that the participant ``subject`` reads (P6)."""
        for stream in list(session.streams):
            if subject is None or (stream.is_participant and stream.subject == subject):
                self.end(stream, reason)

    async def drain(self, window_seconds: float) -> None:
        """End every stream, spread over the window so that readers do not return in one wave (P5)."""
        endings = [
            self._loop.call_later(interval.spread_seconds(window_seconds, self._rng), self.end, stream, Ending.SHUTDOWN)
            for stream in self._sessions
        ]
        if endings:
            await asyncio.sleep(max(ending.when() for ending in endings) - self._loop.time())
        for stream in list(self._sessions):
            self.end(stream, Ending.SHUTDOWN)

    async def close(self) -> None:
        """Stop serving; streams that are still open are cut."""
        self._ticker.cancel()
        self._due.clear()
        self._fanout.close()
        for stream in list(self._sessions):
            self.end(stream, Ending.SHUTDOWN)
        await self._replay.close()

    def _forget(self, stream: Stream, reason: str) -> None:
        session = self._sessions.pop(stream)
        del session.streams[stream]
        if stream.is_participant:
            self._own[stream.subject] -= 1
            if not self._own[stream.subject]:
                del self._own[stream.subject]
        stream.state = StreamState.ENDED
        self._wheel.cancel(stream)
        self._counters.ended[reason] += 1
        log.debug("stream %s of session %s ended: %s", stream.connection_id, session.session_id, reason)

    # Writing

    def _greeting(self, session: Session, stream: Stream, start: Location, reset: dict[str, Any] | None) -> bytes:
        fields = {
            "sessionId": session.session_id,
            "connectionId": stream.connection_id,
            "lastEventId": session.last_event_id,
            "heartbeatInterval": stream.heartbeat_seconds,
            "maxConnectionTime": self._settings.max_connection_seconds,
            "serverTime": format_timestamp(self._clock()),
            "features": self._settings.features,
        }
        prelude = sse.opening(self._settings.padding_bytes, round(self._settings.retry_seconds * 1000))
        if reset is None:
            return prelude + sse.connected(start.cursor, fields)
        # No id before the reset: a reader cut off in between must come back with its old cursor and be told again.
        return prelude + sse.connected(None, fields) + sse.reset(start.cursor, reset)

    def _retry_ms(self) -> int:
        return interval.retry_ms(self._settings.retry_seconds, self._rng)

    def _packed(self, stream: Stream, payload: bytes, pack: Callable[[bytes], bytes] = deflate.stored) -> bytes:
        """Return ``payload``, which goes to this stream alone, as the stream's encoding has it.

        What a stream says of itself is not compressed: it is short, or padding, which must not shrink.
        """
        if stream.gzip is None:
            return payload
        stream.gzip.count(payload)
        stream.gzip.shared_from = stream.live_index
        return pack(payload)

    def _framed(self, stream: Stream, payload: bytes) -> bytes:
        return sse.chunk(payload) if stream.sink.is_chunked else payload

    def _settle(self, session: Session, stream: Stream) -> None:
        """Called for a live stream that a pass has written to, when that left something to do."""
        if stream.sink.is_paused:
            self.pause(stream)
        elif session.status is Status.CLOSED:
            self.end(stream, Ending.SESSION_CLOSED)

    # Where streams that catch up come to (`rtserver.replay`)

    def send(self, stream: Stream, payload: bytes, pack: Callable[[bytes], bytes] = deflate.stored) -> None:
        """Write to a stream that is not paused, and note if that filled its socket.

        ``pack`` is how the payload is put into a body that is gzipped.
        """
        self.write(stream, self._framed(stream, self._packed(stream, payload, pack)))

    def write(self, stream: Stream, framed: bytes) -> None:
        """Do the same with bytes that are as this stream's body has them."""
        stream.sink.write(framed)
        if stream.sink.is_paused and stream.state is not StreamState.ENDED:
            self.pause(stream)

    def pause(self, stream: Stream) -> None:
        stream.state = StreamState.PAUSED
        stream.paused_at = self._loop.time()
        self._schedule(stream)

    def go_live(self, session: Session, stream: Stream) -> None:
        """Nothing is left between the stream's cursor and the session's end."""
        states = session.current_states(self._clock())
        wanted = [state.frame for state in states if stream.types is None or state.type in stream.types]
        stream.state = StreamState.LIVE
        stream.live_index = session.live_index
        if stream.gzip is not None:
            stream.gzip.shared_from = stream.live_index
        if session.status is Status.CLOSED:
            self.end(stream, Ending.SESSION_CLOSED)
        elif wanted:
            self.send(stream, b"".join(wanted), deflate.page)

    # Time

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)
        is_idle = not self._due
        self._due.extend(self._wheel.collect(self._loop.time()))
        if is_idle and self._due:
            self._attend_all()

    def _attend_all(self) -> None:
        """Attend to streams that are due, a slice of time per turn of the loop: ten thousand that came together have
        their heartbeats together."""
        now = self._loop.time()
        deadline = now + fanout.PASS_SECONDS
        while self._due:
            stream = self._due.popleft()
            if isinstance(stream, Stream) and stream in self._sessions:
                self._attend(stream, now)
            if self._loop.time() > deadline:
                break
        if self._due:
            self._loop.call_soon(self._attend_all)

    def _attend(self, stream: Stream, now: float) -> None:
        """Do what is due on one stream."""
        if now >= stream.expires_at:
            self.end(stream, Ending.TOKEN_EXPIRED)
        elif now >= stream.ends_at:
            self.end(stream, Ending.MAX_CONNECTION_TIME)
        elif now >= stream.paused_at + self._settings.slow_reader_seconds:
            self.end(stream, Ending.SLOW_READER)
        else:
            self._keep_alive(stream, now)
            self._schedule(stream)

    def _keep_alive(self, stream: Stream, now: float) -> None:
        payload = b""
        if now >= stream.probe_at:
            stream.probe_at = math.inf
            payload += sse.probe(self._clock())
        if now >= stream.heartbeat_at:
            # From the moment it was due: lateness must not add up.
            stream.heartbeat_at += stream.heartbeat_seconds * max(
                1, math.ceil((now - stream.heartbeat_at) / stream.heartbeat_seconds)
            )
            payload += self._overdue_id(stream) + sse.heartbeat(self._clock())
        if payload and stream.state is not StreamState.PAUSED:
            self.send(stream, payload)

    def _overdue_id(self, stream: Stream) -> bytes:
        """Return a block that moves the cursor of a reader whose filter has let it fall behind (DESIGN 4.4)."""
        session = self._sessions[stream]
        if stream.state is not StreamState.LIVE or stream.live_index != session.live_index:
            return b""
        if stream.told_sequence == session.last_sequence:
            return b""
        stream.told_sequence = session.last_sequence
        return sse.bare_id(session.last_event_id)

    def _schedule(self, stream: Stream) -> None:
        slow_at = stream.paused_at + self._settings.slow_reader_seconds
        due_at = min(stream.heartbeat_at, stream.probe_at, stream.ends_at, stream.expires_at, slow_at)
        self._wheel.schedule(stream, due_at)
