"""``/api/diagnostics/stream``, ``/hold`` and ``/payload``: answers that show what the network does (DESIGN 4.9)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import msgspec

from rtserver.errors import Malformed, ReaderGone
from rtserver.event import format_timestamp
from rtserver.handlers.base import BaseHandler
from rtserver.handlers.flow import framing, response_head, take_socket
from rtserver.probes import Probe, draining
from rtserver.sink import SocketSink
from rtserver.sse import chunk

# As those of event streams: what lets these through lets those through.
STREAM_HEADERS = {
    "Cache-Control": "no-cache, no-store, no-transform, private",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
# The same timing under a type that nobody blocks tells a blocked type from buffering.
TYPES = ("text/event-stream", "text/plain")
DEFAULT_CHUNKS, MAX_CHUNKS = 4, 24
DEFAULT_INTERVAL_MS, MAX_INTERVAL_MS = 500, 5000
MAX_HOLD_SECONDS = 120
DEFAULT_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES = 64 << 10, 1 << 20
# A client that takes a payload more slowly than this has learned what it wanted to know.
MAX_PAYLOAD_SECONDS = 120
BLOCK_BYTES = 64 << 10

_encode = msgspec.json.Encoder().encode


class ProbeHandler(BaseHandler):
    def _place(self) -> AbstractContextManager[Probe]:
        if self.request.method == "HEAD":
            return nullcontext(Probe())
        subject = self.principal.subject
        return self.hub.probes.place(subject, is_participant=self.principal.is_participant)

    def _now(self) -> str:
        return format_timestamp(self.hub.clock())

    async def _open(self, probe: Probe, headers: dict[str, str]) -> SocketSink:
        sink = await take_socket(self)
        sink.on_lost, sink.on_resume = probe.end, probe.wake
        if sink.is_closed:
            raise ReaderGone
        sink.write(response_head(self, headers, self._headers["Vary"]))
        return sink


class StreamProbe(ProbeHandler):
    """Small chunks, one at once and the others at their times: when they come shows who holds them back."""

    async def get(self) -> None:
        chunks = self.query.integer("chunks", DEFAULT_CHUNKS, 1, MAX_CHUNKS)
        interval_ms = self.query.integer("interval", DEFAULT_INTERVAL_MS, 0, MAX_INTERVAL_MS)
        type = self.query.text("type") or TYPES[0]
        if type not in TYPES:
            raise Malformed(f"type is {type[:64]!r}; it must be one of {', '.join(TYPES)}")
        headers = {"Content-Type": type} | STREAM_HEADERS | framing(self.request.version)
        with self._place() as probe:
            if self.request.method == "HEAD":
                self.set_headers(headers)
                self.end(says_length=False)
                return
            try:
                sink = await self._open(probe, headers)
            except ReaderGone:
                return
            await self._send(probe, sink, chunks, interval_ms / 1000)

    async def _send(self, probe: Probe, sink: SocketSink, chunks: int, interval_seconds: float) -> None:
        for number in range(1, chunks + 1):
            if number > 1:
                await _sleep(probe, interval_seconds)
            if probe.is_over:
                break
            self._write(sink, "chunk", {"number": number, "of": chunks, "serverTime": self._now()})
        # Who sees this knows that nobody cut the answer short.
        self._write(sink, "end", {"reason": "shutdown" if probe.is_over else "done"})
        sink.close(b"0\r\n\r\n" if sink.is_chunked else b"")

    def _write(self, sink: SocketSink, type: str, fields: dict[str, object]) -> None:
        block = b"event: %b\ndata: %b\n\n" % (type.encode(), _encode(fields))
        sink.write(chunk(block) if sink.is_chunked else block)


class HoldProbe(ProbeHandler):
    """An answer that comes late and whole, as that of a long poll: who does not get it has an idle cut on the way."""

    probe: Probe | None = None
    _has_gone = False  # the client

    async def get(self) -> None:
        seconds = self.query.integer("seconds", 0, 0, MAX_HOLD_SECONDS)
        with self._place() as self.probe:
            if self.request.method != "HEAD":
                await _sleep(self.probe, seconds)
            if self.probe.is_over:
                if self._has_gone:
                    return
                raise draining()
        self.set_header("Cache-Control", "no-cache, no-store")
        self.set_header("Pragma", "no-cache")
        self.answer({"heldSeconds": seconds, "serverTime": self._now()})

    def on_connection_close(self) -> None:
        self._has_gone = True
        if self.probe is not None:
            self.probe.end()


class PayloadProbe(ProbeHandler):
    """So many bytes that do not shrink, as fast as they are taken: how long that lasts is the throughput."""

    async def get(self) -> None:
        size = self.query.integer("bytes", DEFAULT_PAYLOAD_BYTES, 0, MAX_PAYLOAD_BYTES)
        headers = {"Content-Type": "text/plain"} | STREAM_HEADERS
        with self._place() as probe:
            if self.request.method == "HEAD":
                self.set_headers(headers | framing(self.request.version, size))
                self.end(says_length=False)
                return
            try:
                sink = await self._open(probe, headers | framing(self.request.version, size))
            except ReaderGone:
                return
            await self._send(probe, sink, size)
            sink.close(b"")

    async def _send(self, probe: Probe, sink: SocketSink, size: int) -> None:
        """Write it in blocks, so that a client that does not read keeps one of them here and not all (P4)."""
        deadline = asyncio.get_running_loop().time() + MAX_PAYLOAD_SECONDS
        # To the end: what is left when it closes has a moment only, which is little for a slow line.
        while (size or sink.is_paused) and not probe.is_over:
            left_seconds = deadline - asyncio.get_running_loop().time()
            if sink.is_paused and await probe.wait(left_seconds):
                return
            if not sink.is_paused:
                sink.write(payload_block()[:size])
                size -= min(size, BLOCK_BYTES)


async def _sleep(probe: Probe, seconds: float) -> None:
    """Sleep, but no longer than the probe lasts; the socket that is free again wakes it and is no news here."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not probe.is_over and not await probe.wait(deadline - asyncio.get_running_loop().time()):
        pass


@cache
def payload_block() -> bytes:
    """Return text that no compression on the way makes shorter than three quarters of it."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return bytes(random.Random(1).choices(letters, k=BLOCK_BYTES))
