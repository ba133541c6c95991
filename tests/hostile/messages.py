"""HTTP/1.x as the hop reads and writes it: heads, headers in order, bodies as pieces.

Pieces are passed as they came: one that was read is one that is written, as one chunk.  Nothing here knows what a
behaviour does to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

HEAD_LIMIT = 1 << 20
PIECE = 1 << 16
# What belongs to one connection and not to the message (RFC 9110 section 7.6.1).
OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "proxy-connection")
REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 407: "Proxy Authentication Required"}
REASONS |= {411: "Length Required", 429: "Too Many Requests", 501: "Not Implemented", 502: "Bad Gateway"}
REASONS |= {503: "Service Unavailable", 504: "Gateway Timeout"}


class Cut(Exception):
    """The exchange ends here and its connection with it.

    ``how``: "clean" (the body ends as it should, then the connection), "truncated" (the connection ends in the middle
    of the body), "reset" (the other side gets an RST).
    """

    def __init__(self, how: str = "clean") -> None:
        super().__init__(how)
        self.how = how


class Headers(list[tuple[str, str]]):
    """Names and values in the order and the spelling they came in."""

    @classmethod
    def of(cls, lines: Iterable[str]) -> Headers:
        pairs = (line.partition(":") for line in lines)
        return cls((name, value.strip()) for name, _, value in pairs if name)

    def get(self, name: str, default: str = "") -> str:
        return ", ".join(value for other, value in self if other.lower() == name.lower()) or default

    def remove_all(self, *names: str) -> None:
        self[:] = [pair for pair in self if pair[0].lower() not in names]

    def put(self, name: str, value: str) -> None:
        self.remove_all(name.lower())
        self.append((name, value))


@dataclass
class Head:
    """The head of a response; what follows it are pieces of its body."""

    status: int
    headers: Headers = field(default_factory=Headers)
    reason: str = ""
    version: str = "HTTP/1.1"
    has_body: bool = True
    # The connection ends with this response.
    closes: bool = False

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type").startswith("text/event-stream")

    @property
    def length(self) -> int | None:
        """How long the body is said to be."""
        if not self.has_body:
            return 0
        length = self.headers.get("content-length")
        return int(length) if length.isdigit() else None


Item = Head | bytes
Items = AsyncIterator[Item]


@dataclass
class RequestHead:
    method: str
    target: str
    version: str
    headers: Headers
    # The body came in chunks; it goes on with a length.
    was_chunked: bool = False

    def encoded(self, body: bytes) -> bytes:
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin1") + body


class Inbound:
    """What a client sends, kept until it is asked for: so that its leaving is noticed while an answer is on its way."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._kept = bytearray()

    async def request(self) -> RequestHead | None:
        """Return the head of the next request, None when the client has left or speaks no HTTP (such as TLS)."""
        while (end := self._kept.find(b"\r\n\r\n")) < 0:
            if len(self._kept) > HEAD_LIMIT or not await self._more():
                return None
        first, *lines = bytes(self._kept[:end]).decode("latin1").split("\r\n")
        del self._kept[: end + 4]
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return None
        method, target, version = words
        if target.startswith("http://"):
            # The absolute form, as a forward proxy is asked (RFC 9112 section 3.2.2): every host is the one behind us.
            target = "/" + target.removeprefix("http://").partition("/")[2]
        return RequestHead(method, target, version, Headers.of(lines))

    async def body(self, head: RequestHead) -> bytes:
        """Return the body of a request whose head was read; the head says then how long it is."""
        if "chunked" not in head.headers.get("transfer-encoding").lower():
            return await self._exactly(int(head.headers.get("content-length", "0")))
        whole = await self._chunks()
        head.was_chunked = True
        head.headers.remove_all("transfer-encoding")
        head.headers.put("Content-Length", str(len(whole)))
        return whole

    async def left(self) -> None:
        """Return when the client has gone."""
        while await self._more():
            pass

    async def _more(self) -> bool:
        more = await self._reader.read(PIECE)
        self._kept += more
        return bool(more)

    async def _exactly(self, length: int) -> bytes:
        while len(self._kept) < length:
            if not await self._more():
                raise asyncio.IncompleteReadError(bytes(self._kept), length)
        taken = bytes(self._kept[:length])
        del self._kept[:length]
        return taken

    async def _chunks(self) -> bytes:
        whole = b""
        while True:
            while (end := self._kept.find(b"\r\n")) < 0:
                if not await self._more():
                    raise asyncio.IncompleteReadError(whole, None)
            size = int((await self._exactly(end + 2)).split(b";")[0], 16)
            piece = await self._exactly(size + 2)
            if size == 0:
                return whole
            whole += piece[:-2]


async def read_head(reader: asyncio.StreamReader, method: str) -> Head:
    """Return the head of a response, past those that only say that it will come."""
    while True:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").rstrip("\r\n").split("\r\n")
        version, status, *reason = first.split(" ", 2)
        if not 100 <= int(status) < 200:
            has_body = method != "HEAD" and int(status) not in (204, 304)
            return Head(int(status), Headers.of(lines), " ".join(reason), version, has_body)


async def read_body(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    """Give the body in the pieces it arrives in; one that breaks off is cut for the client as well."""
    try:
        if head.length is not None:
            left = head.length
            while left:
                if not (piece := await reader.read(min(left, PIECE))):
                    raise Cut("truncated")
                left -= len(piece)
                yield piece
        elif "chunked" in head.headers.get("transfer-encoding").lower():
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        else:
            while piece := await reader.read(PIECE):
                yield piece
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Cut("truncated") from error


class Outbound:
    """One response on its way to the client; frames the body as its head allows."""

    def __init__(self, writer: asyncio.StreamWriter, request: RequestHead) -> None:
        self._writer = writer
        self._is_old = request.version == "HTTP/1.0"
        self.head: Head | None = None
        self._is_chunked = False
        # Whether the connection can carry another exchange after this one.
        self.keeps_open = not self._is_old and request.headers.get("connection").lower() != "close"

    async def write(self, item: Item) -> None:
        if isinstance(item, Head):
            self._start(item)
        elif item and self.head and self.head.has_body:
            self._writer.write(b"%x\r\n%b\r\n" % (len(item), item) if self._is_chunked else item)
        await self._writer.drain()

    async def finish(self) -> None:
        if self._is_chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def _start(self, head: Head) -> None:
        assert self.head is None
        self.head = head
        is_framed = not head.has_body or head.length is not None
        self._is_chunked = not is_framed and not self._is_old and head.version != "HTTP/1.0"
        self.keeps_open = self.keeps_open and not head.closes and (is_framed or self._is_chunked)
        headers = Headers(pair for pair in head.headers if pair[0].lower() not in OF_THE_CONNECTION)
        if self._is_chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        if not self.keeps_open:
            headers.append(("Connection", "close"))
        elif head.version == "HTTP/1.0":
            headers.append(("Connection", "keep-alive"))
        first = f"{head.version} {head.status} {head.reason or REASONS.get(head.status, 'Status')}"
        lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
        self._writer.write("\r\n".join(lines).encode("latin1"))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with an RST instead of a FIN."""
    with contextlib.suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
