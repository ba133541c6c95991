"""The wire: HTTP/1.1 on the event loop, one `asyncio.Protocol` per connection.

It speaks Tornado's public `HTTPServerConnectionDelegate` and `HTTPConnection`, so that what is above it runs on
Tornado's own `HTTPServer` as well (setting ``wire``).  One request of a connection is answered at a time, so that
answers are in order; what a client sends ahead waits in its buffer, and then in its own.

    HEAD ---> PREPARING ---> BODY ---> ANSWERING ---> HEAD ...
      |  (checks that wait)                |
      +------- a refusal: LINGERING -------+---> closed

Knows nothing of routes, tokens or sessions.
"""

from __future__ import annotations

import asyncio
import enum
import math
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from rtserver.errors import RequestError, RequestTimeout, TooLarge
from rtserver.framing import MAX_HEAD_BYTES, Chunks, Head, encode_head, find_head, parse_head, path_of
from rtserver.terms import Context, Timeouts

# How many requests of one connection are begun before others get their turn.
MAX_AT_ONCE = 16
# What a client may send ahead of its answers before it is left waiting.
MAX_AHEAD_BYTES = 64 << 10
# After an answer that ends the connection, what still comes is read and dropped for so long: closing at once would
# make the client's system throw the answer away (RFC 9112 section 9.6).
LINGER_SECONDS = 2.0
MAX_LINGER_BYTES = 64 << 20
# The table of deadlines is walked so often; a deadline is late by that at most.
SWEEP_SECONDS = 1.0
# Of those that are late so many are ended at once, and the next after a pause.
EXPIRIES_AT_ONCE = 50
EXPIRY_PAUSE_SECONDS = 0.02
# asyncio accepts as many connections in one turn as its backlog says, so it gets a small one and the kernel a large
# one: 4,000 connects at once took 0.23 s and held the loop for 22 ms, and 5.9 s or 81 ms in other ways (DESIGN 8).
# While 10,000 come back the p99 of publishes was 150 to 530 ms with 100 a turn, 110 with 30 and 70 to 200 with 20; the
# last of them were live after 3.4 to 4.6 s, 4.4 to 5.1 and 4.1 to 6.1.
ACCEPTS_PER_TURN = 30

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(enum.Enum):
    HEAD = "head"
    PREPARING = "preparing"
    BODY = "body"
    ANSWERING = "answering"
    LINGERING = "lingering"
    GONE = "gone"


# Makes the whole answer to a request for a path that was refused before a handler had all of it.
Refuse = Callable[[RequestError, str], tuple[ResponseStartLine, dict[str, str], bytes]]


class Connection(asyncio.Protocol):
    """One client's connection, and the `HTTPConnection` of its current request."""

    __slots__ = (
        "context", "deadline", "state", "_again", "_buffer", "_chunks", "_delegate", "_head", "_is_advancing",
        "_is_last", "_is_unread", "_left", "_max_body", "_on_close", "_received", "_server", "_transport",
    )  # fmt: skip

    def __init__(self, server: Wire) -> None:
        self.state = State.HEAD
        self.deadline = math.inf
        self._server = server
        self._buffer = b""
        self._again: Callable[[bytes], bool] | None = None
        self._delegate: HTTPMessageDelegate | None = None
        self._on_close: Callable[[], None] | None = None
        self._head: Head | None = None
        self._chunks: Chunks | None = None
        self._left = self._received = 0
        self._max_body = math.inf
        self._is_advancing = False
        self._is_last = False  # whether the connection ends with the current answer
        self._is_unread = False  # whether the transport holds bytes that the client does not take

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        # Tornado's name for the peer of a unix socket.
        address = peer[0] if isinstance(peer, tuple) else "0.0.0.0"
        self.context = Context(address, "https" if transport.get_extra_info("sslcontext") else "http")
        self._server.connections[self] = None
        self._expect(self._server.timeouts.head)

    def data_received(self, data: bytes) -> None:
        if self.state is State.LINGERING:
            self._received += len(data)
            if self._received > MAX_LINGER_BYTES:
                self._transport.abort()
            return
        if not self._buffer:
            is_free = self.state is State.HEAD and not self._is_unread and not self._server.is_closing
            if self._again is not None and is_free and self._again(data):
                return
            # Empty lines are no beginning: else one now and then would keep a connection open for ever.
            if self.state is State.HEAD and (data[0] not in b"\r\n" or data.strip(b"\r\n")):
                self._expect(self._server.timeouts.head)
            self._buffer = data
        else:
            self._buffer += data
        self._advance()
        if len(self._buffer) > MAX_AHEAD_BYTES and self.state is not State.GONE:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # A client that says no more has gone, as far as anybody can tell; what it asked for before is on its way.
        return False

    def pause_writing(self) -> None:
        self._is_unread = True
        self._expect(self._server.timeouts.write)

    def resume_writing(self) -> None:
        self._is_unread = False
        if self.state is State.HEAD:
            self._expect(self._server.timeouts.idle)
        self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.pop(self, None)
        state, self.state = self.state, State.GONE
        delegate, on_close = self._delegate, self._on_close
        self._delegate = self._on_close = self._again = None
        if state in (State.PREPARING, State.BODY) and delegate is not None:
            delegate.on_connection_close()
        elif on_close is not None:
            on_close()

    # Reading

    def _advance(self) -> None:
        """Go on with what is in the buffer, as far as that goes now."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            for _ in range(MAX_AT_ONCE):
                if self._is_unread or not self._step():
                    return
        except RequestError as error:
            self._refuse(error)
            return
        finally:
            self._is_advancing = False
        asyncio.get_running_loop().call_soon(self._advance)

    def _step(self) -> bool:
        if self.state is State.HEAD:
            return bool(self._buffer) and self._read_head()
        return self.state is State.BODY and self._read_body()

    def _read_head(self) -> bool:
        if self._buffer[0] in b"\r\n":
            # RFC 9112 section 2.2: empty lines before a request are to be ignored.
            self._buffer = self._buffer[:MAX_HEAD_BYTES].lstrip(b"\r\n") + self._buffer[MAX_HEAD_BYTES:]
            if not self._buffer:
                return False
        end = find_head(self._buffer)
        if not end:
            return False
        head = self._head = parse_head(self._buffer[:end])
        self._buffer, self._again = self._buffer[end:], None
        self._is_last = self._server.is_closing or not head.keeps_alive
        self._received, self._max_body = 0, math.inf
        self._chunks, self._left = (Chunks(), 0) if head.length is None else (None, head.length)
        self._delegate = self._server.delegate.start_request(self, cast(Any, self))
        self.state = State.PREPARING
        self.deadline = math.inf
        line = RequestStartLine(head.method, head.target, head.version)
        prepared = self._delegate.headers_received(line, cast(HTTPHeaders, head.fields))
        if prepared is None:
            return self._begin_body()
        asyncio.ensure_future(prepared).add_done_callback(self._prepared)
        return False

    def _prepared(self, future: asyncio.Future[None]) -> None:
        self._begin_body()
        self._advance()

    def _begin_body(self) -> bool:
        if self.state is not State.PREPARING:
            # Answered, taken over or gone meanwhile.
            return self.state is State.HEAD
        assert self._head is not None
        self.state = State.BODY
        if self._chunks is not None or self._left:
            self._expect(self._server.timeouts.body)
            if self._head.expects_continue and not self._buffer:
                self._transport.write(_CONTINUE)
            self._transport.resume_reading()
        return True

    def _read_body(self) -> bool:
        assert self._delegate is not None
        if self._chunks is not None:
            piece, taken = self._chunks.take(self._buffer)
            self._buffer = self._buffer[taken:]
            is_done = self._chunks.is_done
        else:
            piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            self._left -= len(piece)
            is_done = self._left == 0
        self._received += len(piece)
        if self._received > self._max_body:
            raise TooLarge(f"the body has more than {self._max_body} bytes")
        if piece:
            self._delegate.data_received(piece)
        if not is_done:
            return False
        self.state = State.ANSWERING
        self.deadline = math.inf
        self._delegate.finish()
        return True

    def _refuse(self, error: RequestError) -> None:
        """Answer what cannot be understood, and end the connection: nobody knows where the next request begins."""
        delegate, self._delegate = self._delegate, None
        if delegate is not None:
            delegate.on_connection_close()
        path = self._head.target.partition("?")[0] if self._head else path_of(self._buffer)
        line, headers, body = self._server.refuse(error, path)
        self._is_last = True
        self._transport.write(encode_head(line.code, line.reason, headers) + body)
        self._linger()

    # HTTPConnection

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> None:
        """Write the head of an answer that says how long it is, and its body."""
        if self.state is State.GONE:
            return
        assert isinstance(start_line, ResponseStartLine) and self._head is not None
        fields = cast(dict[str, str], headers)
        self._is_last |= self._server.is_closing or fields.get("Connection") == "close" or not self._is_read
        if self._is_last:
            fields["Connection"] = "close"
        elif self._head.version == "HTTP/1.0":
            fields["Connection"] = "keep-alive"
        self._transport.write(encode_head(start_line.code, start_line.reason, fields) + (chunk or b""))

    def finish(self) -> None:
        """The answer has been written."""
        is_read = self._is_read
        self._delegate = self._on_close = self._head = self._chunks = None
        if self.state is State.GONE:
            return
        if not is_read or self._is_last:
            self._linger(is_read=is_read)
            return
        self.state = State.HEAD
        if not self._is_unread:
            self._expect(self._server.timeouts.head if self._buffer else self._server.timeouts.idle)
        if len(self._buffer) <= MAX_AHEAD_BYTES:
            # Not before: with every answer a whole read would be added to what waits already.
            self._transport.resume_reading()
        if self._buffer:
            self._advance()

    @property
    def _is_read(self) -> bool:
        """Whether all of the request has been read: else nobody knows where the next one begins."""
        return self.state is State.ANSWERING or (self._chunks is None and not self._left)

    def raw(self, *, has_body: bool = False) -> bytes:
        """Return the head of the current request, or nothing where it is not to be answered in any other way."""
        head = None if self.is_last else self._head
        return head.raw if head and head.is_memorable and bool(head.length) is has_body else b""

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with the current answer."""
        return self._is_last or self._server.is_closing

    def answer_again(self, again: Callable[[bytes], bool]) -> None:
        """Ask ``again`` first about what comes next; True says that it has answered that, or taken it on (`take`)."""
        self._again = again if self.state is not State.GONE else None

    def take(self, on_close: Callable[[], None] | None) -> None:
        """Leave a request that was not read to who answers it later."""
        self.state, self.deadline, self._on_close = State.ANSWERING, math.inf, on_close

    def read_taken(self, raw: bytes) -> Head:
        """Read it after all."""
        self._head = parse_head(raw)
        return self._head

    def answer(self, answer: bytes) -> None:
        """Write a whole answer."""
        if self.state is not State.GONE:
            self._transport.write(answer)
        self.finish()

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        self._on_close = callback

    def set_max_body_size(self, max_bytes: int) -> None:
        self._max_body = max_bytes

    def hand_over(self) -> asyncio.Transport | None:
        """Give the transport away, to somebody who sets another protocol; None if the client has gone."""
        transport = self._transport if self.state is not State.GONE and not self._transport.is_closing() else None
        self._server.connections.pop(self, None)
        self.state = State.GONE
        self._delegate = self._on_close = self._head = self._again = None
        if transport is not None:
            # Of a transport that is not read nobody hears that the client has gone.
            transport.resume_reading()
        return transport

    # Ending

    def close_if_idle(self) -> None:
        """Close between two requests; the current one is answered first."""
        self._is_last = True
        if self.state is State.HEAD:
            self._transport.close()

    def expire(self) -> None:
        """The deadline has passed."""
        if self.state is State.LINGERING and not self._transport.is_closing() and not self._transport.can_write_eof():
            # TLS says that it ends by closing.
            self._transport.close()
            self._expect(LINGER_SECONDS)
        elif self.state is State.LINGERING or self._is_unread:
            self._transport.abort()
        elif self.state is State.HEAD and not self._buffer:
            self._transport.close()
        elif self.state in (State.HEAD, State.BODY):
            self._refuse(RequestTimeout("the request did not come whole in time; send it again"))

    def abort(self) -> None:
        self._transport.abort()

    def _linger(self, *, is_read: bool = False) -> None:
        """Close, but so that the client gets to read the answer."""
        if is_read and not self._buffer:
            self.state = State.LINGERING
            self._transport.close()
            self._expect(self._server.timeouts.write)
            return
        self.state = State.LINGERING
        self._buffer, self._received = b"", 0
        self._is_unread = False
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._expect(LINGER_SECONDS)

    def _expect(self, seconds: float) -> None:
        # The time is that of the last sweep: it costs nothing, and is too early by one sweep at most.
        self.deadline = self._server.now + SWEEP_SECONDS + seconds


class Wire:
    """The server of the connections: `start`, `stop`, then `close`."""

    def __init__(
        self,
        delegate: HTTPServerConnectionDelegate,
        refuse: Refuse,
        timeouts: Timeouts,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """With a ``context`` the connections speak TLS."""
        self._context = context
        self.delegate = delegate
        self.refuse = refuse
        self.timeouts = timeouts
        self.is_closing = False
        self.connections: dict[Connection, None] = {}
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()  # as of the last sweep
        self._servers: list[asyncio.Server] = []
        self._late: list[Connection] = []
        self._sweeper = self._expirer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    async def start(self, listeners: list[socket.socket], backlog: int) -> None:
        for listener in listeners:
            # The head's time is the handshake's, too: until that is over there is no `Connection`.
            times = (self.timeouts.head, LINGER_SECONDS) if self._context else (None, None)
            server = await self._loop.create_server(
                lambda: Connection(self),
                sock=listener,
                backlog=ACCEPTS_PER_TURN,
                ssl=self._context,
                ssl_handshake_timeout=times[0],
                ssl_shutdown_timeout=times[1],
            )
            listener.listen(backlog)
            self._servers.append(server)

    def stop(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()

    async def close(self, timeout_seconds: float) -> None:
        """Close the connections: idle ones at once, others with their answer, or when the time is over."""
        self.is_closing = True
        for connection in list(self.connections):
            connection.close_if_idle()
        deadline = self._loop.time() + timeout_seconds
        while self.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        self._sweeper.cancel()
        self._expirer.cancel()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self.now = self._loop.time()
        if not self._late:
            self._late = [each for each in self.connections if each.deadline <= self.now]
            self._expire()

    def _expire(self) -> None:
        """End these, some at a time: 10,000 at once held the loop for 640 ms, and all came back in one wave."""
        batch, self._late = self._late[:EXPIRIES_AT_ONCE], self._late[EXPIRIES_AT_ONCE:]
        for connection in batch:
            if connection.deadline <= self.now:
                connection.expire()
        if self._late:
            self._expirer = self._loop.call_later(EXPIRY_PAUSE_SECONDS, self._expire)
