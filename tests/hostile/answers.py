"""Behaviours that give another answer than the server's: networks that forbid, send elsewhere, or ask who one is.

What they do to requests they do to the API alone, so that a page can be loaded through them; what they do to responses
of a kind they do to all of that kind.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate

from tests.hostile.behaviour import Behaviour, Onward, Request, given, page
from tests.hostile.messages import Cut, Head, Headers, Item, Items

BLOCKED = "Access denied by policy"
TOKEN_EXPIRED = b'retry: 5000\nevent: reconnect\ndata: {"reason": "token_expired"}\n\n'


class BlockStreams(Behaviour):
    name = "block-streams"
    number = "11"
    summary = "a response of type text/event-stream becomes a 403 of HTML"

    def answer(self, request: Request, onward: Onward) -> Items:
        return replaced(onward(request), lambda head: head.is_stream, page(403, BLOCKED))


class BlockAccept(Behaviour):
    name = "block-accept"
    number = "12"
    summary = "a request that accepts text/event-stream gets a 403 of HTML, or its connection ends (drop)"
    default = "page"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        is_blocked = "text/event-stream" in request.head.headers.get("accept")
        if is_blocked and self.parameter == "drop":
            raise Cut("reset")
        async for item in given(page(403, BLOCKED)) if is_blocked else onward(request):
            yield item


class Instead(Behaviour):
    """Another answer to what is asked of the API."""

    def answer(self, request: Request, onward: Onward) -> Items:
        items = self.instead(request) if request.exchange.is_api else None
        return onward(request) if items is None else given(items)

    def instead(self, request: Request) -> list[Item] | None:
        """Return the other answer, None for the server's own."""
        raise NotImplementedError


class BlockPage(Instead):
    name = "block-page"
    number = "13"
    summary = "requests to the API get a page of HTML with status 200: all, or one in N (1in5)"
    default = "all"

    def start(self) -> None:
        self._every = 1 if self.parameter == "all" else int(self.parameter.removeprefix("1in"))
        self._count = 0

    def instead(self, request: Request) -> list[Item] | None:
        self._count += 1
        return page(200, BLOCKED) if self._count % self._every == 0 else None


class RedirectLogin(Instead):
    name = "redirect-login"
    number = "14"
    summary = "requests to the API are redirected to a log-in page elsewhere"
    default = "https://login.invalid/"

    def instead(self, request: Request) -> list[Item]:
        return page(302, "Log in first", ("Location", self.parameter))


class RedirectSame(RedirectLogin):
    name = "redirect-same"
    summary = "requests to the API are redirected to a page of HTML on the same host"
    default = "/hop-login"

    def answer(self, request: Request, onward: Onward) -> Items:
        if request.exchange.path == self.parameter:
            return given(page(200, "Log in first"))
        return super().answer(request, onward)


class ProxyAuth(Instead):
    name = "proxy-auth"
    number = "15"
    summary = "requests to the API get a 407"

    def instead(self, request: Request) -> list[Item]:
        return page(407, "Proxy authentication required", ("Proxy-Authenticate", 'Basic realm="network"'))


class Unauthorised(Instead):
    name = "unauthorised"
    number = "16"
    summary = "open streams are told that their token has expired, requests to the API get the 401 of the server"

    def instead(self, request: Request) -> list[Item]:
        return problem(401, "Unauthorized", ("WWW-Authenticate", "Bearer"))

    async def flow(self, request: Request, items: Items) -> AsyncIterator[Item]:
        if request.exchange.is_stream and request.exchange.status == 200:
            yield TOKEN_EXPIRED
            raise Cut
        async for item in items:
            yield item


class TooMany(Instead):
    name = "too-many"
    number = "17"
    summary = "requests to the API get a 429 with Retry-After: N seconds, or a date, garbage, a day"
    default = "5"
    status = 429

    def start(self) -> None:
        if self.parameter not in ("date", "garbage", "day"):
            int(self.parameter)

    def instead(self, request: Request) -> list[Item]:
        words = {"date": formatdate(time.time() + 5, usegmt=True), "garbage": "soon", "day": "86400"}
        return problem(self.status, "Later", ("Retry-After", words.get(self.parameter, self.parameter)))


class Unavailable(TooMany):
    name = "unavailable"
    summary = "requests to the API get a 503 with Retry-After: N seconds, or a date, garbage, a day"
    status = 503


class RefuseChunked(Behaviour):
    name = "refuse-chunked"
    number = "20"
    summary = "a response in chunks becomes a 501 of HTML, a request in chunks gets a 411"

    def answer(self, request: Request, onward: Onward) -> Items:
        if request.head.was_chunked:
            return given(page(411, "Length required"))
        return replaced(onward(request), lambda head: head.length is None, page(501, "Transfer coding not supported"))


class Ntlm(Behaviour):
    name = "ntlm"
    number = "31"
    summary = "the API's first two requests on each connection get a 401 of the network's, in N seconds together"
    default = 6.0

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        if request.exchange.is_api and request.client.asked_to_log_in < 2:
            request.client.asked_to_log_in += 1
            await self.pause(self.amount / 2)
            for item in page(401, "Authentication required", ("WWW-Authenticate", "NTLM")):
                yield item
            return
        async for item in onward(request):
            yield item


class NtlmAnswered(Behaviour):
    name = "ntlm-answered"
    number = "31"
    summary = "the same as a script sees it in a browser that logs in by itself: N seconds more on each connection"
    default = 6.0

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        if request.exchange.is_api and not request.client.asked_to_log_in:
            request.client.asked_to_log_in += 2
            await self.pause(self.amount)
        async for item in onward(request):
            yield item


async def replaced(items: Items, is_refused: Callable[[Head], bool], other: list[Item]) -> AsyncIterator[Item]:
    """Give what comes, and ``other`` in place of a response whose head is refused."""
    async for item in items:
        if isinstance(item, Head) and is_refused(item):
            for each in other:
                yield each
            return
        yield item


def problem(status: int, title: str, *headers: tuple[str, str]) -> list[Item]:
    """Return an answer as the server itself words it."""
    body = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
    framing = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
    return [Head(status, Headers([*framing, *headers])), body]
