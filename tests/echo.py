"""An application that answers with what it was asked, so that a test sees where the wire says that a request ends.

`Line` is one connection without a socket; `serve` listens on one.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate, ResponseStartLine

from rtserver.handlers.exchange import Headers
from rtserver.handlers.problem import refuse
from rtserver.terms import Timeouts
from rtserver.wire import Connection, Wire


class Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = self.is_half_closed = self.is_paused = False

    def write(self, data):
        assert not self.is_closed and not self.is_half_closed
        self.written += data

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name == "peername" else default

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    abort = close

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.is_half_closed = True

    def pause_reading(self):
        self.is_paused = True

    def resume_reading(self):
        self.is_paused = False


class Echo(HTTPMessageDelegate):
    """Answers with what was asked; ``/later`` when it is told to, ``/early`` before the body."""

    def __init__(self, app, connection):
        self.app, self.connection, self.body, self.is_gone = app, connection, b"", False

    def headers_received(self, start_line, headers):
        self.line, self.headers = start_line, headers
        self.connection.set_close_callback(self.on_connection_close)
        if start_line.path == "/early":
            self.answer()

    def data_received(self, chunk):
        self.body += chunk

    def finish(self):
        self.app.asked.append(self)
        if self.line.path != "/later":
            self.answer()

    @property
    def seen(self) -> list[str]:
        """What was asked: method, target and body."""
        return [self.line.method, self.line.path, self.body.decode("latin1")]

    def answer(self):
        body = json.dumps(self.seen).encode()
        headers = Headers({"Content-Length": str(len(body))})
        if self.line.method == "HEAD":
            body = b""
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, body)
        self.connection.finish()

    def on_connection_close(self):
        self.is_gone = True


class App(HTTPServerConnectionDelegate):
    def __init__(self):
        self.asked: list[Echo] = []

    def start_request(self, server_conn, request_conn):
        return Echo(self, request_conn)


def wire_of(app: App) -> Wire:
    return Wire(app, lambda error, path: refuse("", error, path), Timeouts())


def answers_in(written: bytes, methods: list[str] | None = None) -> list[Any]:
    """Return the answers: for each its status, or what was echoed; ``methods`` are those of the requests."""
    found: list[Any] = []
    while written:
        head, _, written = written.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Content-Length" in line), 0)
        if methods and len(found) < len(methods) and methods[len(found)] == "HEAD":
            length = 0
        body, written = written[:length], written[length:]
        found.append(json.loads(body) if status == 200 and body else status)
    return found


class Line:
    """One connection to an echoing server."""

    def __init__(self, wire: Wire | None = None):
        self.app = App()
        self.wire = wire or wire_of(self.app)
        self.connection = Connection(self.wire)
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    def answers(self):
        return answers_in(self.transport.written)


@asynccontextmanager
async def serve() -> AsyncIterator[tuple[App, Wire, int]]:
    """Listen with the wire itself on a port of this machine."""
    app = App()
    wire = wire_of(app)
    listener = socket.create_server(("127.0.0.1", 0))
    await wire.start([listener], 100)
    try:
        yield app, wire, listener.getsockname()[1]
    finally:
        wire.stop()
        await wire.close(1)
