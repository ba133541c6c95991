"""``GET /api/sessions/{id}/messages`` and ``.../events/{eventId}``: what was said before (DESIGN 4.2).

What the contract leaves open is decided in docs/decisions/history.rst.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rtserver.conditional import Validators, make_etag, validate
from rtserver.cursor import parse_cursor
from rtserver.errors import EventNotFound, Malformed
from rtserver.handlers.base import SessionHandler
from rtserver.history import HistoryPage

MAX_PAGE = 100
DEFAULT_PAGE = 50

_encode = msgspec.json.Encoder().encode


class Messages(SessionHandler):
    async def get(self, *path: str) -> None:
        limit = self.query.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE)
        text = self.query.text("before")
        before = parse_cursor(text, "before") if text else None
        # Before the reading, which may take a while: a date must not vouch for what came in the meantime.
        now_us = self.hub.writer.shown_until_us
        page = await self.hub.history(self.principal, self.session_id, before, limit)
        # To be asked for every time: membership can end, and the session's end moves with every event.
        self.set_header("Cache-Control", "no-cache, private")
        if page.reset is not None or not self.is_fresh(history_validators(page, text, limit, now_us)):
            self.answer_json(history_body(page))


class OneEvent(SessionHandler):
    async def get(self, session_id: str, event_id: str) -> None:
        try:
            place = parse_cursor(event_id, "the event's id")
        except Malformed as error:
            # Like any other id in a path that cannot be one: the address names nothing.
            raise EventNotFound(error.detail) from None
        now_us = self.hub.writer.shown_until_us
        event = await self.hub.event(self.principal, self.session_id, place)
        if event is None:
            raise EventNotFound(
                f"the session has no event {event_id!r}: it was trimmed, is of an earlier life of it, or never "
                "was; ask with the id of an event that was read here, or its sequence"
            )
        # An event never changes, but membership can end and retention can take it: to be asked for every time.
        self.set_header("Cache-Control", "no-cache, private")
        if not self.is_fresh(validate(make_etag(event.id), event.timestamp_us, now_us)):
            self.answer_json(event.item)


def history_validators(page: HistoryPage, before: str | None, limit: int, now_us: int) -> Validators:
    """Return what a page is known by: a new event anywhere in the session, and trimming, make another answer of it."""
    # The ids stand for the messages: an event is immutable.
    ids = [message.id for message in page.messages]
    return validate(
        make_etag(before, limit, page.last_event_id, page.next, ids),
        page.last_timestamp_us,
        now_us,
        page_end_us=page.newest_us if page.has_more else None,
        # Retention leaves no date of when it took something away.
        by_etag_only=page.is_trimmed,
    )


def history_body(page: HistoryPage) -> bytes:
    """Return the JSON of a page; its messages are bytes that were encoded when they were published."""
    rest: dict[str, Any] = {"hasMore": page.has_more, "next": page.next, "lastEventId": page.last_event_id}
    if page.reset is not None:
        rest["reset"] = page.reset
    return b'{"messages":[%b],%b' % (b",".join(event.item for event in page.messages), _encode(rest)[1:])
