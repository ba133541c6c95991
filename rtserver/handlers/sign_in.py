"""Signing in and out where no header can be sent: the cookie and tickets (DESIGN 4.1)."""

from __future__ import annotations

import secrets
import time
from http.cookies import Morsel, SimpleCookie

from rtserver.auth import Principal
from rtserver.errors import Malformed, Unauthorized
from rtserver.event import format_timestamp
from rtserver.handlers import credentials
from rtserver.handlers.base import BaseHandler, SessionHandler
from rtserver.handlers.credentials import COOKIE_NAME
from rtserver.handlers.exchange import Headers, http_date

# RFC 6265 section 6.1: browsers keep cookies of 4096 bytes, and drop larger ones without a word.
MAX_COOKIE_TOKEN = 3800
TICKET_BYTES = 24
# The end of the year 9999, beyond which no calendar here goes.
MAX_MOMENT = 253_402_300_799


class Logout(BaseHandler):
    """Takes the cookie back, whether it is still good or not."""

    needs_token = False

    async def post(self) -> None:
        self.sign_out()

    def sign_out(self) -> None:
        is_by_token = credentials.bearer_token(self.request) is not None
        if not is_by_token and credentials.cookie_token(self.request) is not None:
            credentials.check_same_origin(self.request)
        # A moment long past makes the browser forget it (RFC 6265 section 5.3).
        self.set_the_cookie("", {"expires": http_date(1)})
        self.set_status(204)

    def set_the_cookie(self, value: str, lasts: dict[str, str]) -> None:
        morsel: Morsel[str] = SimpleCookie({COOKIE_NAME: value})[COOKIE_NAME]
        morsel.update(lasts | {"path": self.config.base_path or "/", "httponly": "yes", "samesite": "Strict"})
        if credentials.is_over_tls(self.request, self.api.proxies):
            morsel["secure"] = "yes"
        self.set_header("Set-Cookie", morsel.OutputString())

    def default_headers(self) -> Headers:
        headers = super().default_headers()
        if "Cookie" not in headers["Vary"]:
            headers["Vary"] += ", Authorization, Cookie"
        return headers


class Cookie(Logout):
    async def post(self) -> None:
        token = credentials.bearer_token(self.request) or ""
        if len(token) > MAX_COOKIE_TOKEN:
            raise Malformed(f"the token has {len(token)} characters; a cookie can hold {MAX_COOKIE_TOKEN}")
        expires_at = min(self.principal.expires_at, MAX_MOMENT)
        # The age is for browsers whose clock is wrong; they prefer it (RFC 6265 section 5.3).
        max_age = max(0, int(expires_at - time.time()))
        self.set_the_cookie(token, {"expires": http_date(int(expires_at)), "max-age": str(max_age)})
        self.set_status(204)

    async def delete(self) -> None:
        self.sign_out()

    async def _check(self) -> None:
        # Signing in needs a token, signing out none.
        self.needs_token = self.request.method == "POST"
        await super()._check()

    async def authenticate(self) -> Principal:
        if credentials.bearer_token(self.request) is None:
            raise Unauthorized("send the token that the cookie is to hold: Authorization: Bearer <token>")
        return await super().authenticate()


class Tickets(SessionHandler):
    async def post(self, *path: str) -> None:
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        expires_at = self.api.tickets.issue(ticket, self.principal, self.session_id, time.time())
        self.answer({"ticket": ticket, "expiresAt": format_timestamp(round(expires_at * 1_000_000))}, 201)
