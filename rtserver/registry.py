"""Which sessions are in memory: loaded when somebody asks, dropped when nobody would notice.

Invariant: there is at most one `Session` object per session id, so that its numbering has one owner.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice

from rtserver.errors import Overloaded, SessionExists
from rtserver.queries import Queries
from rtserver.records import Participant, SessionRecord
from rtserver.ring import Ring
from rtserver.session import Session
from rtserver.worker import Worker


class _Abandoned(Exception):
    """A session did not arrive, for a reason that is not the session's."""


class Registry:
    """The sessions in memory, the least recently used first; at most ``max_sessions`` of them (P4)."""

    def __init__(self, worker: Worker, queries: Queries, max_sessions: int, ring_events: int, ring_bytes: int) -> None:
        self._worker = worker
        self._queries = queries
        self._max_sessions = max_sessions
        self._ring_events = ring_events
        self._ring_bytes = ring_bytes
        self._loop = asyncio.get_running_loop()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # Sessions being loaded or created: whoever asks meanwhile waits for the same object.
        self._arriving: dict[str, asyncio.Future[Session | None]] = {}
        self._creating: set[str] = set()  # which of them have a place kept, because they are not in the store yet

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def peek(self, session_id: str) -> Session | None:
        """Return the session if it is in memory."""
        return self._sessions.get(session_id)

    def use(self, session_id: str) -> Session | None:
        """Return the session if it is in memory, as one that has just been used."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.last_used_at = self._loop.time()
            self._sessions.move_to_end(session_id)
        return session

    async def get(self, session_id: str) -> Session | None:
        """Return the session, from the store if need be, or None if there is no such session."""
        while True:
            session = self.use(session_id)
            if session is not None:
                return session
            arriving = self._arriving.get(session_id)
            if arriving is None:
                break
            try:
                if await asyncio.shield(arriving) is None:
                    return None
            except _Abandoned:
                # Whoever was to bring it met trouble of its own; that says nothing about the session.
                pass
            # A turn of the loop has passed since it arrived, in which it may have been dropped again: look.
        with self._arrival(session_id) as arrived:
            found = await self._worker.call(self._queries.load, session_id)
            session = self.add(*found) if found else None
            arrived.set_result(session)
        return session

    @contextmanager
    def _arrival(self, session_id: str) -> Iterator[asyncio.Future[Session | None]]:
        """Have others wait for a session while it arrives; without a result they see to it themselves."""
        arrived = self._arriving[session_id] = self._loop.create_future()
        try:
            yield arrived
        finally:
            del self._arriving[session_id]
            if not arrived.done():
                arrived.set_exception(_Abandoned())
                arrived.exception()  # nobody may have waited, and that is no mistake

    async def reserve(self, session_id: str) -> AbstractContextManager[asyncio.Future[Session | None]]:
        """Return the name for a session about to be created.  Raises `SessionExists`."""
        while await self.get(session_id) is None:
            # Somebody else may have begun to load or create it while we waited.
            if session_id not in self._arriving:
                return self._creation(session_id)
        raise SessionExists(f"there is a session {session_id!r} already; choose another id, or use that one")

    @contextmanager
    def _creation(self, session_id: str) -> Iterator[asyncio.Future[Session | None]]:
        """An arrival that has a place in memory before it is there."""
        self._creating.add(session_id)
        try:
            with self._arrival(session_id) as arrived:
                try:
                    yield arrived
                finally:
                    if not arrived.done():
                        arrived.set_result(None)  # it was looked for before, and was not there
        finally:
            self._creating.discard(session_id)

    def build(self, record: SessionRecord, participants: list[Participant]) -> Session:
        """Return a session that is not yet in memory for others; its ring begins at its end."""
        ring = Ring(self._ring_events, self._ring_bytes, evicted_through=record.last_sequence)
        return Session(record, participants, ring)

    def add(self, record: SessionRecord, participants: list[Participant]) -> Session:
        """Build a session and take it into memory.  Raises `Overloaded` if that is full of sessions in use."""
        self._fit(len(self._creating) + 1)
        session = self.build(record, participants)
        self.admit(session)
        return session

    def admit(self, session: Session) -> None:
        """Take a session into memory, for which there was room."""
        assert session.session_id not in self._sessions, "two objects for one session"
        session.last_used_at = self._loop.time()
        self._sessions[session.session_id] = session
        self._creating.discard(session.session_id)

    def make_room(self) -> None:
        """See to it that there is room for all that are being created.  Raises `Overloaded` if there cannot be."""
        self._fit(len(self._creating))

    def _fit(self, count: int) -> None:
        """Drop sessions that nobody uses, the least recently used first, until ``count`` more fit into memory."""
        excess = len(self._sessions) + count - self._max_sessions
        if excess <= 0:
            return
        idle = list(islice((session for session in self._sessions.values() if session.is_idle), excess))
        if len(idle) < excess:
            raise Overloaded(f"{len(self._sessions)} sessions are in use; at most {self._max_sessions} can be", 5)
        for session in idle:
            self.discard(session)

    def discard(self, session: Session) -> None:
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]

    def drop_idle(self, unused_since: float) -> int:
        """Drop sessions that nobody uses and nobody has asked for since; return how many."""
        idle = [s for s in self._sessions.values() if s.last_used_at <= unused_since and s.is_idle]
        for session in idle:
            self.discard(session)
        return len(idle)

    def ring_bytes(self) -> int:
        return sum(session.ring.size for session in self._sessions.values())

    def shrink_rings(self, max_bytes: int) -> None:
        """Empty rings, the least recently used first, until all together hold at most ``max_bytes`` (P4)."""
        excess = self.ring_bytes() - max_bytes
        for session in self._sessions.values():
            if excess <= 0:
                return
            excess -= session.ring.size
            session.ring.evict_through(session.ring.last)
