"""Requests to one server: over connections that are kept, through the proxy that is right, with time limits.

It knows nothing of sessions and events.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

from rtserver.client.answer import MAX_BODY_BYTES, Answer, Head
from rtserver.client.connection import Connection
from rtserver.client.errors import Blocked, Misused, Unreachable
from rtserver.client.proxy import choose_proxy, parse_url
from rtserver.client.timing import Clock, SystemClock, within

CONNECT_SECONDS = 10
MAX_IDLE_CONNECTIONS = 2


class Transport:
    """``base_url`` may have a path.  ``proxy`` is an address, empty for none, None for what the environment says."""

    def __init__(
        self,
        base_url: str,
        *,
        proxy: str | None = None,
        tunnels_all: bool = False,
        ca: str | Path | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Raises `Misused`.  With ``tunnels_all`` the proxy is asked for a tunnel for ``http``, too; ``ca`` is a PEM
        file with the certificates to trust instead of the system's."""
        self.origin, self.base_path = parse_url(base_url)
        found = choose_proxy(proxy, environment, self.origin)
        self.proxy = dataclasses.replace(found, tunnels_all=True) if found and tunnels_all else found
        self.clock = clock or SystemClock()
        self._tls = _make_tls(ca) if self.origin.scheme == "https" else None
        self._idle: list[Connection] = []
        self._is_closed = False

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        timeout_seconds: float,
    ) -> Answer:
        """Return the whole answer to a request that may be repeated without harm.

        A kept connection that turns out to have been closed is replaced once, without a word (RFC 9112 section 9.3.1).
        Raises `Unreachable` and `Blocked`.
        """
        return await within(
            self.clock, timeout_seconds, self._request(method, path, dict(headers or {}), body), "the answer"
        )

    async def _request(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        headers = {"Accept-Encoding": "gzip"} | headers
        async with self._sent(method, path, headers, body) as (connection, head):
            pieces, size = [], 0
            async with contextlib.aclosing(connection.pieces(method, head)) as coming:
                async for piece in coming:
                    size += len(piece)
                    if size > MAX_BODY_BYTES:
                        raise Blocked(f"an answer has more than {MAX_BODY_BYTES} bytes")
                    pieces.append(piece)
            return Answer(head.status, head.headers, b"".join(pieces))

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> AsyncIterator[tuple[Head, AsyncGenerator[bytes, None]]]:
        """Open what may never end: the head of the answer, and its body as it comes."""
        sending = self._sent("GET", path, dict(headers), None)
        connection, head = await within(self.clock, timeout_seconds, sending.__aenter__(), "the answer")
        try:
            async with contextlib.aclosing(connection.pieces("GET", head)) as coming:
                yield head, coming
        finally:
            await sending.__aexit__(None, None, None)

    @contextlib.asynccontextmanager
    async def _sent(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> AsyncIterator[tuple[Connection, Head]]:
        """A connection on which the request was sent and the head of the answer read; kept afterwards if it may be."""
        connection = self._kept() or await self._open()
        try:
            try:
                head = await connection.send(method, self.base_path + path, headers, body)
            except Unreachable:
                if not connection.was_used:
                    raise
                connection.close()
                connection = await self._open()
                head = await connection.send(method, self.base_path + path, headers, body)
            yield connection, head
        finally:
            if connection.is_usable and len(self._idle) < MAX_IDLE_CONNECTIONS and not self._is_closed:
                self._idle.append(connection)
            else:
                connection.close()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        return None

    async def _open(self) -> Connection:
        opening = Connection.open(self.origin, self.proxy, self._tls)
        return await within(self.clock, CONNECT_SECONDS, opening, f"connecting to {self.proxy or self.origin.address}")

    async def close(self) -> None:
        """Close the connections that are kept, and keep no more."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
        # A connection that is aborted lets go of its socket in the next turn of the loop.
        await asyncio.sleep(0)


def _make_tls(ca: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise Misused(f"{ca} holds no certificates: {getattr(error, 'strerror', None) or error}") from None
