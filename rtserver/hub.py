"""The hub: every session, who may use it, and what changes it.

 publisher                                                      readers
   | POST events                                  SSE stream    long poll     short poll
   v                                                   \\            |            /
 handlers --> hub.publish --> writer thread ---+        `--- Reader: ring, else store ---'
   (Tornado)        one transaction a batch    |                    |
                    (group commit)             v                    v
                              committed --> session: ring + wake --> frames, encoded once,
                                               ^                     shared by all readers
                                               `--- store (SQLite, WAL): replay below the ring

Durable, then visible: `Hub._show` runs only for what has been committed (P1).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import msgspec

from rtserver.auth import Principal, Role
from rtserver.changes import Change, Create, Delete, Describe, Edit, Gate, Join, Remove, Rename, Sealed
from rtserver.clock import Clock
from rtserver.counters import Counters
from rtserver.cursor import MAX_EPOCH, Start
from rtserver.documents import features, session_document
from rtserver.errors import (
    Forbidden,
    NotAParticipant,
    Overloaded,
    ParticipantNotFound,
    RequestError,
    SessionNotFound,
    TooManyParticipants,
)
from rtserver.event import Event
from rtserver.history import History, HistoryPage
from rtserver.polls import Answer, Polls
from rtserver.probes import Probes
from rtserver.publication import Draft, Publication, is_name
from rtserver.queries import Queries
from rtserver.reader import Gap, Location, Reader
from rtserver.readers import Poll
from rtserver.records import Participant, SessionRecord, Status
from rtserver.registry import Registry
from rtserver.reports import Reports
from rtserver.session import Session
from rtserver.sse import Ending
from rtserver.streams import Streams
from rtserver.worker import Worker
from rtserver.writer import Outcome, Writer, settle

_encode = msgspec.json.Encoder().encode


class Opening(NamedTuple):
    """Where a stream begins; with ``reset`` its cursor could not be continued."""

    start: Location
    reset: dict[str, Any] | None


class Edited(NamedTuple):
    """A participant after a PUT; ``is_new`` if it was not in the session before."""

    participant: Participant
    is_new: bool


class Hub:
    """What handlers ask.  Every method that names a principal and a session's id checks what it may (P6).

    Methods take the id, not the object: a session that nobody uses leaves memory, and one that was held across an await
    without `using` would be numbered by two objects.  `session_at_hand` gives one for use before the next await.
    """

    def __init__(
        self,
        *,
        writer: Callable[[Callable[[Sealed], None]], Writer],
        registry: Registry,
        reader: Reader,
        history: History,
        streams: Streams,
        polls: Polls,
        probes: Probes,
        reports: Reports,
        query_worker: Worker,
        queries: Queries,
        last_number: int,
        max_participants: int,
        has_typing_indicators: bool,
        clock: Clock,
        rng: random.Random,
        counters: Counters,
    ) -> None:
        """``writer`` makes the writer for the function that shows what it has committed."""
        self.registry = registry
        self.streams = streams
        self.polls = polls
        self.probes = probes
        self.reports = reports
        self.writer = writer(self._show)
        self.clock = clock
        self.counters = counters
        self.is_draining = False
        self._reader = reader
        self._history = history
        self._query_worker = query_worker
        self._queries = queries
        self._last_number = last_number
        self._max_participants = max_participants
        self._has_typing_indicators = has_typing_indicators
        self._features = features(has_typing_indicators)
        self._rng = rng

    # Access

    async def session_for(self, principal: Principal, session_id: str) -> Session:
        """Return a session that the principal may use.

        Raises `NotAParticipant` for a participant who is not in it and for one who asks for a session that does not
        exist, in the same words; `SessionNotFound` for service and admin.
        """
        session = await self.registry.get(session_id) if is_name(session_id) else None
        if session is None or not _may_use(principal, session):
            raise _no_session(principal, session_id)
        return session

    def session_at_hand(self, principal: Principal, session_id: str) -> Session | None:
        """Return the same where memory has it; None says nothing but that it has to be asked for."""
        session = self.registry.use(session_id)
        return session if session is not None and _may_use(principal, session) else None

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """Keep the session in memory across an await."""
        session.pins += 1
        try:
            yield
        finally:
            session.pins -= 1

    # Publishing

    async def publish(self, principal: Principal, session_id: str, publication: Publication) -> Sealed:
        """Publish all of it or nothing, and return when it is durable.

        Raises `SessionPaused`, `SessionClosed`, `IdempotencyMismatch`, `Overloaded`, `StorageFull`, `StorageFailing`.
        """
        session = await self.session_for(principal, session_id)
        future: asyncio.Future[Sealed] = asyncio.get_running_loop().create_future()
        self.publish_to(principal, session, publication, partial(settle, future))
        return await future

    def publish_to(
        self, principal: Principal, session: Session, publication: Publication, done: Callable[[Outcome], None]
    ) -> None:
        """Do the same to a session that `session_at_hand` gave, without a task: ``done`` gets what becomes of it.

        Raises `Overloaded`.
        """
        gate = Gate.PARTICIPANT if principal.is_participant else Gate.SERVICE
        change = Change(session, gate, publication.drafts, None, publication.key, publication.size)

        def answered(outcome: Outcome) -> None:
            session.pins -= 1
            assert session.pins >= 0, "a session was let go more often than it was held"
            if isinstance(outcome, SessionNotFound):
                # Deleted by a change that was before this one.
                outcome = _no_session(principal, session.session_id)
            done(outcome)

        session.pins += 1  # until it is answered
        try:
            self.writer.put(change, answered)
        except Overloaded:
            session.pins -= 1
            raise

    async def _submit(self, change: Change) -> Sealed:
        session = change.session
        assert isinstance(session, Session)
        with self.using(session):
            return await self.writer.submit(change)

    def _show(self, sealed: Sealed) -> None:
        """Make visible what has been committed."""
        session = sealed.change.session
        assert isinstance(session, Session)
        if not self._has_typing_indicators:
            sealed.transients = [state for state in sealed.transients if state.type != "typing_indicator"]
        session.apply(sealed)
        if session.is_deleted:
            self.registry.discard(session)
            self.streams.end_all(session, Ending.SESSION_DELETED)
            self.polls.end_all(session)
            return
        self.streams.announce(session)
        self.polls.announce(
            session,
            has_events=bool(sealed.events),
            has_progress=any(state.type == "ai_progress" for state in sealed.transients),
        )

    # Sessions

    async def create(
        self, principal: Principal, session_id: str, metadata: bytes, people: list[Participant]
    ) -> Session:
        """Begin a session with its first participants.  Raises `SessionExists` and `TooManyParticipants`."""
        require_service(principal)
        if len(people) > self._max_participants:
            raise TooManyParticipants(f"{len(people)} participants; at most {self._max_participants} are allowed")
        with await self.registry.reserve(session_id) as arrived:
            self.registry.make_room()
            self._last_number += 1
            record = SessionRecord(
                number=self._last_number,
                session_id=session_id,
                status=Status.ACTIVE,
                metadata=metadata,
                created_at_us=0,
                updated_at_us=0,
                epoch=self._rng.randint(0, MAX_EPOCH),
                last_sequence=0,
                last_timestamp_us=0,
                trimmed_sequence=0,
                trimmed_timestamp_us=0,
            )
            session = self.registry.build(record, [])
            drafts = tuple(_event("participant_joined", person.joined_data()) for person in people)
            await self._submit(self._change(session, drafts, Create(record, tuple(people))))
            self.registry.admit(session)
            arrived.set_result(session)
        return session

    async def describe(
        self, principal: Principal, session_id: str, status: Status | None, metadata: bytes | None
    ) -> Session:
        """Change status and metadata; what is None or the same stays, and then nothing is published."""
        require_service(principal)
        async with self._editing(principal, session_id) as session:
            drafts: tuple[Draft, ...] = ()
            if status is session.status:
                status = None
            if status is not None:
                drafts = (_event("session_status_changed", {"status": status, "previousStatus": session.status}),)
            if metadata == session.metadata:
                metadata = None
            if status is not None or metadata is not None:
                await self._submit(self._change(session, drafts, Describe(status, metadata)))
            return session

    async def delete(self, principal: Principal, session_id: str) -> None:
        """End the session and remove its events."""
        require_service(principal)
        async with self._editing(principal, session_id) as session:
            await self._submit(self._change(session, (), Delete()))

    def document(self, session: Session) -> dict[str, Any]:
        """Return the snapshot of a session."""
        return session_document(session.record(), len(session.participants), self._features)

    async def list_sessions(self, principal: Principal, after: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return snapshots by session id after ``after``, and whether there are more; participants get their own."""
        only = principal.subject if principal.is_participant else None
        listed = await self._query_worker.call(self._queries.list_sessions, only, after, limit + 1)
        documents = [
            session_document(record, count, self._features)
            for record, count in listed[:limit]
            if not self._has_lost(principal, record.session_id)
        ]
        return documents, len(listed) > limit

    def _has_lost(self, principal: Principal, session_id: str) -> bool:
        """Whether a participant was removed and the disk does not know it yet."""
        session = self.registry.peek(session_id)
        return principal.is_participant and session is not None and principal.subject in session.unsaved_removals

    # Participants

    async def put_participant(
        self, principal: Principal, session_id: str, participant_id: str, display_name: str | None, kind: str | None
    ) -> Edited:
        """Add a participant, or change its name and kind; None keeps what is, or takes the default."""
        require_service(principal)
        async with self._editing(principal, session_id) as session:
            known = session.participants.get(participant_id)
            if known is not None:
                person = Participant(
                    participant_id, display_name or known.display_name, kind or known.kind, known.joined_at_us
                )
                if person != known:
                    await self._submit(self._change(session, (), Rename(person)))
                return Edited(person, is_new=False)
            if len(session.participants) >= self._max_participants:
                raise TooManyParticipants(
                    f"the session has {len(session.participants)} participants; "
                    f"at most {self._max_participants} are allowed"
                )
            person = Participant(participant_id, display_name or participant_id, kind or "human", 0)
            joined = _event("participant_joined", person.joined_data())
            await self._submit(self._change(session, (joined,), Join(person)))
            session.unsaved_removals.discard(participant_id)
            return Edited(session.participants[participant_id], is_new=True)

    async def remove_participant(self, principal: Principal, session_id: str, participant_id: str) -> None:
        """Remove a participant; its streams and polls end at once, even if the disk takes nothing (P6).

        Raises `ParticipantNotFound`.  `StorageFull` and its kin mean: removed, and the server keeps trying to write it.
        """
        if principal.subject != participant_id:
            require_service(principal)
        async with self._editing(principal, session_id) as session:
            if participant_id not in session.participants and participant_id not in session.unsaved_removals:
                raise ParticipantNotFound(f"{participant_id[:128]!r} is not in this session")
            session.remove(participant_id)
            self.streams.end_all(session, Ending.REMOVED, participant_id)
            self.polls.expel(session, participant_id)
            # Until it is durable, this keeps the session in memory, where the participant is gone already.
            session.unsaved_removals.add(participant_id)
            await self.save_removal(session, participant_id)

    async def save_removal(self, session: Session, participant_id: str) -> None:
        """Make a removal durable."""
        left = _event("participant_left", {"participantId": participant_id})
        await self._submit(self._change(session, (left,), Remove(participant_id)))
        session.unsaved_removals.discard(participant_id)

    # Reading

    async def open_at(self, session: Session, start: Start) -> Opening | None:
        """Return where a stream begins, or None at the end of a closed session, where nothing comes any more."""
        location = await self._reader.locate(session, start)
        if isinstance(location, Gap):
            fields = await self._reader.reset_fields(session, location)
            return Opening(Location(session.last_sequence, session.last_event_id), fields)
        if session.status is Status.CLOSED and location.sequence == session.last_sequence:
            return None
        return Opening(location, None)

    async def poll(self, principal: Principal, session_id: str, poll: Poll) -> Answer:
        """Return what there is after the poll's cursor, as soon as there is something (`Polls.answer`)."""
        session = await self.session_for(principal, session_id)
        return await self.polls.answer(session, poll)

    async def history(self, principal: Principal, session_id: str, before: Start | None, limit: int) -> HistoryPage:
        """Return messages of a session, newest first (`History.page`)."""
        session = await self.session_for(principal, session_id)
        with self.using(session):
            page = await self._history.page(session, before, limit)
        self._check_still(principal, session)
        return page

    async def event(self, principal: Principal, session_id: str, place: Start) -> Event | None:
        """Return one event, or None if the session does not have it (`History.event`)."""
        session = await self.session_for(principal, session_id)
        with self.using(session):
            event = await self._history.event(session, place)
        self._check_still(principal, session)
        return event

    def _check_still(self, principal: Principal, session: Session) -> None:
        """Raise what the principal is told if it lost the session while it was being read (P6)."""
        if not _may_use(principal, session):
            raise _no_session(principal, session.session_id)

    # Ending

    async def drain(self, window_seconds: float) -> None:
        """Send readers away in good order; publishing goes on."""
        self.is_draining = True
        self.polls.drain()
        self.probes.drain()
        await self.streams.drain(window_seconds)

    async def close(self) -> None:
        """Stop serving, once everything accepted is durable and answered."""
        await self.writer.flush()
        await self.streams.close()

    @asynccontextmanager
    async def _editing(self, principal: Principal, session_id: str) -> AsyncIterator[Session]:
        """One edit of a session at a time; the one before may have deleted it, or removed the principal."""
        session = await self.session_for(principal, session_id)
        with self.using(session):
            async with session.editing:
                if not _may_use(principal, session):
                    raise _no_session(principal, session_id)
                yield session

    def _change(self, session: Session, drafts: tuple[Draft, ...], edit: Edit) -> Change:
        return Change(session, Gate.SERVER, drafts, edit, size=sum(len(draft.data) for draft in drafts))


def require_service(principal: Principal) -> None:
    """Raise `Forbidden` for a participant."""
    if principal.is_participant:
        raise Forbidden(f"this needs a token with the role {Role.SERVICE} or {Role.ADMIN}; this one is a participant's")


def _may_use(principal: Principal, session: Session) -> bool:
    return not session.is_deleted and (not principal.is_participant or principal.subject in session.participants)


def _no_session(principal: Principal, session_id: str) -> RequestError:
    """Return the refusal for a session that is not there for the principal.

    A participant is told the same of one that does not exist and one that it is not in: no probing (DESIGN 4.1).
    """
    if principal.is_participant:
        return NotAParticipant(f"{principal.subject!r} is not a participant of a session with this id")
    return SessionNotFound(f"there is no session {session_id[:128]!r}")


def _event(type: str, data: dict[str, Any]) -> Draft:
    """Return an event that the server itself publishes."""
    return Draft(type, _encode(data), "")
