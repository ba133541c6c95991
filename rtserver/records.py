"""What is kept of a session beside its events: the session's row and its participants, as plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from rtserver.conditional import settled_us
from rtserver.cursor import encode_id
from rtserver.event import format_timestamp


class Status(enum.StrEnum):
    """ACTIVE takes everything; PAUSED nothing from participants; CLOSED nothing at all, until it is active again."""

    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Participant:
    participant_id: str
    display_name: str
    kind: str  # "human" or "ai"
    joined_at_us: int

    def document(self) -> dict[str, Any]:
        return {
            "participantId": self.participant_id,
            "displayName": self.display_name,
            "kind": self.kind,
            "joinedAt": format_timestamp(self.joined_at_us),
        }

    def joined_data(self) -> dict[str, Any]:
        """Return the data of this participant's ``participant_joined``."""
        return {"participantId": self.participant_id, "displayName": self.display_name, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session's row.

    ``number`` is its key in the store and never reused; ``last_*`` belong to its newest event (sequence 0 at
    ``created_at_us`` before the first), ``trimmed_*`` to the newest event that retention deleted.  Both outlive the
    events, so that an idle reader is not told of a gap that is none (P3).
    """

    number: int
    session_id: str
    status: Status
    metadata: bytes  # a JSON object
    created_at_us: int
    updated_at_us: int
    epoch: int
    last_sequence: int
    last_timestamp_us: int
    trimmed_sequence: int
    trimmed_timestamp_us: int

    @property
    def modified_at_us(self) -> int:
        """When anything in the session changed last: an event, or an edit that publishes none."""
        return max(self.last_timestamp_us, self.updated_at_us)

    @property
    def is_deleted(self) -> bool:
        return False  # a row that is gone has no record

    @property
    def floor_us(self) -> int:
        """Before which nothing may happen any more, for one who knows the row alone.

        A ``Last-Modified`` sent before the row was read may have been as late as this (DESIGN 4.6).
        """
        return settled_us(self.modified_at_us)

    @property
    def last_event_id(self) -> str:
        return encode_id(self.last_timestamp_us, self.epoch, self.last_sequence)
