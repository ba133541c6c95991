"""The participants of sessions: who joins, is renamed and leaves (DESIGN 4.2)."""

from __future__ import annotations

from typing import NamedTuple

from rtserver.access import require_service
from rtserver.auth import Principal
from rtserver.changes import Join, Remove, Rename
from rtserver.edits import Edits, server_event
from rtserver.errors import ParticipantNotFound, TooManyParticipants
from rtserver.polls import Polls
from rtserver.records import Participant
from rtserver.session import Session
from rtserver.sse import Ending
from rtserver.streams import Streams


class Edited(NamedTuple):
    """A participant after a PUT; ``is_new`` if it was not in the session before."""

    participant: Participant
    is_new: bool


class Participants:
    """Who is in which session.

    Invariant: whoever is removed is gone from memory at once, and stays gone until the disk knows it (P6).
    """

    def __init__(self, edits: Edits, streams: Streams, polls: Polls, max_participants: int) -> None:
        self._edits = edits
        self._streams = streams
        self._polls = polls
        self._max_participants = max_participants

    async def put(
        self, principal: Principal, session_id: str, participant_id: str, display_name: str | None, kind: str | None
    ) -> Edited:
        """Add a participant, or change its name and kind; None keeps what is, or takes the default."""
        require_service(principal)
        async with self._edits.editing(principal, session_id) as session:
            known = session.participants.get(participant_id)
            if known is not None:
                person = Participant(
                    participant_id, display_name or known.display_name, kind or known.kind, known.joined_at_us
                )
                if person != known:
                    await self._edits.submit(session, Rename(person))
                return Edited(person, is_new=False)
            if len(session.participants) >= self._max_participants:
                raise TooManyParticipants(
                    f"the session has {len(session.participants)} participants; "
                    f"at most {self._max_participants} are allowed"
                )
            person = Participant(participant_id, display_name or participant_id, kind or "human", 0)
            joined = server_event("participant_joined", person.joined_data())
            await self._edits.submit(session, Join(person), (joined,))
            session.unsaved_removals.discard(participant_id)
            return Edited(session.participants[participant_id], is_new=True)

    async def remove(self, principal: Principal, session_id: str, participant_id: str) -> None:
        """Remove a participant; its streams and polls end at once, even if the disk takes nothing (P6).

        Raises `ParticipantNotFound`.  `StorageFull` and its kin mean: removed, and the server keeps trying to write it.
        """
        if principal.subject != participant_id:
            require_service(principal)
        async with self._edits.editing(principal, session_id) as session:
            if participant_id not in session.participants and participant_id not in session.unsaved_removals:
                raise ParticipantNotFound(f"{participant_id[:128]!r} is not in this session")
            session.remove(participant_id)
            self._streams.end_all(session, Ending.REMOVED, participant_id)
            self._polls.expel(session, participant_id)
            # Until it is durable, this keeps the session in memory, where the participant is gone already.
            session.unsaved_removals.add(participant_id)
            await self.save_removal(session, participant_id)

    async def save_removal(self, session: Session, participant_id: str) -> None:
        """Make a removal durable."""
        left = server_event("participant_left", {"participantId": participant_id})
        await self._edits.submit(session, Remove(participant_id), (left,))
        session.unsaved_removals.discard(participant_id)
