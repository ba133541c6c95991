"""A network between browser and server that can be told to behave badly, and that counts what passes.

It runs in a thread of its own, so that a test may block.  Each connection carries one exchange.  ``/page`` is answered
by the network itself: an empty page of the same origin, for tests to put the client on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from dataclasses import dataclass, field

from tests.hostile import Exchange

BLOCK_PAGE = (
    b"<!doctype html><title>Blocked</title><h1 id=blocked>Access denied by policy</h1>"
    b"<script>document.documentElement.dataset.hacked = 'yes'</script>"
)
EMPTY_PAGE = b"<!doctype html><html lang=en><title>test</title><link rel=icon href=data:,><body></body></html>"
# What nothing may be held longer than, where nothing may be held.
CUT_SECONDS = 1.0


@dataclass
class Rules:
    """How the network behaves.

    ``streams``: "pass", "hold" (the head passes, the body does not), "html" (a block page), "reset".
    ``held``: "pass", "cut" (what takes longer than a second is cut), "mute" (its answer never comes).
    ``everything``: "pass", "html" (a block page for every request to the API), "gone" (nobody answers).
    """

    streams: str = "pass"
    held: str = "pass"
    everything: str = "pass"


@dataclass
class Network:
    """``with Network(port) as network``: browse ``network.url``; change ``network.rules`` as it goes on."""

    target_port: int
    rules: Rules = field(default_factory=Rules)
    exchanges: list[Exchange] = field(default_factory=list)
    port: int = 0
    most_held: int = 0

    def __enter__(self) -> Network:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        # Also those that are closed and still have something to send.
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *details: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection there is."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    def held(self) -> int:
        return sum(exchange.is_held and exchange.ended_at is None for exchange in self.exchanges)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        # Who was just accepted becomes a task in the next turn.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # A transport that is aborted lets go of its socket in the next turn.
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._pass(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        if path.endswith("/page"):
            return await self._answer(writer, 200, EMPTY_PAGE)
        is_stream = "text/event-stream" in headers.get("accept", "")
        is_held = is_stream or ("timeout=" in query and "timeout=0" not in query)
        exchange = Exchange(method, path, query, is_stream, is_held, time.monotonic())
        self.exchanges.append(exchange)
        self.most_held = max(self.most_held, self.held())
        gone = asyncio.ensure_future(reader.read(1))
        passing = asyncio.ensure_future(self._relay(exchange, lines, body, writer))
        try:
            await asyncio.wait({gone, passing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            passing.cancel()
            exchange.ended_at = time.monotonic()
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await passing
        return None

    async def _relay(self, exchange: Exchange, lines: list[str], body: bytes, writer: asyncio.StreamWriter) -> None:
        rules = self.rules
        if rules.everything == "gone" or (exchange.is_stream and rules.streams == "reset"):
            writer.transport.abort()
            return
        if exchange.is_api and (rules.everything == "html" or (exchange.is_stream and rules.streams == "html")):
            await self._answer(writer, 403 if exchange.is_stream else 200, BLOCK_PAGE)
            return
        upstream, sink = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            kept = [line for line in lines[:-2] if not line.lower().startswith("connection:")]
            sink.write("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin1") + body)
            limit = CUT_SECONDS if rules.held == "cut" else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._bring(exchange, upstream, writer)
        finally:
            sink.close()

    async def _bring(self, exchange: Exchange, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await upstream.readuntil(b"\r\n\r\n")
        if exchange.is_held and self.rules.held == "mute":
            await asyncio.get_running_loop().create_future()
        writer.write(head)
        while more := await upstream.read(1 << 16):
            if exchange.is_stream and self.rules.streams == "hold":
                continue
            writer.write(more)
            await writer.drain()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
