"""The hub: where what is published becomes visible, and where readers begin.

 publisher                                                      readers
   | POST events                                  SSE stream    long poll     short poll
   v                                                   \\            |            /
 handlers --> hub.publish --> writer thread ---+        `--- Reader: ring, else store ---'
   (Tornado)        one transaction a batch    |                    |
                    (group commit)             v                    v
                              committed --> session: ring + wake --> frames, encoded once,
                                               ^                     shared by all readers
                                               `--- store (SQLite, WAL): replay below the ring

Durable, then visible: `Hub._show` runs only for what has been committed (P1).  Who may use a session is the matter of
`rtserver.access`; what changes one is that of `rtserver.sessions` and `rtserver.participants`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from rtserver.access import Access, check_still, no_session, using
from rtserver.auth import Principal
from rtserver.changes import Change, Gate, Sealed
from rtserver.clock import Clock
from rtserver.counters import Counters
from rtserver.cursor import Start
from rtserver.edits import Edits
from rtserver.errors import Overloaded, SessionNotFound
from rtserver.event import Event
from rtserver.history import History, HistoryPage
from rtserver.participants import Participants
from rtserver.polls import Answer, Polls
from rtserver.probes import Probes
from rtserver.publication import Publication
from rtserver.queries import Queries
from rtserver.reader import Gap, Location, Reader
from rtserver.readers import Poll
from rtserver.records import Status
from rtserver.registry import Registry
from rtserver.reports import Reports
from rtserver.session import Session
from rtserver.sessions import Sessions
from rtserver.sse import Ending
from rtserver.streams import Streams
from rtserver.worker import Worker
from rtserver.writer import Outcome, Writer, settle


class Opening(NamedTuple):
    """Where a stream begins; with ``reset`` its cursor could not be continued."""

    start: Location
    reset: dict[str, Any] | None


class Hub:
    """What handlers ask, here and of ``sessions`` and ``participants``.

    Every method that names a principal and a session's id checks what it may (P6).  Methods take the id, not the
    object: a session that nobody uses leaves memory, and one that was held across an await without `using` would be
    numbered by two objects.  `session_at_hand` gives one for use before the next await.
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
        self._has_typing_indicators = has_typing_indicators
        access = Access(registry)
        # Asked before everything else: another name for the same, not another call.
        self.session_for = access.session_for
        self.session_at_hand = access.session_at_hand
        edits = Edits(access, self.writer)
        self.sessions = Sessions(
            edits,
            registry,
            query_worker,
            queries,
            last_number=last_number,
            max_participants=max_participants,
            has_typing_indicators=has_typing_indicators,
            rng=rng,
        )
        self.participants = Participants(edits, streams, polls, max_participants)

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
                outcome = no_session(principal, session.session_id)
            done(outcome)

        session.pins += 1  # until it is answered
        try:
            self.writer.put(change, answered)
        except Overloaded:
            session.pins -= 1
            raise

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
        with using(session):
            page = await self._history.page(session, before, limit)
        check_still(principal, session)
        return page

    async def event(self, principal: Principal, session_id: str, place: Start) -> Event | None:
        """Return one event, or None if the session does not have it (`History.event`)."""
        session = await self.session_for(principal, session_id)
        with using(session):
            event = await self._history.event(session, place)
        check_still(principal, session)
        return event

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
