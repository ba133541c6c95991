"""Catching up: bringing streams from their cursors to the session's end, a slice of time per turn of the loop.

A stream that is behind by nothing goes live at once.  The others queue: ten thousand that come back together would
hold the loop for seconds, so each gets a block in its turn, and requests get theirs in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from rtserver import deflate, fanout, sse
from rtserver.blocks import Block, Blocks
from rtserver.counters import Counters
from rtserver.reader import Gap, Page, Reader
from rtserver.readers import Stream, StreamState
from rtserver.session import Session


class Served(Protocol):
    """Who writes to streams and knows what becomes of them."""

    def send(self, stream: Stream, payload: bytes, pack: Callable[[bytes], bytes] = ...) -> None: ...
    def write(self, stream: Stream, framed: bytes) -> None: ...
    def pause(self, stream: Stream) -> None: ...
    def go_live(self, session: Session, stream: Stream) -> None: ...


class Replay:
    """Moves streams that are REPLAYING, until they are live, paused or ended."""

    def __init__(self, reader: Reader, blocks: Blocks, served: Served, counters: Counters) -> None:
        self._reader = reader
        self._blocks = blocks
        self._served = served
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        # With what has been read for the stream, if it had to be, and the cursor it was read for.
        self._queue: deque[tuple[Session, Stream, int, Block | Page | None]] = deque()
        self._turn: asyncio.Handle | None = None
        self._readings: set[asyncio.Task[None]] = set()

    def catch_up(self, session: Session, stream: Stream) -> None:
        """Go on with a stream: at once if that takes nothing, else in its turn."""
        if stream.state is not StreamState.REPLAYING:
            return
        if stream.sink.is_paused:
            self._served.pause(stream)
        elif stream.sequence == session.last_sequence:
            self._served.go_live(session, stream)
        else:
            self._enqueue(session, stream, stream.sequence, None)

    async def close(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._queue.clear()
        for reading in list(self._readings):
            reading.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)

    def _enqueue(self, session: Session, stream: Stream, after: int, found: Block | Page | None) -> None:
        self._queue.append((session, stream, after, found))
        if self._turn is None:
            self._turn = self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._turn = None
        deadline = self._loop.time() + fanout.PASS_SECONDS
        while self._queue:
            self._step(*self._queue.popleft())
            if self._loop.time() > deadline:
                break
        if self._queue:
            self._turn = self._loop.call_soon(self._run)

    def _step(self, session: Session, stream: Stream, after: int, found: Block | Page | None) -> None:
        """Send one block, or have it read; then on to the next."""
        if stream.state is not StreamState.REPLAYING:
            return
        if stream.sink.is_paused:
            self._served.pause(stream)
            return
        if found is None or stream.sequence != after:
            # A stream that paused and resumed meanwhile was read for twice, and has moved on with the first.
            if stream.sequence == session.last_sequence:
                self.catch_up(session, stream)
                return
            found = self._peek(session, stream)
        if found is None:
            self._read(session, stream)
            return
        stream.sequence = found.sequence
        self._counters.blocks += 1
        if isinstance(found, Block):
            stream.told_sequence = found.sequence
            if stream.gzip is None:
                self._served.write(stream, found.chunk if stream.sink.is_chunked else found.frames)
            else:
                self._served.send(stream, found.frames, deflate.page)
        elif found.events:
            stream.told_sequence = found.events[-1].sequence
            self._served.send(stream, b"".join([event.frame for event in found.events]), deflate.page)
        self.catch_up(session, stream)

    def _peek(self, session: Session, stream: Stream) -> Block | Page | None:
        if stream.types is None:
            return self._blocks.peek(session, stream.sequence)
        return self._reader.read_ring(session, stream.sequence, stream.types)

    def _read(self, session: Session, stream: Stream) -> None:
        reading = self._loop.create_task(self._read_on(session, stream))
        self._readings.add(reading)
        reading.add_done_callback(self._readings.discard)

    async def _read_on(self, session: Session, stream: Stream) -> None:
        found: Block | Page | Gap
        after = stream.sequence
        if stream.types is None:
            found = await self._blocks.read(session, after)
        else:
            found = await self._reader.read(session, after, stream.types)
        if isinstance(found, Gap):
            await self._say_gap(session, stream, after, found)
            self.catch_up(session, stream)
        else:
            self._enqueue(session, stream, after, found)

    async def _say_gap(self, session: Session, stream: Stream, after: int, gap: Gap) -> None:
        """Retention has overtaken this stream: say so and go on from the session's end (P3)."""
        fields = await self._reader.reset_fields(session, gap)
        # Unless it was read for twice, and has moved on.
        if stream.state is StreamState.REPLAYING and stream.sequence == after:
            stream.sequence = stream.told_sequence = session.last_sequence
            self._served.send(stream, sse.reset(session.last_event_id, fields))
