"""Signing in and out where no header can be sent: the cookie and tickets (DESIGN 4.1)."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from rtserver.auth import Principal
from rtserver.errors import Malformed, Unauthorized
from rtserver.event import format_timestamp
from rtserver.handlers import credentials
from rtserver.handlers.base import BaseHandler, SessionHandler

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
        self.clear_cookie(
            credentials.COOKIE_NAME,
            path=self.cookie_path,
            httponly=True,
            samesite="Strict",
            secure=credentials.is_over_tls(self.request),
        )
        self.set_status(204)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.vary_on("Authorization")
        self.vary_on("Cookie")

    @property
    def cookie_path(self) -> str:
        return self.config.base_path or "/"


class Cookie(Logout):
    async def post(self) -> None:
        token = credentials.bearer_token(self.request) or ""
        if len(token) > MAX_COOKIE_TOKEN:
            raise Malformed(f"the token has {len(token)} characters; a cookie can hold {MAX_COOKIE_TOKEN}")
        expires_at = min(self.principal.expires_at, MAX_MOMENT)
        self.set_cookie(
            credentials.COOKIE_NAME,
            token,
            path=self.cookie_path,
            expires=datetime.fromtimestamp(expires_at, UTC),
            # For browsers whose clock is wrong; they prefer it (RFC 6265 section 5.3).
            max_age=max(0, int(expires_at - time.time())),
            httponly=True,
            samesite="Strict",
            secure=credentials.is_over_tls(self.request),
        )
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
        expires_at = self.application.tickets.issue(ticket, self.principal, self.session_id, time.time())
        self.answer({"ticket": ticket, "expiresAt": format_timestamp(round(expires_at * 1_000_000))}, 201)
