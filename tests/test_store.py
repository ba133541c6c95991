"""The store on real files: whole batches or nothing, and read back as they were written."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver import schema
from rtserver.changes import Delete, Describe, Gate, Join, Remove, Rename, Sealed, Trim
from rtserver.errors import SessionPaused, StorageFailing, StorageFull
from rtserver.queries import KeyScan, Scan
from rtserver.records import Status
from rtserver.session import Session
from rtserver.store import CHECKPOINT_PAGES, CHUNKS, WARY_BATCHES, Store
from tests.builders import (
    DAY_US,
    NOW_US,
    SECOND_US,
    Database,
    ProcessEnded,
    change,
    die,
    error_of,
    keyed,
    message,
    new_session,
    note,
    person,
    sealed_of,
    session,
    typing,
)


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


def edit(session: Session, edit, *drafts):
    return change(session, *drafts, gate=Gate.SERVER, edit=edit)


def people_of(session: Session) -> list:
    return [session.participants[each] for each in sorted(session.participants)]


def bytes_of(events) -> list[tuple[bytes, bytes]]:
    return [(event.item, event.frame) for event in events]


def contents(database: Database) -> dict[str, list]:
    """Return every row of every table, as seen from outside."""
    outside = schema.connect(database.path, read_only=True)
    tables = ("sessions", "participants", "events", "keys", "doomed")
    found = {table: outside.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    outside.close()
    return found


def killed(database: Database, directory) -> Database:
    """Return the database as the next start finds it after `kill -9` now."""
    directory.mkdir()
    for file in database.path.parent.glob("rtserver.db*"):
        shutil.copy(file, directory)
    return Database(directory / "rtserver.db")


# Durability


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_decides_whether_a_commit_waits_for_the_disk(tmp_path, durability, synchronous):
    """P1."""
    database = Database(tmp_path / "rtserver.db", durability)

    assert database.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_what_was_committed_survives_a_kill(database, tmp_path):
    """P1."""
    session = database.create(person("alice"))
    events = database.add_events(session, note(n=1), message("hi", "m1"))

    survivor = killed(database, tmp_path / "copy")

    assert bytes_of(survivor.read(session)) == bytes_of(events)
    assert survivor.queries.load(session.session_id) == (session.record(), people_of(session))
    survivor.close()


def test_nobody_sees_an_event_before_its_commit(database):
    """P1: asked at every statement of the transaction."""
    session = database.create()
    seen = []
    database.connection.set_trace_callback(lambda statement: seen.append((statement, len(database.read(session)))))

    database.add_events(session, note(), note())

    database.connection.set_trace_callback(None)
    assert seen[-1] == ("COMMIT", 0)
    assert {count for _, count in seen} == {0}
    assert len(database.read(session)) == 2


def begin(database: Database, durability: str) -> None:
    Store(database.connection, durability, die).begin_life()


@pytest.mark.parametrize("last", ["full", "normal"])
@pytest.mark.parametrize("next", ["full", "normal"])
@pytest.mark.parametrize("is_clean", [True, False])
def test_epochs_are_renewed_where_numbers_may_have_been_taken_back(tmp_path, last, next, is_clean):
    """P3: only an unclean end of a life with durability normal can have lost commits."""
    database = Database(tmp_path / "rtserver.db", last)
    database.store.begin_life()
    sessions = [database.create() for _ in range(3)]
    before = [session.record() for session in sessions]
    if is_clean:
        database.queries.close()
        database.store.close()
    else:
        database.close()

    restarted = Database(tmp_path / "rtserver.db", next)
    restarted.store.begin_life()

    after = [restarted.queries.load(session.session_id)[0] for session in sessions]
    is_renewed = last == "normal" and not is_clean
    for old, new in zip(before, after, strict=True):
        assert (new.epoch != old.epoch) == is_renewed
        assert 0 <= new.epoch < 1 << 22
    if is_renewed:
        assert len({row.epoch for row in after}) > 1, "each session draws for itself"
    else:
        assert after == before
    restarted.close()


def test_epochs_are_renewed_once_per_unclean_end(tmp_path):
    """P3: a reader that has been told once is not told again."""
    path = tmp_path / "rtserver.db"
    first = Database(path)
    first.store.begin_life()
    session = first.create()
    first.close()
    epochs = []
    for _ in range(2):
        life = Database(path, "full")
        life.store.begin_life()
        epochs.append(life.queries.load(session.session_id)[0].epoch)
        life.close()

    assert epochs[0] == epochs[1] != session.epoch


@pytest.mark.parametrize("epoch", [0, 1, (1 << 22) - 1])
def test_renewed_epoch_is_always_another(tmp_path, epoch):
    """P3: at both ends of the range, too."""
    database = Database(tmp_path / "rtserver.db")
    sessions = [database.create(epoch=epoch) for _ in range(50)]
    for _ in range(2):
        begin(database, "normal")

    epochs = [database.queries.load(session.session_id)[0].epoch for session in sessions]

    assert epoch not in epochs
    assert all(0 <= each < 1 << 22 for each in epochs)
    database.close()


@pytest.mark.parametrize(
    ("last", "next", "is_refused"),
    [("full", "full", False), ("full", "normal", True), ("normal", "full", True), ("normal", "normal", True)],
)
def test_life_on_a_disk_that_takes_nothing_begins_where_nothing_can_be_lost(tmp_path, last, next, is_refused):
    """P3: events can be read all the same; but not under an epoch that may have to be another."""
    path = tmp_path / "rtserver.db"
    database = Database(path, last)
    database.store.begin_life()
    session = database.create()
    database.add_events(session, note())
    database.close()
    other = schema.connect(path)
    other.execute("BEGIN IMMEDIATE")
    life = Database(path, next)
    life.connection.execute("PRAGMA busy_timeout = 0")

    if is_refused:
        with pytest.raises(StorageFailing):
            life.store.begin_life()
    else:
        assert isinstance(life.store.begin_life(), StorageFailing)

    assert len(life.read(session)) == 1
    assert life.queries.load(session.session_id)[0] == session.record()
    other.close()
    life.close()


def test_life_that_begins_well_has_no_trouble(database):
    assert database.store.begin_life() is None


def test_beginning_is_in_the_file_before_the_first_event(database, tmp_path):
    """P3: with durability normal the log may vanish; that this life began must not vanish with it."""
    session = database.create()
    database.store.begin_life()
    database.add_events(session, note())

    (tmp_path / "copy").mkdir()
    shutil.copy(database.path, tmp_path / "copy")
    survivor = Database(tmp_path / "copy" / "rtserver.db")
    survivor.store.begin_life()

    assert survivor.read(session) == []
    assert survivor.queries.load(session.session_id)[0].epoch != session.epoch
    survivor.close()


def test_clean_end_leaves_everything_in_the_one_file(database, tmp_path):
    """P1."""
    session = database.create()
    events = database.add_events(session, note(), note())
    database.store.close()
    (tmp_path / "copy").mkdir()

    shutil.copy(database.path, tmp_path / "copy")

    alone = Database(tmp_path / "copy" / "rtserver.db")
    assert bytes_of(alone.read(session)) == bytes_of(events)
    alone.close()


# Batches


def test_events_from_the_store_are_byte_for_byte_those_of_the_ring(database):
    """P2: falling from the ring to the store changes nothing, whatever the data."""
    session = database.create()
    nasty = ["", "\0", "\r\n", "\u2028", "😀", "'; DROP TABLE events; --", '"}', "\\", "x" * 5000]

    events = database.add_events(session, *[message(content) for content in nasty], note(n=2**70, f=1.5))

    assert bytes_of(database.read(session)) == bytes_of(events) == bytes_of(session.ring.after(0))


@pytest.mark.parametrize("count", sorted({1, 2, 3, *(n + d for n in (64, 128, 256) for d in (-1, 0, 1)), 300}))
def test_batch_of_any_size_is_written_whole_and_in_order(database, count):
    """P2: rows go in statements of {128, 64, ..., 1}."""
    session, other = database.create(), database.create()
    drafts = [message(str(n), f"m{n}") for n in range(count)]

    results = database.commit(change(session, *drafts), change(other, note()))

    assert all(isinstance(result, Sealed) for result in results)
    assert [event.sequence for event in database.read(session)] == list(range(1, count + 1))
    assert [json.loads(event.data)["content"] for event in database.read(session)] == [str(n) for n in range(count)]
    assert database.count("keys") == count
    assert len(database.read(other)) == 1


def test_statements_stay_within_the_variables_that_sqlite_allows(database):
    """P4: the widest row in the largest chunk."""
    limit = database.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)

    assert 8 * max(CHUNKS) <= limit
    assert sorted(CHUNKS, reverse=True) == list(CHUNKS) and CHUNKS[-1] == 1


def test_position_is_the_order_of_commits_over_all_sessions(database):
    one, other = database.create(), database.create()
    database.commit(change(one, note()), change(other, note()), change(one, note()))
    database.commit(change(other, note()))

    rows = [(row[1], row[2]) for row in sorted(contents(database)["events"])]

    a, b = one.number, other.number
    assert rows == [(a, 1), (b, 1), (a, 2), (b, 2)]


def test_refused_change_writes_nothing_and_its_neighbours_are_written(database):
    """P7."""
    session = database.create()
    database.commit(edit(session, Describe(Status.PAUSED, None)))

    results = database.commit(
        change(session, note(n=1)),
        change(session, message("no", "m1"), gate=Gate.PARTICIPANT),
        change(session, note(n=2)),
    )

    error_of(results[1], SessionPaused)
    assert [json.loads(event.data)["n"] for event in database.read(session)] == [1, 2]
    assert database.count("keys") == 0


def test_passing_states_are_never_written(database):
    session = database.create()
    before = contents(database)

    (result,) = database.commit(change(session, typing()))

    assert sealed_of(result).transients
    assert contents(database) == before


def test_batch_of_nothing_to_write_opens_no_transaction(database):
    session = database.create()
    statements = []
    database.connection.set_trace_callback(statements.append)

    database.commit(change(session, typing()))

    database.connection.set_trace_callback(None)
    assert statements == []


def test_defect_in_a_batch_undoes_all_of_it(database):
    """P1: here a session whose memory has fallen behind the store would use a number twice (P2)."""
    stale, other = database.create(), database.create()
    database.store.commit([change(stale, note())], NOW_US)  # written, and not applied
    before = contents(database)

    with pytest.raises(sqlite3.IntegrityError):
        database.store.commit([change(other, note()), change(stale, note())], NOW_US)

    assert contents(database) == before
    assert not database.connection.in_transaction
    assert len(database.add_events(other, note())) == 1, "and the next batch goes through"


# Repeats


BODY = {"events": [{"type": "note", "data": {"a": 1}, "messageId": "m1"}, {"type": "note", "data": {}}]}


def test_repeat_is_answered_from_the_disk_after_a_restart(database, tmp_path):
    session = database.create()
    (first,) = database.commit(keyed(session, BODY, "k1"))
    restarted = killed(database, tmp_path / "copy")
    row, _ = restarted.queries.load(session.session_id)
    before = contents(restarted)

    (repeat,) = restarted.store.commit([keyed(row, BODY, "k1")], NOW_US + SECOND_US)

    assert (repeat.answer, repeat.status, repeat.is_replay) == (first.answer, first.status, True)
    assert contents(restarted) == before
    restarted.close()


def test_repeated_message_is_found_on_the_disk(database):
    session = database.create()
    database.add_events(session, message("one", "m1"), message("other", "m2"))
    before = contents(database)["events"]

    (repeat,) = database.commit(change(session, message("again", "m1")))

    (entry,) = json.loads(sealed_of(repeat).answer)["events"]
    assert (entry["sequence"], entry["replayed"], entry["type"]) == (1, True, "message_added")
    assert contents(database)["events"] == before


def test_many_keys_are_found_at_once(database):
    session = database.create()
    database.add_events(session, *[message(str(n), f"m{n}") for n in range(300)])

    (repeat,) = database.commit(change(session, *[message("x", f"m{n}") for n in range(299, -1, -1)]))

    entries = json.loads(sealed_of(repeat).answer)["events"]
    assert [entry["sequence"] for entry in entries] == list(range(300, 0, -1))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_repeat_among_what_is_new_is_answered_and_leaves_no_hole(database, place):
    """P2: keys are not looked up before they are written; one that is there already has the batch made again."""
    session = database.create()
    first = sealed_of(*database.commit(keyed(session, {"type": "note", "data": {"n": 0}}, "k")))
    batch = [change(session, note(n=number)) for number in (1, 2)]
    batch.insert(place, keyed(session, {"type": "note", "data": {"n": 0}}, "k"))

    results = [sealed_of(result) for result in database.commit(*batch)]

    assert results[place].is_replay and results[place].answer == first.answer
    assert [event.sequence for result in results for event in result.events] == [2, 3]
    assert len(database.read(session)) == 3


def test_repeat_is_answered_in_a_session_that_takes_nothing_new(database):
    """DESIGN 4.3: a refusal might hide that it is a repeat."""
    session = database.create()
    body = {"type": "note", "data": {}}
    first = sealed_of(*database.commit(keyed(session, body, "k")))
    database.commit(edit(session, Describe(Status.CLOSED, None)))

    again = sealed_of(*database.commit(keyed(session, body, "k")))

    assert again.is_replay and again.answer == first.answer and again.status == first.status


def test_after_a_repeat_keys_are_looked_up_before_they_are_written_for_a_while(database):
    """A burst of repeats costs one transaction that is undone, not one each."""
    session = database.create()
    database.commit(keyed(session, {"type": "note", "data": {}}, "k"))
    statements: list[str] = []
    database.connection.set_trace_callback(statements.append)

    for number in range(WARY_BATCHES):
        repeat, new = [keyed(session, {"type": "note", "data": {}}, key) for key in ("k", f"k{number}")]
        results = database.commit(repeat, new)
        assert [sealed_of(result).is_replay for result in results] == [True, False]

    database.connection.set_trace_callback(None)
    assert statements.count("COMMIT") == WARY_BATCHES
    assert statements.count("BEGIN IMMEDIATE") - statements.count("COMMIT") <= 2


def test_keys_that_were_forgotten_are_new_again(database):
    session, other = database.create(), database.create()
    for each in (session, other):
        database.add_events(each, message("one", "m1"))
    digest = message("one", "m1").message_key

    database.store.delete_keys([(session.number, digest)])

    assert len(database.add_events(session, message("two", "m1"))) == 1
    assert database.add_events(other, message("two", "m1")) == []


# Failing disks


def fill_disk(database: Database) -> None:
    """Let the file grow no more, as on a disk without space."""
    database.connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it as the present size


def make_room(database: Database) -> None:
    database.connection.execute("PRAGMA max_page_count = 1000000")


def large(count: int = 20) -> list:
    return [note(text="x" * 60_000) for _ in range(count)]


def test_full_disk_takes_nothing_of_a_batch_and_recovers_by_itself(database):
    """P1, P2: the numbers are free again."""
    session = database.create()
    database.add_events(session, note(n=1))
    fill_disk(database)
    before, memory = contents(database), session.record()

    with pytest.raises(StorageFull):
        database.commit(change(session, note(n=2)), change(session, *large()))

    assert contents(database) == before
    assert session.record() == memory
    assert not database.connection.in_transaction
    assert [json.loads(event.data)["n"] for event in database.read(session)] == [1], "reading goes on"
    make_room(database)
    assert [event.sequence for event in database.add_events(session, note(n=3))] == [2]


def test_disk_that_is_locked_by_another_program_is_failing_and_recovers(database):
    """P1."""
    session = database.create()
    database.connection.execute("PRAGMA busy_timeout = 0")
    other = schema.connect(database.path)
    other.execute("BEGIN IMMEDIATE")
    before = contents(database)

    with pytest.raises(StorageFailing, match="SQLITE_BUSY"):
        database.commit(change(session, note()))
    with pytest.raises(StorageFailing):
        database.store.probe()

    assert contents(database) == before
    other.execute("ROLLBACK")
    other.close()
    database.store.probe()
    assert [event.sequence for event in database.add_events(session, note())] == [1]


def test_repeat_is_answered_while_the_disk_takes_nothing(database):
    """It has nothing to write: it is looked up, and what is new beside it fails alone."""
    session = database.create()
    body = {"type": "note", "data": {}}
    first = sealed_of(*database.commit(keyed(session, body, "k")))
    database.connection.execute("PRAGMA busy_timeout = 0")
    other = schema.connect(database.path)
    other.execute("BEGIN IMMEDIATE")

    again = sealed_of(*database.commit(keyed(session, body, "k")))
    with pytest.raises(StorageFailing):
        database.commit(keyed(session, body, "new"))

    assert again.is_replay and again.answer == first.answer
    other.execute("ROLLBACK")
    other.close()


def test_repeat_of_one_event_after_epochs_were_renewed_has_the_id_of_today(database):
    """DESIGN 4.3: the rest is as the first time."""
    session = database.create()
    body = {"type": "note", "data": {}}
    first = json.loads(sealed_of(*database.commit(keyed(session, body, "k"))).answer)
    session.epoch += 1

    again = json.loads(sealed_of(*database.commit(keyed(session, body, "k"))).answer)

    assert again["lastEventId"] == again["events"][0]["id"] == session.last_event_id
    assert again["events"][0] | {"id": first["events"][0]["id"]} == first["events"][0]


def test_probe_writes_and_leaves_nothing(database):
    outside = "SELECT * FROM facts"
    before = database.connection.execute(outside).fetchall()
    statements = []
    database.connection.set_trace_callback(statements.append)

    database.store.probe()

    database.connection.set_trace_callback(None)
    assert any("INSERT" in statement for statement in statements)
    assert database.connection.execute(outside).fetchall() == before


class Unlucky(sqlite3.Connection):
    """A connection whose next statements fail as SQLite's do."""

    error: sqlite3.DatabaseError | None = None

    def execute(self, *arguments):
        if self.error is not None:
            raise self.error
        return super().execute(*arguments)

    def executescript(self, *arguments):
        if self.error is not None:
            raise self.error
        return super().executescript(*arguments)


@pytest.fixture
def unlucky(tmp_path):
    """Return a store, its connection, and a function that makes all statements fail with an error and result code."""
    schema.prepare(tmp_path / "unlucky.db")
    connection = sqlite3.connect(tmp_path / "unlucky.db", factory=Unlucky, isolation_level=None)
    store = Store(connection, "full", die)

    def fail(kind: type[sqlite3.DatabaseError], code: int | None) -> None:
        connection.error = kind("what SQLite says")
        if code is not None:
            connection.error.sqlite_errorcode, connection.error.sqlite_errorname = code, "SQLITE_NAME"

    yield store, connection, fail
    connection.close()


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        (sqlite3.OperationalError, sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_WRITE, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_BUSY, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_LOCKED, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_READONLY, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_CANTOPEN, StorageFailing),
        (sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT, StorageFailing),
        (sqlite3.DatabaseError, sqlite3.SQLITE_NOTADB, StorageFailing),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_FSYNC, ProcessEnded),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_DIR_FSYNC, ProcessEnded),
        (sqlite3.OperationalError, sqlite3.SQLITE_ERROR, sqlite3.OperationalError),
        (sqlite3.OperationalError, None, sqlite3.OperationalError),
        (sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.IntegrityError),
        (sqlite3.ProgrammingError, None, sqlite3.ProgrammingError),
    ],
)
@pytest.mark.parametrize("method", ["commit", "probe", "checkpoint", "delete_keys", "vacuum"])
def test_trouble_of_the_disk_is_told_from_a_defect_and_from_a_failed_sync(unlucky, method, kind, code, expected):
    """P1, P7: the first passes and is a 503 or 507, the second must be seen, the third ends the process."""
    store, _, fail = unlucky
    there = session()
    calls = {
        "commit": lambda: store.commit([change(there, note())], NOW_US),
        "probe": store.probe,
        "checkpoint": store.checkpoint,
        "delete_keys": lambda: store.delete_keys([(1, b"x")]),
        "vacuum": lambda: store.vacuum(1),
    }
    fail(kind, code)

    with pytest.raises(expected) as raised:
        calls[method]()

    if expected in (StorageFull, StorageFailing):
        assert "what SQLite says" not in raised.value.detail


@pytest.mark.parametrize("method", ["begin_life", "sweep_doomed"])
def test_trouble_of_the_disk_while_looking_first_is_told_alike(unlucky, method):
    store, _, fail = unlucky
    calls = {"begin_life": store.begin_life, "sweep_doomed": lambda: store.sweep_doomed(1)}
    fail(sqlite3.OperationalError, sqlite3.SQLITE_IOERR_READ)

    with pytest.raises(StorageFailing):
        calls[method]()


def test_end_on_a_disk_that_takes_nothing_is_an_end(unlucky, caplog):
    """P1: what was acknowledged is in the log, from which the next start reads it."""
    store, connection, fail = unlucky
    fail(sqlite3.OperationalError, sqlite3.SQLITE_FULL)

    store.close()

    assert "could not be tidied up" in caplog.text
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.commit()


# Checkpoints


def test_log_is_copied_when_told_and_never_by_sqlite_itself(database):
    """A checkpoint of SQLite's own would hide a failed sync, and hold up the publish that happens to come then."""
    session = database.create()
    log_file = database.path.with_name("rtserver.db-wal")
    before = database.path.stat().st_size

    for _ in range(20):
        database.add_events(session, *large(5))
    assert database.store.wants_checkpoint
    assert log_file.stat().st_size > 6_000_000 and database.path.stat().st_size == before

    database.store.checkpoint()
    assert not database.store.wants_checkpoint
    assert database.path.stat().st_size > 6_000_000
    assert len(database.read(session)) == 100
    # The next batch goes to the front of the log, which does not grow any more.
    grown_to = log_file.stat().st_size
    database.add_events(session, *large(5))
    assert log_file.stat().st_size == grown_to


def test_many_small_commits_want_a_checkpoint_too(database):
    """P4."""
    session = database.create()
    log_file = database.path.with_name("rtserver.db-wal")
    commits = 0
    while not database.store.wants_checkpoint:
        database.add_events(session, note())
        commits += 1
        assert commits < 1000

    assert log_file.stat().st_size < 3 * 4096 * CHECKPOINT_PAGES


# Edits


operations = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["publish", "join", "rename", "remove", "status", "metadata", "trim", "keyed"]),
            st.integers(0, 6),
            st.integers(-DAY_US, DAY_US),
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def shared_database(tmp_path_factory):
    opened = Database(tmp_path_factory.mktemp("shared") / "rtserver.db")
    yield opened
    opened.close()


def operation(session: Session, present: set[str], kind: str, number: int):
    """Return the change of one step, or None if it does not make sense now; ``present`` are the participants."""
    who = f"p{number}"
    match kind:
        case "publish":
            return change(session, *[message(str(n), f"m{n}") for n in range(number)], note(), typing())
        case "keyed":
            return keyed(session, {"type": "note", "data": {}}, f"k{number}")
        case "join" if who not in present:
            present.add(who)
            return edit(session, Join(person(who)), note(joined=who))
        case "rename" if who in present and who in session.participants:
            return edit(
                session,
                Rename(person(who, display_name=str(number), joined_at_us=session.participants[who].joined_at_us)),
            )
        case "remove" if who in present:
            present.discard(who)
            return edit(session, Remove(who), note(left=who))
        case "status":
            return edit(session, Describe(list(Status)[number % 3], None), note())
        case "metadata":
            return edit(session, Describe(None, b'{"n":%d}' % number))
        case "trim" if session.trimmed_sequence < number <= session.last_sequence:
            return edit(session, Trim(number, session.timestamp_of(number)))
    return None


@settings(deadline=None, max_examples=150)
@given(operations)
def test_memory_and_store_agree_after_any_batch(shared_database, batches):
    """P2: a session that is dropped from memory and loaded again is the same one."""
    database = shared_database
    session = database.create(person("p0"), person("p1"))
    for batch in batches:
        present = set(session.participants)
        changes = [operation(session, present, kind, number) for kind, number, _ in batch]
        changes = [each for each in changes if each]
        for later in [each for each in changes if isinstance(each.edit, Trim)][1:]:
            changes.remove(later)  # maintenance waits for one trim before the next
        database.clock.now_us = NOW_US + batch[0][2]
        results = database.commit(*changes)

        assert database.queries.load(session.session_id) == (session.record(), people_of(session))
        stored = database.read(session)
        assert [event.sequence for event in stored] == list(
            range(session.trimmed_sequence + 1, session.last_sequence + 1)
        )
        assert bytes_of(stored) == bytes_of(session.ring.after(session.trimmed_sequence))
        assert len(results) == len(changes)


def test_created_session_is_loaded_as_it_was_made(database):
    session = database.create(person("bob"), person("alice", kind="ai", display_name="Änne"), session_id="case-1")

    row, people = database.queries.load("case-1")

    assert row == session.record()
    assert (row.created_at_us, row.last_sequence, row.last_timestamp_us) == (NOW_US, 0, NOW_US)
    assert [(each.participant_id, each.display_name, each.kind, each.joined_at_us) for each in people] == [
        ("alice", "Änne", "ai", NOW_US),
        ("bob", "Bob", "human", NOW_US),
    ]


def test_session_id_cannot_be_created_twice(database):
    database.create(session_id="case-1")
    before = contents(database)

    with pytest.raises(sqlite3.IntegrityError):
        database.commit(new_session(session_id="case-1")[1])

    assert contents(database) == before


def test_deleted_session_is_gone_at_once_and_its_events_in_steps(database):
    """P6: nobody can reach them meanwhile; P4: the steps are small."""
    session, other = database.create(person("alice")), database.create(person("bob"))
    database.add_events(session, *[message(str(n), f"m{n}") for n in range(25)])
    kept = database.add_events(other, message("kept", "m1"))

    database.commit(edit(session, Delete()))

    assert database.queries.load(session.session_id) is None
    assert database.queries.list_sessions("alice", "", 10) == []
    steps, left = 0, database.count("events")
    while database.store.sweep_doomed(10):
        steps += 1
        assert left - database.count("events") <= 10
        left = database.count("events")
    assert 3 <= steps <= 5
    assert bytes_of(database.read(other)) == bytes_of(kept)
    found = contents(database)
    assert [len(found[table]) for table in ("sessions", "participants", "events", "keys", "doomed")] == [1, 1, 1, 1, 0]
    assert not database.store.sweep_doomed(10)


def test_recreated_session_does_not_inherit_the_events_of_the_deleted_one(database):
    """P3."""
    old = database.create(session_id="case-1")
    database.add_events(old, message("old", "m1"))
    database.commit(edit(old, Delete()))

    new = database.create(session_id="case-1")
    events = database.add_events(new, message("new", "m1"))
    while database.store.sweep_doomed(10):
        pass

    assert new.number != old.number
    assert bytes_of(database.read(new)) == bytes_of(events)
    assert database.read(old) == []


@pytest.mark.parametrize("through", [1, 4, 5])
def test_trimming_forgets_events_and_remembers_where(database, through):
    """P3: the row outlives the events, so that an idle reader at the end is not told of a gap."""
    session, other = database.create(), database.create()
    events = database.add_events(session, *[note(n=n) for n in range(5)])
    database.add_events(other, *[note(n=n) for n in range(5)])

    database.commit(edit(session, Trim(through, events[through - 1].timestamp_us)))

    row, _ = database.queries.load(session.session_id)
    assert bytes_of(database.read(session)) == bytes_of(events[through:])
    assert (row.trimmed_sequence, row.trimmed_timestamp_us) == (through, events[through - 1].timestamp_us)
    assert row.last_event_id == events[-1].id
    assert len(database.read(other)) == 5


def test_numbering_goes_on_after_everything_was_trimmed(database):
    """P2."""
    session = database.create()
    (event,) = database.add_events(session, note())
    database.commit(edit(session, Trim(1, event.timestamp_us)))

    assert [event.sequence for event in database.add_events(session, note())] == [2]


def test_space_is_given_back_in_steps(database):
    session = database.create()
    events = database.add_events(session, *large(5))
    database.commit(edit(session, Trim(5, events[-1].timestamp_us)))
    free = database.queries.free_pages()
    assert free > 50

    database.store.vacuum(10)
    assert database.queries.free_pages() == free - 10

    database.store.vacuum(1000)
    assert database.queries.free_pages() == 0


# Reading


@pytest.mark.parametrize(
    ("after", "through", "limit", "expected"),
    [
        (0, 9, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0, 9, 1, [1]),
        (3, 9, 2, [4, 5]),
        (3, 5, 100, [4, 5]),
        (3, 4, 100, [4]),
        (3, 3, 100, []),
        (8, 9, 100, [9]),
        (9, 9, 100, []),
        (9, 100, 100, []),
    ],
)
def test_reading_is_of_what_comes_after_and_not_beyond(database, after, through, limit, expected):
    """P1: not beyond what has been shown, though the store may have it."""
    session, other = database.create(), database.create()
    database.add_events(session, *[note() for _ in range(9)])
    database.add_events(other, *[note() for _ in range(9)])

    found = database.queries.read(session.number, session.epoch, after, through, limit, 1 << 20)

    assert [event.sequence for event in found] == expected


@pytest.mark.parametrize(
    ("max_bytes", "count"), [(0, 1), (1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3), (1000, 4)]
)
def test_reading_stops_when_it_has_its_bytes_and_gives_at_least_one_event(database, max_bytes, count):
    """P4, and progress."""
    session = database.create()
    events = database.add_events(session, *[note(n=1234) for _ in range(4)])
    assert len(events[0].data) == 10

    assert len(database.queries.read(session.number, session.epoch, 0, 100, 100, max_bytes)) == count


def test_reading_counts_bytes_and_not_characters(database):
    """P4."""
    session = database.create()
    events = database.add_events(session, *[note(t="😀" * 100) for _ in range(4)])
    assert len(events[0].data) == 408

    assert len(database.queries.read(session.number, session.epoch, 0, 100, 100, 400)) == 1


def test_times_and_first_event_are_those_of_the_events(database):
    session = database.create()
    assert database.queries.first_event(session.number) is None
    events = database.add_events(session, note(), note(), note())
    database.commit(edit(session, Trim(1, events[0].timestamp_us)))

    assert database.queries.first_event(session.number) == (2, events[1].timestamp_us)
    assert database.queries.timestamp_of(session.number, 1) is None
    assert database.queries.timestamp_of(session.number, 3) == events[2].timestamp_us
    assert database.queries.timestamp_of(session.number, 4) is None
    assert database.queries.timestamp_of(session.number + 1, 3) is None


def test_session_that_does_not_exist_is_none(database):
    database.create(session_id="case-1")

    assert database.queries.load("case-2") is None
    assert database.queries.load("CASE-1") is None


def test_row_and_participants_are_of_one_moment(database):
    """A change that is committed between the two statements of `load` is in both or in neither."""
    session = database.create(person("alice"))
    before = (session.record(), people_of(session))
    reading = schema.connect(database.path, read_only=True)
    queries = type(database.queries)(reading)

    def join_in_between(statement: str) -> None:
        if "FROM participants" in statement:
            reading.set_trace_callback(None)
            database.commit(edit(session, Join(person("bob")), note()))

    reading.set_trace_callback(join_in_between)
    found = queries.load(session.session_id)

    assert found == before
    assert session.last_sequence == 1
    assert queries.load(session.session_id) == (session.record(), people_of(session))
    queries.close()


def test_sessions_are_listed_by_id_page_after_page(database):
    ids = ["B", "a", "a-b", "a.b", "a:1", "b", "~"]
    sessions = {
        each: database.create(person("x"), session_id=each) for each in ["b", "~", "a", "B", "a:1", "a.b", "a-b"]
    }
    pages, after = [], ""
    while page := database.queries.list_sessions(None, after, 3):
        pages.append([listed.record.session_id for listed in page])
        after = pages[-1][-1]

    assert pages == [ids[:3], ids[3:6], ids[6:]]
    (listed,) = database.queries.list_sessions(None, "b", 1)
    assert listed == (sessions["~"].record(), 1)


def test_participant_is_listed_its_own_sessions_only(database):
    """P6."""
    database.create(person("alice"), person("bob"), session_id="a")
    database.create(person("bob"), session_id="b")
    database.create(person("alice"), session_id="c")
    database.create(session_id="d")

    def listed(who: str | None, after: str = "") -> list[tuple[str, int]]:
        return [(row.session_id, count) for row, count in database.queries.list_sessions(who, after, 10)]

    assert listed("alice") == [("a", 2), ("c", 1)]
    assert listed("alice", "a") == [("c", 1)]
    assert listed("eve") == []
    assert listed(None) == [("a", 2), ("b", 1), ("c", 1), ("d", 0)]


def test_number_of_a_deleted_session_is_not_given_again(database, tmp_path):
    """P3: numbers name a session's life, also after a restart."""
    assert database.queries.last_number() == 0
    session = database.create()
    database.commit(edit(session, Delete()))

    survivor = killed(database, tmp_path / "copy")

    assert database.queries.last_number() == survivor.queries.last_number() == session.number
    survivor.close()


@pytest.mark.parametrize(("keep", "found"), [(4, True), (5, False), (6, False)])
def test_session_is_overgrown_with_more_events_than_are_kept(database, keep, found):
    session = database.create()
    events = database.add_events(session, *[note() for _ in range(6)])
    database.commit(edit(session, Trim(1, events[0].timestamp_us)))

    assert database.queries.overgrown(keep, 0, 10) == Scan([session.session_id] if found else [], 0)


def test_scan_for_overgrown_sessions_visits_all_and_begins_again(database):
    sessions = [database.create() for _ in range(5)]
    for each in sessions[1:4]:
        database.add_events(each, note(), note())
    visited, next_number, steps = [], 0, 0
    while steps == 0 or next_number:
        scan = database.queries.overgrown(1, next_number, 2)
        visited, next_number, steps = visited + scan.session_ids, scan.next_number, steps + 1

    assert visited == [session.session_id for session in sessions[1:4]]
    assert steps == 3


@pytest.mark.parametrize(("before", "expected"), [(0, []), (1, [1]), (2, [2])])
def test_events_are_outdated_before_a_moment(database, before, expected):
    session, young = database.create(), database.create()
    events = []
    for _ in range(3):
        database.clock.now_us += SECOND_US
        events += database.add_events(session, note())
    database.clock.now_us += DAY_US
    database.add_events(young, note())

    found = database.queries.outdated(events[before].timestamp_us, 100)

    assert found == [(session.session_id, sequence) for sequence in expected]


def test_outdated_events_are_found_in_steps(database):
    """P4."""
    session = database.create()
    database.add_events(session, *[note() for _ in range(5)])

    assert database.queries.outdated(NOW_US + DAY_US, 2) == [(session.session_id, 2)]
    assert database.queries.outdated(NOW_US + DAY_US, 100) == [(session.session_id, 5)]


@pytest.mark.parametrize("trimmed", [0, 1, 2])
@pytest.mark.parametrize("age_us", [-1, 0, 1])
def test_key_may_be_forgotten_when_it_is_old_and_its_event_is_gone(database, trimmed, age_us):
    session = database.create()
    first, second = database.add_events(session, message("one", "m1"), message("two", "m2"))
    events = {1: first, 2: second}
    if trimmed:
        database.commit(edit(session, Trim(trimmed, events[trimmed].timestamp_us)))

    scan = database.queries.forgettable_keys(second.timestamp_us + age_us, (0, b""), 10)

    expected = [
        (session.number, message("", f"m{sequence}").message_key)
        for sequence in (1, 2)
        if sequence <= trimmed and events[sequence].timestamp_us < second.timestamp_us + age_us
    ]
    assert scan == KeyScan(sorted(expected), (0, b""))


def test_scan_for_forgettable_keys_visits_all_and_begins_again(database):
    sessions = [database.create() for _ in range(2)]
    for each in sessions:
        events = database.add_events(each, *[message(str(n), f"m{n}") for n in range(3)])
        database.commit(edit(each, Trim(3, events[-1].timestamp_us)))
    visited, after, steps = [], (0, b""), 0
    while steps == 0 or after != (0, b""):
        scan = database.queries.forgettable_keys(NOW_US + DAY_US, after, 4)
        visited, after, steps = visited + scan.keys, scan.next, steps + 1

    assert sorted(visited) == sorted((s.number, message("", f"m{n}").message_key) for s in sessions for n in range(3))
    assert steps == 2


def test_no_query_leaves_the_log_pinned(database):
    """P4: a statement left open would keep the log from being emptied, and it would grow without bound."""
    session = database.create(person("alice"))
    queries, number = database.queries, session.number
    database.add_events(session, *[message(str(n), f"m{n}") for n in range(20)])
    calls = [
        lambda: queries.load(session.session_id),
        lambda: queries.load("nobody"),
        lambda: queries.read(number, session.epoch, 0, 20, 5, 1 << 20),
        lambda: queries.read(number, session.epoch, 0, 20, 20, 1),
        lambda: queries.timestamp_of(number, 3),
        lambda: queries.first_event(number),
        lambda: queries.list_sessions(None, "", 1),
        lambda: queries.list_sessions("alice", "", 1),
        lambda: queries.last_number(),
        lambda: queries.overgrown(1, 0, 1),
        lambda: queries.outdated(NOW_US + DAY_US, 1),
        lambda: queries.forgettable_keys(NOW_US + DAY_US, (0, b""), 1),
        lambda: queries.free_pages(),
    ]
    for call in calls:
        database.add_events(session, note())
        kept = call()
        is_busy, *_ = database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not is_busy
        del kept
    assert (database.path.parent / "rtserver.db-wal").stat().st_size == 0


def test_reading_connection_refuses_to_write(database):
    path = schema.connect(database.path)  # one that could
    queries = type(database.queries)(path)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        path.execute("DELETE FROM sessions")

    queries.close()
