"""Somebody at the other end of a socket: listens on this machine, serves each connection, and leaves nothing open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GONE = (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError)


def free_port() -> int:
    """Return a port that nobody listens on; soon somebody may."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def listening(serve: Serve, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve every connection to a port of this machine until the end; gives the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
            await writer.drain()
            writer.close()
        except (*GONE, asyncio.CancelledError):
            pass
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Who was just accepted becomes a task in the next turn.
        await asyncio.sleep(0)
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        # A transport that is aborted lets go of its socket in the next turn.
        await asyncio.sleep(0)


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream: asyncio.StreamWriter,
    copy_down: Serve | None = None,
) -> None:
    """Move bytes both ways until one side ends."""
    ways = [asyncio.ensure_future(copy(reader, upstream))]
    ways.append(asyncio.ensure_future((copy_down or copy)(upstream_reader, writer)))
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        try:
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            # Also for who is told to end just then.
            upstream.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*GONE):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
