"""``GET /api/sessions/{id}/updates``: polls (DESIGN 4.6)."""

from __future__ import annotations

import time

import msgspec

from rtserver.cursor import Start
from rtserver.errors import Malformed, ReaderGone
from rtserver.handlers.base import SessionHandler
from rtserver.polls import Answer
from rtserver.readers import Poll

MAX_PAGE = 100
MAX_CLIENT_ID = 128

_encode = msgspec.json.Encoder().encode


class Updates(SessionHandler):
    poll: Poll | None = None

    async def get(self, *path: str) -> None:
        if self.query.text("since") is not None:
            raise Malformed("short polling (since) is not offered by this version; use lastEventId")
        self.poll = self._long_poll(self.query.start())
        try:
            answer = await self.hub.poll(self.principal, self.session_id, self.poll)
        except ReaderGone:
            return
        self._answer(answer)

    def on_connection_close(self) -> None:
        if self.poll is not None:
            self.poll.fail(ReaderGone())

    def _long_poll(self, start: Start) -> Poll:
        longest = self.config.poll_timeout
        timeout = self.query.integer("timeout", round(longest), 0, round(longest), clamps=True)
        client_id = self.query.text("clientId")
        if client_id is not None and not 1 <= len(client_id) <= MAX_CLIENT_ID:
            raise Malformed(f"clientId has {len(client_id)} characters; it must have 1 to {MAX_CLIENT_ID}")
        return Poll(
            start,
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            timeout_seconds=0 if self.request.method == "HEAD" else timeout,
            expires_in_seconds=self.principal.expires_at - time.time(),
            limit=self.query.integer("limit", MAX_PAGE, 1, MAX_PAGE),
            types=self.query.event_types(),
            client_id=client_id,
        )

    def _answer(self, answer: Answer) -> None:
        self.set_header("Cache-Control", "no-cache, no-store")
        self.set_header("Pragma", "no-cache")
        self.set_header("Last-Event-ID", answer.cursor)
        if answer.is_empty:
            self.set_status(204)
            if answer.is_replaced:
                self.set_header("Poll-Replaced", "true")
            self.set_header("Retry-After", str(round(self.config.poll_retry_after)))
            return
        self.answer_json(long_poll_body(answer))


def long_poll_body(answer: Answer) -> bytes:
    """Return the JSON of a long poll; its events are bytes that were encoded when they were published."""
    rest = {
        "lastEventId": answer.cursor,
        "hasMore": answer.has_more,
        "nextPollDelay": 0,
    }
    if answer.reset is not None:
        rest["reset"] = answer.reset
    if answer.is_closed:
        rest["closed"] = True
    return b'{"events":[%b],%b' % (b",".join(answer.items), _encode(rest)[1:])
