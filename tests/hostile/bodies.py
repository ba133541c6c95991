"""Behaviours that change when and in which pieces a response passes, and nothing of what is in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.hostile.behaviour import Ahead, Behaviour, Onward, Request
from tests.hostile.messages import Head, Item, Items


class Pass(Behaviour):
    name = "pass"
    number = "0"
    summary = "everything passes as it is"


class BufferWhole(Behaviour):
    name = "buffer-whole"
    number = "1"
    summary = "a response passes when it is complete, its head as well"

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept = [item async for item in items]
        for item in kept:
            yield item


class Buffer(Behaviour):
    """The head passes at once, of the body what is `ready`, and the rest when it is complete."""

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept = b""
        async for item in items:
            if isinstance(item, Head):
                yield item
                continue
            kept += item
            if count := self.ready(len(kept)):
                yield kept[:count]
                kept = kept[count:]
        yield kept

    def ready(self, size: int) -> int:
        """Return how many of so many bytes may pass."""
        raise NotImplementedError


class BufferBody(Buffer):
    name = "buffer-body"
    number = "2"
    summary = "the head passes at once, the body when it is complete"

    def ready(self, size: int) -> int:
        return 0


class BufferBlocks(Buffer):
    name = "buffer-blocks"
    number = "3a"
    summary = "the body passes in blocks of N bytes, what is less waits"
    default = 4096.0

    def ready(self, size: int) -> int:
        return size - size % int(self.amount)


class BufferUntil(Buffer):
    name = "buffer-until"
    number = "3b"
    summary = "the body passes once N bytes have come together, then again"
    default = 4096.0

    def ready(self, size: int) -> int:
        return size if size >= self.amount else 0


class BufferAfter(Behaviour):
    name = "buffer-after"
    number = "5"
    summary = "a response is good for N seconds, what comes later passes when it is complete"
    default = 30.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept = []
        async for item in items:
            if request.age < self.amount:
                yield item
            else:
                kept.append(item)
        for item in kept:
            yield item


class Timed(Behaviour):
    """The head passes at once, of the body what is `due` at each turn, and the rest when it is complete.

    Turns are ``turn_seconds`` apart from the moment when the request came.
    """

    turn_seconds: float

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead, kept = Ahead(items), b""
        turn = int(request.age / self.turn_seconds) + 1
        try:
            while True:
                try:
                    left = turn * self.turn_seconds - request.age
                    item = await ahead.next(max(0.0, self.clock.real(left)))
                except TimeoutError:
                    turn += 1
                    if kept:
                        count = self.due(len(kept))
                        yield kept[:count]
                        kept = kept[count:]
                    continue
                if item is None:
                    break
                if isinstance(item, Head):
                    yield item
                else:
                    kept += item
            yield kept
        finally:
            await ahead.close()

    def due(self, size: int) -> int:
        """Return how many of so many bytes pass at a turn."""
        raise NotImplementedError


class Bursts(Timed):
    name = "bursts"
    number = "4"
    summary = "the body passes every N seconds, all that came meanwhile"
    default = 5.0

    def start(self) -> None:
        self.turn_seconds = self.amount

    def due(self, size: int) -> int:
        return size


class Trickle(Timed):
    name = "trickle"
    number = "4"
    summary = "what is not complete drips, N bytes a second; the rest passes at once when it is"
    default = 1.0

    def start(self) -> None:
        self.turn_seconds = 1 / self.amount

    def due(self, size: int) -> int:
        return 1


class Merge(Behaviour):
    name = "merge"
    number = "21"
    summary = "up to N pieces of a body that come within half a second become one"
    default = 10.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead, kept, count, until = Ahead(items), b"", 0, 0.0
        try:
            while True:
                try:
                    item = await ahead.next(max(0.0, self.clock.real(until - self.clock.now())) if count else None)
                except TimeoutError:
                    item = b""
                if isinstance(item, Head):
                    yield item
                    continue
                if item:
                    until = until if count else self.clock.now() + 0.5
                    kept, count = kept + item, count + 1
                if not item or count == self.amount:
                    yield kept
                    kept, count = b"", 0
                if item is None:
                    return
        finally:
            await ahead.close()


class Rechunk(Behaviour):
    name = "rechunk"
    number = "21"
    summary = "a body passes in pieces of N bytes, in the middle of characters and of line ends as well"
    default = 1.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        size = int(self.amount)
        async for item in items:
            if isinstance(item, Head):
                yield item
                continue
            for start in range(0, len(item), size):
                yield item[start : start + size]


class Dechunk(Behaviour):
    name = "dechunk"
    number = "20"
    summary = "a response in chunks passes when it is complete, with a Content-Length"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        kept = [item async for item in onward(request)]
        head, body = kept[0], b"".join(item for item in kept if isinstance(item, bytes))
        if isinstance(head, Head):
            if head.has_body:
                head.headers.remove_all("transfer-encoding")
                head.headers.put("Content-Length", str(len(body)))
            yield head
            yield body
