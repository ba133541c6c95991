"""The data directory is one server's alone, and a database that is not ours is left as it was found."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import subprocess
import sys

import pytest

from rtserver import schema
from rtserver.errors import DataDirectoryRefused
from rtserver.schema import APPLICATION_ID, VERSION, DataDirectory


def pragma(path, name: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def tables(path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def snapshot(directory) -> dict[str, tuple[bytes, int]]:
    """Return what is in a directory, to the byte and the nanosecond."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def assert_refused_and_untouched(path, reason: str) -> None:
    before = snapshot(path.parent)

    for attempt in (schema.check, schema.prepare):
        with pytest.raises(DataDirectoryRefused, match=reason) as refused:
            attempt(path)
        assert "\n" not in str(refused.value) and str(path) in str(refused.value)
        assert snapshot(path.parent) == before


def make_foreign(path, statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)


# The directory


def test_directory_is_made_for_its_owner_only(tmp_path):
    """P6."""
    directory = DataDirectory(tmp_path / "a" / "data")

    assert stat.S_IMODE((tmp_path / "a" / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "data" / "lock").stat().st_mode) == 0o600
    directory.release()


def test_second_server_on_a_directory_is_refused(tmp_path):
    directory = DataDirectory(tmp_path)

    with pytest.raises(DataDirectoryRefused, match="in use by another rtserver"):
        DataDirectory(tmp_path)

    directory.release()
    DataDirectory(tmp_path).release()


def test_server_in_another_process_is_refused_too(tmp_path):
    program = "import sys, pathlib; from rtserver.schema import *; DataDirectory(pathlib.Path(sys.argv[1]))"

    def attempt() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)

    directory = DataDirectory(tmp_path)
    assert "in use by another rtserver" in attempt().stderr

    directory.release()
    assert attempt().returncode == 0, "and a process that ends gives its lock back"
    DataDirectory(tmp_path).release()


def test_two_directories_do_not_disturb_each_other(tmp_path):
    one, other = DataDirectory(tmp_path / "one"), DataDirectory(tmp_path / "other")

    assert one.database != other.database
    one.release()
    other.release()


def test_directory_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "data"
    path.write_text("mine")

    with pytest.raises(DataDirectoryRefused, match="cannot use the data directory"):
        DataDirectory(path)

    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["a b", "a?mode=memory", "a#b", "a%41", "ä", "a'b"])
def test_directory_may_have_any_name(tmp_path, name):
    """The name goes into a URI on its way to SQLite."""
    (tmp_path / name).mkdir()
    path = tmp_path / name / "rtserver.db"

    schema.prepare(path)

    assert pragma(path, "application_id") == APPLICATION_ID
    assert [each.name for each in tmp_path.iterdir()] == [name]


# A database of ours


def test_mark_in_the_file_is_the_one_of_the_first_release():
    """A one-way door: with another mark, every database of today would be refused."""
    assert APPLICATION_ID.to_bytes(4, "big") == b"rtsv"


@pytest.mark.parametrize("is_there", [False, True], ids=["absent", "empty file"])
def test_new_database_is_marked_and_complete(tmp_path, is_there):
    path = tmp_path / "rtserver.db"
    if is_there:
        path.touch()

    schema.prepare(path)

    assert {"sessions", "participants", "events", "keys", "doomed", "facts"} <= tables(path)
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == VERSION == 1
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "auto_vacuum") == 2, "incremental: it can only be chosen before the first table"


def test_preparing_again_changes_nothing(tmp_path):
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    with contextlib.closing(schema.connect(path)) as connection:
        connection.execute("INSERT INTO facts VALUES ('kept', 'yes')")
    before = path.read_bytes()

    schema.check(path)
    schema.prepare(path)

    assert path.read_bytes() == before


def test_session_numbers_and_positions_are_never_reused(tmp_path):
    """P2: also after the newest were deleted."""
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    with contextlib.closing(schema.connect(path)) as connection:
        insert = "INSERT INTO events (session, sequence, timestamp_us, type, data) VALUES (1, ?, 0, 'note', '{}')"
        connection.execute(insert, (1,))
        connection.execute("DELETE FROM events")
        connection.execute(insert, (2,))

        assert connection.execute("SELECT position FROM events").fetchall() == [(2,)]
        for table in ("events", "sessions"):
            (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            assert "AUTOINCREMENT" in sql


def test_sequence_cannot_be_stored_twice(tmp_path):
    """P2: the file itself refuses it, whatever the program does."""
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    with contextlib.closing(schema.connect(path)) as connection:
        insert = "INSERT INTO events (session, sequence, timestamp_us, type, data) VALUES (?, 1, 0, 'note', '{}')"
        connection.execute(insert, (1,))
        connection.execute(insert, (2,))
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(insert, (1,))


def test_start_that_was_interrupted_between_mark_and_tables_is_completed(tmp_path):
    path = tmp_path / "rtserver.db"
    with contextlib.closing(schema.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    schema.prepare(path)

    assert "sessions" in tables(path)
    assert pragma(path, "user_version") == VERSION


def killed_starts(tmp_path) -> list:
    """Return copies of the database of a first start, each as `kill -9` at one of its statements leaves the files."""
    path, copies = tmp_path / "rtserver.db", []

    def copy(statement: str) -> None:
        directory = tmp_path / f"{len(copies)}"
        directory.mkdir()
        for file in tmp_path.glob("rtserver.db*"):
            shutil.copy(file, directory)
        copies.append(directory / "rtserver.db")

    with contextlib.closing(schema.connect(path)) as connection:
        connection.set_trace_callback(copy)
        schema.create(connection)
        connection.set_trace_callback(None)
    assert len(copies) > 10
    return copies


def assert_completed(path) -> None:
    schema.prepare(path)
    assert {"sessions", "participants", "events", "keys", "doomed", "facts"} <= tables(path)
    assert pragma(path, "user_version") == VERSION


def test_start_that_was_killed_with_its_mark_in_the_file_is_completed(tmp_path):
    """P1."""
    marked = [path for path in killed_starts(tmp_path) if path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")]

    assert len(marked) > 5
    for path in marked:
        assert_completed(path)


def test_start_that_was_killed_at_any_statement_is_completed(tmp_path):
    """P1."""
    for path in killed_starts(tmp_path):
        assert_completed(path)


def test_reading_connection_cannot_write(tmp_path):
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    reading = schema.connect(path, read_only=True)

    with contextlib.closing(reading), pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.execute("INSERT INTO facts VALUES ('a', 'b')")


def test_reading_connection_does_not_make_a_database(tmp_path):
    with pytest.raises(sqlite3.OperationalError):
        schema.connect(tmp_path / "rtserver.db", read_only=True)

    assert list(tmp_path.iterdir()) == []


# A database that is not ours


@pytest.mark.parametrize("content", [b"x", b"SQLite format 3\0", b"SQLite format 3\0" + b"\0" * 83, b"hello" * 1000])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "rtserver.db"
    path.write_bytes(content)

    assert_refused_and_untouched(path, "is not an SQLite database; it was left untouched")


@pytest.mark.parametrize("mark", ["", "PRAGMA application_id = 42;", f"PRAGMA application_id = {APPLICATION_ID + 1};"])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_database_of_another_program_is_refused(tmp_path, mark, journal):
    path = tmp_path / "rtserver.db"
    make_foreign(path, f"PRAGMA journal_mode = {journal}; {mark} CREATE TABLE t (a); INSERT INTO t VALUES (1);")

    assert_refused_and_untouched(path, "is a database of another program; it was left untouched")


@pytest.mark.parametrize("version", [VERSION + 1, VERSION + 100])
def test_database_of_a_newer_program_is_refused(tmp_path, version):
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    make_foreign(path, f"PRAGMA user_version = {version};")

    assert_refused_and_untouched(path, rf"was written by a newer rtserver \(schema {version}, .* up to {VERSION}\)")


def test_newer_version_that_is_still_in_the_log_is_refused(tmp_path):
    """The header of the file does not show it yet: the newer program was killed."""
    made, path = tmp_path / "made.db", tmp_path / "copy" / "rtserver.db"
    path.parent.mkdir()
    schema.prepare(made)
    with contextlib.closing(schema.connect(made)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        shutil.copy(made, path)
        shutil.copy(f"{made}-wal", f"{path}-wal")
    database, log = path.read_bytes(), (path.parent / "rtserver.db-wal").read_bytes()

    with pytest.raises(DataDirectoryRefused, match="newer rtserver"):
        schema.prepare(path)

    assert path.read_bytes() == database
    assert (path.parent / "rtserver.db-wal").read_bytes() == log


def test_damaged_database_is_refused(tmp_path):
    path = tmp_path / "rtserver.db"
    schema.prepare(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996  # the first page behind the header: the list of tables
    path.write_bytes(content)

    with pytest.raises(DataDirectoryRefused, match="it was left untouched"):
        schema.prepare(path)

    assert path.read_bytes() == bytes(content)


def test_database_that_is_a_directory_is_refused(tmp_path):
    path = tmp_path / "rtserver.db"
    path.mkdir()

    with pytest.raises(DataDirectoryRefused, match=r"cannot read .*: Is a directory"):
        schema.prepare(path)
