"""One request and its answer, straight on Tornado's HTTP messages.

A handler here is what `tornado.web.RequestHandler` is there, with what this server needs of it and no more
(docs/decisions/wire.rst has the figures).  It speaks Tornado's public
`HTTPMessageDelegate` and `HTTPConnection`, so that whatever reads the wire can be put under it.

A request that never has to wait runs to its end within the call that brought it; what waits becomes a task, or is
called back (`LATER`).

Knows nothing of tokens, sessions or JSON.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from http.client import responses
from typing import Any, cast

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Answers that have no body, and nothing said of one (RFC 9110 sections 15.3.5 and 15.4.5).
BODILESS = (204, 304)

# One date a second is formatted, and read by every answer of that second.
http_date = functools.lru_cache(maxsize=64)(format_timestamp)


class Headers(dict[str, str]):
    """The headers of an answer, each there once, as `HTTPConnection.write_headers` takes them."""

    get_all = dict.items


class Request:
    """What a client asks.  ``path`` and ``query`` are as they were sent; ``headers`` are found by names in any case."""

    __slots__ = (
        "begun_at", "connection", "headers", "host", "method", "path", "protocol", "query", "remote_ip", "version",
    )  # fmt: skip

    def __init__(self, connection: HTTPConnection, line: RequestStartLine, headers: HTTPHeaders) -> None:
        """Raises `HTTPInputError` where it is not said who is asked (RFC 9112 section 3.2)."""
        self.begun_at = time.monotonic()
        self.connection = connection
        self.headers = headers
        self.method, uri, self.version = line
        self.path, _, self.query = uri.partition("?")
        if "Host" not in headers and self.version != "HTTP/1.0":
            raise HTTPInputError("Missing Host header")
        self.host: str = headers.get("Host") or ""
        context = connection.context  # type: ignore[attr-defined]
        self.remote_ip: str = context.remote_ip
        self.protocol: str = context.protocol


class Later(enum.Enum):
    """What a method returns that has asked somebody who will call back: the answer comes then."""

    LATER = "later"


LATER = Later.LATER


class Exchange(HTTPMessageDelegate):
    """One request.  Subclasses define a method for each HTTP method they allow: ``get``, ``post``, ...

    A method answers and returns None, or is a coroutine, or returns `LATER` and has `answer_later` called.
    """

    def __init__(self, connection: HTTPConnection, path_args: tuple[str, ...]) -> None:
        """``path_args`` are the variable parts of the path, decoded."""
        self.path_args = path_args
        self.is_answered = False
        self.answered_body = b""
        self._connection = connection
        self._status = 200
        self._task: asyncio.Task[None] | None = None

    # What subclasses give

    def begin(self) -> None:
        """Called once the request is known; ``self.request`` is there."""

    async def prepare(self) -> None:
        """Refuse what can be refused before the body is read."""

    def data_received(self, chunk: bytes) -> None:
        """Take a part of the body."""

    def refusal(self) -> Exception | None:
        """Return why the request is refused now that its body has been read."""
        return None

    def default_headers(self) -> Headers:
        """Return what every answer says."""
        return Headers()

    def write_error(self, error: Exception) -> None:
        """Answer with what went wrong."""
        raise NotImplementedError

    def on_connection_close(self) -> None:
        """The client has gone before it had its answer."""

    def on_finish(self) -> None:
        """The answer has been given."""

    # HTTPMessageDelegate

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        request_line = cast(RequestStartLine, start_line)
        self.request = Request(self._connection, request_line, headers)
        self._headers = self.default_headers()
        self.begin()
        self._task = start(self._prepare())
        return self._task

    def finish(self) -> None:
        if not self.is_answered:
            # While the connection reads, it says itself that the client has gone.
            self._connection.set_close_callback(self.on_connection_close)  # type: ignore[attr-defined]
            try:
                refusal = self.refusal()
                if refusal is not None:
                    raise refusal
                answering = getattr(self, self.request.method.lower())(*self.path_args)
            except Exception as error:
                self.fail(error)
                return
            if answering is None:
                self._end_if_open()
            elif answering is not LATER:
                self._task = start(self._wait_for(answering))

    # Answering

    def set_status(self, status: int) -> None:
        self._status = status

    def get_status(self) -> int:
        return self._status

    @property
    def answered_bytes(self) -> int:
        return len(self.answered_body)

    def set_header(self, name: str, value: str) -> None:
        self._headers[name] = value

    def end(self, body: bytes = b"", *, says_length: bool = True) -> None:
        """Send the answer; after that there is no other.

        Without ``says_length`` the answer to a HEAD is of something that has no length.
        """
        assert not self.is_answered, "a request is answered once"
        self.is_answered = True
        headers, status = self._headers, self._status
        if status in BODILESS:
            headers.pop("Content-Type", None)
            headers.pop("Content-Encoding", None)
            body = b""
        elif says_length:
            headers["Content-Length"] = str(len(body))
        if "Date" not in headers:
            headers["Date"] = http_date(int(time.time()))
        line = ResponseStartLine("HTTP/1.1", status, responses.get(status, "Unknown"))
        if self.request.method == "HEAD":
            body = b""
        self.answered_body = body
        self._connection.write_headers(line, cast(HTTPHeaders, headers), body)
        self._connection.finish()
        self.on_finish()

    def leave(self) -> HTTPConnection:
        """Return the connection for something else than HTTP's answers: what is written to it is the caller's."""
        self.is_answered = True
        self.on_finish()
        return self._connection

    def fail(self, error: Exception) -> None:
        """Answer with what went wrong, unless there is an answer already."""
        if self.is_answered:
            log.error("%s %s failed after its answer", self.request.method, self.request.path, exc_info=error)
            return
        self._headers, self._status = self.default_headers(), 500
        self.write_error(error)

    def answer_later(self, answer: Callable[[Any], None], outcome: Any) -> None:
        """Answer with what was waited for; a defect in that is an answer, too."""
        try:
            answer(outcome)
            self._end_if_open()
        except Exception as error:
            self.fail(error)

    def _end_if_open(self) -> None:
        if not self.is_answered:
            self.end()

    async def _prepare(self) -> None:
        try:
            await self.prepare()
        except Exception as error:
            self.fail(error)

    async def _wait_for(self, answering: Awaitable[None]) -> None:
        try:
            await answering
            self._end_if_open()
        except Exception as error:
            self.fail(error)


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run a coroutine until it waits for the first time; return what is left of it, if anything, as a task.

    A task that has nothing to wait for would cost two turns of the loop.  (Python 3.12 has eager tasks of its own.)
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_rest(coroutine, awaited))


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that waits for ``awaited``."""
    while True:
        try:
            try:
                sent = yield awaited
            except BaseException as error:
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(sent)
        except StopIteration:
            return
