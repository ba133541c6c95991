"""What the handlers of one server share, and which of them a request is for."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import unquote

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from rtserver.addresses import Proxies
from rtserver.auth import Authenticator
from rtserver.config import Config
from rtserver.hub import Hub
from rtserver.limits import Limiter
from rtserver.tickets import Tickets

access_log = logging.getLogger("rtserver.access")

# Paths are few and asked for again: so many are remembered, up to so long (P4).
MAX_KNOWN_PATHS = 10_000
MAX_KNOWN_BYTES = 512


class Handler(Protocol):
    """What makes the delegate of one request; see `rtserver.handlers.exchange`."""

    def __call__(self, api: Api, connection: HTTPConnection, path_args: tuple[str, ...]) -> HTTPMessageDelegate: ...


class Api(HTTPServerConnectionDelegate):
    """The routes, and what their handlers share."""

    def __init__(self, routes: list[tuple[str, Any]], hub: Hub, auth: Authenticator, config: Config) -> None:
        """``routes`` are patterns of whole paths, each with its handler; the first that fits is taken."""
        self.hub = hub
        self.auth = auth
        self.config = config
        self.proxies = Proxies(config.trusted_proxies)
        self.tickets = Tickets(config.ticket_ttl, config.max_tickets)
        self.request_limiter = Limiter(config.rate_limit)
        self.stream_limiter = Limiter(config.stream_rate_limit)
        # A whole branch sits behind one address: only what has no valid token is counted by it.
        self.address_limiter = Limiter(config.rate_limit)
        self.told: dict[Any, Any] = {}  # what waiting polls were told last (`rtserver.handlers.standing`)
        # One pattern for all: which of its groups matched says which route it is.
        self._pattern = re.compile("|".join(f"({path})" for path, _ in routes))
        self._known: dict[str, tuple[Handler, tuple[str, ...]]] = {}
        self._handlers: dict[int, tuple[Handler, int]] = {}
        group = 1
        for path, make in routes:
            count = re.compile(path).groups
            self._handlers[group] = make, count
            group += 1 + count

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return _Incoming(self, request_conn)

    def handler(self, connection: HTTPConnection, path: str) -> HTTPMessageDelegate:
        """Return a new handler for a request to ``path``."""
        make, path_args = self._known.get(path) or self._find(path)
        return make(self, connection, path_args)

    def note_answer(
        self,
        named: Callable[[], tuple[str, str, str]],
        status: int,
        seconds: float,
        received_bytes: int,
        sent_bytes: int,
    ) -> None:
        """Count an answer, and log it where that is wanted; ``named`` gives method, path and who asked."""
        counters = self.hub.counters
        counters.answered[status] += 1
        counters.request_seconds.observe(seconds)
        counters.request_bytes += received_bytes
        counters.answer_bytes += sent_bytes
        if access_log.isEnabledFor(logging.INFO):
            method, path, address = named()
            access_log.info("%s %s %s %.1fms %s", method, path, status, seconds * 1000, address)

    def _find(self, path: str) -> tuple[Handler, tuple[str, ...]]:
        """Return what makes the handler, and the variable parts of the path, decoded."""
        match = self._pattern.fullmatch(path)
        assert match is not None and match.lastindex is not None, "the last route takes everything"
        # The outer group is closed last.
        make, count = self._handlers[match.lastindex]
        parts = match.groups()[match.lastindex : match.lastindex + count]
        # What is not UTF-8 becomes a name that nothing has, so that the checks keep their order.
        found = make, tuple(unquote(part, errors="replace") if "%" in part else part for part in parts)
        if len(path) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_KNOWN_PATHS:
                self._known.clear()
            self._known[path] = found
        return found


class _Incoming(HTTPMessageDelegate):
    """A request until its head is known, and the way to its handler afterwards."""

    def __init__(self, api: Api, connection: HTTPConnection) -> None:
        self._api = api
        self._connection = connection
        self._handler: HTTPMessageDelegate

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        self._handler = self._api.handler(self._connection, start_line.path.partition("?")[0])
        return self._handler.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._handler.data_received(chunk)

    def finish(self) -> None:
        self._handler.finish()

    def on_connection_close(self) -> None:
        self._handler.on_connection_close()
