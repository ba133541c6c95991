"""A small real HTTP proxy for tests: absolute-form and CONNECT, basic authentication, and the bad habits of others.

Every name leads to this machine, so a test may call the server what it likes.  Habits are attributes and may be changed
while it runs; nothing here waits for time to pass: what ends, ends because the test says so.
"""

from __future__ import annotations

import asyncio
import base64
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.peers import copy, listening, relay

PAGE = b"<html><body><h1>Blocked by your organisation</h1></body></html>"


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
        self.drops_streams = False  # without an answer
        self.refuses_held = False
        self.refuses_all = False
        self.holds_streams = False  # nothing of a stream before its end
        self.says_only_head = False  # the head of a stream at once, its body at its end
        self.port = 0
        self._user, self._password = user, password
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self._open: dict[asyncio.StreamWriter, Asked | None] = {}

    @property
    def url(self) -> str:
        at = f"{self._user}:{self._password}@" if self._user else ""
        return f"http://{at}127.0.0.1:{self.port}"

    @property
    def streams(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_stream]

    async def __aenter__(self) -> ForwardProxy:
        self._listening = listening(self._accept, port=self.port)
        self.port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._listening.__aexit__(None, None, None)

    def cut(self, *, only_streams: bool = False) -> None:
        """Cut what is open, without a word."""
        for writer, asked in list(self._open.items()):
            if not only_streams or (asked is not None and asked.is_stream):
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        try:
            await self._serve(reader, writer)
        finally:
            del self._open[writer]

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
        if self.drops_streams and asked.is_stream:
            return writer.transport.abort()
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if self.refuses_all or not parts.netloc:
            return self._answer(writer, "403 Forbidden")
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        except OSError:
            return self._answer(writer, "502 Bad Gateway")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
            path = target.partition(parts.netloc)[2] or "/"
            upstream.write("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
        holds = method != "CONNECT" and asked.is_stream and (self.holds_streams or self.says_only_head)
        await relay(reader, writer, upstream_reader, upstream, self._hold if holds else copy)
        return None

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.says_only_head:
            writer.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await reader.read())

    def _answer(self, writer: asyncio.StreamWriter, status: str, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(PAGE)}", *headers]
        writer.write(("\r\n".join([*lines, "Connection: close", "", ""])).encode() + PAGE)
