"""What can be asked of the log, as values: a change of one session, all of it or nothing.

A change carries drafts to number, or an edit of the session's row or participants, or both.  `rtserver.sealing`
turns changes into rows, `rtserver.store` writes these, and the session applies what was written.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rtserver.event import Event, Transient
from rtserver.publication import Draft, RequestKey
from rtserver.records import Participant, SessionRecord, Status


class Gate(enum.Enum):
    """Who writes; a session's status lets some through and not others."""

    PARTICIPANT = "participant"
    SERVICE = "service"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a session.  The times of ``record`` and of the participants are set when the change is sealed."""

    record: SessionRecord
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class Join:
    participant: Participant


@dataclass(frozen=True, slots=True)
class Rename:
    participant: Participant


@dataclass(frozen=True, slots=True)
class Remove:
    participant_id: str


@dataclass(frozen=True, slots=True)
class Describe:
    """Set what is not None."""

    status: Status | None
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class Delete:
    """End the session.  Its events go in small steps afterwards; nobody can reach them any more."""


@dataclass(frozen=True, slots=True)
class Trim:
    """Forget the events up to ``sequence``, whose own time is ``timestamp_us``."""

    sequence: int
    timestamp_us: int


Edit = Create | Join | Rename | Remove | Describe | Delete | Trim


class Numbered(Protocol):
    """The part of a session that numbering needs; it stands still while a batch is in flight."""

    @property
    def number(self) -> int: ...
    @property
    def session_id(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def status(self) -> Status: ...
    @property
    def last_sequence(self) -> int: ...
    @property
    def last_timestamp_us(self) -> int: ...
    @property
    def modified_at_us(self) -> int: ...
    @property
    def floor_us(self) -> int: ...
    @property
    def is_deleted(self) -> bool: ...


class Change(NamedTuple):
    """One of a batch.  A tuple, as are the other values of the hot path: a frozen dataclass costs six times as much."""

    session: Numbered
    gate: Gate = Gate.SERVER
    drafts: tuple[Draft, ...] = ()
    edit: Edit | None = None
    key: RequestKey | None = None
    size: int = 0  # bytes that wait for the disk

    @property
    def needs_disk(self) -> bool:
        """False for passing states alone: they are never stored."""
        return self.edit is not None or self.key is not None or any(not draft.is_transient for draft in self.drafts)

    @property
    def has_keys(self) -> bool:
        """Whether it may be a repeat."""
        return self.key is not None or any(draft.message_key for draft in self.drafts)


class KeyRecord(NamedTuple):
    """What a key answers with: the event of a ``messageId``, or the whole answer to an ``Idempotency-Key``.

    ``sequence`` is the newest event it stands for and ``timestamp_us`` when it was written: it may be forgotten when
    that event is trimmed and a day has passed.  An ``answer`` of one new event is None: it can be told from the rest,
    and keys, whose order is random, are four times as many to a page without it.
    Where epochs have been renewed since, such a repeat is answered with the ids of today, which readers know.
    """

    sequence: int
    timestamp_us: int
    type: str | None = None
    fingerprint: bytes | None = None
    status: int = 201
    answer: bytes | None = None


@dataclass(slots=True)
class Sealed:
    """A change with its numbers: what is written, shown and answered, in this order.

    ``status`` and ``answer`` are the publish response; ``moment_us`` is when an edit took place.
    """

    change: Change
    moment_us: int
    events: list[Event] = field(default_factory=list)
    transients: list[Transient] = field(default_factory=list)
    keys: dict[bytes, KeyRecord] = field(default_factory=dict)
    status: int = 201
    answer: bytes = b""
    is_replay: bool = False
    submitted_at: float = 0.0  # by the clock of the event loop
