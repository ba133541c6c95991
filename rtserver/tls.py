"""TLS: the certificate, and what asyncio and Tornado need to carry it in little memory.

A connection costs asyncio 279 KB on Python 3.11, nearly all of it one buffer for what comes; with 16 KB, the most that
a TLS record holds, 39 KB.

Knows nothing of HTTP and of settings.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path
from typing import Any, cast

from tornado.iostream import IOStream, StreamClosedError

from rtserver.errors import StartRefused

BUFFER_BYTES = 16 << 10


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what listens with a certificate chain and its key, both PEM; TLS 1.2 and newer.

    Raises `StartRefused`.  `load` may be called again, for connections from then on.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load(context, certificate, key)
    # Of the class: asyncio has no other way to say it, and this process has no other use of TLS that minds.
    SSLProtocol.max_size = BUFFER_BYTES
    return context


def load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Take a certificate chain and its key from their files.  Raises `StartRefused`, and then keeps what it had."""
    for file in (certificate, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise StartRefused(f"cannot read {file}: {error.strerror}") from None
    try:
        # First into another: of a key that does not fit, OpenSSL would keep the certificate.
        for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            each.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise StartRefused(f"{certificate} and {key} are not a certificate and its key in PEM: {reason}") from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def bound(transport: asyncio.Transport) -> None:
    """Let any unsent byte count as full, below TLS as well: else asyncio keeps 64 KB there before it says so."""
    protocol = getattr(transport, "_ssl_protocol", None)
    below = getattr(protocol, "_transport", None)
    if below is None:
        transport.set_write_buffer_limits(high=0)
        return
    below.set_write_buffer_limits(high=0)
    # TLS is full at the limit, not beyond it: with 0 it would be full when all has been sent, and nothing would say
    # that it is free again but the next byte from the client.
    transport.set_write_buffer_limits(high=1)


class StreamTransport(asyncio.Transport):
    """The writing side of a transport on Tornado's stream with TLS, whose socket cannot be taken over from it."""

    def __init__(self, stream: IOStream, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        self._is_paused = False
        self._is_ending = False
        stream.set_close_callback(self._lost)

    def write(self, data: Any) -> None:
        if self._is_ending:
            return
        try:
            sent = self._stream.write(data)
        except StreamClosedError:
            return
        if self._stream.writing() and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()
        sent.add_done_callback(self._sent)

    def _sent(self, future: asyncio.Future[None]) -> None:
        if future.cancelled() or future.exception() is not None or self._stream.writing():
            return
        if self._is_ending:
            self._stream.close()
        elif self._is_paused:
            self._is_paused = False
            self._protocol.resume_writing()

    def close(self) -> None:
        """Close when what was written has been sent."""
        self._is_ending = True
        if not self._stream.writing():
            self._stream.close()

    def abort(self) -> None:
        self._stream.close()

    def is_closing(self) -> bool:
        return self._is_ending or self._stream.closed()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Any unsent byte counts as full, whatever is asked for."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return self._stream.socket
        if name == "sslcontext":
            return cast(ssl.SSLSocket, self._stream.socket).context
        return default

    def _lost(self) -> None:
        self._protocol.connection_lost(self._stream.error if isinstance(self._stream.error, Exception) else None)
