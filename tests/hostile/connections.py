"""Behaviours that end connections, or let nothing more through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.hostile.behaviour import Ahead, Behaviour, Onward, Request, page
from tests.hostile.messages import Cut, Head, Item, Items


class Limited(Behaviour):
    """Something happens to an exchange that lasts so long."""

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead, has_head = Ahead(items), False
        try:
            while True:
                left = self.seconds_left(request)
                item = await ahead.next(None if left is None else max(0.0, self.clock.real(left)))
                if item is None:
                    return
                has_head = has_head or isinstance(item, Head)
                yield item
        except TimeoutError:
            for item in await self.end(has_head or request.exchange.status is not None, ahead):
                yield item
            raise Cut from None
        finally:
            await ahead.close()

    def seconds_left(self, request: Request) -> float | None:
        return self.amount - request.age

    async def end(self, has_head: bool, ahead: Ahead) -> list[Item]:
        """Return what is given before the clean end, or `Cut`; ``has_head``: the head of the response has passed."""
        raise NotImplementedError


class CutAt(Limited):
    name = "cut-at"
    number = "6"
    summary = "what lasts N seconds is ended as if it were complete, and the connection closed"
    default = 20.0
    how = "clean"

    async def end(self, has_head: bool, ahead: Ahead) -> list[Item]:
        raise Cut(self.how)


class CutAtRst(CutAt):
    name = "cut-at-rst"
    summary = "what lasts N seconds is reset"
    how = "reset"


class CutAtTruncated(CutAt):
    name = "cut-at-truncated"
    summary = "what lasts N seconds is cut off without its last chunk"
    how = "truncated"


class CutEarly(CutAt):
    name = "cut-early"
    number = "7"
    summary = "what lasts N seconds is ended, before it can be of use"
    default = 3.0


class IdleKill(CutAt):
    name = "idle-kill"
    number = "8"
    summary = "a connection on which nothing passes for N seconds is closed"
    default = 15.0
    how = "truncated"

    def start(self) -> None:
        self.idle_seconds = self.amount

    def seconds_left(self, request: Request) -> float | None:
        return self.amount


class Cap(Limited):
    name = "cap"
    number = "9"
    summary = "what has no answer in N seconds gets a 504 of HTML, what has begun is cut off then"
    default = 12.0

    async def end(self, has_head: bool, ahead: Ahead) -> list[Item]:
        if has_head:
            raise Cut("truncated")
        return page(504, "Gateway Timeout")


class BlackHole(Limited):
    name = "black-hole"
    number = "10"
    summary = "nothing passes of what lasts N seconds, and nobody is told"
    default = 30.0

    async def end(self, has_head: bool, ahead: Ahead) -> list[Item]:
        # The server goes on writing; a piece that is lost cannot be followed by others, so it never ends.
        while await ahead.next() is not None:
            pass
        await asyncio.get_running_loop().create_future()
        return []


class HoldNothing(BlackHole):
    name = "hold-nothing"
    summary = "nothing passes of an event stream or a long poll, and nobody is told; all else passes"
    default = 0.0

    def seconds_left(self, request: Request) -> float | None:
        return super().seconds_left(request) if request.exchange.is_held else None


class ResetStream(CutAtRst):
    name = "reset-stream"
    number = "33"
    summary = "an event stream that lasts N seconds is reset, nothing else"
    default = 16.0

    def seconds_left(self, request: Request) -> float | None:
        return super().seconds_left(request) if request.exchange.is_stream else None


class OneConnection(Behaviour):
    name = "one-connection"
    number = "28"
    summary = "one exchange at a time, the others wait for its end"
    count = 1

    def start(self) -> None:
        self._free = asyncio.Semaphore(self.count)

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        async with self._free:
            async for item in onward(request):
                yield item


class SixConnections(OneConnection):
    name = "six-connections"
    number = "29"
    summary = "six exchanges at a time, the others wait for the end of one"
    count = 6


class Restart(Behaviour):
    name = "restart"
    number = "34"
    summary = "every connection is cut, and none accepted for N seconds"
    default = 5.0

    def start(self) -> None:
        self.refuses_seconds = self.amount


class Gone(Behaviour):
    name = "gone"
    number = "34"
    summary = "every connection is cut, and none accepted"

    def start(self) -> None:
        self.refuses_seconds = float("inf")
