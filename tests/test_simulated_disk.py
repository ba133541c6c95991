"""The simulated disk keeps what SQLite may rely on, and takes away everything else.

A disk that never loses anything would let every simulation pass, so half of these tests prove that it bites.
"""

import functools
import gc
import hashlib
import random
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.disk import SECTOR_BYTES, Image, Operation, SimulatedDisk

NAME = "events.db"
SEEDS = range(300)
Rows = tuple[tuple[int, bytes], ...]


@functools.cache
def migrated() -> Image:
    """An empty database in WAL mode, as a migration leaves it."""
    with SimulatedDisk(random.Random(0)) as disk:
        connection = disk.connect(NAME)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)")
        connection.close()
        return disk.image()


def insert(connection: sqlite3.Connection, body: bytes = b"a body") -> None:
    connection.execute("INSERT INTO events (body) VALUES (?)", [body])


def rows(connection: sqlite3.Connection) -> Rows:
    return tuple(connection.execute("SELECT id, body FROM events ORDER BY id"))


class Program:
    """A writer and a reader that commit, read, prune and checkpoint at random until the disk stops them.

    `states` are the contents after each commit attempted; `acknowledged` is the index of the last that returned.
    """

    def __init__(self, disk: SimulatedDisk, rng: random.Random, synchronous: str) -> None:
        self.rng = rng
        self.writer = disk.connect(NAME)
        self.writer.execute(f"PRAGMA synchronous={synchronous}")
        self.writer.execute(f"PRAGMA wal_autocheckpoint={rng.choice((3, 10, 1000))}")
        self.reader = disk.connect(NAME, read_only=True)
        self.states = [rows(self.writer)]
        self.acknowledged = 0
        self.snapshot: Rows | None = None  # of the reader, while it has a read transaction open

    def step(self) -> None:
        chance = self.rng.random()
        if chance < 0.7:
            self.commit()
        elif chance < 0.8:
            self.writer.execute(f"PRAGMA wal_checkpoint({self.rng.choice(('PASSIVE', 'RESTART', 'TRUNCATE'))})")
        else:
            self.read()

    def commit(self) -> None:
        self.writer.execute("BEGIN IMMEDIATE")
        for _ in range(self.rng.randint(1, 3)):
            insert(self.writer, self.rng.randbytes(self.rng.choice((10, 200, 1000, 9000))))
        if self.rng.random() < 0.2:
            self.writer.execute("DELETE FROM events WHERE id < (SELECT max(id) - 10 FROM events)")
        self.states.append(rows(self.writer))
        self.writer.execute("COMMIT")
        self.acknowledged = len(self.states) - 1

    def read(self) -> None:
        """Open a snapshot, or look again at the one that is open; it pins the WAL meanwhile."""
        if self.snapshot is None:
            self.reader.execute("BEGIN")
            self.snapshot = rows(self.reader)
            assert self.snapshot == self.states[self.acknowledged]
        else:
            assert rows(self.reader) == self.snapshot
            self.reader.execute("COMMIT")
            self.snapshot = None

    def give_up(self) -> None:
        """What a program does after an error that did not kill it."""
        for connection in (self.writer, self.reader):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self.snapshot = None
        assert rows(self.writer) == rows(self.reader) == self.states[self.acknowledged]

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


def live_until_crash(disk: SimulatedDisk, rng: random.Random, synchronous: str, crash: Callable[..., None]) -> Program:
    """One life that ends in the middle of a change to the disk: in a commit, a checkpoint, or the last of them."""
    crashes = disk.crashes
    program = Program(disk, rng, synchronous)
    crash(after=rng.randrange(250))
    try:
        for _ in range(rng.choice((15, 1000))):  # after 15 steps, most often, the crash comes while it closes
            program.step()
    except sqlite3.OperationalError:
        assert disk.crashes == crashes + 1
    program.close()
    if disk.crashes == crashes:
        disk.heal()
        crash()
    return program


def recovered(disk: SimulatedDisk) -> Rows:
    """What the next program finds, the reader being the first to come; raises DatabaseError if it is damaged."""
    reader, writer = disk.connect(NAME, read_only=True), disk.connect(NAME)
    try:
        found = rows(reader)
        assert rows(writer) == found
        report = writer.execute("PRAGMA integrity_check").fetchall()
        if report != [("ok",)]:
            raise sqlite3.DatabaseError(report)
        return found
    finally:
        reader.close()
        writer.close()


def lost_commits(seed: int, synchronous: str, kind: str) -> int:
    """How many acknowledged commits two lives on one disk lost; what is left must be a state that was committed."""
    rng, lost = random.Random(f"program {seed}"), 0
    with SimulatedDisk(random.Random(f"disk {seed}")) as disk:
        disk.restore(migrated())
        for _life in range(2):
            program = live_until_crash(disk, rng, synchronous, getattr(disk, kind))
            found = recovered(disk)
            is_prefix = found in program.states  # named, because pytest would print all rows of all states
            assert is_prefix, (seed, len(found))
            lost += max(0, program.acknowledged - program.states.index(found))
    return lost


def test_a_writer_and_a_read_only_reader_share_a_wal_database() -> None:
    with SimulatedDisk(random.Random(1)) as disk:
        disk.restore(migrated())
        writer, reader = disk.connect(NAME), disk.connect(NAME, read_only=True)
        reader.execute("BEGIN")
        assert rows(reader) == ()

        insert(writer, b"one")

        assert rows(reader) == ()  # its snapshot is older, and pins the WAL
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (1, 2, 0)  # busy
        reader.execute("COMMIT")
        assert rows(reader) == ((1, b"one"),)
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert set(disk.image()) == {NAME, NAME + "-wal"}
        with pytest.raises(sqlite3.OperationalError) as caught:
            insert(reader, b"two")
        assert caught.value.sqlite_errorname == "SQLITE_READONLY"
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert disk.image()[NAME + "-wal"] == b""
        assert rows(reader) == ((1, b"one"),)
        writer.close()
        reader.close()


def test_with_full_sync_every_acknowledged_commit_survives_power_loss() -> None:
    assert {seed: lost for seed in SEEDS if (lost := lost_commits(seed, "FULL", "power_loss"))} == {}


def test_with_normal_sync_power_loss_takes_acknowledged_commits_but_leaves_a_clean_prefix() -> None:
    lost = [lost_commits(seed, "NORMAL", "power_loss") for seed in SEEDS]

    assert sum(count > 0 for count in lost) > 50
    assert lost.count(0) > 50


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_kill_loses_nothing_that_was_acknowledged(synchronous: str) -> None:
    assert {seed: lost for seed in SEEDS[:150] if (lost := lost_commits(seed, synchronous, "kill"))} == {}


def test_without_syncs_power_loss_damages_databases() -> None:
    """Losing out of order is what syncs guard against; a disk that only dropped the newest writes would pass."""
    damaged = 0
    for seed in SEEDS[:100]:
        with SimulatedDisk(random.Random(seed)) as disk:
            disk.restore(migrated())
            live_until_crash(disk, random.Random(seed), "OFF", disk.power_loss)
            try:
                recovered(disk)
            except sqlite3.DatabaseError:
                damaged += 1

    assert damaged > 25


def test_a_power_loss_tears_writes_at_sectors_only() -> None:
    outcomes = set()
    for seed in range(60):
        with SimulatedDisk(random.Random(seed)) as disk:
            connection = disk.connect("plain.db")
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("CREATE TABLE t (body BLOB)")
            connection.execute("INSERT INTO t VALUES (?)", [b"a" * 3900])
            before = disk.image()["plain.db"]
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("UPDATE t SET body = ?", [b"b" * 3900])
            after = disk.image()["plain.db"]

            disk.power_loss()

            left = disk.image()["plain.db"]
            connection.close()
            assert len(left) == len(before) == len(after)
            sectors = [slice(start, start + SECTOR_BYTES) for start in range(4096, 8192, SECTOR_BYTES)]
            assert all(left[sector] in (before[sector], after[sector]) for sector in sectors)
            outcomes.add(tuple(left[sector] == after[sector] for sector in sectors))

    assert {(False,) * 8, (True,) * 8} < outcomes  # nothing, all, and
    assert len(outcomes) > 10  # many kinds of torn


def test_a_file_that_grew_without_its_data_holds_zeros_or_garbage() -> None:
    kinds = set()
    for seed in range(60):
        with SimulatedDisk(random.Random(seed)) as disk:
            connection = disk.connect("plain.db")
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("CREATE TABLE t (body BLOB)")
            size = len(disk.image()["plain.db"])
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("INSERT INTO t VALUES (?)", [b"b" * 20_000])
            after = disk.image()["plain.db"]

            disk.power_loss()

            left = disk.image()["plain.db"]
            connection.close()
            kinds.add("short" if len(left) < len(after) else "whole")
            for start in range(size, len(left), SECTOR_BYTES):
                sector = left[start : start + SECTOR_BYTES]
                is_written = sector == after[start : start + SECTOR_BYTES]
                kinds.add("written" if is_written else "garbage" if any(sector) else "zeros")

    assert kinds == {"short", "whole", "written", "zeros", "garbage"}


@pytest.mark.parametrize(("synchronous", "may_be_gone"), [("OFF", True), ("FULL", False)])
def test_a_new_file_may_be_gone_after_power_loss_unless_synced(synchronous: str, may_be_gone: bool) -> None:
    found = set()
    for seed in range(40):
        with SimulatedDisk(random.Random(seed)) as disk:
            disk.restore(migrated())
            connection = disk.connect(NAME)
            connection.execute(f"PRAGMA synchronous={synchronous}")
            insert(connection)
            disk.power_loss()
            found.add(frozenset(disk.image()))
            connection.close()

    both = frozenset({NAME, NAME + "-wal"})
    assert found == ({both, frozenset({NAME})} if may_be_gone else {both})


def test_a_full_disk_refuses_writing_goes_on_reading_and_recovers() -> None:
    with SimulatedDisk(random.Random(2)) as disk:
        disk.restore(migrated())
        writer, reader = disk.connect(NAME), disk.connect(NAME, read_only=True)
        insert(writer, b"before")

        disk.fail(Operation.WRITE, sqlite3.SQLITE_FULL)
        for _attempt in range(3):
            with pytest.raises(sqlite3.OperationalError) as caught:
                insert(writer, b"refused")
            assert caught.value.sqlite_errorname == "SQLITE_FULL"
            assert rows(reader) == rows(writer) == ((1, b"before"),)

        disk.heal()
        insert(writer, b"after")
        assert rows(reader) == ((1, b"before"), (2, b"after"))
        reader.close()
        writer.close()
        assert recovered(disk) == ((1, b"before"), (2, b"after"))


def test_a_write_that_fails_leaves_some_of_it_behind() -> None:
    sizes = set()
    for seed in range(20):
        with SimulatedDisk(random.Random(seed)) as disk:
            disk.restore(migrated())
            writer = disk.connect(NAME)
            insert(writer)
            size = len(disk.image()[NAME + "-wal"])
            disk.fail(Operation.WRITE, after=1, times=1)
            with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
                insert(writer)
            sizes.add(len(disk.image()[NAME + "-wal"]) - size)
            assert rows(writer) == ((1, b"a body"),)
            writer.close()

    assert all(24 <= size <= 24 + 4096 for size in sizes)  # the header of the frame, and a part of its page
    assert len(sizes) > 10


@pytest.mark.parametrize("operation", [Operation.WRITE, Operation.SYNC, Operation.READ, Operation.TRUNCATE])
def test_an_operation_fails_as_often_as_asked_with_its_own_error(operation: Operation) -> None:
    with SimulatedDisk(random.Random(3)) as disk:
        disk.restore(migrated())
        writer = disk.connect(NAME)
        writer.execute("PRAGMA cache_size=0")
        writer.execute("PRAGMA synchronous=FULL")
        outcomes = []

        disk.fail(operation, after=2, times=1)
        for number in range(6):
            try:
                insert(writer, b"%d" % number)
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                outcomes.append("ok")
            except sqlite3.OperationalError as error:
                outcomes.append(error.sqlite_errorname)

        assert sorted(set(outcomes)) == ["SQLITE_IOERR_" + {"SYNC": "FSYNC"}.get(operation.name, operation.name), "ok"]
        assert outcomes.count("ok") == 5
        assert outcomes[-1] == "ok"
        writer.close()


def survivor_of_failing_syncs(seed: int) -> tuple[Rows, list[Rows]]:
    """What is left after syncs failed now and then and the power went; and what might be: acknowledged, or in doubt."""
    rng = random.Random(f"program {seed}")
    with SimulatedDisk(random.Random(f"disk {seed}")) as disk:
        disk.forgets_failed_syncs = False  # if it does, even this can break: see the two tests below
        disk.restore(migrated())
        program = Program(disk, rng, "FULL")
        possible = [program.states[0]]
        for _ in range(60):
            attempt = len(program.states)
            disk.fail(Operation.SYNC, after=rng.randrange(8), times=1)
            try:
                program.step()
            except sqlite3.OperationalError as error:
                assert error.sqlite_errorname == "SQLITE_IOERR_FSYNC"
                program.give_up()
            disk.heal()
            if program.acknowledged == attempt:
                possible = [program.states[attempt]]
            else:
                possible += program.states[attempt:]
        rng.choice((disk.power_loss, disk.kill))()
        program.close()
        return recovered(disk), possible


def test_after_failing_syncs_the_database_is_usable_and_with_full_sync_keeps_what_it_acknowledged() -> None:
    in_doubt = 0
    for seed in SEEDS[:100]:
        found, possible = survivor_of_failing_syncs(seed)
        is_possible = found in possible
        assert is_possible, seed
        in_doubt += len(possible) > 1

    assert in_doubt > 10  # some ended with a commit that had failed, so syncs did fail


def test_with_normal_sync_a_failed_sync_that_the_system_forgets_can_damage_the_database() -> None:
    """The next checkpoint believes that the WAL is safe, and overwrites pages that the platter has no log of."""

    def damaged(forgets: bool) -> int:
        count = 0
        for seed in range(120):
            with SimulatedDisk(random.Random(seed)) as disk:
                disk.forgets_failed_syncs = forgets
                disk.restore(migrated())
                writer = disk.connect(NAME)
                writer.execute("PRAGMA synchronous=NORMAL")
                for number in range(20):
                    insert(writer, b"x" * 1000)
                    if number == 9:
                        disk.fail(Operation.SYNC, times=1)
                        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
                            writer.execute("PRAGMA wal_checkpoint")
                writer.execute("PRAGMA wal_checkpoint")
                disk.power_loss()
                writer.close()
                try:
                    recovered(disk)
                except sqlite3.DatabaseError:
                    count += 1
        return count

    assert damaged(forgets=True) > 0
    assert damaged(forgets=False) == 0


@pytest.mark.parametrize(("is_pinned", "forgets"), [(True, True), (True, False), (False, True)])
def test_even_with_full_sync_a_forgotten_sync_after_a_pinned_checkpoint_can_damage_it(
    is_pinned: bool, forgets: bool
) -> None:
    """A checkpoint that a reader cuts short counts its pages as copied without a sync; the next one syncs for both.

    If that sync fails and the system forgets, only the pages of the second are copied again before the WAL is reset.
    """
    damaged = 0
    for seed in range(30):
        with SimulatedDisk(random.Random(seed)) as disk:
            disk.forgets_failed_syncs = forgets
            disk.restore(migrated())
            writer, reader = disk.connect(NAME), disk.connect(NAME, read_only=True)
            writer.execute("PRAGMA synchronous=FULL")
            for number in range(40):
                insert(writer, b"x" * 1000)
                if number == 20 and is_pinned:
                    reader.execute("BEGIN")
                    rows(reader)
            writer.execute("PRAGMA wal_checkpoint")
            reader.rollback()
            insert(writer)
            disk.fail(Operation.SYNC, after=1, times=1)  # the sync of the WAL passes, that of the database fails
            with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
                writer.execute("PRAGMA wal_checkpoint")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            disk.power_loss()
            writer.close()
            reader.close()
            try:
                assert len(recovered(disk)) == 41
            except sqlite3.DatabaseError:
                damaged += 1

    assert (damaged > 5) if is_pinned and forgets else (damaged == 0)


def test_a_commit_that_failed_may_be_there_after_a_kill() -> None:
    """Its frames are in the WAL, and recovery cannot know that the sync, the last step, said no."""
    with SimulatedDisk(random.Random(4)) as disk:
        disk.restore(migrated())
        writer = disk.connect(NAME)
        writer.execute("PRAGMA synchronous=FULL")
        insert(writer, b"one")
        disk.fail(Operation.SYNC, times=1)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            insert(writer, b"refused")
        assert rows(writer) == ((1, b"one"),)

        disk.kill()

        writer.close()
        assert recovered(disk) == ((1, b"one"), (2, b"refused"))


def test_the_same_seed_gives_the_same_bytes() -> None:
    def fingerprint(seed: int) -> str:
        rng, digest = random.Random(seed), hashlib.sha256()
        with SimulatedDisk(random.Random(seed)) as disk, SimulatedDisk(random.Random()) as another:
            disk.restore(migrated())
            for _life in range(3):
                elsewhere = another.connect(NAME)  # draws from the generator that SQLite keeps per process
                elsewhere.execute("SELECT randomblob(100)").fetchall()
                elsewhere.close()
                live_until_crash(disk, rng, "NORMAL", disk.power_loss)
                for name, content in sorted(disk.image().items()):
                    digest.update(name.encode() + content)
            digest.update(repr((disk.changes, disk.writes, disk.syncs, disk.bytes_written)).encode())
        return digest.hexdigest()

    fingerprints = [fingerprint(seed) for seed in range(10)]

    assert fingerprints == [fingerprint(seed) for seed in range(10)]
    assert len(set(fingerprints)) == 10


@pytest.mark.parametrize("kind", ["kill", "power_loss", "close"])
def test_handles_from_before_a_crash_are_dead_and_closing_them_is_harmless(kind: str) -> None:
    disk = SimulatedDisk(random.Random(5))
    disk.restore(migrated())
    writer, reader = disk.connect(NAME), disk.connect(NAME, read_only=True)
    insert(writer)
    writer.execute("BEGIN IMMEDIATE")
    insert(writer, b"never committed")
    assert len(rows(reader)) == 1

    getattr(disk, kind)()

    before = disk.image()
    for connection in (writer, reader):
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            connection.execute("SELECT count(*) FROM events")
            connection.execute("COMMIT")
    writer.close()
    reader.close()
    assert disk.image() == before
    if kind != "close":
        assert len(recovered(disk)) == 1
        disk.close()


def test_the_dead_do_not_hold_locks_against_the_living() -> None:
    with SimulatedDisk(random.Random(6)) as disk:
        disk.restore(migrated())
        dead = disk.connect(NAME)
        dead.execute("BEGIN EXCLUSIVE")
        disk.kill()
        living = disk.connect(NAME)

        insert(living)
        dead.close()
        insert(living)

        assert len(rows(living)) == 2
        living.close()


def test_a_second_writer_finds_the_database_busy_and_waits_on_the_simulated_clock() -> None:
    with SimulatedDisk(random.Random(7)) as disk:
        disk.restore(migrated())
        first, second, began_at = disk.connect(NAME), disk.connect(NAME), disk.now_seconds
        first.execute("BEGIN IMMEDIATE")

        with pytest.raises(sqlite3.OperationalError) as caught:
            insert(second)

        assert caught.value.sqlite_errorname == "SQLITE_BUSY"
        assert 4 < disk.now_seconds - began_at < 6  # the default timeout of sqlite3.connect
        first.execute("ROLLBACK")
        insert(second)
        first.close()
        second.close()


def test_a_restored_image_is_the_same_world_again() -> None:
    with SimulatedDisk(random.Random(8)) as disk, SimulatedDisk(random.Random(9)) as another:
        disk.restore(migrated())
        writer = disk.connect(NAME)
        insert(writer, b"in the WAL")
        image = disk.image()
        insert(writer, b"later")

        disk.restore(image)
        another.restore(image)
        another.power_loss()  # what was restored counts as synced

        writer.close()
        assert recovered(disk) == recovered(another) == ((1, b"in the WAL"),)
        assert image[NAME] == migrated()[NAME]  # later work did not reach into the image


def test_counters_tell_what_a_commit_costs() -> None:
    with SimulatedDisk(random.Random(10)) as disk:
        disk.restore(migrated())
        writer = disk.connect(NAME)
        writer.execute("PRAGMA synchronous=FULL")
        insert(writer)
        writes, syncs, written, changes = disk.writes, disk.syncs, disk.bytes_written, disk.changes

        insert(writer)

        assert (disk.writes - writes, disk.syncs - syncs, disk.changes - changes) == (4, 1, 5)  # two pages, each with
        assert disk.bytes_written - written == 2 * (24 + 4096)  # the header of its frame
        writer.close()


def test_an_exception_in_the_disk_is_an_error_in_sqlite_and_raised_when_the_disk_is_closed() -> None:
    disk = SimulatedDisk(random.Random(11))
    connection = disk.connect(NAME)
    disk.now_seconds = "not a number"  # type: ignore[assignment]

    assert connection.execute("SELECT datetime('now')").fetchone() == (None,)

    connection.close()
    with pytest.raises((TypeError, ValueError)):
        disk.close()


def test_an_exception_between_two_rows_arrives_as_it_is() -> None:
    with SimulatedDisk(random.Random(14)) as disk:
        disk.restore(migrated())
        connection = disk.connect(NAME)
        insert(connection)
        insert(connection)

        with pytest.raises(ZeroDivisionError):
            for (number,) in connection.execute("SELECT id FROM events"):
                assert 1 // (number - 1)

        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its snapshot is closed
        assert disk.image()[NAME + "-wal"] == b""
        connection.close()


def test_a_closed_disk_is_unknown_to_sqlite() -> None:
    with SimulatedDisk(random.Random(12)) as disk:
        uri = disk.uri(NAME)
        disk.connect(NAME).close()

    with pytest.raises(sqlite3.OperationalError, match="no such vfs"):
        sqlite3.connect(uri, uri=True)


@pytest.mark.parametrize("kind", ["kill", "power_loss", "close"])
def test_a_closed_disk_is_freed_once_its_dead_connections_are_closed(kind: str) -> None:
    disk = SimulatedDisk(random.Random(13))
    disk.restore(migrated())
    connection, reference = disk.connect(NAME), weakref.ref(disk)
    insert(connection)
    getattr(disk, kind)()

    disk.close()
    del disk
    gc.collect()
    assert reference() is not None  # SQLite still holds its address
    connection.close()
    gc.collect()

    assert reference() is None


def test_a_connection_left_open_does_not_crash_python_at_exit() -> None:
    program = (
        "import builtins, random; from tests.simulation.disk import SimulatedDisk\n"
        "disk = SimulatedDisk(random.Random(1)); builtins.connection = disk.connect('left.db')\n"
        "builtins.connection.execute('PRAGMA journal_mode=WAL').fetchall()\n"
        "builtins.connection.execute('CREATE TABLE t (a)')\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent.parent, capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")
