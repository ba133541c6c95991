"""The one way events are read: from ring or store, in order, and never what has not been shown."""

from __future__ import annotations

import asyncio

import pytest

from rtserver.changes import Sealed, Trim
from rtserver.cursor import Edge, Since, encode_id
from rtserver.reader import Gap, Location, Reader
from rtserver.sse import ResetReason
from tests.builders import EPOCH, SECOND_US, Clock, Database, HandWorker, change, note

STEP_EVENTS = 4


class Desk:
    """A reader over a real store, whose calls are done at once."""

    def __init__(self, database: Database) -> None:
        self.worker = HandWorker()
        self.reader = Reader(self.worker, database.queries, Clock(), STEP_EVENTS, 1 << 20)

    async def do(self, awaitable):
        """Return what the reader returns; every call to the store is done when it comes."""
        task = asyncio.ensure_future(awaitable)
        while not task.done():
            await asyncio.sleep(0)
            if not self.worker.is_idle:
                (await self.worker.next()).complete()
        return task.result()


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(io_loop, database):
    return Desk(database)


def with_events(database: Database, count: int):
    there = database.create()
    if count:
        database.add_events(there, *[note(n=n) for n in range(count)])
    return there


def sequences(page) -> list[int]:
    return [event.sequence for event in page.events]


async def test_what_is_in_the_store_and_has_not_been_shown_is_not_read(desk, database):
    """P1, P2: a reader that saw it from the store would see it again in the pass that shows it."""
    there = with_events(database, 2)
    there.ring.evict_through(2)
    database.clock.now_us += 10
    (ahead,) = database.store.commit([change(there, note(n=2))], database.clock())
    assert isinstance(ahead, Sealed)

    page = await desk.do(desk.reader.read(there, 0))

    assert sequences(page) == [1, 2] and not page.has_more
    there.apply(ahead)
    assert sequences(await desk.do(desk.reader.read(there, 2))) == [3]


@pytest.mark.parametrize("count", [STEP_EVENTS - 1, STEP_EVENTS, STEP_EVENTS + 1])
@pytest.mark.parametrize("evicted", [False, True], ids=["ring", "store"])
async def test_a_step_is_bounded_and_says_whether_there_is_more(desk, database, count, evicted):
    """P4."""
    there = with_events(database, count)
    if evicted:
        there.ring.evict_through(count)

    page = await desk.do(desk.reader.read(there, 0))

    assert sequences(page) == list(range(1, min(count, STEP_EVENTS) + 1))
    assert page.has_more is (count > STEP_EVENTS)


async def test_a_reader_whose_next_event_is_gone_is_told(desk, database):
    """P3."""
    there = with_events(database, 3)
    there.ring.evict_through(3)
    database.connection.execute("DELETE FROM events WHERE sequence = 1")

    assert isinstance(await desk.do(desk.reader.read(there, 0)), Gap)
    assert sequences(await desk.do(desk.reader.read(there, 1))) == [2, 3]


async def test_where_nothing_is_said_a_reader_begins_at_the_end(desk, database):
    there = with_events(database, 3)

    assert await desk.do(desk.reader.locate(there, Edge.NOW)) == Location(3, there.last_event_id)
    earliest = Location(0, encode_id(there.created_at_us, EPOCH, 0))
    assert await desk.do(desk.reader.locate(there, Edge.EARLIEST)) == earliest


async def test_a_moment_that_retention_overtakes_while_it_is_looked_for_is_told(desk, database):
    """P3: found by schedules 690 and 861 of the simulation, in which two events were skipped without a word."""
    there = with_events(database, 0)
    events = []
    for _ in range(6):
        database.clock.now_us += SECOND_US
        events += database.add_events(there, note())
    there.ring.evict_through(6)
    locating = asyncio.ensure_future(desk.reader.locate(there, Since("since", events[1].timestamp_us)))
    call = await desk.worker.next()
    database.commit(change(there, edit=Trim(4, events[3].timestamp_us)))
    call.complete()

    assert await desk.do(locating) == Gap(ResetReason.TRIMMED, "since")


async def test_a_moment_is_found_in_the_store(desk, database):
    there = with_events(database, 0)
    events = []
    for _ in range(6):
        database.clock.now_us += SECOND_US
        events += database.add_events(there, note())
    there.ring.evict_through(6)

    for event in events:
        for offset_us, expected in ((-1, event.sequence - 1), (0, event.sequence), (1, event.sequence)):
            if event is events[-1] and offset_us > 0:
                continue  # later than now
            found = await desk.do(desk.reader.locate(there, Since("since", event.timestamp_us + offset_us)))
            assert found.sequence == expected
