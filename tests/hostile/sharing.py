"""Behaviours that give one answer to several requests, or send one request several times."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from tests.hostile.behaviour import Behaviour, Onward, Request
from tests.hostile.messages import Cut, Head, Item


class Cache(Behaviour):
    name = "cache"
    number = "25"
    summary = "a GET that was answered with 200 is answered alike for N seconds, whatever Cache-Control says"
    default = 30.0

    def start(self) -> None:
        self._kept: dict[str, tuple[float, list[Item]]] = {}

    def key(self, request: Request) -> str:
        return request.head.target

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        key, is_get = self.key(request), request.head.method == "GET"
        until, items = self._kept.get(key, (0.0, []))
        if is_get and self.clock.now() < until:
            for item in items:
                yield copy.deepcopy(item)
            return
        items = []
        async for item in onward(request):
            items.append(copy.deepcopy(item))
            yield item
        if is_get and isinstance(items[0], Head) and items[0].status == 200:
            self._kept[key] = (self.clock.now() + self.amount, items)


class CachePath(Cache):
    name = "cache-path"
    summary = "the same, and a query makes no difference"

    def key(self, request: Request) -> str:
        return request.exchange.path


@dataclass
class Shared:
    """One answer that several are waiting for."""

    items: list[Item] = field(default_factory=list)
    is_complete: bool = False
    is_broken: bool = False
    grew: asyncio.Event = field(default_factory=asyncio.Event)

    def grow(self) -> None:
        self.grew.set()
        self.grew = asyncio.Event()


class Collapse(Behaviour):
    name = "collapse"
    number = "26"
    summary = "a GET that is asked while the same one waits for its answer gets that answer"

    def start(self) -> None:
        self._flying: dict[str, Shared] = {}

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        if request.head.method != "GET":
            async for item in onward(request):
                yield item
            return
        shared = self._flying.get(request.head.target)
        items = self._follow(shared) if shared else self._lead(request, onward)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    async def _lead(self, request: Request, onward: Onward) -> AsyncGenerator[Item, None]:
        shared = self._flying[request.head.target] = Shared()
        try:
            async for item in onward(request):
                shared.items.append(copy.deepcopy(item))
                shared.grow()
                yield item
            shared.is_complete = True
        finally:
            # Whoever follows one that leaves is left alone as well.
            shared.is_broken = not shared.is_complete
            del self._flying[request.head.target]
            shared.grow()

    async def _follow(self, shared: Shared) -> AsyncGenerator[Item, None]:
        count = 0
        while True:
            while count < len(shared.items):
                yield copy.deepcopy(shared.items[count])
                count += 1
            if shared.is_complete:
                return
            if shared.is_broken:
                raise Cut("truncated")
            await shared.grew.wait()


class Replay(Behaviour):
    name = "replay"
    number = "27"
    summary = "a GET is sent twice; one of the answers is thrown away"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        twin = asyncio.ensure_future(exhaust(onward(request))) if request.head.method == "GET" else None
        try:
            async for item in onward(request):
                yield item
        finally:
            if twin is not None:
                twin.cancel()
                await asyncio.gather(twin, return_exceptions=True)


async def exhaust(items: AsyncIterator[Item]) -> None:
    async for _ in items:
        pass
