"""What all handlers share: who asks, the order of checks, and refusals (DESIGN 4).

Order: route and method, 401, 429, 403 and 404, 413 and 415, then the handler's own 400 and 409.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import cast

from tornado.httputil import HTTPHeaders, RequestStartLine

from rtserver.access import require_service
from rtserver.auth import Principal
from rtserver.errors import (
    Internal,
    InvalidTicket,
    Malformed,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RequestError,
    Unauthorized,
)
from rtserver.framing import Head
from rtserver.handlers import credentials, problem
from rtserver.handlers.answer import AnsweringHandler
from rtserver.handlers.body import RequestBody
from rtserver.handlers.cors import preflight_headers
from rtserver.handlers.exchange import METHODS, Request
from rtserver.handlers.query import Query
from rtserver.limits import Limiter
from rtserver.session import Session

log = logging.getLogger(__name__)


class BaseHandler(AnsweringHandler):
    """One request.  Subclasses define the methods they allow; ``GET`` brings ``HEAD`` with it."""

    # Methods for the roles service and admin alone.
    service_methods: frozenset[str] = frozenset()
    principal: Principal
    is_resumed = False  # whether it was checked and dealt with before it was read
    token: str | None = None  # by which the principal is known; a ticket is none, it has been used up

    def begin(self) -> None:
        self._query: Query | None = None
        self._is_by_cookie = False
        self._has_begun = False  # whether the request is answered after its body has been read
        self._refusal: RequestError | None = None
        self._body = RequestBody(self.request.headers, self.config.max_body_bytes)

    async def prepare(self) -> None:
        # Of what is refused, too: it is read to its end, and chunks need not have one.
        self.request.connection.set_max_body_size(self._body.transfer_limit)  # type: ignore[attr-defined]
        try:
            await self._check()
        except RequestError as error:
            if not self._body.is_worth_reading:
                raise
            self._body.is_refused = True
            self._refusal = error
        self._has_begun = True

    async def _check(self) -> None:
        """Refuse what can be refused before the body is read, in the contract's order."""
        if self.request.method == "OPTIONS":
            return
        if self.request.method not in self.allowed_methods():
            raise self.method_not_allowed()
        if self.needs_token:
            self.principal = self._known_principal() or await self._identify()
            if self.principal.is_participant:
                self._limit(self.limiter(), self.principal.subject)
        if self._is_by_cookie and self.request.method not in credentials.SAFE_METHODS:
            credentials.check_same_origin(self.request)
        if self.request.method in self.service_methods:
            require_service(self.principal)
        await self.authorize()
        self._body.check_head()

    def refusal(self) -> RequestError | None:
        return self._refusal

    def method_not_allowed(self) -> MethodNotAllowed:
        allowed = ", ".join([*self.allowed_methods(), "OPTIONS"])
        return MethodNotAllowed(f"{self.request.method} is not allowed here; allowed: {allowed}", allowed)

    def _known_principal(self) -> Principal | None:
        """Return who holds the token, where that is remembered: nothing has to be awaited then."""
        authorization = self.request.headers.get("Authorization")
        if authorization is None or not authorization.startswith("Bearer "):
            return None
        self.token = authorization[7:]
        return self.api.auth.known(self.token, time.time())

    async def authenticate(self) -> Principal:
        """Return who asks (DESIGN 4.1).  Raises `Unauthorized` and its kin."""
        verify = self.api.auth.verify
        self.token = credentials.bearer_token(self.request)
        if self.token is not None:
            return await verify(self.token)
        if "ticket" in self.query:
            return self.redeem_ticket()
        self.token = credentials.cookie_token(self.request)
        if self.token is not None:
            self._is_by_cookie = True
            return await verify(self.token)
        raise Unauthorized("send a token: Authorization: Bearer <token>")

    def redeem_ticket(self) -> Principal:
        """Return for whom the ticket in the address stands, which is used up by that."""
        raise InvalidTicket("a ticket is good for reading the session it was made for; send a token")

    async def _identify(self) -> Principal:
        try:
            return await self.authenticate()
        except Unauthorized:
            self._limit(self.api.address_limiter, self.client_address)
            raise

    def limiter(self) -> Limiter:
        """Return what limits how often one participant may do this."""
        return self.api.request_limiter

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
    @functools.cache
    def allowed_methods(cls) -> list[str]:
        """Return the methods this handler defines."""
        defined = [m for m in METHODS if hasattr(cls, m.lower())]
        return [m for m in defined if m != "HEAD" or "GET" in defined]

    def head(self, *arguments: str) -> Awaitable[None]:
        get: Callable[..., Awaitable[None]] = self.get  # type: ignore[attr-defined]
        return get(*arguments)

    def options(self, *arguments: str) -> None:
        allowed = ", ".join([*self.allowed_methods(), "OPTIONS"])
        self.set_header("Allow", allowed)
        if "Access-Control-Request-Method" in self.request.headers:
            self.set_headers(preflight_headers(allowed))
        self.set_status(204)

    # Reading

    @property
    def client_address(self) -> str:
        """Return who asks, behind the proxies that are believed."""
        forwarded_for = self.request.headers.get_list("X-Forwarded-For")
        return self.api.proxies.client_address(self.request.remote_ip or "", forwarded_for)

    @property
    def query(self) -> Query:
        if self._query is None:
            self._query = Query(self.request)
        return self._query

    def data_received(self, chunk: bytes) -> None:
        self._body.take(chunk)

    def body(self) -> bytes:
        """Return the request's body, inflated.  Raises `TooLarge` and `Malformed`."""
        return self._body.read()

    def write_error(self, error: Exception) -> None:
        """Answer with a problem document; a defect is logged, and the client is told that it is one (P7)."""
        if isinstance(error, RequestError):
            refusal = error
        else:
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=error)
            refusal = Internal("the server's log has the cause")
        self.hub.counters.refused[refusal.slug] += 1
        self.set_status(refusal.status)
        self.set_headers(refusal.headers())
        self.set_header("Content-Type", problem.MEDIA_TYPE)
        if not self._has_begun:
            # Refused before the body was read: the connection ends with this answer (RFC 9112 section 9.6).
            self.set_header("Connection", "close")
        self.send(problem.problem_body(refusal, self.config.base_path, self.request.path))

    def resume(self, head: Head, began_at: float, principal: Principal, body: bytes = b"") -> None:
        """Go on with a request that was checked and dealt with before it was read; only its answer is left."""
        line = RequestStartLine(head.method, head.target, head.version)
        self.request = Request(self._connection, line, cast(HTTPHeaders, head.fields))
        self.request.begun_at = began_at
        self._headers = self.default_headers()
        self.begin()
        self._has_begun = self.is_resumed = True
        self.principal = principal
        self.data_received(body)

    def on_finish(self) -> None:
        seconds = time.monotonic() - self.request.begun_at
        self.api.note_answer(self.named, self._status, seconds, self._body.received, self.answered_bytes)

    def named(self) -> tuple[str, str, str]:
        """Return what the log says of a request; the path without the query, that may hold a ticket."""
        return self.request.method, self.request.path, self.client_address


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
        principal = self.api.tickets.redeem(ticket, self.session_id, time.time(), keeps=is_look)
        if principal is None:
            raise InvalidTicket("the ticket is not of this session, has been used, or has expired; get a new one")
        return principal

    @property
    def session_id(self) -> str:
        return self.path_args[0]

    async def authorize(self) -> None:
        if self.hub.session_at_hand(self.principal, self.session_id) is None:
            await self.session()

    async def session(self) -> Session:
        """Return the session, for use until the next await; it may leave memory then."""
        return await self.hub.session_for(self.principal, self.session_id)


class UnknownRoute(BaseHandler):
    """Everything that is nowhere."""

    needs_token = False

    async def _check(self) -> None:
        raise NotFound(f"{self.request.path[:200]} is not an address of this server")
