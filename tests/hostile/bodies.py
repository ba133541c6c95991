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


class BufferBody(Behaviour):
    name = "buffer-body"
    number = "2"
    summary = "the head passes at once, the body when it is complete"

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept = b""
        async for item in items:
            if isinstance(item, Head):
                yield item
            else:
                kept += item
        yield kept


class BufferBlocks(Behaviour):
    name = "buffer-blocks"
    number = "3a"
    summary = "the body passes in blocks of N bytes, what is less waits"
    default = 4096.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept, size = b"", int(self.amount)
        async for item in items:
            if isinstance(item, Head):
                yield item
                continue
            kept += item
            full = len(kept) // size * size
            if full:
                yield kept[:full]
                kept = kept[full:]
        yield kept


class BufferUntil(Behaviour):
    name = "buffer-until"
    number = "3b"
    summary = "the body passes once N bytes have come together, then again"
    default = 4096.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        kept = b""
        async for item in items:
            if isinstance(item, Head):
                yield item
                continue
            kept += item
            if len(kept) >= self.amount:
                yield kept
                kept = b""
        yield kept


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


class Bursts(Behaviour):
    name = "bursts"
    number = "4"
    summary = "the body passes every N seconds, all that came meanwhile"
    default = 5.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead, kept = Ahead(items), b""
        try:
            turn = int(request.age / self.amount)
            while True:
                try:
                    left = (turn + 1) * self.amount - request.age
                    item = await ahead.next(max(0.0, self.clock.real(left)))
                except TimeoutError:
                    turn += 1
                    if kept:
                        yield kept
                        kept = b""
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


class Trickle(Behaviour):
    name = "trickle"
    number = "4"
    summary = "what is not complete drips, N bytes a second; the rest passes at once when it is"
    default = 1.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead, kept = Ahead(items), b""
        drips_at = self.clock.now()
        try:
            while True:
                try:
                    item = await ahead.next(max(0.0, self.clock.real(drips_at - self.clock.now())) if kept else None)
                except TimeoutError:
                    drips_at = self.clock.now() + 1 / self.amount
                    yield kept[:1]
                    kept = kept[1:]
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
