"""One connection to a server, direct or through a proxy, plain or with TLS, for one request after the other.

Built on asyncio's streams: Tornado's own HTTP client knows no proxies without libcurl
(docs/decisions/python-client.rst).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from rtserver.client.answer import MAX_HEAD_BYTES, Head, Inflater, parse_chunk_size, parse_head
from rtserver.client.errors import Blocked, ProxyRefused, Unreachable
from rtserver.client.proxy import Origin, Proxy

READ_BYTES = 64 << 10
# A name with several addresses: the next is tried beside one that does not answer (RFC 8305).
NEXT_ADDRESS_SECONDS = 0.25


class Connection:
    """``is_reusable`` once a body was read to its end, and nobody said otherwise."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: Origin) -> None:
        self.is_reusable = True
        self.was_used = False
        self._reader = reader
        self._writer = writer
        self._origin = origin
        self._forwarder: Proxy | None = None  # a proxy that forwards request by request

    @classmethod
    async def open(cls, origin: Origin, proxy: Proxy | None, tls: ssl.SSLContext | None) -> Connection:
        """Connect; ``tls`` is for ``https`` origins.  Raises `Unreachable`."""
        host, port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        where = f"the proxy {proxy}" if proxy else origin.address
        try:
            reader, writer = await _connect(host, port)
        except OSError as error:
            raise Unreachable(f"{where} cannot be reached: {_reason(error)}") from None
        connection = cls(reader, writer, origin)
        try:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if proxy and (origin.scheme == "https" or proxy.tunnels_all):
                await connection._tunnel(proxy)
            elif proxy:
                connection._forwarder = proxy
            if origin.scheme == "https":
                await connection._start_tls(tls)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _tunnel(self, proxy: Proxy) -> None:
        lines = [f"CONNECT {self._origin.address} HTTP/1.1", f"Host: {self._origin.address}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self._write(lines)
        with _translated():
            head = await self._read_head()
        if not 200 <= head.status < 300:
            raise ProxyRefused(_refusal(proxy, head.status), head.status)

    async def _start_tls(self, tls: ssl.SSLContext | None) -> None:
        assert tls is not None
        try:
            await self._writer.start_tls(tls, server_hostname=self._origin.host)
        except ssl.SSLCertVerificationError as error:
            message = f"the certificate of {self._origin.address} is not trusted: {error.verify_message}"
            raise Unreachable(message) from None
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"{self._origin.address} does not speak TLS with us: {_reason(error)}") from None

    @property
    def is_usable(self) -> bool:
        """Say whether another request may be sent: the peer may have closed an idle connection."""
        return self.is_reusable and not self._reader.at_eof() and not self._writer.is_closing()

    async def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Head:
        """Send a request and return the head of its answer; its body is to be read by `pieces`."""
        self.is_reusable = False
        is_absolute = self._forwarder is not None
        lines = [f"{method} {'http://' + self._origin.authority if is_absolute else ''}{target} HTTP/1.1"]
        lines += [f"Host: {self._origin.authority}", *(f"{name}: {value}" for name, value in headers.items())]
        if self._forwarder and self._forwarder.authorization:
            lines.append(f"Proxy-Authorization: {self._forwarder.authorization}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self._write(lines, body or b"")
        with _translated():
            await self._writer.drain()
            head = await self._read_head()
        self.was_used = True
        if head.status == 407:
            proxy = self._forwarder
            raise ProxyRefused(_refusal(proxy, 407) if proxy else "something on the way is a proxy and wants 407", 407)
        return head

    async def pieces(self, method: str, head: Head) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes.  Raises `Unreachable` where it is cut."""
        inflate = Inflater(head)
        length = head.body_length(method)
        with _translated():
            if length is not None:
                async for piece in self._exactly(length):
                    yield inflate(piece)
            elif head.is_chunked:
                async for piece in self._chunks():
                    yield inflate(piece)
            else:
                while piece := await self._reader.read(READ_BYTES):
                    yield inflate(piece)
                return  # its end is the connection's
        self.is_reusable = head.keeps_alive

    async def _exactly(self, length: int) -> AsyncIterator[bytes]:
        while length:
            piece = await self._reader.read(min(length, READ_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := parse_chunk_size(await self._reader.readuntil(b"\n")):
            async for piece in self._exactly(size):
                yield piece
            await self._reader.readuntil(b"\n")
        while (await self._reader.readuntil(b"\n")).strip():
            pass  # a trailer

    async def _read_head(self) -> Head:
        while True:
            raw = b""
            while not raw.endswith((b"\n\r\n", b"\n\n")):
                raw += await self._reader.readuntil(b"\n")
                if len(raw) > MAX_HEAD_BYTES:
                    raise Blocked(f"the head of an answer has more than {MAX_HEAD_BYTES} bytes")
            head = parse_head(raw)
            if head.status >= 200:
                return head

    def _write(self, lines: list[str], body: bytes = b"") -> None:
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin1") + body)

    def close(self) -> None:
        self.is_reusable = False
        # At once: what is still to be sent or read is of no interest, and a proxy must not hold us up.
        self._writer.transport.abort()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connecting = asyncio.ensure_future(
        asyncio.open_connection(host, port, limit=MAX_HEAD_BYTES, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
    )
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # Cancelled itself, Python 3.11 loses the socket where one address has just answered.
        connecting.add_done_callback(_abandon)
        raise


def _abandon(connecting: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()[1].transport.abort()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what a socket says into `Unreachable` and `Blocked`."""
    try:
        yield
    except asyncio.IncompleteReadError as error:
        raise Unreachable("the connection was cut" if error.partial else "the connection was closed") from None
    except asyncio.LimitOverrunError:
        raise Blocked("a line of the answer has no end") from None
    except OSError as error:
        raise Unreachable(f"the connection was cut: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return what the system says, without the names of calls and addresses that Python puts around it."""
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in errno.errorcode:
        return os.strerror(number).lower()
    if str(error).startswith("Multiple exceptions"):
        return "none of its addresses answers"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _refusal(proxy: Proxy, status: int) -> str:
    if status != 407:
        return f"the proxy {proxy} refuses to connect: {status}"
    if proxy.authorization:
        return f"the proxy {proxy} does not accept this user and password"
    return f"the proxy {proxy} wants a user and a password: http://user:password@{proxy}"
