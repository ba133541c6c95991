"""``GET /api/sessions/{id}/updates``: long polls, and with ``since`` short polls (DESIGN 4.6)."""

from __future__ import annotations

import time

from rtserver.conditional import Validators, make_etag, validate
from rtserver.cursor import Edge, Since, Start, decode_id
from rtserver.errors import Malformed, ReaderGone
from rtserver.handlers.base import SessionHandler
from rtserver.polls import Answer
from rtserver.readers import Poll
from rtserver.timestamps import parse_timestamp
from rtserver.updates import long_poll_body, short_poll_body

MAX_PAGE = 100
SHORT_POLL_PAGE = 50
MAX_CLIENT_ID = 128
# To whom a round trip costs more than this, one answer with a burst is worth a quarter of a second.
FAR_AWAY_MS = 500
LINGER_SECONDS = 0.25
MAX_ROUND_TRIP_MS = 600_000


class Updates(SessionHandler):
    poll: Poll | None = None

    async def get(self, *path: str) -> None:
        self._read_query()
        self.poll = self._short_poll(self.since) if self.since else self._long_poll()
        try:
            answer = await self.hub.poll(self.principal, self.session_id, self.poll)
        except ReaderGone:
            return
        self.set_header("Last-Event-ID", answer.cursor)
        self.set_header("Poll-Interval", str(answer.poll_interval_seconds))
        self.vary_on("Save-Data")
        if self.since:
            self._answer_short(answer)
        else:
            self._answer_long(answer)

    def on_connection_close(self) -> None:
        if self.poll is not None:
            self.poll.fail(ReaderGone())

    # Reading

    def _read_query(self) -> None:
        """Read every parameter of both tiers: what is malformed is an error on either."""
        query, longest = self.query, round(self.config.poll_timeout)
        since = query.text("since")
        self.since = Since(since, parse_timestamp(since, "since")) if since is not None else None
        self.start: Start = query.start(default=self.since or Edge.NOW)
        self.timeout = query.integer("timeout", longest, 0, longest, clamps=True)
        batch = query.integer("batchSize", SHORT_POLL_PAGE if self.since else MAX_PAGE, 1, MAX_PAGE)
        self.limit = query.integer("limit", batch if self.since else MAX_PAGE, 1, MAX_PAGE)
        self.types = query.event_types()
        self.wants_typing = query.boolean("includeTyping")
        self.is_compact = query.boolean("compact", default=query.hint("Save-Data").lower() == "on")
        self.round_trip_ms = query.integer("rtt", self._hinted_round_trip_ms(), 0, MAX_ROUND_TRIP_MS, clamps=True)
        self.client_id = query.text("clientId")
        if self.client_id is not None and not 1 <= len(self.client_id) <= MAX_CLIENT_ID:
            raise Malformed(f"clientId has {len(self.client_id)} characters; it must have 1 to {MAX_CLIENT_ID}")

    def _hinted_round_trip_ms(self) -> int:
        hint = self.query.hint("RTT")
        return int(hint) if hint.isascii() and hint.isdigit() and len(hint) < 10 else 0

    def _long_poll(self) -> Poll:
        timeout_seconds = 0 if self.request.method == "HEAD" else self.timeout
        is_far_away = self.round_trip_ms > FAR_AWAY_MS and timeout_seconds > 0
        return Poll(
            self.start,
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            timeout_seconds=timeout_seconds,
            expires_in_seconds=self.principal.expires_at - time.time(),
            limit=self.limit,
            types=self.types,
            client_id=self.client_id,
            linger_seconds=LINGER_SECONDS if is_far_away else 0,
        )

    def _short_poll(self, since: Since) -> Poll:
        return Poll(
            self.start,
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            timeout_seconds=0,
            expires_in_seconds=self.principal.expires_at - time.time(),
            limit=self.limit,
            types=self.types,
            states_after_us=since.timestamp_us,
            wants_typing=self.wants_typing,
        )

    # Answering

    def _answer_long(self, answer: Answer) -> None:
        self.set_header("Cache-Control", "no-cache, no-store")
        self.set_header("Pragma", "no-cache")
        if not answer.is_empty:
            self.answer_json(long_poll_body(answer, is_compact=self.is_compact))
            return
        self.set_status(204)
        if answer.is_replaced:
            self.set_header("Poll-Replaced", "true")
        self.set_header("Retry-After", str(round(self.config.poll_retry_after)))

    def _answer_short(self, answer: Answer) -> None:
        self.set_header("Cache-Control", "no-cache, private")
        # A gap is said to everybody who is in it, however often.
        if answer.reset is None and self.is_fresh(self._validators(answer)):
            return
        critical_types = frozenset(self.config.critical_types)
        self.answer_json(short_poll_body(answer, is_compact=self.is_compact, critical_types=critical_types))

    def _validators(self, answer: Answer) -> Validators:
        etag = make_etag(
            answer.cursor,
            answer.has_more,
            self.types and sorted(self.types),
            self.limit,
            self.wants_typing,
            self.is_compact,
            answer.states,
        )
        page_end_us = decode_id(answer.cursor).timestamp_us if answer.has_more else None
        return validate(
            etag,
            answer.newest_us,
            self.hub.writer.shown_until_us,
            page_end_us=page_end_us,
            # Passing states have no place in a date.
            by_etag_only=self.wants_typing or bool(answer.states),
        )
