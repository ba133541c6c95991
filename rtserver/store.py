"""The durable log: what is written, in one transaction per batch, by the one thread that writes.

Blocking; knows no event loop.  Reading for replay is `rtserver.queries`, on a connection of its own.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NoReturn

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # pysqlite3 where it is installed

from rtserver.changes import Change, Create, Delete, Describe, Join, KeyRecord, Remove, Rename, Sealed, Trim
from rtserver.errors import RequestError, StorageFailing, StorageFull
from rtserver.records import Participant
from rtserver.sealing import Batch, Found, Head, seal_all

log = logging.getLogger(__name__)

INSERT_SESSION = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UPDATE_STATUS = "UPDATE sessions SET status = ?, updated_at_us = ? WHERE number = ?"
UPDATE_METADATA = "UPDATE sessions SET metadata = ?, updated_at_us = ? WHERE number = ?"
TOUCH_SESSION = "UPDATE sessions SET updated_at_us = ? WHERE number = ?"
DELETE_SESSION = "DELETE FROM sessions WHERE number = ?"
RENEW_EPOCHS = "UPDATE sessions SET epoch = (epoch + 1 + abs(random() % ?)) % ?"
UPSERT_PARTICIPANT = "INSERT OR REPLACE INTO participants VALUES (?, ?, ?, ?, ?)"
DELETE_PARTICIPANT = "DELETE FROM participants WHERE session = ? AND participant_id = ?"
DELETE_PARTICIPANTS = "DELETE FROM participants WHERE session = ?"
DOOM = "INSERT OR IGNORE INTO doomed VALUES (?)"
NEXT_DOOMED = "SELECT session FROM doomed LIMIT 1"
DELETE_DOOMED_EVENTS = "DELETE FROM events WHERE position IN (SELECT position FROM events WHERE session = ? LIMIT ?)"
DELETE_DOOMED_KEYS = (
    "DELETE FROM keys WHERE session = ? AND digest IN (SELECT digest FROM keys WHERE session = ? LIMIT ?)"
)
FORGET_DOOMED = "DELETE FROM doomed WHERE session = ?"
TRIM_EVENTS = "DELETE FROM events WHERE session = ? AND sequence <= ?"
MARK_TRIMMED = "UPDATE sessions SET trimmed_sequence = ?, trimmed_timestamp_us = ? WHERE number = ?"
DELETE_KEY = "DELETE FROM keys WHERE session = ? AND digest = ?"
SET_FACT = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
DELETE_FACT = "DELETE FROM facts WHERE name = ?"
GET_FACT = "SELECT value FROM facts WHERE name = ?"

# One statement for many rows: sqlite3 gives up the GIL at every execution and every row of executemany, and beside a
# busy event loop each return costs up to 5 ms (DESIGN section 8).  {rows} becomes (?,...),(?,...).
FIND_KEYS = (
    "WITH wanted (session, digest) AS (VALUES {rows}) "
    "SELECT session, digest, sequence, timestamp_us, type, fingerprint, status, answer "
    "FROM wanted JOIN keys USING (session, digest)"
)
INSERT_EVENTS = "INSERT OR ROLLBACK INTO events (session, sequence, timestamp_us, type, data) VALUES {rows}"
INSERT_KEYS = "INSERT OR ROLLBACK INTO keys VALUES {rows}"
UPDATE_HEADS = (
    "UPDATE sessions SET last_sequence = new.column2, last_timestamp_us = new.column3 "
    "FROM (VALUES {rows}) AS new WHERE number = new.column1"
)

# Rows per statement: few sizes, so that all statements stay compiled, and two for most batches; 128 keeps within the
# number of variables that any SQLite allows.
CHUNKS = (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)

# After a repeat so many batches look first: repeats come in bursts, when publishers got no answers.
WARY_BATCHES = 50

# Result codes (https://sqlite.org/rescode.html); the module does not name them in every version.
SQLITE_FULL = 13
# BUSY and LOCKED (another program), READONLY, IOERR, CORRUPT, CANTOPEN, PROTOCOL, NOTADB.
DISK_FAILED = frozenset({5, 6, 8, 10, 11, 14, 15, 26})
# IOERR_FSYNC and IOERR_DIR_FSYNC.
SYNC_FAILED = frozenset({10 | 4 << 8, 10 | 5 << 8})
RETRY_SECONDS = 5

# The log is copied into the main file when it holds about so many pages of 4 KB: SQLite's own default.  A commit
# changes a handful of pages, its events take about twice their bytes, and each key is on a page of its own and may move
# another: keys are random.
CHECKPOINT_PAGES = 3000
PAGES_PER_COMMIT = 6
BYTES_PER_PAGE = 2048

CLEAN_END = "clean_end"
_SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL"}
_EPOCHS = 1 << 22

Row = Sequence[Any]


class _Repeated(Exception):
    """A batch may repeat keys that the store knows."""


class Store:
    """The one connection that writes.  Create it in the thread that uses it.

    Every method raises `StorageFull` or `StorageFailing` if the disk does not take it, and has then changed nothing.
    A sync that fails is another matter: ``die`` is called and must not return (docs/decisions/failed-sync.rst).
    """

    def __init__(self, connection: sqlite3.Connection, durability: str, die: Callable[[str], NoReturn]) -> None:
        """``durability`` is ``full`` (every commit is on the disk when it returns) or ``normal`` (P1)."""
        self._connection = connection
        self._durability = durability
        self._die = die
        self._wary_batches = 0  # so many more look keys up before they write
        self._logged_pages = 0  # about how many pages the write-ahead log holds
        with self._translating():
            connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
            connection.execute("PRAGMA busy_timeout = 5000")
            # SQLite's own checkpoints hide a failed sync, and make the publish wait that happens to come then.
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def begin_life(self) -> StorageFull | StorageFailing | None:
        """Say that a server runs on this database; renew the epochs if the last one may have lost commits.

        With ``durability = normal`` a power cut can take back numbers that readers have seen.  New epochs make the
        server say so (P3) instead of using a number twice; where that cannot be written, this raises.  Elsewhere a
        disk that takes nothing is returned as the trouble it is: what is stored can be read all the same.
        """
        with self._translating():
            row = self._connection.execute(GET_FACT, (CLEAN_END,)).fetchone()
        may_have_lost = row is not None and row[0] == "no: normal"
        try:
            with self._transaction():
                if may_have_lost:
                    self._connection.execute(RENEW_EPOCHS, (_EPOCHS - 1, _EPOCHS))
                self._connection.execute(SET_FACT, (CLEAN_END, f"no: {self._durability}"))
            # On the disk before the first event is, whatever the durability.
            self.checkpoint()
        except (StorageFull, StorageFailing) as error:
            if may_have_lost or self._durability == "normal":
                raise
            return error
        return None

    def close(self) -> None:
        """End cleanly: everything is in the main file, and the next start knows that nothing was lost."""
        try:
            with self._transaction():
                self._connection.execute(SET_FACT, (CLEAN_END, "yes"))
            self.checkpoint()
        except (StorageFull, StorageFailing) as error:
            # What was acknowledged is in the log, and the next start reads it from there.
            log.warning("the database could not be tidied up: %s", error.detail)
        finally:
            self._connection.close()

    def commit(self, changes: list[Change], now_us: int, latest_us: int = 0) -> list[Sealed | RequestError]:
        """Number and write a batch in one transaction, and return what became of each change, in their order.

        ``latest_us`` is the latest that the clock has ever shown.  If the disk does not take the batch, the numbers of
        all of it are free again.
        """
        if self._wary_batches:
            self._wary_batches -= 1
        else:
            try:
                return self._commit(changes, None, now_us, latest_us)
            except _Repeated:
                pass
            except (StorageFull, StorageFailing):
                # A repeat is answered from what is there, whatever the disk takes: look, and see what is left to write.
                if not any(change.has_keys for change in changes):
                    raise
            self._wary_batches = WARY_BATCHES
        with self._translating():
            found = self._find_keys(changes)
        return self._commit(changes, found, now_us, latest_us)

    def _commit(
        self, changes: list[Change], found: Found | None, now_us: int, latest_us: int
    ) -> list[Sealed | RequestError]:
        """Commit a batch, knowing the keys it repeats; None is the hope that it repeats none.

        The look-up is a fifth of the work of a batch, and writing a key finds out as well: raises `_Repeated` where the
        hope was in vain, or may have been (a repeat is answered where something new is refused), with nothing changed.
        """
        batch, results = seal_all(changes, found or {}, now_us, latest_us)
        if found is None and any(
            isinstance(result, RequestError) and change.has_keys
            for change, result in zip(changes, results, strict=True)
        ):
            raise _Repeated
        written = [
            result
            for result in results
            if isinstance(result, Sealed) and not result.is_replay and result.change.needs_disk
        ]
        if written:
            try:
                with self._transaction():
                    self._write(batch, written)
            except sqlite3.IntegrityError:
                if found is None:
                    raise _Repeated from None
                raise
            self._logged_pages += PAGES_PER_COMMIT + sum(
                sealed.change.size // BYTES_PER_PAGE + 2 * len(sealed.keys) for sealed in written
            )
        return results

    @property
    def wants_checkpoint(self) -> bool:
        """Whether the write-ahead log has grown enough to be copied into the main file."""
        return self._logged_pages >= CHECKPOINT_PAGES

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the main file, so that it starts again from its front."""
        self._logged_pages = 0
        with self._translating():
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def probe(self) -> None:
        """Write something small, to see whether the disk takes it."""
        with self._transaction():
            self._connection.execute(SET_FACT, ("probed", "yes"))
            self._connection.execute(DELETE_FACT, ("probed",))

    def sweep_doomed(self, limit: int) -> bool:
        """Remove up to ``limit`` rows of a deleted session; True if there may be more."""
        with self._translating():
            row = self._connection.execute(NEXT_DOOMED).fetchone()
        if row is None:
            return False
        with self._transaction():
            removed = self._connection.execute(DELETE_DOOMED_EVENTS, (row[0], limit)).rowcount
            removed += self._connection.execute(DELETE_DOOMED_KEYS, (row[0], row[0], limit)).rowcount
            if removed == 0:
                self._connection.execute(FORGET_DOOMED, row)
        return True

    def delete_keys(self, keys: list[tuple[int, bytes]]) -> None:
        """Forget keys by session number and digest."""
        with self._transaction():
            self._connection.executemany(DELETE_KEY, keys)

    def vacuum(self, pages: int) -> None:
        """Give up to ``pages`` free pages back to the file system."""
        with self._translating():
            # A script: SQLite makes one step per page here, and execute() would take only the first.
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE to COMMIT; whatever goes wrong in between, the commit itself included, undoes it all."""
        with self._translating():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                # SQLite ends the transaction by itself on some errors of the disk, and not on others.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turn what SQLite says into what it means to a publisher; a defect of ours stays what it is."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if code in SYNC_FAILED:
                self._die(f"the disk failed to sync the database ({error.sqlite_errorname})")
            if code & 0xFF == SQLITE_FULL:
                detail = "the disk is full; events can be read but not published until there is space again"
                raise StorageFull(detail) from error
            if code & 0xFF in DISK_FAILED:
                detail = f"the disk does not take writes ({error.sqlite_errorname}); try again"
                raise StorageFailing(detail, RETRY_SECONDS) from error
            raise

    def _find_keys(self, changes: list[Change]) -> dict[tuple[int, bytes], KeyRecord]:
        wanted = {
            (change.session.number, digest)
            for change in changes
            for digest in [change.key and change.key.digest, *(draft.message_key for draft in change.drafts)]
            if digest
        }
        found = {}
        for statement, parameters in _chunked(FIND_KEYS, list(wanted)):
            for session, digest, *record, answer in self._connection.execute(statement, parameters):
                found[session, digest] = KeyRecord(*record, answer=answer and answer.encode())  # type: ignore[misc]
        return found

    def _write(self, batch: Batch, written: list[Sealed]) -> None:
        for sealed in written:
            if sealed.change.edit is not None:
                self._edit(sealed, batch.heads[sealed.change.session.number])
        self._insert(
            INSERT_EVENTS,
            [
                (sealed.change.session.number, event.sequence, event.timestamp_us, event.type, event.data.decode())
                for sealed in written
                for event in sealed.events
            ],
        )
        self._insert(
            INSERT_KEYS,
            [
                (
                    sealed.change.session.number,
                    digest,
                    key.sequence,
                    key.timestamp_us,
                    key.type,
                    key.fingerprint,
                    key.status,
                    key.answer and key.answer.decode(),
                )
                for sealed in written
                for digest, key in sealed.keys.items()
            ],
        )
        grown = {sealed.change.session.number for sealed in written if sealed.events}
        self._insert(
            UPDATE_HEADS,
            [(number, batch.heads[number].last_sequence, batch.heads[number].last_timestamp_us) for number in grown],
        )

    def _insert(self, statement: str, rows: list[Row]) -> None:
        for chunk, parameters in _chunked(statement, rows):
            self._connection.execute(chunk, parameters)

    def _edit(self, sealed: Sealed, head: Head) -> None:
        number = sealed.change.session.number
        moment_us = sealed.moment_us
        execute = self._connection.execute
        match sealed.change.edit:
            case Create(record, participants):
                execute(
                    INSERT_SESSION,
                    (
                        *(number, record.session_id, record.status, record.metadata.decode()),
                        *(moment_us, moment_us, record.epoch),
                        *(head.last_sequence, head.last_timestamp_us, 0, moment_us),
                    ),
                )
                for person in participants:
                    execute(UPSERT_PARTICIPANT, _participant_row(number, person, moment_us))
            case Join(person):
                execute(UPSERT_PARTICIPANT, _participant_row(number, person, moment_us))
                execute(TOUCH_SESSION, (moment_us, number))
            case Rename(person):
                execute(UPSERT_PARTICIPANT, _participant_row(number, person, person.joined_at_us))
                execute(TOUCH_SESSION, (moment_us, number))
            case Remove(participant_id):
                execute(DELETE_PARTICIPANT, (number, participant_id))
                execute(TOUCH_SESSION, (moment_us, number))
            case Describe(status, metadata):
                if status is not None:
                    execute(UPDATE_STATUS, (status, moment_us, number))
                if metadata is not None:
                    execute(UPDATE_METADATA, (metadata.decode(), moment_us, number))
            case Delete():
                execute(DELETE_SESSION, (number,))
                execute(DELETE_PARTICIPANTS, (number,))
                execute(DOOM, (number,))
            case Trim(sequence, timestamp_us):
                execute(TRIM_EVENTS, (number, sequence))
                execute(MARK_TRIMMED, (sequence, timestamp_us, number))


def _participant_row(number: int, person: Participant, joined_at_us: int) -> Row:
    return (number, person.participant_id, person.display_name, person.kind, joined_at_us)


def _chunked(statement: str, rows: list[Row]) -> Iterator[tuple[str, list[Any]]]:
    """Split ``rows`` into few statements of sizes that stay compiled."""
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            yield _with_rows(statement, len(chunk[0]), size), list(chain.from_iterable(chunk))
            start += size


@functools.cache
def _with_rows(statement: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return statement.format(rows=", ".join([row] * count))
