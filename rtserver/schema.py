"""The data directory: its lock, the database file in it, and the shape of that database.

Refuses to know what the rows are for.  A database that is garbage, foreign or newer is refused before anything in it
is touched: it may be the only copy of somebody's records.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from sqlite_utils import Database, Migrations
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # pysqlite3 where it is installed

from rtserver.errors import DataDirectoryRefused

DATABASE_NAME = "rtserver.db"
LOCK_NAME = "lock"

# In the header of the file, so that `file` and we can tell whose database it is: "rtsv".
APPLICATION_ID = 0x72747376

_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"

migrations = Migrations("rtserver")


@migrations()
def m001_sessions_participants_events_keys(db: Database) -> None:
    # SQL instead of create(): sqlite-utils cannot make WITHOUT ROWID tables, and its transform() drops them silently.
    for statement in (
        """CREATE TABLE sessions (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            session_id TEXT NOT NULL UNIQUE,
            status TEXT NOT NULL,
            metadata TEXT NOT NULL,
            created_at_us INTEGER NOT NULL,
            updated_at_us INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            last_sequence INTEGER NOT NULL,
            last_timestamp_us INTEGER NOT NULL,
            trimmed_sequence INTEGER NOT NULL,
            trimmed_timestamp_us INTEGER NOT NULL
        )""",
        """CREATE TABLE participants (
            session INTEGER NOT NULL,
            participant_id TEXT NOT NULL,
            display_name TEXT NOT NULL,
            kind TEXT NOT NULL,
            joined_at_us INTEGER NOT NULL,
            PRIMARY KEY (session, participant_id)
        ) WITHOUT ROWID""",
        "CREATE INDEX participants_by_id ON participants (participant_id, session)",
        # The position is the order over all sessions; the ids of events are not stored, they are computed from the
        # session's epoch, so that renewing an epoch is one update (docs/decisions/schema.rst).
        """CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            session INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            timestamp_us INTEGER NOT NULL,
            type TEXT NOT NULL,
            data TEXT NOT NULL,
            UNIQUE (session, sequence)
        )""",
        """CREATE TABLE keys (
            session INTEGER NOT NULL,
            digest BLOB NOT NULL,
            sequence INTEGER NOT NULL,
            timestamp_us INTEGER NOT NULL,
            type TEXT,
            fingerprint BLOB,
            status INTEGER NOT NULL,
            answer TEXT,
            PRIMARY KEY (session, digest)
        ) WITHOUT ROWID""",
        # Sessions that were deleted and whose events are still to be removed, in small steps.
        "CREATE TABLE doomed (session INTEGER PRIMARY KEY)",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ):
        db.conn.execute(statement)


VERSION = 1  # how many migrations there are; kept in the file's user_version


class DataDirectory:
    """A directory that this process alone writes to, until `release`."""

    def __init__(self, path: Path) -> None:
        """Create what is missing and take the lock; `DataDirectoryRefused` if another server holds it."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirectoryRefused(f"cannot use the data directory {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DataDirectoryRefused(
                f"the data directory {path} is in use by another rtserver; stop it or choose another --data-dir"
            ) from None

    @property
    def database(self) -> Path:
        return self.path / DATABASE_NAME

    def release(self) -> None:
        os.close(self._lock)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database; the connection belongs to the thread that opens it."""
    mode = "ro" if read_only else "rwc"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


def prepare(path: Path) -> None:
    """Make the database at ``path`` ready for this version, or raise `DataDirectoryRefused` and leave it untouched."""
    check(path)
    try:
        with contextlib.closing(connect(path)) as connection:
            create(connection)
    except sqlite3.Error as error:
        raise DataDirectoryRefused(f"cannot open the database {path}: {error}") from None


def create(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date; the only place that changes it."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        # Before WAL, so that the mark is in the file itself from the first byte on and `check` can read it.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        migrations.apply(Database(connection, execute_plugins=False))
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check(path: Path) -> None:
    """Raise `DataDirectoryRefused` unless ``path`` is absent, empty, or a database that this version can use."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataDirectoryRefused(f"cannot read {path}: {error.strerror}") from None
    if not header:
        return
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        raise DataDirectoryRefused(f"{path} is not an SQLite database; it was left untouched")
    if _is_blank(header):
        return  # a first start that was killed between its first statements
    # The header first: opening the file with SQLite might already write beside it.
    _check_marks(path, int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big"))
    try:
        # Then through SQLite, read-only: the newest marks may still be in the write-ahead log.
        with contextlib.closing(connect(path, read_only=True)) as connection:
            marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise DataDirectoryRefused(f"{path} cannot be read as a database ({error}); it was left untouched") from None
    _check_marks(path, *marks)


def _is_blank(header: bytes) -> bool:
    """Whether a database has never held anything: one page, never in WAL mode, marked by nobody."""
    page_count, marks = header[28:32], header[60:64] + header[68:72]
    return page_count == (1).to_bytes(4, "big") and marks == bytes(8) and header[18:20] == b"\1\1"


def _check_marks(path: Path, application_id: int, version: int) -> None:
    if application_id != APPLICATION_ID:
        raise DataDirectoryRefused(f"{path} is a database of another program; it was left untouched")
    if version > VERSION:
        raise DataDirectoryRefused(
            f"{path} was written by a newer rtserver (schema {version}, this program knows up to {VERSION}); "
            "it was left untouched"
        )
