"""A stream's socket: an asyncio transport that says when it is full and when it is free again.

Knows nothing of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, SSLIOStream

from rtserver.errors import ReaderGone
from rtserver.tls import StreamTransport, bound
from rtserver.wire import Connection

# A reader that has not taken the farewell by then is not reading.
CLOSE_GRACE_SECONDS = 5.0
# Unsent bytes the kernel may hold for one stream: without it a reader that never reads was measured at 3.9 MB.
NOTSENT_LOWAT_BYTES = 16384


_write = os.write


class SocketSink(asyncio.Protocol):
    """The far end of one stream.  ``is_chunked`` is False for HTTP/1.0, where the close ends the body."""

    def __init__(self, *, is_chunked: bool) -> None:
        self.is_chunked = is_chunked
        self.is_paused = False
        self.is_closed = False
        self._descriptor = -1  # of the socket, where writing to it is writing to the client
        self.on_resume: Callable[[], None] = _nothing
        self.on_lost: Callable[[], None] = _nothing
        self._transport: asyncio.Transport | None = None
        self._grace: asyncio.TimerHandle | None = None

    def write(self, payload: bytes) -> None:
        if self.is_closed or self._transport is None:
            return
        sent = 0
        if self._descriptor >= 0 and not self.is_paused:
            # Nothing waits in the transport (any unsent byte pauses), so this is in order; it spares the transport's
            # own bookkeeping, a tenth of a delivery.  The descriptor is good until `connection_lost`.
            try:
                sent = _write(self._descriptor, payload)
            except OSError:
                # Full, or gone: the transport finds out which.
                pass
            if sent == len(payload):
                return
            payload = payload[sent:]
        self._transport.write(payload)

    def close(self, payload: bytes) -> None:
        if self.is_closed or self._transport is None:
            return
        self.write(payload)
        self.is_closed = True
        self._transport.close()
        self._grace = asyncio.get_running_loop().call_later(CLOSE_GRACE_SECONDS, self._transport.abort)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Any unsent byte means full: a reader that does not read must not collect a queue (P4).
        bound(transport)
        if transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        self.on_resume()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self._descriptor = -1
        if self._grace is not None:
            self._grace.cancel()
        self.on_lost()
        # Break the cycle with the stream, which lingers in the timer wheel.
        self.on_resume = self.on_lost = _nothing
        self._transport = None


async def take_over(connection: Any, *, is_chunked: bool, dead_after_seconds: float) -> SocketSink:
    """Make a sink of the connection of a request, ours or Tornado's.

    A peer that acknowledges nothing for ``dead_after_seconds`` is given up by the kernel.  Raises `ReaderGone`.
    """
    sink = SocketSink(is_chunked=is_chunked)
    if isinstance(connection, Connection):
        transport = connection.hand_over()
        if transport is None:
            raise ReaderGone
        transport.set_protocol(sink)
        sink.connection_made(transport)
    else:
        stream: IOStream = connection.detach()
        if stream.closed():
            raise ReaderGone
        transport = await _transport_of(stream, sink)
    _tune(transport.get_extra_info("socket"), dead_after_seconds)
    return sink


async def _transport_of(stream: IOStream, sink: SocketSink) -> asyncio.Transport:
    """Take the socket of Tornado's stream over as a transport: writing through it costs a fifth (DESIGN section 8).

    With TLS the stream keeps its socket, and with it what is known of the encryption.
    """
    if isinstance(stream, SSLIOStream):
        tunnel = StreamTransport(stream, sink)
        sink.connection_made(tunnel)
        return tunnel
    connection = stream.socket.dup()
    stream.close()
    connection.setblocking(False)
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: sink, connection)
    return transport


def _tune(connection: socket.socket, dead_after_seconds: float) -> None:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Without it the first event on a reused connection comes 40 ms late (Nagle against delayed acknowledgement).
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(dead_after_seconds * 1000))


# Linux's number; the socket module of Python 3.11 has no name for it.
TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def _nothing() -> None:
    pass
