"""Behaviours that are slow, or stand still."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from tests.hostile.behaviour import Ahead, Behaviour, Onward, Request
from tests.hostile.messages import Item, Items

# One in so many pieces stalls.
STALLS_EVERY = 20


class Latency(Behaviour):
    name = "latency"
    number = "30"
    summary = "a round trip takes N seconds more; what is on its way together stays together"
    default = 0.3

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        await self.pause(self.amount / 2)
        async for item in onward(request):
            yield item

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        ahead = Ahead(items)
        under_way: deque[tuple[float, Item]] = deque()
        try:
            while True:
                try:
                    left = self.clock.real(under_way[0][0] - self.clock.now()) if under_way else None
                    item = await ahead.next(None if left is None else max(0.0, left))
                except TimeoutError:
                    yield under_way.popleft()[1]
                    continue
                if item is None:
                    break
                under_way.append((self.clock.now() + self.amount / 2, item))
            for due_at, item in under_way:
                await self.pause(due_at - self.clock.now())
                yield item
        finally:
            await ahead.close()


class Stalls(Behaviour):
    name = "stalls"
    number = "30"
    summary = f"one in {STALLS_EVERY} pieces comes N seconds late, and what follows it in the same response"
    default = 3.0

    def start(self) -> None:
        self._count = 0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        async for item in items:
            self._count += 1
            if self._count % STALLS_EVERY == 0:
                await self.pause(self.amount)
            yield item


class Freeze(Behaviour):
    name = "freeze"
    number = "35"
    summary = "for N seconds from now on nothing passes either way, then all of it"
    default = 600.0

    def start(self) -> None:
        self._until = self.clock.now() + self.amount

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        await self.pause(self._until - self.clock.now())
        async for item in onward(request):
            yield item

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        async for item in items:
            await self.pause(self._until - self.clock.now())
            yield item


class StopReading(Behaviour):
    name = "stop-reading"
    number = "38"
    summary = "after N seconds nothing more is read of a response, and the connection stays open"
    default = 0.0

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        async for item in items:
            yield item
            if request.age >= self.amount:
                await self.over.wait()
