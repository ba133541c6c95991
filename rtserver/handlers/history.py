"""``GET /api/sessions/{id}/messages`` and ``.../events/{eventId}``: what was said before (DESIGN 4.2)."""

from __future__ import annotations

import msgspec

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
        page = await self.hub.history(self.principal, self.session_id, before, limit)
        # To be asked for every time: membership can end, and the session's end moves with every event.
        self.set_header("Cache-Control", "no-cache, private")
        self.answer_json(history_body(page))


class OneEvent(SessionHandler):
    async def get(self, session_id: str, event_id: str) -> None:
        try:
            place = parse_cursor(event_id, "the event's id")
        except Malformed as error:
            # An address that names nothing, as with any other id in a path.
            raise EventNotFound(error.detail) from None
        event = await self.hub.event(self.principal, self.session_id, place)
        self.set_header("Cache-Control", "no-cache, private")
        self.answer_json(event.item)


def history_body(page: HistoryPage) -> bytes:
    """Return the JSON of a page; its messages are bytes that were encoded when they were published."""
    rest = {"hasMore": page.has_more, "next": page.next, "lastEventId": page.last_event_id}
    if page.reset is not None:
        rest["reset"] = page.reset
    return b'{"messages":[%b],%b' % (b",".join(event.item for event in page.messages), _encode(rest)[1:])
