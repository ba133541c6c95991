"""What all handlers share: the order of checks, and the frame of every answer (DESIGN 4).

Order: route and method, 401, 429, 403 and 404, 413 and 415, then the handler's own 400 and 409.
"""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Awaitable
from typing import Any

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.httputil import format_timestamp
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from rtserver.auth import Authenticator, Principal
from rtserver.conditional import Validators, is_not_modified, make_etag, validate
from rtserver.config import Config
from rtserver.errors import (
    InvalidTicket,
    Malformed,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RequestError,
    Unauthorized,
)
from rtserver.handlers import credentials, problem
from rtserver.handlers.body import RequestBody
from rtserver.handlers.cors import cors_headers, preflight_headers
from rtserver.handlers.negotiation import accepts_gzip
from rtserver.handlers.query import Query
from rtserver.hub import Hub, require_service
from rtserver.limits import Limiter
from rtserver.session import Session
from rtserver.tickets import Tickets

log = logging.getLogger(__name__)
access_log = logging.getLogger("rtserver.access")

# Above this, text hardly shrinks further and each level doubles the time.
GZIP_LEVEL = 5
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_encode = msgspec.json.Encoder().encode


class Api(Application):
    """The routes, and what their handlers share."""

    def __init__(
        self, routes: list[tuple[str, type[RequestHandler]]], hub: Hub, auth: Authenticator, config: Config
    ) -> None:
        self.hub = hub
        self.auth = auth
        self.config = config
        self.tickets = Tickets(config.ticket_ttl, config.max_tickets)
        self.request_limiter = Limiter(config.rate_limit)
        self.stream_limiter = Limiter(config.stream_rate_limit)
        # A whole branch sits behind one address: only what has no valid token is counted by it.
        self.address_limiter = Limiter(config.rate_limit)
        super().__init__(list(routes))


@stream_request_body
class BaseHandler(RequestHandler):
    """One request.  Subclasses define the methods they allow; ``GET`` brings ``HEAD`` with it."""

    needs_token = True
    # Methods for the roles service and admin alone.
    service_methods: frozenset[str] = frozenset()
    principal: Principal
    application: Api

    def initialize(self) -> None:
        self._is_by_cookie = False
        self._has_begun = False  # whether the request is answered after its body has been read
        self._body = RequestBody(self.request.headers, self.config.max_body_bytes)

    @property
    def hub(self) -> Hub:
        return self.application.hub

    @property
    def config(self) -> Config:
        return self.application.config

    async def prepare(self) -> None:
        try:
            await self._check()
        except RequestError as error:
            if not self._body.is_worth_reading:
                raise
            self._refuse_after_reading(error)
        self._has_begun = True

    async def _check(self) -> None:
        """Refuse what can be refused before the body is read, in the contract's order."""
        if self.request.method == "OPTIONS":
            return
        if self.request.method not in self.allowed_methods():
            raise self.method_not_allowed()
        if self.needs_token:
            self.principal = await self._identify()
            if self.principal.is_participant:
                self._limit(self.limiter(), self.principal.subject)
        if self._is_by_cookie and self.request.method not in credentials.SAFE_METHODS:
            credentials.check_same_origin(self.request)
        if self.request.method in self.service_methods:
            require_service(self.principal)
        await self.authorize()
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(self._body.transfer_limit)
        self._body.check_head()

    def _refuse_after_reading(self, error: RequestError) -> None:
        def refuse(*arguments: str) -> None:
            raise error

        self._body.is_refused = True
        setattr(self, str(self.request.method).lower(), refuse)

    def method_not_allowed(self) -> MethodNotAllowed:
        allowed = ", ".join([*self.allowed_methods(), "OPTIONS"])
        return MethodNotAllowed(f"{self.request.method} is not allowed here; allowed: {allowed}", allowed)

    async def authenticate(self) -> Principal:
        """Return who asks (DESIGN 4.1).  Raises `Unauthorized` and its kin."""
        verify = self.application.auth.verify
        token = credentials.bearer_token(self.request)
        if token is not None:
            return await verify(token)
        if "ticket" in self.query:
            return self.redeem_ticket()
        token = credentials.cookie_token(self.request)
        if token is not None:
            self._is_by_cookie = True
            return await verify(token)
        raise Unauthorized("send a token: Authorization: Bearer <token>")

    def redeem_ticket(self) -> Principal:
        """Return for whom the ticket in the address stands, which is used up by that."""
        raise InvalidTicket("a ticket is good for reading the session it was made for; send a token")

    async def _identify(self) -> Principal:
        try:
            return await self.authenticate()
        except Unauthorized:
            self._limit(self.application.address_limiter, self.request.remote_ip or "")
            raise

    def limiter(self) -> Limiter:
        """Return what limits how often one participant may do this."""
        return self.application.request_limiter

    def _limit(self, limiter: Limiter, name: str) -> None:
        wait_seconds = limiter.take(name, time.monotonic())
        if wait_seconds:
            raise RateLimited(
                f"more than {limiter.per_second:g} a second are not allowed, beyond a burst of {limiter.burst:g}; "
                f"come back in {wait_seconds:.1f} s",
                wait_seconds,
            )

    async def authorize(self) -> None:
        """Refuse what the principal may not, before the body is read."""

    @classmethod
    def allowed_methods(cls) -> list[str]:
        """Return the methods this handler defines."""
        defined = [m for m in METHODS if getattr(cls, m.lower()) is not getattr(RequestHandler, m.lower())]
        return [m for m in defined if m != "HEAD" or "GET" in defined]

    def head(self, *arguments: str) -> Awaitable[None] | None:
        return self.get(*arguments)

    def options(self, *arguments: str) -> None:
        allowed = ", ".join([*self.allowed_methods(), "OPTIONS"])
        self.set_header("Allow", allowed)
        if "Access-Control-Request-Method" in self.request.headers:
            self._set_headers(preflight_headers(allowed))
        self.set_status(204)

    # Reading

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        # What is not UTF-8 becomes a name that nothing has, so that the checks keep their order.
        return value.decode(errors="replace")

    @property
    def query(self) -> Query:
        return Query(self.request)

    def data_received(self, chunk: bytes) -> None:
        self._body.take(chunk)

    def body(self) -> bytes:
        """Return the request's body, inflated.  Raises `TooLarge` and `Malformed`."""
        return self._body.read()

    # Answering

    def set_default_headers(self) -> None:
        self.set_header("Server", "rtserver")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self._set_headers(self.cors_headers())
        # Every answer may be one with a body, which is gzipped for some.
        self.vary_on("Accept-Encoding")
        if self.needs_token:
            self.vary_on("Authorization")
            self.vary_on("Cookie")

    def cors_headers(self) -> dict[str, str]:
        return cors_headers(self.config.cors_origins, self.request.headers.get("Origin"))

    def _set_headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.set_header(name, value)

    def vary_on(self, name: str) -> None:
        """Say that the answer depends on this request header (RFC 9110 section 12.5.5)."""
        others = self._headers.get("Vary", "")
        if name not in others.split(", "):
            self.set_header("Vary", f"{others}, {name}" if others else name)

    def answer(self, document: Any, status: int = 200) -> None:
        """Answer with a JSON document."""
        self.answer_json(_encode(document), status)

    def answer_json(self, body: bytes, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.send(body)

    def send(self, body: bytes) -> None:
        """Finish with a body, gzipped if that is worth it and wanted."""
        if len(body) > self.config.gzip_min_bytes and accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
            self.set_header("Content-Encoding", "gzip")
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        self.finish(body)

    def answer_if_changed(self, document: Any, session: Session) -> None:
        """Answer with a document about a session, or with 304 if the client has it."""
        body = _encode(document)
        self.set_header("Cache-Control", "no-cache, private")
        validators = validate(
            make_etag(body),
            session.modified_at_us,
            self.hub.writer.shown_until_us,
            # A removal that the disk has not taken yet has no time.
            by_etag_only=bool(session.unsaved_removals),
        )
        if not self.is_fresh(validators):
            self.answer_json(body)

    def is_fresh(self, validators: Validators) -> bool:
        """Send the validators, and say whether the client has this answer already: then it is a 304 (DESIGN 4.6)."""
        self.set_header("ETag", validators.etag)
        self.set_header("Date", format_timestamp(validators.date_at))
        self.set_header("Last-Modified", format_timestamp(validators.last_modified_at))
        headers = self.request.headers
        if is_not_modified(validators, headers.get_list("If-None-Match"), headers.get_list("If-Modified-Since")):
            self.set_status(304)
            return True
        return False

    def compute_etag(self) -> str | None:
        # Tornado would hash every answer and send 304 on its own; validators here have rules (DESIGN 4.6).
        return None

    def write_error(self, status_code: int, **arguments: Any) -> None:
        """Answer with a problem document."""
        error = problem.as_request_error(arguments["exc_info"][1], self.method_not_allowed())
        self.set_status(error.status)
        self._set_headers(error.headers())
        self.set_header("Content-Type", problem.MEDIA_TYPE)
        if not self._has_begun:
            # Refused before the body was read: the connection ends with this answer (RFC 9112 section 9.6).
            self.set_header("Connection", "close")
        self.send(problem.problem_body(error, self.config.base_path, self.request.path))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if not isinstance(value, RequestError | HTTPError):
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=value)

    def _log(self) -> None:
        # The path without the query: that may hold a ticket.
        access_log.info(
            "%s %s %s %.1fms %s",
            *(self.request.method, self.request.path, self.get_status()),
            *(self.request.request_time() * 1000, self.request.remote_ip),
        )


class SessionHandler(BaseHandler):
    """A route under a session: the first part of its path is the session's id."""

    def redeem_ticket(self) -> Principal:
        if self.request.method not in ("GET", "HEAD"):
            return super().redeem_ticket()
        try:
            ticket = self.query.text("ticket") or ""
        except Malformed:
            ticket = ""
        is_look = self.request.method == "HEAD"
        principal = self.application.tickets.redeem(ticket, self.session_id, time.time(), keeps=is_look)
        if principal is None:
            raise InvalidTicket("the ticket is not of this session, has been used, or has expired; get a new one")
        return principal

    @property
    def session_id(self) -> str:
        return str(self.path_args[0])

    async def authorize(self) -> None:
        await self.session()

    async def session(self) -> Session:
        """Return the session, for use until the next await; it may leave memory then."""
        return await self.hub.session_for(self.principal, self.session_id)


class UnknownRoute(BaseHandler):
    """Everything that is nowhere."""

    needs_token = False

    async def _check(self) -> None:
        raise NotFound(f"{self.request.path[:200]} is not an address of this server")
