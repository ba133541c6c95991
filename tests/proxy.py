"""A small real HTTP proxy for tests: absolute-form and CONNECT, basic authentication, and the bad habits of others.

Every name leads to this machine, so a test may call the server what it likes.  Habits are attributes and may be changed
while it runs; nothing here waits for time to pass: what ends, ends because the test says so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import NamedTuple
from urllib.parse import urlsplit

PAGE = b"<html><body><h1>Blocked by your organisation</h1></body></html>"
GONE = (asyncio.IncompleteReadError, ConnectionError)


class Asked(NamedTuple):
    """One request as the proxy saw it; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def is_stream(self) -> bool:
        return "text/event-stream" in self.headers.get("accept", "")

    @property
    def is_held(self) -> bool:
        """A long poll that may wait."""
        return "/updates" in self.target and "since=" not in self.target and "timeout=0" not in self.target


class ForwardProxy:
    """``async with ForwardProxy() as proxy``; ``proxy.url`` is what a client is given."""

    def __init__(self, user: str | None = None, password: str = "") -> None:
        self.asked: list[Asked] = []
        self.refuses_streams = False  # 403 and a page of HTML
        self.refuses_held = False
        self.refuses_all = False
        self.holds_streams = False  # nothing of a stream before its end
        self.says_only_head = False  # the head of a stream at once, its body at its end
        self.port = 0
        self._user, self._password = user, password
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self._open: dict[asyncio.StreamWriter, Asked | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        at = f"{self._user}:{self._password}@" if self._user else ""
        return f"http://{at}127.0.0.1:{self.port}"

    @property
    def streams(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_stream]

    async def __aenter__(self) -> ForwardProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *details: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, only_streams: bool = False) -> None:
        """Cut what is open, without a word."""
        for writer, asked in list(self._open.items()):
            if not only_streams or (asked is not None and asked.is_stream):
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open[writer] = None
        try:
            await self._serve(reader, writer)
        except GONE:
            pass
        finally:
            self._tasks.discard(task)
            del self._open[writer]
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        asked = Asked(method, target, headers)
        self.asked.append(asked)
        self._open[writer] = asked
        if self._credentials and headers.get("proxy-authorization") != f"Basic {self._credentials}":
            return self._answer(writer, "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="bank"')
        if method != "CONNECT" and (
            self.refuses_all or (self.refuses_streams and asked.is_stream) or (self.refuses_held and asked.is_held)
        ):
            return self._answer(writer, "403 Forbidden")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if self.refuses_all or not parts.netloc:
            return self._answer(writer, "403 Forbidden")
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        except OSError:
            return self._answer(writer, "502 Bad Gateway")
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
                path = target.partition(parts.netloc)[2] or "/"
                upstream.write("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
            await self._relay(reader, writer, upstream_reader, upstream, asked)
        finally:
            upstream.transport.abort()
        return None

    async def _relay(self, reader, writer, upstream_reader, upstream, asked: Asked) -> None:
        """Move bytes both ways until one side ends."""
        upwards = asyncio.create_task(_copy(reader, upstream))
        downwards = asyncio.create_task(self._copy_down(upstream_reader, writer, asked))
        try:
            await asyncio.wait({upwards, downwards}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (upwards, downwards):
                task.cancel()
            await asyncio.gather(upwards, downwards, return_exceptions=True)

    async def _copy_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked) -> None:
        if asked.is_stream and asked.method != "CONNECT" and (self.holds_streams or self.says_only_head):
            if self.says_only_head:
                writer.write(await reader.readuntil(b"\r\n\r\n"))
            writer.write(await reader.read())
            return
        await _copy(reader, writer)

    def _answer(self, writer: asyncio.StreamWriter, status: str, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(PAGE)}", *headers]
        writer.write(("\r\n".join([*lines, "Connection: close", "", ""])).encode() + PAGE)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*GONE):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
