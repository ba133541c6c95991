"""What readers ask of the store, on a read-only connection of its own.

Blocking; knows no event loop.  Each call is one short step that leaves no statement open: an open one would pin the
write-ahead log, which then grows without bound.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # pysqlite3 where it is installed

from rtserver.event import Event
from rtserver.records import Participant, SessionRecord, Status

_SESSION = (
    "number, sessions.session_id, status, metadata, created_at_us, updated_at_us, epoch, "
    "last_sequence, last_timestamp_us, trimmed_sequence, trimmed_timestamp_us"
)
_COUNT = "(SELECT count(*) FROM participants WHERE session = number)"
GET_SESSION = f"SELECT {_SESSION} FROM sessions WHERE session_id = ?"
GET_PARTICIPANTS = (
    "SELECT participant_id, display_name, kind, joined_at_us FROM participants "
    "WHERE session = ? ORDER BY participant_id"
)
LIST_SESSIONS = f"SELECT {_SESSION}, {_COUNT} FROM sessions WHERE session_id > ? ORDER BY session_id LIMIT ?"
LIST_SESSIONS_OF = (
    f"SELECT {_SESSION}, {_COUNT} FROM participants JOIN sessions ON number = participants.session "
    "WHERE participant_id = ? AND session_id > ? ORDER BY session_id LIMIT ?"
)
READ_EVENTS = (
    "SELECT sequence, timestamp_us, type, data FROM events "
    "WHERE session = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
)
READ_BACK = (
    "SELECT sequence, timestamp_us, type, data FROM events "
    "WHERE session = ? AND sequence >= ? AND sequence < ? AND type = ? ORDER BY sequence DESC LIMIT ?"
)
GET_TIMESTAMP = "SELECT timestamp_us FROM events WHERE session = ? AND sequence = ?"
FIRST_EVENT = "SELECT sequence, timestamp_us FROM events WHERE session = ? ORDER BY sequence LIMIT 1"
LAST_NUMBER = "SELECT seq FROM sqlite_sequence WHERE name = 'sessions'"
OVERGROWN = (
    "SELECT number, session_id, last_sequence - trimmed_sequence > ? FROM sessions WHERE number > ? "
    "ORDER BY number LIMIT ?"
)
OUTDATED = (
    "SELECT sessions.session_id, max(oldest.sequence) FROM "
    "(SELECT session, sequence, timestamp_us FROM events ORDER BY position LIMIT ?) AS oldest "
    "JOIN sessions ON number = oldest.session WHERE oldest.timestamp_us < ? GROUP BY oldest.session"
)
KEYS_AFTER = (
    "SELECT keys.session, keys.digest, keys.timestamp_us < ? AND keys.sequence <= trimmed_sequence "
    "FROM keys JOIN sessions ON number = keys.session "
    "WHERE (keys.session, keys.digest) > (?, ?) ORDER BY keys.session, keys.digest LIMIT ?"
)
FREE_PAGES = "PRAGMA freelist_count"


class Listed(NamedTuple):
    """A session as a list shows it."""

    record: SessionRecord
    participant_count: int


class Queries:
    """The connection that only reads.  Create it in the thread that uses it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 5000")

    def close(self) -> None:
        self._connection.close()

    def load(self, session_id: str) -> tuple[SessionRecord, list[Participant]] | None:
        """Return a session's row and participants as they were committed last."""
        execute = self._connection.execute
        # One transaction for both: a participant must not be read from before and the row from after a change.
        execute("BEGIN")
        try:
            row = execute(GET_SESSION, (session_id,)).fetchone()
            if row is None:
                return None
            return _record(row), [Participant(*person) for person in execute(GET_PARTICIPANTS, (row[0],))]
        finally:
            execute("ROLLBACK")

    def read(self, number: int, epoch: int, after: int, through: int, limit: int, max_bytes: int) -> list[Event]:
        """Return up to ``limit`` events with ``after < sequence <= through``, ending early past ``max_bytes``."""
        return self._events(READ_EVENTS, (number, after, through, limit), epoch, max_bytes)

    def read_back(
        self, number: int, epoch: int, type: str, first: int, before: int, limit: int, max_bytes: int
    ) -> Back:
        """Look backwards through ``first <= sequence < before`` for up to ``limit`` events of a type.

        Ends early past ``max_bytes``.
        """
        events = self._events(READ_BACK, (number, first, before, type, limit), epoch, max_bytes)
        has_ended_early = len(events) == limit or sum(len(event.data) for event in events) >= max_bytes
        return Back(events, events[-1].sequence if has_ended_early else first)

    def _events(self, statement: str, parameters: tuple[Any, ...], epoch: int, max_bytes: int) -> list[Event]:
        """Return the rows of a statement as events, up to the one with which they have ``max_bytes``."""
        events = []
        rows = self._connection.execute(statement, parameters)
        for sequence, timestamp_us, type, data in rows:
            encoded = data.encode()
            events.append(Event(epoch, sequence, timestamp_us, type, encoded))
            max_bytes -= len(encoded)
            if max_bytes <= 0:
                break
        rows.close()
        return events

    def timestamp_of(self, number: int, sequence: int) -> int | None:
        """Return the time of one event in microseconds, or None if it is not kept."""
        row = self._connection.execute(GET_TIMESTAMP, (number, sequence)).fetchone()
        return row[0] if row else None

    def sequence_at(self, number: int, timestamp_us: int, first: int, last: int) -> int:
        """Return the newest sequence in ``first - 1 ... last`` whose event is not later than ``timestamp_us``.

        Times strictly increase with sequences (P8) and there are no holes, so halving finds it: 17 look-ups among
        100,000 events, where an index on the time would cost every publish.
        """
        low, high = first - 1, last
        while low < high:
            middle = (low + high + 1) // 2
            found = self.timestamp_of(number, middle)
            # What was trimmed meanwhile is older than all that is kept.
            if found is None or found <= timestamp_us:
                low = middle
            else:
                high = middle - 1
        return low

    def first_event(self, number: int) -> tuple[int, int] | None:
        """Return sequence and time of the oldest event kept."""
        row: tuple[int, int] | None = self._connection.execute(FIRST_EVENT, (number,)).fetchone()
        return row

    def list_sessions(self, participant_id: str | None, after: str, limit: int) -> list[Listed]:
        """Return sessions by id after ``after``: all, or those a participant is in."""
        if participant_id is None:
            rows = self._connection.execute(LIST_SESSIONS, (after, limit))
        else:
            rows = self._connection.execute(LIST_SESSIONS_OF, (participant_id, after, limit))
        return [Listed(_record(row[:-1]), row[-1]) for row in rows]

    def last_number(self) -> int:
        """Return the highest number ever given to a session."""
        row = self._connection.execute(LAST_NUMBER).fetchone()
        return row[0] if row else 0

    def overgrown(self, keep: int, after_number: int, limit: int) -> Scan:
        """Look at the next ``limit`` sessions for those that keep more than ``keep`` events."""
        rows = self._connection.execute(OVERGROWN, (keep, after_number, limit)).fetchall()
        return Scan([row[1] for row in rows if row[2]], rows[-1][0] if len(rows) == limit else 0)

    def outdated(self, before_us: int, limit: int) -> list[tuple[str, int]]:
        """Return ``(session_id, sequence)`` up to which the oldest events are older than ``before_us``."""
        return self._connection.execute(OUTDATED, (limit, before_us)).fetchall()

    def forgettable_keys(self, before_us: int, after: tuple[int, bytes], limit: int) -> KeyScan:
        """Look at the next ``limit`` keys for those whose events are trimmed and that are older than ``before_us``."""
        rows = self._connection.execute(KEYS_AFTER, (before_us, *after, limit)).fetchall()
        return KeyScan([row[:2] for row in rows if row[2]], rows[-1][:2] if len(rows) == limit else (0, b""))

    def free_pages(self) -> int:
        return int(self._connection.execute(FREE_PAGES).fetchone()[0])


class Back(NamedTuple):
    """Events newest first, and the sequence down to which a step has looked."""

    events: list[Event]
    reached: int


class Scan(NamedTuple):
    """What a step of a scan found, and where the next begins: 0 for the front again."""

    session_ids: list[str]
    next_number: int


class KeyScan(NamedTuple):
    keys: list[tuple[int, bytes]]
    next: tuple[int, bytes]


def _record(row: tuple[Any, ...]) -> SessionRecord:
    number, session_id, status, metadata, *rest = row
    return SessionRecord(number, session_id, Status(status), metadata.encode(), *rest)
