"""A small HTTP client for tests: raw sockets, nothing hidden, so that a test can see and break what it wants.

`request` is one exchange and keeps the bytes as they came; `SseStream` reads an event stream block by block.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Response:
    status: int
    headers: dict[str, str]  # names in lower case; repeated ones joined with ", "
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class SseEvent:
    """One block of a stream, as an EventSource would see it; ``id`` is None if the block has none."""

    type: str
    data: Any
    id: str | None = None
    retry: int | None = None
    comments: list[str] = field(default_factory=list)


class Connection:
    """One connection, for one or more requests in a row."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        receive_buffer: int | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self.port = port
        self.host = host
        self.receive_buffer = receive_buffer
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Connection:
        import socket

        sock = socket.socket()
        sock.setblocking(False)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        except OSError:
            sock.close()
            raise
        limit = self.receive_buffer or 1 << 20
        secure = {"ssl": self._context, "server_hostname": "localhost"} if self._context else {}
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=max(limit, 1 << 16), **secure)
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def send(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> None:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin1") + (body or b""))

    async def read_head(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        return int(first.split()[1]), headers

    async def read_chunk(self) -> bytes:
        """Return one chunk of a chunked body; empty at its end."""
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        payload = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return payload

    async def read_response(self, method: str) -> Response:
        return await self.read_rest(method, *await self.read_head())

    async def read_rest(self, method: str, status: int, headers: dict[str, str]) -> Response:
        """Return the response whose head was read."""
        body = b""
        if method == "HEAD" or status in (204, 304) or status < 200:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while chunk := await self.read_chunk():
                body += chunk
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return Response(status, headers, body)

    async def request(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        self.send(method, target, headers, body)
        return await self.read_response(method)


async def request(
    port: int,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
) -> Response:
    """Return the response to one request on a connection of its own."""
    async with Connection(port, context=context) as connection:
        return await connection.request(method, target, headers, body)


class SseStream:
    """An open event stream: ``async with SseStream(...) as stream``, then `next` until it is None at the end."""

    def __init__(
        self,
        port: int,
        target: str,
        headers: dict[str, str] | None = None,
        receive_buffer: int | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._connection = Connection(port, receive_buffer=receive_buffer, context=context)
        self._target = target
        self._request_headers = headers or {}
        self._buffer = b""
        self._is_chunked = True
        self._inflater: zlib._Decompress | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.retry: int | None = None

    async def __aenter__(self) -> SseStream:
        await self._connection.__aenter__()
        self._connection.send("GET", self._target, {"Accept": "text/event-stream"} | self._request_headers)
        self.status, self.headers = await self._connection.read_head()
        self._is_chunked = self.headers.get("transfer-encoding") == "chunked"
        if self.headers.get("content-encoding") == "gzip":
            self._inflater = zlib.decompressobj(31)
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._connection.close()

    async def close(self) -> None:
        await self._connection.close()

    async def block(self) -> bytes | None:
        """Return the next block as bytes, or None at the end of the stream."""
        while b"\n\n" not in self._buffer:
            try:
                more = await (
                    self._connection.read_chunk() if self._is_chunked else self._connection.reader.read(65536)
                )
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            if not more:
                assert self._inflater is None or self._inflater.eof, "the body ended before its trailer"
                return None
            self._buffer += self._inflater.decompress(more) if self._inflater else more
        block, _, self._buffer = self._buffer.partition(b"\n\n")
        return block

    async def next(self) -> SseEvent | None:
        """Return the next block that an EventSource would dispatch, or that moves its cursor."""
        while (block := await self.block()) is not None:
            event = parse_block(block)
            if event.retry is not None:
                self.retry = event.retry
            if event.data is not None or event.id is not None:
                return event
        return None

    async def until(self, type: str) -> SseEvent:
        """Return the next event of a type, skipping others."""
        while (event := await self.next()) is not None:
            if event.type == type:
                return event
        raise AssertionError(f"the stream ended before {type!r}")

    async def durable(self) -> SseEvent:
        """Return the next event that carries an id and data and is not a control event."""
        while (event := await self.next()) is not None:
            if event.id is not None and event.data is not None and event.type not in ("connected", "reset"):
                return event
        raise AssertionError("the stream ended")


def parse_block(block: bytes) -> SseEvent:
    """Parse one block by the rules of the HTML standard, section 9.2.6 (only LF ends a line here)."""
    event = SseEvent("message", None)
    data: list[str] = []
    for line in block.decode().split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "":
            event.comments.append(value)
        elif name == "event":
            event.type = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            event.id = value
        elif name == "retry":
            event.retry = int(value)
    if data:
        event.data = json.loads("\n".join(data))
    return event
