"""The hop itself: a port that clients talk to as if it were the server, and the way to the server and back.

It owns connections, the record of exchanges, and the order in which behaviours are asked; what a behaviour does it
does not know.  Every exchange gets a connection of its own to the server: the server sees who leaves at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import time

from tests.hostile.behaviour import Ahead, Client, Clock, Exchange, Request, named
from tests.hostile.messages import Cut, Head, Inbound, Items, Outbound, RequestHead, reset
from tests.hostile.way import ENDINGS, Rules, ask, close, exchange_of, keep, until

log = logging.getLogger(__name__)


class Hop:
    """``async with Hop(port, "cut-at:20", speed=5) as hop``: talk to ``hop.url``; `set` other behaviours as it goes on.

    It may also be asked as a forward proxy is, by absolute addresses or through a tunnel without TLS.

    `set`, `cut` and `held` belong to the loop's thread; elsewhere use `tests.hostile.HopThread`.
    """

    def __init__(
        self, upstream_port: int, *behaviours: str, speed: float = 1.0, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.upstream_port = upstream_port
        self.host, self.port = host, port
        self.clock = Clock(speed)
        self.exchanges: list[Exchange] = []
        self.most_held = 0
        self.names = behaviours
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter | None] = {}
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opens: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections of clients are open now."""
        return len(self._connections)

    @property
    def held(self) -> int:
        """How many answers are held now: streams and long polls."""
        return sum(exchange.is_held and exchange.ended_at is None for exchange in list(self.exchanges))

    async def __aenter__(self) -> Hop:
        self._listener = self._bound()
        self._rules = Rules([])
        self.set(*self.names)
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._opens is not None:
            self._opens.cancel()
        self._close_listener()
        ending = list(self._connections)
        self.cut()
        await asyncio.gather(*ending, return_exceptions=True)
        # A transport that is aborted lets go of its socket in the next turn.
        await asyncio.sleep(0)

    def set(self, *names: str) -> None:
        """Behave like this from now on, towards exchanges in flight as well where that can be."""
        before, self._rules = self._rules, Rules([named(name, self.clock) for name in names])
        before.end()
        if self._opens is not None:
            self._opens.cancel()
            self._opens = None
        seconds = self._rules.refuses_seconds
        if seconds is None:
            self._listen()
            return
        self._refuse()
        self.cut()
        if seconds != float("inf"):
            self._opens = asyncio.get_running_loop().call_later(self.clock.real(seconds), self._listen)

    def cut(self) -> None:
        """Break every connection there is."""
        for task in list(self._connections):
            task.cancel()

    # Listening.  A port that refuses stays bound, or somebody else might get it meanwhile.

    def _bound(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self.host, self.port))
        self.port = listener.getsockname()[1]
        return listener

    def _listen(self) -> None:
        if self._accepting is None:
            assert self._listener is not None
            self._listener.listen(1024)
            self._accepting = asyncio.ensure_future(self._accept(self._listener))

    def _refuse(self) -> None:
        if self._accepting is not None:
            self._close_listener()
            self._listener = self._bound()

    def _close_listener(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(listener)
            task = asyncio.ensure_future(self._connection(accepted))
            self._connections[task] = None
            task.add_done_callback(self._connections.pop)
            # Also of a task that was told to end before it began.
            task.add_done_callback(lambda _, accepted=accepted: accepted.close())  # type: ignore[misc]

    # One connection

    async def _connection(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        inbound, client = Inbound(reader), Client(self.clock.now())
        try:
            with contextlib.suppress(*ENDINGS):
                while (head := await self._next(inbound)) and await self._exchange(head, inbound, writer, client):
                    pass
                writer.close()
                await writer.wait_closed()
        except asyncio.CancelledError:
            reset(writer)
        finally:
            writer.transport.abort()

    async def _next(self, inbound: Inbound) -> RequestHead | None:
        """Return the head of the next request, None if none will come on this connection."""
        coming = asyncio.ensure_future(inbound.request())
        try:
            while True:
                rules, seconds = self._rules, self._rules.idle_seconds
                changed = asyncio.ensure_future(rules.changed.wait())
                try:
                    timeout = None if seconds is None else self.clock.real(seconds)
                    await asyncio.wait({coming, changed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if coming.done():
                    return coming.result()
                if not rules.changed.is_set():
                    return None
        finally:
            coming.cancel()

    async def _exchange(
        self, head: RequestHead, inbound: Inbound, writer: asyncio.StreamWriter, client: Client
    ) -> bool:
        """Answer one request; return whether another may follow it."""
        began_at = time.monotonic()
        if head.headers.get("expect").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head.headers.remove_all("expect")
        body = await inbound.body(head)
        request = Request(head, body, exchange_of(head, began_at), client, self.clock)
        self.exchanges.append(request.exchange)
        self.most_held = max(self.most_held, self.held)
        outbound = Outbound(writer, head)
        left = asyncio.ensure_future(inbound.left())
        answering = asyncio.ensure_future(self._answer(request, outbound))
        try:
            await asyncio.wait({left, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return False
            answering.result()
        except Cut as cut:
            if cut.how == "reset":
                reset(writer)
            elif cut.how == "clean" and outbound.head is not None:
                await outbound.finish()
            return False
        finally:
            left.cancel()
            answering.cancel()
            await asyncio.gather(left, answering, return_exceptions=True)
            self._end(request.exchange)
        return outbound.keeps_open

    def _end(self, exchange: Exchange) -> None:
        exchange.ended_at = time.monotonic()
        took = exchange.ended_at - exchange.began_at
        target = exchange.path + ("?" if exchange.query else "") + exchange.query
        log.info("%s %s %s %s %.2f s", self.port, exchange.method, target, exchange.status or "no answer", took)

    # The way through the behaviours

    async def _answer(self, request: Request, outbound: Outbound) -> None:
        # In the order they are asked in: the nearest to the client first, which is also how they must end.
        asked: list[Items] = []
        onward = functools.partial(keep, asked, ask, self.upstream_port)
        for behaviour in reversed(self._rules.behaviours):
            onward = functools.partial(keep, asked, behaviour.answer, onward=onward)
        ahead = Ahead(onward(request))
        try:
            while not ahead.is_at_end:
                await self._flow(request, ahead, outbound)
        finally:
            await ahead.close()
            await close(asked)
        await outbound.finish()

    async def _flow(self, request: Request, ahead: Ahead, outbound: Outbound) -> None:
        """Pass what comes until the end, or until the hop is told to behave otherwise."""
        rules = self._rules
        flows: list[Items] = []
        items: Items = keep(flows, until, ahead, rules.changed)
        for behaviour in reversed(rules.behaviours):
            items = keep(flows, behaviour.flow, request, items)
        try:
            async for item in items:
                if isinstance(item, Head):
                    self._note(request.exchange, item)
                await outbound.write(item)
        finally:
            await close(reversed(flows))

    def _note(self, exchange: Exchange, head: Head) -> None:
        exchange.status = head.status
        if head.is_stream:
            exchange.is_stream = exchange.is_held = True
            self.most_held = max(self.most_held, self.held)
