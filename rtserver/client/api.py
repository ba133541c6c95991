"""The requests of a client, each by its name: paths, parameters, headers and time limits (DESIGN section 4).

A 401 is answered by asking for another token, once; what else an answer means is for others to say.
"""

from __future__ import annotations

import contextlib
import gzip
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from urllib.parse import quote, urlencode

import msgspec

from rtserver.client.answer import Answer, Head
from rtserver.client.delays import Heartbeat
from rtserver.client.position import moment_of
from rtserver.client.reporter import Told
from rtserver.client.tokens import Tokens
from rtserver.client.transport import Transport

# For what is answered at once, and beyond the time that a poll was asked to be held.
REQUEST_SECONDS = 10.0
HISTORY_PAGE = 100
# Below, gzip saves less than its headers cost.
GZIP_MIN_BYTES = 1024
REPORTS = "/api/diagnostics/reports"
USER_AGENT = "rtserver.client"


class Api:
    """One session, asked as one client; ``client_id`` tells its polls from those of others.

    ``round_trip_ms`` is how long the last request took that was answered at once; None before any.
    """

    def __init__(
        self, transport: Transport, session_id: str, tokens: Tokens, event_types: Sequence[str] | None = None
    ) -> None:
        self.tokens = tokens
        self.client_id = f"py-{uuid.uuid4()}"
        self.round_trip_ms: int | None = None
        self.heartbeat = Heartbeat()
        self._transport = transport
        self.session_id = session_id
        self._path = f"/api/sessions/{quote(session_id, safe='')}"
        self._types = {"eventTypes": ",".join(event_types)} if event_types else {}

    async def snapshot(self) -> Answer:
        return await self._get("")

    async def messages(self, limit: int, before: str | None = None) -> Answer:
        return await self._get("/messages", {"limit": limit, **({"before": before} if before else {})})

    async def control(self, cursor: str) -> Answer:
        """Ask what is new, at once; beside whatever runs, so not in its name."""
        return await self._updates(cursor, {"timeout": 0, "clientId": f"{self.client_id}-control"})

    async def long_poll(self, cursor: str, held_seconds: int) -> Answer:
        query: dict[str, str | int] = {"timeout": held_seconds, "clientId": self.client_id}
        if self.round_trip_ms is not None:
            # To whom a round trip costs much, a burst comes in one answer.
            query["rtt"] = self.round_trip_ms
        return await self._updates(cursor, query, timeout_seconds=held_seconds + REQUEST_SECONDS)

    async def short_poll(self, cursor: str, since: str | None, etag: str | None) -> Answer:
        """``since`` is ``lastModified`` of the page before, as it was written."""
        query = {"since": since or moment_of(cursor), "clientId": self.client_id}
        return await self._updates(cursor, query, {"If-None-Match": etag} if etag else {})

    async def publish(self, body: bytes) -> Answer:
        """Publish; what ``body`` says may be repeated without harm, because it holds a messageId."""
        headers = {"Content-Type": "application/json"}
        if len(body) >= GZIP_MIN_BYTES:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        return await self._ask("POST", "/events", headers, body, REQUEST_SECONDS)

    async def report(self, told: Told) -> None:
        """Tell the server which tier this client is on; whatever it answers is as good as any other answer."""
        fields = {
            "clientId": self.client_id,
            "sessionId": self.session_id,
            "tier": told.tier,
            "previousTier": told.previous_tier,
            "reason": told.reason,
            "rttMs": self.round_trip_ms,
            "attempts": told.attempts,
            "userAgent": USER_AGENT,
        }
        headers = {"Content-Type": "application/json"} | await self.tokens.headers()
        body = msgspec.json.encode(fields)
        await self._transport.request("POST", REPORTS, headers, body, timeout_seconds=REQUEST_SECONDS)

    @contextlib.asynccontextmanager
    async def stream(self, cursor: str) -> AsyncIterator[tuple[Head, AsyncGenerator[bytes, None]]]:
        """Open the event stream from a cursor on; the answer may be a refusal."""
        query: dict[str, str | int] = {"lastEventId": cursor, **self._types}
        if self.heartbeat.seconds is not None:
            query["heartbeat"] = self.heartbeat.seconds
        path = f"{self._path}/events?{urlencode(query)}"
        for is_last in (False, True):
            headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | await self.tokens.headers()
            async with self._transport.stream(path, headers, timeout_seconds=REQUEST_SECONDS) as (head, pieces):
                if head.status != 401 or is_last or not await self.tokens.renew():
                    yield head, pieces
                    return

    async def _updates(
        self,
        cursor: str,
        query: Mapping[str, str | int],
        headers: dict[str, str] | None = None,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Answer:
        query = {"lastEventId": cursor, **query, **self._types}
        return await self._get("/updates", query, headers, timeout_seconds)

    async def _get(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        headers: dict[str, str] | None = None,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Answer:
        target = f"{path}?{urlencode(query)}" if query else path
        return await self._ask("GET", target, headers or {}, None, timeout_seconds)

    async def _ask(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None, timeout_seconds: float
    ) -> Answer:
        async def ask() -> Answer:
            sent = {"Accept": "application/json"} | headers | await self.tokens.headers()
            return await self._transport.request(
                method, self._path + target, sent, body, timeout_seconds=timeout_seconds
            )

        clock = self._transport.clock
        began_at = clock.now()
        answer = await ask()
        if method == "GET" and timeout_seconds == REQUEST_SECONDS:
            self.round_trip_ms = round((clock.now() - began_at) * 1000)
        return await ask() if answer.status == 401 and await self.tokens.renew() else answer
