"""Reading a session from a cursor on: the one way events reach readers, whatever the tier.

The ring serves what it holds in the same synchronous step; below it the store serves, one bounded step at a time.
What lies in neither is a gap, and a gap is said (P3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rtserver.clock import Clock
from rtserver.cursor import Cursor, Edge, Since, Start, encode_id
from rtserver.event import Event
from rtserver.queries import Queries
from rtserver.session import Session
from rtserver.sse import ResetReason
from rtserver.worker import Worker

Types = frozenset[str] | None


class Gap(NamedTuple):
    """A cursor that cannot be continued, as the reader presented it."""

    reason: ResetReason
    requested: str


class Location(NamedTuple):
    """Where a reader begins: after ``sequence``, whose id is ``cursor``."""

    sequence: int
    cursor: str


class Page(NamedTuple):
    """Events in order, and where to go on: ``cursor`` is the id of ``sequence``, past what a filter left out."""

    events: list[Event]
    sequence: int
    cursor: str
    has_more: bool


class Reader:
    """Reads from ring and store; ``step_events`` and ``step_bytes`` bound one step."""

    def __init__(self, worker: Worker, queries: Queries, clock: Clock, step_events: int, step_bytes: int) -> None:
        self._worker = worker
        self._clock = clock
        self._queries = queries
        self._step_events = step_events
        self._step_bytes = step_bytes

    async def locate(self, session: Session, start: Start) -> Location | Gap:
        """Return where to begin reading, or the gap to say."""
        if start is Edge.NOW:
            return Location(session.last_sequence, session.last_event_id)
        if start is Edge.EARLIEST:
            cursor = encode_id(session.trimmed_timestamp_us, session.epoch, session.trimmed_sequence)
            return Location(session.trimmed_sequence, cursor)
        if isinstance(start, Since):
            return await self._locate_since(session, start)
        assert isinstance(start, Cursor)
        location = self.locate_at_hand(session, start)
        if location is not None:
            return location
        reason = session.judge(start)
        timestamp_us = None
        if reason is None:
            timestamp_us = await self._worker.call(self._queries.timestamp_of, session.number, start.sequence)
            # Retention may have come in between.
            reason = session.judge(start, timestamp_us) or (ResetReason.TRIMMED if timestamp_us is None else None)
        if reason is not None:
            return Gap(reason, start.text)
        assert timestamp_us is not None
        return Location(start.sequence, encode_id(timestamp_us, session.epoch, start.sequence))

    def locate_at_hand(self, session: Session, cursor: Cursor) -> Location | None:
        """Return where to begin after an event that memory knows; None says only that it has to be looked for."""
        timestamp_us = session.timestamp_of(cursor.sequence)
        if timestamp_us is None or session.judge(cursor) is not None:
            return None
        is_at_end = cursor.sequence == session.last_sequence
        id = session.last_event_id if is_at_end else encode_id(timestamp_us, session.epoch, cursor.sequence)
        return Location(cursor.sequence, id)

    async def _locate_since(self, session: Session, since: Since) -> Location | Gap:
        reason = session.judge_since(since, self._clock())
        if reason is not None:
            return Gap(reason, since.text)
        sequence = session.sequence_at(since.timestamp_us)
        if sequence is None:
            first, last = session.trimmed_sequence + 1, session.ring.evicted_through
            sequence = await self._worker.call(
                self._queries.sequence_at, session.number, since.timestamp_us, first, last
            )
        timestamp_us = session.timestamp_of(sequence)
        if timestamp_us is None:
            timestamp_us = await self._worker.call(self._queries.timestamp_of, session.number, sequence)
        # Retention may have come in between, and made a later event the edge than the one that was looked for.
        reason = session.judge_since(since, self._clock()) or (ResetReason.TRIMMED if timestamp_us is None else None)
        if reason is not None:
            return Gap(reason, since.text)
        assert timestamp_us is not None
        return Location(sequence, encode_id(timestamp_us, session.epoch, sequence))

    def read_ring(self, session: Session, after: int, types: Types = None, limit: int | None = None) -> Page | None:
        """Return what follows ``after`` without waiting, or None if the ring does not reach back that far."""
        if not session.ring.holds_all_after(after):
            return None
        limit = limit or self._step_events
        return self._page(session, after, session.ring.after(after, limit if types is None else None), types, limit)

    async def read(self, session: Session, after: int, types: Types = None, limit: int | None = None) -> Page | Gap:
        """Return what follows ``after``: at once from the ring, else one step from the store.

        A page of a filtered read may be empty and have more.  The `Gap` is for a reader that retention overtook.
        """
        page = self.read_ring(session, after, types, limit)
        if page is not None:
            return page
        limit = limit or self._step_events
        events = await self._worker.call(
            self._queries.read,
            *(session.number, session.epoch, after),
            # Not beyond what has been applied: the store may be ahead of the session by a batch.
            session.last_sequence,
            limit if types is None else self._step_events,
            self._step_bytes,
        )
        if not events or events[0].sequence != after + 1:
            return Gap(ResetReason.TRIMMED, str(after))
        return self._page(session, after, events, types, limit)

    async def reset_fields(self, session: Session, gap: Gap) -> dict[str, Any]:
        """Return what a reader is told of a gap; it goes on from ``lastEventId``, the session's end (DESIGN 4.4).

        ``earliest`` is the oldest event kept.  Nothing is awaited after ``lastEventId`` is taken.
        """
        first = await self._worker.call(self._queries.first_event, session.number)
        earliest = encode_id(first[1], session.epoch, first[0]) if first else session.last_event_id
        return {
            "reason": gap.reason,
            "requested": gap.requested,
            "earliest": earliest,
            "lastEventId": session.last_event_id,
        }

    def _page(self, session: Session, after: int, events: Iterable[Event], types: Types, limit: int) -> Page:
        matching: list[Event] = []
        last: Event | None = None
        size = 0
        for event in events:
            last = event
            if types is None or event.type in types:
                matching.append(event)
                size += event.size
                if len(matching) == limit or size >= self._step_bytes:
                    break
        if last is None:
            return Page([], after, session.last_event_id, has_more=False)
        return Page(matching, last.sequence, last.id, has_more=last.sequence < session.last_sequence)
