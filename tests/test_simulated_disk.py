"""The simulated disk keeps what SQLite may rely on, and takes away everything else.

A disk that never loses anything would let every simulation pass, so half of these tests prove that it bites.
"""

import functools
import gc
import hashlib
import random
import sqlite3

import pytest

from tests.simulation.disk import SECTOR_BYTES, Image, Operation, SimulatedDisk

NAME = "events.db"
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


def rows(connection: sqlite3.Connection) -> Rows:
    return tuple(connection.execute("SELECT id, body FROM events ORDER BY id"))


class Program:
    """A writer and a reader that commit, read, prune and checkpoint at random until the disk stops them.

    `states` are the contents after each commit attempted, and `acknowledged` the index of the last that returned.
    """

    def __init__(self, disk: SimulatedDisk, rng: random.Random, synchronous: str) -> None:
        self.rng = rng
        self.writer = disk.connect(NAME)
        self.writer.execute(f"PRAGMA synchronous={synchronous}")
        self.writer.execute(f"PRAGMA wal_autocheckpoint={rng.choice((3, 10, 1000))}")
        self.reader = disk.connect(NAME, read_only=True)
        self.states = [rows(self.writer)]
        self.acknowledged = 0
        self.seen: Rows | None = None  # by the reader, in the read transaction it has open

    def run(self, steps: int) -> None:
        for _ in range(steps):
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
            size = self.rng.choice((10, 200, 1000, 9000))
            self.writer.execute("INSERT INTO events (body) VALUES (?)", [self.rng.randbytes(size)])
        if self.rng.random() < 0.2:
            self.writer.execute("DELETE FROM events WHERE id < (SELECT max(id) - 10 FROM events)")
        self.states.append(rows(self.writer))
        self.writer.execute("COMMIT")
        self.acknowledged = len(self.states) - 1

    def read(self) -> None:
        """Open a snapshot, or look again at the one that is open; it pins the WAL meanwhile."""
        if self.seen is None:
            self.reader.execute("BEGIN")
            self.seen = rows(self.reader)
            assert self.seen == self.states[-1]
        else:
            assert rows(self.reader) == self.seen
            self.reader.execute("COMMIT")
            self.seen = None

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
