"""Numbering: from changes in the order they came to events with sequences and times.

The rules of a batch stand here: who may write in which state of the session, what a repeated key answers, that
sequences have no holes (P2) and times strictly increase (P8).  Nothing is taken from the session until the batch is
written: a batch that fails takes its numbers back by being forgotten.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtserver.changes import Change, Create, Delete, Describe, Edit, Gate, KeyRecord, Rename, Sealed
from rtserver.conditional import settled_us
from rtserver.cursor import encode_id
from rtserver.errors import IdempotencyMismatch, RequestError, SessionClosed, SessionNotFound, SessionPaused
from rtserver.event import TRANSIENT_SECONDS, Event, Transient, format_timestamp
from rtserver.publication import Draft
from rtserver.records import Status

Found = Mapping[tuple[int, bytes], KeyRecord]


@dataclass(slots=True)
class Head:
    """Where a session's numbering stands within the batch that is being sealed."""

    session_id: str
    epoch: int
    status: Status
    last_sequence: int
    last_timestamp_us: int
    modified_at_us: int  # of its newest change of any kind
    floor_us: int  # before which nothing may happen any more
    is_deleted: bool = False

    @property
    def last_event_id(self) -> str:
        return encode_id(self.last_timestamp_us, self.epoch, self.last_sequence)


class Batch:
    """Seals changes one after the other; ``heads`` tells afterwards where each session ends.

    ``found`` are the keys that the store knows already, ``now_us`` the time in microseconds, ``latest_us`` the latest
    that the clock has ever shown.
    """

    def __init__(self, found: Found, now_us: int, latest_us: int = 0) -> None:
        self.heads: dict[int, Head] = {}
        self._keys = dict(found)
        self._now_us = now_us
        self._latest_us = latest_us

    def seal(self, change: Change) -> Sealed:
        """Number one change.  A `RequestError` concerns this change alone and leaves the batch as it was."""
        number = change.session.number
        head = self.heads.get(number) or self._head(change)
        if head.is_deleted:
            raise SessionNotFound(f"the session {head.session_id!r} has been deleted")
        key, drafts, edit = change.key, change.drafts, change.edit
        if key is not None and (known := self._keys.get((number, key.digest))):
            return self._replay(change, known, head.epoch)
        if drafts and head.status is not Status.ACTIVE:
            self._admit(change, head)
        sealed = Sealed(change, max(self._now_us, head.last_timestamp_us))
        entries = [self._number(draft, head, sealed) for draft in drafts]
        if sealed.events and not isinstance(edit, Create):
            sealed.moment_us = head.last_timestamp_us
        elif isinstance(edit, Describe | Rename):
            sealed.moment_us = self._stamp(head)
        if edit is not None:
            self._edit(edit, head)
        if drafts:
            self._answer(sealed, entries, head)
        for digest, record in sealed.keys.items():
            self._keys[number, digest] = record
        return sealed

    def _head(self, change: Change) -> Head:
        """Return the head of a session of which nothing has been sealed yet."""
        session = change.session
        head = self.heads[session.number] = Head(
            session.session_id,
            session.epoch,
            session.status,
            session.last_sequence,
            session.last_timestamp_us,
            session.modified_at_us,
            session.floor_us,
            session.is_deleted,
        )
        if isinstance(change.edit, Create):
            # createdAt, which the zero cursor holds
            head.last_timestamp_us = head.modified_at_us = self._now_us
        return head

    def _replay(self, change: Change, known: KeyRecord, epoch: int) -> Sealed:
        assert change.key is not None
        if known.fingerprint != change.key.fingerprint:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used with another body; repeat that body, or choose a new key"
            )
        answer = known.answer
        if answer is None:
            id = encode_id(known.timestamp_us, epoch, known.sequence)
            entry = _entry(id, known.sequence, format_timestamp(known.timestamp_us), known.type or "")
            answer = _answer([entry], id)
        return Sealed(change, known.timestamp_us, status=known.status, answer=answer, is_replay=True)

    def _admit(self, change: Change, head: Head) -> None:
        """Refuse new events in a session that does not take all; repeats are answered in any state."""
        number = change.session.number
        if all(draft.message_key and (number, draft.message_key) in self._keys for draft in change.drafts):
            return
        if head.status is Status.CLOSED and change.gate is not Gate.SERVER:
            raise SessionClosed("the session is closed; nobody can publish until its status is 'active' again")
        if head.status is Status.PAUSED and change.gate is Gate.PARTICIPANT:
            raise SessionPaused("the session is paused; participants can publish when its status is 'active' again")

    def _number(self, draft: Draft, head: Head, sealed: Sealed) -> str:
        """Make the draft's event, or find the one it repeats; return its entry in the answer."""
        if draft.type in TRANSIENT_SECONDS:
            moment_us = max(self._now_us, head.last_timestamp_us)
            sealed.transients.append(Transient(draft.type, draft.participant_id, moment_us, draft.data))
            return f'{{"type":"{draft.type}","timestamp":"{format_timestamp(moment_us)}"}}'
        key = draft.message_key
        if key:
            known = sealed.keys.get(key) or self._keys.get((sealed.change.session.number, key))
            if known:
                id = encode_id(known.timestamp_us, head.epoch, known.sequence)
                return _entry(
                    id, known.sequence, format_timestamp(known.timestamp_us), known.type or "", ',"replayed":true'
                )
        head.last_sequence += 1
        head.last_timestamp_us = self._stamp(head)
        sequence, timestamp_us = head.last_sequence, head.last_timestamp_us
        timestamp = format_timestamp(timestamp_us)
        event = Event(head.epoch, sequence, timestamp_us, draft.type, draft.data_at(timestamp))
        sealed.events.append(event)
        if key:
            sealed.keys[key] = KeyRecord(sequence, timestamp_us, type=draft.type)
        return _entry(event.id, sequence, timestamp, draft.type)

    def _stamp(self, head: Head) -> int:
        """Return the time of the next change of a session.

        The clock may stand still or step back; a session's times may not (P8).  And nothing may happen before a
        ``Last-Modified`` that has been sent, or a 304 would hide it (DESIGN 4.6): if the clock has been past the second
        of the newest change and is not any more, the next change is put at the start of the second after.
        """
        moment_us = max(self._now_us, head.modified_at_us + 1, head.floor_us)
        if moment_us < self._latest_us:
            settled_at_us = settled_us(head.modified_at_us)
            if moment_us < settled_at_us <= self._latest_us:
                moment_us = settled_at_us
        head.modified_at_us = moment_us
        return moment_us

    def _edit(self, edit: Edit, head: Head) -> None:
        if isinstance(edit, Describe) and edit.status is not None:
            head.status = edit.status
        if isinstance(edit, Delete):
            head.is_deleted = True

    def _answer(self, sealed: Sealed, entries: list[str], head: Head) -> None:
        """Say what a publish is answered with, and remember it by its key."""
        key, events = sealed.change.key, sealed.events
        if not events and all(draft.is_transient for draft in sealed.change.drafts):
            sealed.status = 202
        sealed.answer = _answer(entries, events[-1].id if events else head.last_event_id)
        if key is not None:
            is_plain = len(events) == len(entries) == 1
            sealed.keys[key.digest] = KeyRecord(
                head.last_sequence,
                sealed.moment_us,
                events[0].type if is_plain else None,
                key.fingerprint,
                sealed.status,
                None if is_plain else sealed.answer,
            )


def seal_all(
    changes: list[Change], found: Found, now_us: int, latest_us: int = 0
) -> tuple[Batch, list[Sealed | RequestError]]:
    """Seal changes in order; what is refused stands as its error in the place of its result."""
    batch = Batch(found, now_us, latest_us)
    results: list[Sealed | RequestError] = []
    for change in changes:
        try:
            results.append(batch.seal(change))
        except RequestError as error:
            results.append(error)
    return batch, results


def _answer(entries: list[str], last_event_id: str) -> bytes:
    return f'{{"events":[{",".join(entries)}],"lastEventId":"{last_event_id}"}}'.encode()


def _entry(id: str, sequence: int, timestamp: str, type: str, mark: str = "") -> str:
    return f'{{"id":"{id}","sequence":{sequence},"type":"{type}","timestamp":"{timestamp}"{mark}}}'
