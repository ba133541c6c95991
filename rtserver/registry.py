"""Which sessions are in memory: loaded when somebody asks, dropped when nobody would notice.

Invariant: there is at most one `Session` object per session id, so that its numbering has one owner.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rtserver.errors import Overloaded, SessionExists
from rtserver.queries import Queries
from rtserver.records import Participant, SessionRecord
from rtserver.ring import Ring
from rtserver.session import Session
from rtserver.worker import Worker


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

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def peek(self, session_id: str) -> Session | None:
        """Return the session if it is in memory."""
        return self._sessions.get(session_id)

    async def get(self, session_id: str) -> Session | None:
        """Return the session, from the store if need be, or None if there is no such session."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.last_used_at = self._loop.time()
            self._sessions.move_to_end(session_id)
            return session
        if session_id in self._arriving:
            return await asyncio.shield(self._arriving[session_id])
        with self._arrival(session_id) as arrived:
            found = await self._worker.call(self._queries.load, session_id)
            session = self.add(*found) if found else None
            arrived.set_result(session)
        return session

    @contextmanager
    def _arrival(self, session_id: str) -> Iterator[asyncio.Future[Session | None]]:
        """Have others wait for a session while it arrives; without a result it did not."""
        arrived = self._arriving[session_id] = self._loop.create_future()
        try:
            yield arrived
        finally:
            del self._arriving[session_id]
            if not arrived.done():
                arrived.set_result(None)

    async def reserve(self, session_id: str) -> AbstractContextManager[asyncio.Future[Session | None]]:
        """Return the name for a session about to be created.  Raises `SessionExists`."""
        while await self.get(session_id) is None:
            # Somebody else may have begun to load or create it while we waited.
            if session_id not in self._arriving:
                return self._arrival(session_id)
        raise SessionExists(f"there is a session {session_id!r} already; choose another id, or use that one")

    def build(self, record: SessionRecord, participants: list[Participant]) -> Session:
        """Return a session that is not yet in memory for others; its ring begins at its end."""
        ring = Ring(self._ring_events, self._ring_bytes, evicted_through=record.last_sequence)
        return Session(record, participants, ring)

    def add(self, record: SessionRecord, participants: list[Participant]) -> Session:
        """Build a session and take it into memory.  Raises `Overloaded` if that is full of sessions in use."""
        self.make_room()
        session = self.build(record, participants)
        self.admit(session)
        return session

    def admit(self, session: Session) -> None:
        """Take a session into memory, for which there was room."""
        assert session.session_id not in self._sessions, "two objects for one session"
        session.last_used_at = self._loop.time()
        self._sessions[session.session_id] = session

    def make_room(self) -> None:
        """Drop the least recently used session nobody uses, if memory is full.  Raises `Overloaded` if all are used."""
        if len(self._sessions) < self._max_sessions:
            return
        for session in self._sessions.values():
            if session.is_idle:
                self.discard(session)
                return
        raise Overloaded(f"{len(self._sessions)} sessions are in use; at most {self._max_sessions} can be", 5)

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
