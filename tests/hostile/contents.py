"""Behaviours that change what a message says: its version, its headers, the bytes of its body."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from tests.hostile.behaviour import SCRIPT, Behaviour, Onward, Request
from tests.hostile.messages import Head, Headers, Item


class Http10(Behaviour):
    name = "http10"
    number = "18"
    summary = "both sides speak HTTP/1.0, one exchange for each connection"
    connection = "close"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        request.head.version = "HTTP/1.0"
        request.head.headers.put("Connection", self.connection)
        async for item in onward(request):
            if isinstance(item, Head):
                item.version = "HTTP/1.0"
                item.closes = self.connection == "close"
            yield item


class Http10KeepAlive(Http10):
    name = "http10-keep-alive"
    number = "19"
    summary = "both sides speak HTTP/1.0, and the server is asked to keep the connection"
    connection = "keep-alive"


class Strip(Behaviour):
    name = "strip"
    number = "22"
    summary = "a header is taken out of requests and responses, or all that begin alike (x-)"
    default = "last-event-id"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        self._strip(request.head.headers)
        async for item in onward(request):
            if isinstance(item, Head):
                self._strip(item.headers)
            yield item

    def _strip(self, headers: Headers) -> None:
        wanted = self.parameter.lower()
        is_it = wanted.__eq__ if not wanted.endswith("-") else lambda name: name.startswith(wanted)
        headers[:] = [pair for pair in headers if not is_it(pair[0].lower())]


class Retype(Behaviour):
    name = "retype"
    number = "23"
    summary = "an event stream gets another content type, or a charset (text/event-stream; charset=utf-8)"
    default = "text/plain"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        async for item in onward(request):
            if isinstance(item, Head) and item.is_stream:
                item.headers.put("Content-Type", self.parameter)
            yield item


class Gzip(Behaviour):
    name = "gzip"
    number = "24"
    summary = "bodies are compressed if the client takes that, and nothing passes before there is enough of them"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        packer = None
        async for item in onward(request):
            if isinstance(item, Head):
                is_taken = "gzip" in request.head.headers.get("accept-encoding").lower()
                if is_taken and item.has_body and not item.headers.get("content-encoding"):
                    packer = zlib.compressobj(wbits=31)
                    item.headers.remove_all("content-length")
                    item.headers.put("Content-Encoding", "gzip")
                yield item
            else:
                yield packer.compress(item) if packer else item
        if packer:
            yield packer.flush()


class Inject(Behaviour):
    name = "inject"
    number = "32"
    summary = "a script is put into what the API answers: before an event stream, after anything else"

    async def answer(self, request: Request, onward: Onward) -> AsyncIterator[Item]:
        if not request.exchange.is_api:
            async for item in onward(request):
                yield item
            return
        script, head = SCRIPT.encode(), None
        # Who wants to write into bodies sees to it that they can be read.
        request.head.headers.remove_all("accept-encoding")
        async for item in onward(request):
            if isinstance(item, Head):
                head = item
                if length := item.headers.get("content-length"):
                    item.headers.put("Content-Length", str(int(length) + len(script)))
            yield item
            if isinstance(item, Head) and item.is_stream:
                yield script + b"\n"
        if head and head.has_body and not head.is_stream:
            yield script
