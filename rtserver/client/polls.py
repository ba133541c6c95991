"""The second and the third tier: one poll at a time, its events taken in, and when to ask again (DESIGN 4.6).

A verdict per poll; what follows from it is the machine's to say.
"""

from __future__ import annotations

from typing import Any

from rtserver.client.answer import Answer
from rtserver.client.api import Api
from rtserver.client.delays import DEFAULT_POLL_SECONDS, Hold, poll_seconds
from rtserver.client.errors import Blocked, ClientError
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Event
from rtserver.client.position import event_of_item, reset_of
from rtserver.client.timing import Clock
from rtserver.client.verdict import Verdict, judge, judge_error

# What a proxy says that has waited too long for an answer: it is asked to wait less, that is all.
WAITED_TOO_LONG = (502, 504)
# Who answers sooner has not waited.
SHORTEST_CUT_SECONDS = 0.5
NOTHING_NEW_PAUSE_SECONDS = 5.0
# What a poll says that was held and had no news, where the server does not say it.
DEFAULT_RETRY_AFTER_SECONDS = 5.0


class Polls:
    """``pause_seconds`` is how long to wait before the next poll; ``interval_seconds`` is that of short polls."""

    def __init__(self, api: Api, inbox: Inbox, clock: Clock) -> None:
        self.pause_seconds = 0.0
        self.interval_seconds = DEFAULT_POLL_SECONDS
        self._api = api
        self._inbox = inbox
        self._clock = clock
        self._hold = Hold()
        self._since: str | None = None
        self._since_cursor = ""
        self._etag: str | None = None
        self._last_body = b""  # of a long poll

    async def control(self) -> Verdict:
        """Ask what is new with a plain request."""
        cursor = self._inbox.position.cursor
        try:
            return await self._take_long(await self._api.control(cursor), cursor)
        except ClientError as error:
            return judge_error(error)

    async def long(self, held_seconds: int | None = None) -> Verdict:
        """Poll and be held: so long, or as long as the network lets us."""
        cursor, began_at = self._inbox.position.cursor, self._clock.now()
        held = self._hold.seconds if held_seconds is None else held_seconds
        status = 0
        try:
            answer = await self._api.long_poll(cursor, held)
            status = answer.status
            verdict = await self._take_long(answer, cursor)
        except ClientError as error:
            verdict = judge_error(error)
        lasted_seconds = self._clock.now() - began_at
        if status in WAITED_TOO_LONG and held > 0 and lasted_seconds >= SHORTEST_CUT_SECONDS:
            verdict = Verdict(Event.FAILED, "something on the way waited too long")
        if verdict.event is Event.OK and lasted_seconds >= held > 0:
            self._hold.lasted()
        elif verdict.event in (Event.FAILED, Event.BROKEN, Event.PAGE) and held > 0:
            self._hold.was_cut(lasted_seconds)
        return verdict

    async def short(self) -> Verdict:
        """Poll and be answered at once."""
        cursor = self._inbox.position.cursor
        # Both belong to the page before, if nothing has moved us since.
        since, etag = (self._since, self._etag) if cursor == self._since_cursor else (None, None)
        try:
            answer = await self._api.short_poll(cursor, since, etag)
            verdict = judge(answer)
            if verdict.event is Event.OK:
                await self._take_short(answer, cursor)
            return verdict
        except ClientError as error:
            return judge_error(error)

    async def _take_long(self, answer: Answer, cursor: str) -> Verdict:
        verdict = judge(answer)
        if verdict.event is not Event.OK:
            return verdict
        if answer.status != 200:
            await self._inbox.take((), answer.headers.get("last-event-id"))
            told = answer.headers.get("retry-after", "")
            self.pause_seconds = float(told[:4]) if told.isascii() and told.isdigit() else DEFAULT_RETRY_AFTER_SECONDS
            return verdict
        page = answer.json()
        has_states = await self._take_page(page, "events", cursor)
        # Progress moves no cursor, and is never told twice in the same words.
        is_new = self._inbox.position.cursor != cursor or (has_states and answer.body != self._last_body)
        self._last_body = answer.body
        # What brings nothing new was kept somewhere on the way, and will be given again at once.
        self.pause_seconds = 0.0 if is_new else NOTHING_NEW_PAUSE_SECONDS
        if page.get("closed"):
            return Verdict(Event.ENDED, "the session is closed")
        return verdict

    async def _take_short(self, answer: Answer, cursor: str) -> None:
        self.interval_seconds = poll_seconds(answer.headers.get("poll-interval"))
        self.pause_seconds = self.interval_seconds
        if answer.status != 200:
            return
        page = answer.json()
        await self._take_page(page, "updates", cursor)
        self._since, self._since_cursor = str(page["lastModified"]), self._inbox.position.cursor
        self._etag = answer.headers.get("etag")
        if "suggestedPollInterval" in page:
            self.interval_seconds = self.pause_seconds = poll_seconds(page["suggestedPollInterval"])
        if page.get("hasMore"):
            self.pause_seconds = 0.0

    async def _take_page(self, page: dict[str, Any], name: str, cursor: str) -> bool:
        """Take a page in, and return whether there were passing states in it."""
        try:
            if "reset" in page:
                await self._inbox.take_reset(reset_of(page["reset"]), cursor)
                return False
            events = [event_of_item(item) for item in page[name]]
            await self._inbox.take(events, str(page["lastEventId"]))
            return any(event.id is None for event in events)
        except (KeyError, TypeError) as error:
            raise Blocked(f"a page of events is not the server's: {error!r}") from None
