"""Behaviours that give another answer than the server's."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.hostile.behaviour import Behaviour, Onward, Request, given, page
from tests.hostile.messages import Head, Item, Items


class BlockStreams(Behaviour):
    name = "block-streams"
    number = "11"
    summary = "a response of type text/event-stream becomes a 403 of HTML"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        async for item in onward(request):
            if isinstance(item, Head) and item.is_stream:
                for other in page(403, "Access denied by policy"):
                    yield other
                return
            yield item


class BlockPage(Behaviour):
    name = "block-page"
    number = "13"
    summary = "requests to the API get a page of HTML with status 200: all, or one in N (1in5)"
    default = "all"

    def start(self) -> None:
        self._every = 1 if self.parameter == "all" else int(self.parameter.removeprefix("1in"))
        self._count = 0

    def answer(self, request: Request, onward: Onward) -> Items:
        self._count += request.exchange.is_api
        if request.exchange.is_api and self._count % self._every == 0:
            return given(page(200, "Access denied by policy"))
        return onward(request)
