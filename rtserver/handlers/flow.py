"""Answers that flow: the head of a response whose body is written bit by bit, to a socket taken over for it.

Knows nothing of what flows.
"""

from __future__ import annotations

import time

from rtserver.handlers.base import BaseHandler
from rtserver.handlers.exchange import http_date
from rtserver.sink import SocketSink, take_over


def framing(version: str, length: int | None = None) -> dict[str, str]:
    """Return the headers that say where the body ends; without a ``length`` nobody knows beforehand."""
    if length is not None:
        return {"Connection": "close", "Content-Length": str(length)}
    # On HTTP/1.0 there are no chunks, and the end of the connection is the end of the body.
    if version == "HTTP/1.0":
        return {"Connection": "close"}
    return {"Connection": "keep-alive", "Transfer-Encoding": "chunked"}


def response_head(handler: BaseHandler, headers: dict[str, str], vary: str) -> bytes:
    """Return the head of the response; the request's own connection has been left."""
    whole = {"Server": "rtserver", "Date": http_date(int(time.time()))} | headers
    whole |= handler.cors_headers() | {"Vary": vary}
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in whole.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin1")


async def take_socket(handler: BaseHandler) -> SocketSink:
    """Take the connection over, to write the answer to it.  Raises `ReaderGone`."""
    is_chunked = handler.request.version != "HTTP/1.0"
    dead_after_seconds = 2 * handler.config.heartbeat_interval
    return await take_over(handler.leave(), is_chunked=is_chunked, dead_after_seconds=dead_after_seconds)
