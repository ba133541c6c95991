"""One session in memory: its row, participants, ring and passing states, and who reads it.

Owns what a commit changes (`Session.apply`) and what a cursor is worth (`Session.judge`).  Refuses to know how readers
are written to: streams and polls register themselves here and are served by `rtserver.streams` and `rtserver.polls`.

No I/O and no clock.  Everything here runs in one synchronous step of the event loop, so that nothing can happen between
reading the tail and registering for what comes next.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from dataclasses import replace
from typing import NamedTuple

from rtserver.changes import Create, Delete, Describe, Join, Remove, Rename, Sealed, Trim
from rtserver.cursor import Cursor, Since, encode_id
from rtserver.event import TRANSIENT_SECONDS, Event, Transient
from rtserver.interval import Activity
from rtserver.readers import Poll, Stream
from rtserver.records import Participant, SessionRecord
from rtserver.ring import Ring
from rtserver.sse import ResetReason

# Of a session that is read by many, each asks for the same.
_known_id = functools.lru_cache(maxsize=256)(encode_id)


class Passing(NamedTuple):
    """A transient event with its place in the session's live order, and when it stops to count."""

    event: Transient
    live_index: int
    expires_at_us: int


class Session:
    """The memory of one session.

    ``live_index`` counts every item shown since the session was loaded, durable or passing; ``news`` are the items
    that streams have not been served yet, the last of them at ``live_index``.

    Invariant: ``ring.last == last_sequence``; what is in the ring or announced in ``news`` has been committed (P1).
    """

    def __init__(self, record: SessionRecord, participants: list[Participant], ring: Ring) -> None:
        assert ring.last == record.last_sequence
        self.number = record.number
        self.session_id = record.session_id
        self.status = record.status
        self.metadata = record.metadata
        self.created_at_us = record.created_at_us
        self.updated_at_us = record.updated_at_us
        self.epoch = record.epoch
        self.last_sequence = record.last_sequence
        self.last_timestamp_us = record.last_timestamp_us
        self.trimmed_sequence = record.trimmed_sequence
        self.trimmed_timestamp_us = record.trimmed_timestamp_us
        self.participants = {person.participant_id: person for person in participants}
        self.ring = ring
        self.is_deleted = False
        self.live_index = 0
        self.news: list[Event | Transient] = []
        self.news_since = 0.0  # when the oldest of them was submitted, by the clock of the event loop
        # The newest items that streams were told; kept only while one of them may be gzipped (`rtserver.fanout`).
        self.recent: deque[Event | Transient] | None = None
        self.passing: dict[tuple[str, str], Passing] = {}
        self.streams: dict[Stream, None] = {}
        self.polls: dict[Poll, None] = {}
        self.next_progress_at = 0.0  # when waiting polls may be told of AI progress again
        self.progress_timer: asyncio.TimerHandle | None = None
        self.unsaved_removals: set[str] = set()
        self.pins = 0  # who holds this object until something comes: coroutines across an await, publishes
        self.last_used_at = 0.0
        self.activity = Activity()
        self.floor_us = record.floor_us
        # One edit of participants or status at a time, so that each sees what the one before has done.
        self.editing = asyncio.Lock()

    @property
    def last_event_id(self) -> str:
        """The cursor of a reader that has seen everything: the zero cursor before the first event."""
        return _known_id(self.last_timestamp_us, self.epoch, self.last_sequence)

    @property
    def modified_at_us(self) -> int:
        """When anything in the session changed last: an event, or an edit that publishes none."""
        return max(self.last_timestamp_us, self.updated_at_us)

    @property
    def is_idle(self) -> bool:
        """Whether nobody would notice if this object were dropped and loaded again later."""
        return not (
            self.streams or self.polls or self.pins or self.unsaved_removals or self.passing or self.editing.locked()
        )

    def record(self) -> SessionRecord:
        return SessionRecord(
            self.number,
            self.session_id,
            self.status,
            self.metadata,
            self.created_at_us,
            self.updated_at_us,
            self.epoch,
            self.last_sequence,
            self.last_timestamp_us,
            self.trimmed_sequence,
            self.trimmed_timestamp_us,
        )

    def judge(self, cursor: Cursor, timestamp_us: int | None = None) -> ResetReason | None:
        """Say why a reader cannot go on from ``cursor``, or None if it can (P3).

        ``timestamp_us`` is the time of that event where memory does not know it (`timestamp_of`).
        """
        if cursor.is_foreign:
            return ResetReason.FOREIGN
        if cursor.epoch is not None and cursor.epoch != self.epoch:
            return ResetReason.EPOCH
        if cursor.sequence > self.last_sequence:
            return ResetReason.AHEAD
        expected_us = self.timestamp_of(cursor.sequence)
        if expected_us is None:
            expected_us = timestamp_us
        if None not in (cursor.timestamp_us, expected_us) and cursor.timestamp_us != expected_us:
            return ResetReason.EPOCH
        if cursor.sequence < self.trimmed_sequence:
            return ResetReason.TRIMMED
        return None

    def judge_since(self, since: Since, now_us: int) -> ResetReason | None:
        """Say why a reader cannot go on from a point in time, or None if it can (DESIGN 4.6)."""
        # After the clock stepped back, the newest event may be later than now.
        if since.timestamp_us > max(now_us, self.last_timestamp_us):
            return ResetReason.AHEAD
        if self.trimmed_sequence and since.timestamp_us < self.trimmed_timestamp_us:
            return ResetReason.TRIMMED
        return None

    def sequence_at(self, timestamp_us: int) -> int | None:
        """Return the sequence of the newest event that is not later, where memory knows it."""
        if timestamp_us >= self.last_timestamp_us:
            return self.last_sequence
        if timestamp_us <= self.trimmed_timestamp_us:
            return self.trimmed_sequence
        return self.ring.sequence_at(timestamp_us)

    def timestamp_of(self, sequence: int) -> int | None:
        """Return the time of an event that is in memory, or on one of the edges the row remembers."""
        if sequence == self.last_sequence:
            return self.last_timestamp_us
        if sequence == 0:
            return self.created_at_us
        if sequence == self.trimmed_sequence:
            return self.trimmed_timestamp_us
        event = self.ring.get(sequence)
        return event.timestamp_us if event else None

    def current_states(self, now_us: int) -> list[Transient]:
        """Return the passing states that still count, oldest first."""
        self.drop_expired_states(now_us)
        return [passing.event for passing in sorted(self.passing.values(), key=lambda passing: passing.live_index)]

    def drop_expired_states(self, now_us: int) -> None:
        for key in [key for key, passing in self.passing.items() if passing.expires_at_us <= now_us]:
            del self.passing[key]

    def apply(self, sealed: Sealed) -> None:
        """Take over what has been committed: from here on it is visible."""
        self._apply_edit(sealed)
        if not self.news:
            self.news_since = sealed.submitted_at
        events = sealed.events
        if events:
            self.ring.extend(events)
            newest = events[-1]
            self.last_sequence, self.last_timestamp_us = newest.sequence, newest.timestamp_us
            self.activity.note(newest.timestamp_us, len(events))
            self.live_index += len(events)
            if self.streams:
                self.news += events
        for state in sealed.transients:
            self.live_index += 1
            if self.streams:
                self.news.append(state)
            expires_at_us = state.timestamp_us + TRANSIENT_SECONDS[state.type] * 1_000_000
            self.passing[state.type, state.participant_id] = Passing(state, self.live_index, expires_at_us)

    def _apply_edit(self, sealed: Sealed) -> None:
        moment_us = sealed.moment_us
        match sealed.change.edit:
            case Create(_, participants):
                self.created_at_us = self.updated_at_us = moment_us
                self.last_timestamp_us = self.trimmed_timestamp_us = moment_us
                self.participants = {
                    person.participant_id: replace(person, joined_at_us=moment_us) for person in participants
                }
            case Join(person):
                self.participants[person.participant_id] = replace(person, joined_at_us=moment_us)
                self.updated_at_us = moment_us
            case Rename(person):
                self.participants[person.participant_id] = person
                self.updated_at_us = moment_us
            case Remove(participant_id):
                self.remove(participant_id)
                self.updated_at_us = moment_us
            case Describe(status, metadata):
                self.status = status or self.status
                self.metadata = metadata if metadata is not None else self.metadata
                self.updated_at_us = moment_us
            case Delete():
                self.is_deleted = True
            case Trim(sequence, timestamp_us):
                self.trimmed_sequence, self.trimmed_timestamp_us = sequence, timestamp_us
                self.ring.evict_through(sequence)

    def remove(self, participant_id: str) -> None:
        """Forget a participant and what it was doing; of no effect the second time."""
        self.participants.pop(participant_id, None)
        for key in [key for key in self.passing if key[1] == participant_id]:
            del self.passing[key]
