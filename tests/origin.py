"""A small real server for tests of what stands between: it answers what the test tells it to, and keeps what it got."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.peers import GONE, listening

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"


@dataclass
class Got:
    """One request as it arrived; names of headers are in lower case."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes
    is_over: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Origin:
    """``/stream`` is what `send` is given until `end`; all else is answered at once, or after `release` if it may wait.

    The answer is JSON that says how many requests there were; that of ``/chunked`` is in chunks, of ``/missing`` a 204,
    of ``/page`` HTML.  What may wait: ``/hold``, and whatever has a ``timeout=30``.
    """

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.port = 0
        self._streams: list[asyncio.Queue[bytes]] = []
        self._release = asyncio.Event()

    def send(self, piece: bytes) -> None:
        """Write one chunk to every stream there is."""
        for stream in self._streams:
            stream.put_nowait(piece)

    @property
    def is_idle(self) -> bool:
        """Whether all that was to be sent has been."""
        return all(stream.empty() for stream in self._streams)

    def end(self) -> None:
        self.send(b"")
        self._streams.clear()

    def release(self) -> None:
        self._release.set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Origin]:
        async with listening(self._serve) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").rstrip("\r\n").split("\r\n")
        method, target, version = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        got = Got(method, target, version, headers, body)
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        if got.path.endswith("/stream"):
            self._streams.append(pieces)
        # Last, so that who sees the request may `send` at once.
        self.got.append(got)
        answering = asyncio.ensure_future(self._answer(got, writer, pieces))
        left = asyncio.ensure_future(reader.read())
        try:
            await asyncio.wait({answering, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            got.is_over = True
            for task in (answering, left):
                task.cancel()
            await asyncio.gather(answering, left, return_exceptions=True)

    async def _answer(self, got: Got, writer: asyncio.StreamWriter, pieces: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(*GONE):
            if got.path.endswith("/stream"):
                await self._stream(got, writer, pieces)
                return
            if got.path.endswith("/hold") or "timeout=30" in got.target:
                await self._release.wait()
            writer.write(plain(got.path, len(self.got)))
            await writer.drain()

    async def _stream(self, got: Got, writer: asyncio.StreamWriter, pieces: asyncio.Queue[bytes]) -> None:
        is_chunked = got.version == "HTTP/1.1"
        writer.write(STREAM_HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"\r\n"))
        while piece := await pieces.get():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()
        if is_chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


def plain(path: str, number: int) -> bytes:
    if path.endswith("/missing"):
        return b"HTTP/1.1 204 No Content\r\nRetry-After: 5\r\n\r\n"
    body = b"<p>page</p>" if path.endswith("/page") else b'{"number": %d}' % number
    type_ = b"text/html" if path.endswith("/page") else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % type_
    head += b"Set-Cookie: a=1\r\nX-Served: yes\r\nCache-Control: no-store\r\n"
    if path.endswith("/chunked"):
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextlib.asynccontextmanager
async def origin() -> AsyncIterator[Origin]:
    async with Origin().listening() as given:
        yield given
