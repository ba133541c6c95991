"""A session's messages backwards, and single events: what was said before a reader came (DESIGN 4.2).

The same ring and store that `rtserver.reader` reads forwards.  A page names the session's end of the moment in which
the ring was looked at: every message up to it is on this page or an older one, and a reader that follows from it on any
tier gets exactly what came later.  Below the ring the store is searched one bounded step at a time, and for one request
only so far (P4); why there is no index on messages: docs/decisions/history.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rtserver.cursor import Cursor, Start, encode_id
from rtserver.event import Event
from rtserver.queries import Queries
from rtserver.reader import Gap, Reader
from rtserver.session import Session
from rtserver.sse import ResetReason
from rtserver.worker import Worker

MESSAGE = "message_added"

# Looking at a row costs a fraction of reading its data.
SEARCH_FACTOR = 8
# Of one request; with the default settings 102,400 events, which is all that retention keeps of a session.
MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Messages, newest first.  ``next`` is the cursor before which the following page begins, None if there is none.

    ``last_event_id`` and ``last_timestamp_us`` are the session's end when this was read, and ``is_trimmed`` says that
    its beginning is gone.  ``newest_us`` is the time of the newest event on the page, or of ``next`` on one without.
    With ``reset`` there was no such place in this session (P3).
    """

    messages: list[Event]
    next: str | None
    last_event_id: str
    last_timestamp_us: int
    newest_us: int
    is_trimmed: bool
    reset: dict[str, Any] | None = None

    @property
    def has_more(self) -> bool:
        return self.next is not None


class History:
    """Reads backwards; ``step_events`` and ``step_bytes`` are those of a step of reading forwards.

    A page has at most about ``step_bytes``: it may be shorter than its limit, and says that there is more.
    """

    def __init__(self, worker: Worker, queries: Queries, reader: Reader, step_events: int, step_bytes: int) -> None:
        self._worker = worker
        self._queries = queries
        self._reader = reader
        self._step_events = SEARCH_FACTOR * step_events
        self._step_bytes = step_bytes

    async def page(self, session: Session, before: Start | None, limit: int) -> HistoryPage:
        """Return up to ``limit`` messages that come before ``before``, or before the session's end."""
        sequence = None
        if before is not None:
            place = await self._reader.locate(session, before)
            if not isinstance(place, Gap):
                sequence = place.sequence
            elif place.reason is ResetReason.TRIMMED:
                # No gap: all that came before it is gone as well, and that is what the page will say.
                sequence = session.trimmed_sequence
            else:
                fields = await self._reader.reset_fields(session, place)
                end_us = session.last_timestamp_us
                return HistoryPage([], None, fields["lastEventId"], end_us, end_us, False, reset=fields)
        # From here to the first step in the store nothing is awaited: end and ring are of one moment.
        last_event_id, end_us = session.last_event_id, session.last_timestamp_us
        if sequence is None:
            sequence = session.last_sequence + 1
        found = _Found(limit, self._step_bytes)
        found.take(session.ring.before(sequence))
        position = min(sequence, session.ring.evicted_through + 1)
        place_us = await self._search(session, found, position)
        return HistoryPage(
            found.messages,
            found.next,
            last_event_id,
            end_us,
            found.messages[0].timestamp_us if found.messages else place_us or end_us,
            is_trimmed=session.trimmed_sequence > 0,
        )

    async def event(self, session: Session, place: Start) -> Event | None:
        """Return one event, or None if it is not, or not any more, in this life of this session."""
        if not isinstance(place, Cursor) or session.judge(place) is not None:
            return None
        event = session.ring.get(place.sequence)
        if event is None:
            after, through = place.sequence - 1, place.sequence
            found = await self._worker.call(
                self._queries.read, session.number, session.epoch, after, through, 1, self._step_bytes
            )
            event = found[0] if found else None
        if event is None or place.timestamp_us not in (None, event.timestamp_us):
            return None
        return event

    async def _search(self, session: Session, found: _Found, position: int) -> int | None:
        """Look for messages before ``position`` in the store until the page is known, or this has been long enough.

        In the latter case the following page goes on where this one stopped; the time of that event is returned.
        """
        for _ in range(MAX_STEPS):
            # Retention may come in between.
            if found.is_known or position <= session.trimmed_sequence + 1:
                return None
            first = max(position - self._step_events, session.trimmed_sequence + 1)
            step = await self._worker.call(
                self._queries.read_back,
                *(session.number, session.epoch, MESSAGE),
                *(first, position),
                *(found.missing, self._step_bytes),
            )
            found.take(step.events)
            position = step.reached
        if found.is_known or position <= session.trimmed_sequence + 1:
            return None
        timestamp_us = session.timestamp_of(position)
        if timestamp_us is None:
            timestamp_us = await self._worker.call(self._queries.timestamp_of, session.number, position)
        if timestamp_us is not None:
            found.next = encode_id(timestamp_us, session.epoch, position)
        return timestamp_us


@dataclass(slots=True)
class _Found:
    """The messages found so far; the page is known when there is one too many for it."""

    limit: int
    max_bytes: int
    messages: list[Event] = field(default_factory=list)
    size: int = 0
    next: str | None = None

    @property
    def is_known(self) -> bool:
        return self.next is not None

    @property
    def is_full(self) -> bool:
        return len(self.messages) == self.limit or self.size >= self.max_bytes

    @property
    def missing(self) -> int:
        """How many messages more make the page known."""
        return 1 if self.is_full else self.limit - len(self.messages) + 1

    def take(self, events: Iterable[Event]) -> None:
        """Take over the messages among older events, newest first."""
        for event in events:
            if event.type != MESSAGE:
                continue
            if self.is_full:
                self.next = self.messages[-1].id
                return
            self.messages.append(event)
            self.size += len(event.item)
