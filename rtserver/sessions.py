"""Sessions as the API knows them: created, described, deleted, shown and listed (DESIGN 4.2).

Refuses to know what happens in one (`rtserver.session`) and which are in memory (`rtserver.registry`).
"""

from __future__ import annotations

import random
from typing import Any

from rtserver.access import require_service
from rtserver.auth import Principal
from rtserver.changes import Create, Delete, Describe
from rtserver.cursor import MAX_EPOCH
from rtserver.documents import features, session_document
from rtserver.edits import Edits, server_event
from rtserver.errors import TooManyParticipants
from rtserver.publication import Draft
from rtserver.queries import Queries
from rtserver.records import Participant, SessionRecord, Status
from rtserver.registry import Registry
from rtserver.session import Session
from rtserver.worker import Worker


class Sessions:
    """Every session there is, in memory or not.

    Invariant: no session gets the number of another, not even of a deleted one, whose events go in small steps.
    """

    def __init__(
        self,
        edits: Edits,
        registry: Registry,
        query_worker: Worker,
        queries: Queries,
        *,
        last_number: int,
        max_participants: int,
        has_typing_indicators: bool,
        rng: random.Random,
    ) -> None:
        self._edits = edits
        self._registry = registry
        self._query_worker = query_worker
        self._queries = queries
        self._last_number = last_number
        self._max_participants = max_participants
        self._features = features(has_typing_indicators)
        self._rng = rng

    async def create(
        self, principal: Principal, session_id: str, metadata: bytes, people: list[Participant]
    ) -> Session:
        """Begin a session with its first participants.  Raises `SessionExists` and `TooManyParticipants`."""
        require_service(principal)
        if len(people) > self._max_participants:
            raise TooManyParticipants(f"{len(people)} participants; at most {self._max_participants} are allowed")
        with await self._registry.reserve(session_id) as arrived:
            self._registry.make_room()
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
            session = self._registry.build(record, [])
            joined = tuple(server_event("participant_joined", person.joined_data()) for person in people)
            await self._edits.submit(session, Create(record, tuple(people)), joined)
            self._registry.admit(session)
            arrived.set_result(session)
        return session

    async def describe(
        self, principal: Principal, session_id: str, status: Status | None, metadata: bytes | None
    ) -> Session:
        """Change status and metadata; what is None or the same stays, and then nothing is published."""
        require_service(principal)
        async with self._edits.editing(principal, session_id) as session:
            drafts: tuple[Draft, ...] = ()
            if status is session.status:
                status = None
            if status is not None:
                change = {"status": status, "previousStatus": session.status}
                drafts = (server_event("session_status_changed", change),)
            if metadata == session.metadata:
                metadata = None
            if status is not None or metadata is not None:
                await self._edits.submit(session, Describe(status, metadata), drafts)
            return session

    async def delete(self, principal: Principal, session_id: str) -> None:
        """End the session and remove its events."""
        require_service(principal)
        async with self._edits.editing(principal, session_id) as session:
            await self._edits.submit(session, Delete())

    def document(self, session: Session) -> dict[str, Any]:
        """Return the snapshot of a session."""
        return session_document(session.record(), len(session.participants), self._features)

    async def page(self, principal: Principal, after: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
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
        session = self._registry.peek(session_id)
        return principal.is_participant and session is not None and principal.subject in session.unsaved_removals
