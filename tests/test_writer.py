"""Group commit: what waits goes together, in order; nothing is shown before it is durable; nobody pays for another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rtserver import writer as module
from rtserver.changes import Change, Delete, Describe, Gate, Sealed, Trim
from rtserver.counters import Counters
from rtserver.errors import (
    Internal,
    Overloaded,
    SessionClosed,
    SessionNotFound,
    SessionPaused,
    StorageFailing,
    StorageFull,
)
from rtserver.records import Status
from rtserver.session import Session
from rtserver.store import BYTES_PER_PAGE, CHECKPOINT_PAGES
from rtserver.worker import ThreadWorker
from rtserver.writer import Writer
from tests.builders import (
    NOW_US,
    SECOND_US,
    Clock,
    Database,
    HandWorker,
    change,
    in_memory,
    keyed,
    message,
    note,
    session,
    settle,
    typing,
)

LIMIT = 10_000


class Desk:
    """A writer over a real store whose disk is moved by hand; `shown` is what readers saw."""

    def __init__(self, database: Database, max_pending_bytes: int = LIMIT) -> None:
        self.database = database
        self.worker = HandWorker()
        self.clock = Clock()
        self.shown: list[Sealed] = []
        self.writer = Writer(self.worker, database.store, self.clock, self._show, max_pending_bytes, Counters())

    @property
    def commits(self) -> list[list[Change]]:
        """The batches that the store has been given."""
        return [call.arguments[0] for call in self.worker.made if call.function == self.database.store.commit]

    def _show(self, sealed: Sealed) -> None:
        self.shown.append(sealed)
        shown_in = sealed.change.session
        assert isinstance(shown_in, Session)
        shown_in.apply(sealed)

    async def finish(self) -> None:
        """Let the disk take everything."""
        await settle()
        while not self.worker.is_idle:
            (await self.worker.next()).complete()
            await settle()

    async def outcomes(self, *futures: asyncio.Future[Sealed]) -> list[object]:
        """Let the disk take everything and return what became of each publish."""
        await self.finish()
        assert all(future.done() for future in futures)
        return await asyncio.gather(*futures, return_exceptions=True)


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(io_loop, database):
    return Desk(database)


@pytest.fixture
def roomy_desk(io_loop, database):
    """A writer that lets anything wait, for what is bounded elsewhere."""
    return Desk(database, max_pending_bytes=1 << 30)


def sized(there: Session, size: int, *drafts) -> Change:
    return Change(there, Gate.SERVICE, drafts or (note(),), size=size)


def sequences(*sealed: Sealed) -> list[int]:
    return [event.sequence for each in sealed for event in each.events]


# Durable, then visible


async def test_publish_is_shown_and_answered_only_after_its_commit(desk):
    """P1."""
    there = session()
    future = desk.writer.submit(change(there, note()))
    call = await desk.worker.next()

    await settle()
    assert not future.done()
    assert desk.shown == [] and there.last_sequence == 0

    call.complete()
    sealed = await future
    assert desk.shown == [sealed]
    assert there.last_sequence == 1


async def test_publish_is_shown_before_it_is_acknowledged(desk):
    """P2: who publishes and then reads finds what was published."""
    there = session()
    future = desk.writer.submit(change(there, note()))
    seen = []
    future.add_done_callback(lambda _: seen.append(there.last_sequence))

    await desk.finish()

    assert seen == [1]


@pytest.mark.parametrize("error", [StorageFull("full"), StorageFailing("failing", 5)])
async def test_publish_whose_commit_failed_is_never_shown_and_its_number_is_free(desk, error):
    """P1, P2."""
    there = session()
    failing = desk.writer.submit(change(there, note(n=1)))
    (await desk.worker.next()).fail(error)

    with pytest.raises(type(error)) as refused:
        await failing

    assert refused.value.detail == error.detail and refused.value.headers() == error.headers()
    assert desk.shown == [] and there.last_sequence == 0
    (sealed,) = await desk.outcomes(desk.writer.submit(change(there, note(n=2))))
    assert sequences(sealed) == [1]


async def test_writer_asks_the_clock_for_each_batch(desk):
    """P8."""
    there = in_memory()
    (first,) = await desk.outcomes(desk.writer.submit(change(there, note())))
    desk.clock.now_us += SECOND_US
    (second,) = await desk.outcomes(desk.writer.submit(change(there, note())))

    assert [each.events[0].timestamp_us for each in (first, second)] == [NOW_US + 1, NOW_US + SECOND_US]


# Batches


async def test_what_comes_in_one_turn_of_the_loop_goes_in_one_batch(desk):
    there, other = session(), session(number=2, session_id="other")
    changes = [change(there, note()), change(other, note()), change(there, note())]

    results = await desk.outcomes(*[desk.writer.submit(each) for each in changes])

    assert desk.commits == [changes]
    assert [sequences(each) for each in results] == [[1], [1], [2]]


async def test_one_batch_is_in_flight_and_the_next_gathers_meanwhile(desk):
    """P2: numbering stands still while a batch is on its way."""
    there = session()
    changes = [change(there, note(n=n)) for n in range(5)]
    futures = [desk.writer.submit(changes[0])]
    call = await desk.worker.next()
    for each in changes[1:]:
        futures.append(desk.writer.submit(each))
        await settle()
        assert desk.worker.is_idle, "nothing else is on its way"

    call.complete()
    results = await desk.outcomes(*futures)

    assert desk.commits == [changes[:1], changes[1:]]
    assert sequences(*results) == [1, 2, 3, 4, 5]


async def test_changes_are_committed_shown_and_answered_in_the_order_they_came(desk):
    """P2: over several sessions and batches."""
    sessions = [session(number=number, session_id=f"s{number}") for number in range(3)]
    answered = []
    changes = [change(sessions[n % 3], note(n=n)) for n in range(30)]
    for n, each in enumerate(changes):
        desk.writer.submit(each).add_done_callback(lambda _, n=n: answered.append(n))
        if n % 7 == 0:
            await settle()

    await desk.finish()

    assert [each for batch in desk.commits for each in batch] == changes
    assert [sealed.change for sealed in desk.shown] == changes
    assert answered == list(range(30))
    assert [each.last_sequence for each in sessions] == [10, 10, 10]


@pytest.mark.parametrize(("drafts", "batches"), [(999, 1), (1000, 1), (1001, 2)])
async def test_batch_is_bounded_in_events(desk, drafts, batches):
    """P4."""
    there = session()
    for _ in range(drafts // 100):
        desk.writer.submit(sized(there, 0, *[note()] * 100))
    if drafts % 100:
        desk.writer.submit(sized(there, 0, *[note()] * (drafts % 100)))

    await desk.finish()

    assert module.MAX_BATCH_DRAFTS == 1000
    assert len(desk.commits) == batches
    assert there.last_sequence == drafts
    assert all(sum(len(each.drafts) for each in batch) <= 1000 for batch in desk.commits)


@pytest.mark.parametrize(("excess", "batches"), [(-1, 1), (0, 1), (1, 2)])
async def test_batch_is_bounded_in_bytes(roomy_desk, excess, batches):
    """P4."""
    desk = roomy_desk
    there = session()
    for size in (module.MAX_BATCH_BYTES // 2, module.MAX_BATCH_BYTES // 2 + excess):
        desk.writer.submit(sized(there, size))

    await desk.finish()

    assert [len(batch) for batch in desk.commits] == ([2] if batches == 1 else [1, 1])
    assert there.last_sequence == 2


async def test_change_that_is_larger_than_a_batch_goes_alone(roomy_desk):
    desk = roomy_desk
    there = session()
    for size in (1, module.MAX_BATCH_BYTES + 1, 1):
        desk.writer.submit(sized(there, size))

    await desk.finish()

    assert [len(batch) for batch in desk.commits] == [1, 1, 1]
    assert there.last_sequence == 3


# Each for itself


async def test_refused_change_does_not_fail_its_neighbours(desk):
    """P7."""
    there = session(status=Status.PAUSED)
    futures = [
        desk.writer.submit(change(there, note(n=1))),
        desk.writer.submit(change(there, message("no"), gate=Gate.PARTICIPANT)),
        desk.writer.submit(change(there, note(n=2))),
    ]

    first, refused, second = await desk.outcomes(*futures)

    assert type(refused) is SessionPaused
    assert sequences(first, second) == [1, 2]
    assert desk.shown == [first, second]
    assert desk.writer.trouble is None


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_change_that_breaks_the_commit_does_not_fail_its_neighbours(desk, position, caplog):
    """P7: each is tried alone, in order, and the log has the cause."""
    there, broken = session(), session(number=2, session_id="broken")
    desk.database.store.commit([change(broken, note())], NOW_US)  # its next number is taken already
    changes = [change(broken if n == position else there, note(n=n)) for n in range(3)]

    results = await desk.outcomes(*[desk.writer.submit(each) for each in changes])

    refused = results.pop(position)
    assert type(refused) is Internal and refused.status == 500
    assert "UNIQUE" in caplog.text and "UNIQUE" not in refused.detail
    assert sequences(*results) == [1, 2]
    assert broken.last_sequence == 0
    assert desk.writer.pending_bytes == 0


async def test_change_that_cannot_be_shown_does_not_leave_its_neighbours_without_an_answer(desk, caplog):
    broken, other = session(), session(number=2, session_id="other")
    broken.apply = None  # a defect: calling it fails
    futures = [desk.writer.submit(change(each, note())) for each in (other, broken, other)]

    first, failed, second = await desk.outcomes(*futures)

    assert isinstance(failed, TypeError)
    assert sequences(first, second) == [1, 2]
    assert "a committed change could not be shown" in caplog.text
    assert desk.writer.pending_bytes == 0


async def test_publisher_that_gave_up_disturbs_nobody(desk):
    """P1: what it published may be on the disk already, so it is shown as well."""
    there = session()
    futures = [desk.writer.submit(change(there, note(n=n))) for n in range(3)]
    call = await desk.worker.next()
    futures[1].cancel()

    call.complete()

    first, gone, last = await desk.outcomes(*futures)
    assert sequences(first, last) == [1, 3]
    assert isinstance(gone, asyncio.CancelledError)
    assert there.last_sequence == 3
    assert desk.writer.pending_bytes == 0


async def test_publisher_that_gave_up_on_a_refused_change_disturbs_nobody(desk):
    there = session(status=Status.CLOSED)
    other = session(number=2, session_id="other")
    futures = [desk.writer.submit(change(each, note())) for each in (there, other)]
    futures[0].cancel()

    _, sealed = await desk.outcomes(*futures)

    assert sequences(sealed) == [1]


async def test_publisher_that_gave_up_on_a_change_that_cannot_be_shown_disturbs_nobody(desk):
    broken, other = session(), session(number=2, session_id="other")
    broken.apply = None
    given_up, neighbour = (desk.writer.submit(change(each, note())) for each in (broken, other))
    given_up.cancel()

    with contextlib.suppress(asyncio.InvalidStateError):
        await desk.finish()

    assert neighbour.done() and sequences(neighbour.result()) == [1]
    assert desk.writer.pending_bytes == 0


@pytest.mark.parametrize(
    "is_in_flight",
    [False, True],
)
async def test_publish_behind_a_deletion_is_refused(desk, is_in_flight):
    """P7: and nothing is left on the disk of a session that nobody can reach."""
    there = session()
    deletion = desk.writer.submit(change(there, gate=Gate.SERVER, edit=Delete()))
    if is_in_flight:
        call = await desk.worker.next()
        publish = desk.writer.submit(change(there, note()))
        call.complete()
    else:
        publish = desk.writer.submit(change(there, note()))

    _, refused = await desk.outcomes(deletion, publish)

    assert type(refused) is SessionNotFound
    assert desk.database.count("events") == 0


# Limits


@pytest.mark.parametrize(("size", "is_taken"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
async def test_what_waits_for_the_disk_is_bounded(desk, size, is_taken):
    """P4."""
    there = session()
    if is_taken:
        await desk.outcomes(desk.writer.submit(sized(there, size)))
        assert there.last_sequence == 1
        return

    with pytest.raises(Overloaded, match=f"at most {LIMIT} may") as refused:
        desk.writer.submit(sized(there, size))

    assert refused.value.status == 503 and refused.value.headers()["Retry-After"]
    assert desk.writer.pending_bytes == 0
    await desk.finish()
    assert desk.commits == []


async def test_bytes_count_until_they_are_answered(desk):
    """P4: in flight and in the queue alike."""
    there = session()
    first = desk.writer.submit(sized(there, LIMIT - 10))
    call = await desk.worker.next()
    second = desk.writer.submit(sized(there, 9))
    assert desk.writer.pending_bytes == LIMIT - 1

    with pytest.raises(Overloaded):
        desk.writer.submit(sized(there, 2))
    third = desk.writer.submit(sized(there, 1))
    assert desk.writer.pending_bytes == LIMIT

    call.complete()
    await first
    assert desk.writer.pending_bytes == 10
    await desk.outcomes(second, third)
    assert desk.writer.pending_bytes == 0
    assert there.last_sequence == 3, "what was refused was not published"


@pytest.mark.parametrize("fate", ["refused", "failed", "broken", "given up"])
async def test_bytes_are_given_back_however_it_ends(desk, fate):
    """P4: else the server would refuse everything in the end."""
    there = session(status=Status.CLOSED if fate == "refused" else Status.ACTIVE)
    future = desk.writer.submit(sized(there, LIMIT))
    call = await desk.worker.next()
    if fate == "given up":
        future.cancel()
    if fate in ("failed", "broken"):
        call.fail(StorageFull("full") if fate == "failed" else ZeroDivisionError("a defect"))
    else:
        call.complete()

    await asyncio.gather(future, return_exceptions=True)
    await settle()

    assert desk.writer.pending_bytes == 0
    there.status = Status.ACTIVE
    assert len(await desk.outcomes(desk.writer.submit(sized(there, LIMIT)))) == 1


@pytest.mark.parametrize("edit", [Trim(1, NOW_US + 1), Delete()])
async def test_what_frees_space_is_taken_even_when_the_queue_is_full(desk, edit):
    there = session()
    desk.writer.submit(sized(there, LIMIT))

    change_without_bytes = desk.writer.submit(change(there, gate=Gate.SERVER, edit=edit))

    (sealed,) = await desk.outcomes(change_without_bytes)
    assert sealed.change.edit == edit


# Passing states


async def test_passing_state_with_nothing_ahead_is_shown_at_once(desk):
    there = session()

    future = desk.writer.submit(change(there, typing()))

    assert future.done() and future.result().status == 202
    assert desk.shown == [future.result()]
    assert desk.worker.is_idle
    assert desk.writer.pending_bytes == 0


async def test_passing_state_never_overtakes_the_events_ahead_of_it(desk):
    """P2."""
    there = session()
    durable = desk.writer.submit(change(there, note()))
    call = await desk.worker.next()
    passing = desk.writer.submit(change(there, typing()))
    await settle()
    assert not passing.done() and there.passing == {}

    call.complete()
    first, second = await desk.outcomes(durable, passing)

    assert desk.shown == [first, second]
    assert len(desk.commits) == 1, "and it needs no disk for itself"


async def test_passing_states_of_a_session_that_takes_nothing_are_refused(desk):
    """P7."""
    there = session(status=Status.CLOSED)

    with pytest.raises(SessionClosed):
        await desk.writer.submit(change(there, typing()))

    assert desk.shown == [] and there.passing == {}


async def test_passing_states_go_on_while_the_disk_is_full(desk):
    there = session()
    futures = [desk.writer.submit(change(there, draft)) for draft in (note(), typing(), note())]
    (await desk.worker.next()).fail(StorageFull("full"))

    first, passing, second = await asyncio.gather(*futures, return_exceptions=True)

    assert type(first) is type(second) is StorageFull
    assert desk.shown == [passing]
    assert there.last_sequence == 0 and len(there.passing) == 1


# Repeats


async def test_repeat_is_answered_and_not_shown_again(desk):
    """P2."""
    there = session()
    body = {"type": "note", "data": {}}

    first, repeat = await desk.outcomes(*[desk.writer.submit(keyed(there, body, "k")) for _ in range(2)])

    assert repeat.is_replay and repeat.answer == first.answer
    assert desk.shown == [first]
    assert there.last_sequence == 1


# Trouble


async def test_each_publisher_gets_an_error_of_its_own(desk):
    """An exception collects a traceback wherever it is raised."""
    there = session()
    futures = [desk.writer.submit(change(there, note())) for _ in range(3)]
    (await desk.worker.next()).fail(StorageFull("full"))

    errors = await asyncio.gather(*futures, return_exceptions=True)

    assert len({id(error) for error in errors}) == 3
    assert {error.detail for error in errors} == {"full"}


async def test_trouble_begins_and_ends_with_one_line_each(desk, caplog):
    caplog.set_level(logging.INFO)
    there = session()
    for _ in range(3):
        future = desk.writer.submit(change(there, note()))
        (await desk.worker.next()).fail(StorageFull("the disk is full"))
        with pytest.raises(StorageFull):
            await future
        assert type(desk.writer.trouble) is StorageFull

    await desk.outcomes(*[desk.writer.submit(change(there, note())) for _ in range(3)])

    assert desk.writer.trouble is None
    assert [record.getMessage() for record in caplog.records] == [
        "publishing fails: the disk is full",
        "publishing works again",
    ]


async def test_disk_that_recovered_by_itself_ends_the_trouble(desk):
    there = session()
    future = desk.writer.submit(change(there, note()))
    (await desk.worker.next()).fail(StorageFull("full"))
    with pytest.raises(StorageFull):
        await future

    desk.writer.recovered()

    assert desk.writer.trouble is None


async def test_refusal_by_rule_is_no_trouble_of_the_disk(desk):
    there = session(status=Status.CLOSED)

    (refused,) = await desk.outcomes(desk.writer.submit(change(there, note())))

    assert type(refused) is SessionClosed
    assert desk.writer.trouble is None


# Checkpoints


def enough_for_a_checkpoint(there: Session) -> Change:
    return sized(there, CHECKPOINT_PAGES * BYTES_PER_PAGE)


def in_main_file(path: Path) -> int:
    """Return how many events are in the database's main file, without what is in the log."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchone()[0]


async def test_log_is_copied_when_it_has_grown_and_nobody_waits_for_it(roomy_desk):
    there = session()
    log_file = roomy_desk.database.path.with_name("rtserver.db-wal")
    small = roomy_desk.writer.submit(sized(there, 1))
    (await roomy_desk.worker.next()).complete()
    await small
    await settle()
    assert roomy_desk.worker.is_idle, "not for a small one"

    large = roomy_desk.writer.submit(enough_for_a_checkpoint(there))
    (await roomy_desk.worker.next()).complete()
    assert sequences(await large) == [2]
    checkpoint = await roomy_desk.worker.next()
    assert checkpoint.function == roomy_desk.database.store.checkpoint
    assert log_file.stat().st_size > 0
    assert in_main_file(roomy_desk.database.path) == 0

    checkpoint.complete()
    await settle()
    assert in_main_file(roomy_desk.database.path) == 2
    assert roomy_desk.worker.is_idle, "once"


async def test_publishes_that_come_during_a_checkpoint_go_after_it(roomy_desk):
    """P2: one thing at a time on the disk."""
    there = session()
    first = roomy_desk.writer.submit(enough_for_a_checkpoint(there))
    (await roomy_desk.worker.next()).complete()
    await first
    checkpoint = await roomy_desk.worker.next()
    second = roomy_desk.writer.submit(change(there, note()))
    await settle()
    assert roomy_desk.worker.is_idle and not second.done()

    checkpoint.complete()

    assert sequences(*await roomy_desk.outcomes(second)) == [2]


async def test_checkpoint_that_fails_is_said_and_publishing_goes_on(roomy_desk, caplog):
    there = session()
    first = roomy_desk.writer.submit(enough_for_a_checkpoint(there))
    (await roomy_desk.worker.next()).complete()
    await first
    checkpoint = await roomy_desk.worker.next()
    second = roomy_desk.writer.submit(change(there, note()))

    checkpoint.fail(StorageFull("the disk is full"))

    assert sequences(*await roomy_desk.outcomes(second)) == [2]
    assert "could not be copied: the disk is full" in caplog.text


async def test_checkpoint_that_is_broken_does_not_leave_publishers_without_an_answer(roomy_desk):
    there = session()
    first = roomy_desk.writer.submit(enough_for_a_checkpoint(there))
    (await roomy_desk.worker.next()).complete()
    await first
    checkpoint = await roomy_desk.worker.next()
    second = roomy_desk.writer.submit(change(there, note()))

    checkpoint.fail(ZeroDivisionError("a defect"))

    assert sequences(*await roomy_desk.outcomes(second)) == [2]


# Flushing


async def test_flush_with_nothing_to_do_returns_at_once(desk):
    await asyncio.wait_for(desk.writer.flush(), 5)


async def test_flush_waits_for_everything_that_was_submitted(desk):
    """P1: the server stops only when all that was accepted is answered."""
    there = session()
    futures = [desk.writer.submit(change(there, note()))]
    call = await desk.worker.next()
    futures.append(desk.writer.submit(change(there, note())))
    flushing = asyncio.ensure_future(desk.writer.flush())
    await settle()
    assert not flushing.done()

    call.complete()
    await settle()
    assert futures[0].done() and not flushing.done()

    (await desk.worker.next()).complete()
    await asyncio.wait_for(flushing, 5)
    assert all(future.done() for future in futures)


async def test_flush_that_is_given_up_stops_no_batch(desk):
    """P1."""
    there = session()
    future = desk.writer.submit(change(there, note()))
    call = await desk.worker.next()
    flushing = asyncio.ensure_future(desk.writer.flush())
    await settle()
    flushing.cancel()
    await settle()

    call.complete()

    assert sequences(await asyncio.wait_for(future, 5)) == [1]


async def test_writer_that_was_idle_begins_again(desk):
    there = session()
    for expected in (1, 2, 3):
        (sealed,) = await desk.outcomes(desk.writer.submit(change(there, note())))
        assert sequences(sealed) == [expected]
        await settle()
        assert desk.worker.is_idle


# On a real disk


@pytest.fixture
def live(io_loop, tmp_path):
    """A writer over the real store in its own thread: ``(writer, database, worker)``."""
    loop = io_loop.asyncio_loop

    async def start():
        worker = ThreadWorker("test-store")
        database = await worker.call(Database, tmp_path / "rtserver.db", "full")

        def show(sealed):
            sealed.change.session.apply(sealed)

        writer = Writer(worker, database.store, Clock(), show, 1 << 20, Counters())
        return writer, database, worker

    async def stop() -> None:
        await worker.call(database.close)
        await worker.close()

    writer, database, worker = loop.run_until_complete(start())
    yield writer, database, worker
    loop.run_until_complete(asyncio.wait_for(stop(), 10))


async def test_acknowledged_is_on_the_disk(live):
    """P1, P2: many publishers of several sessions at once; what they were told is what the store has."""
    writer, database, worker = live
    sessions = [await worker.call(database.create) for _ in range(3)]
    answers = await asyncio.gather(
        *[writer.submit(change(sessions[n % 3], message(str(n), f"m{n}"))) for n in range(300)]
    )

    for position, each in enumerate(sessions):
        stored = await worker.call(database.read, each)
        told = [entry for sealed in answers[position::3] for entry in json.loads(sealed.answer)["events"]]
        assert [event.id for event in stored] == [entry["id"] for entry in told]
        assert [event.sequence for event in stored] == list(range(1, 101))
        assert [event.item for event in stored] == [event.item for event in each.ring.after(0)]


async def test_repeat_while_the_first_is_in_flight_waits_and_is_answered_alike(live):
    """P2."""
    writer, database, worker = live
    there = await worker.call(database.create)
    body = {"type": "message_added", "data": {"content": "hi"}}

    answers = await asyncio.gather(*[writer.submit(keyed(there, body, "k1")) for _ in range(20)])
    later = await writer.submit(keyed(there, body, "k1"))

    assert len({sealed.answer for sealed in [*answers, later]}) == 1
    assert [sealed.is_replay for sealed in answers].count(False) == 1 and not answers[0].is_replay
    assert there.last_sequence == await worker.call(database.count, "events") == 1


async def test_full_disk_is_told_and_publishing_recovers_by_itself(live):
    """P1, P2."""
    writer, database, worker = live
    there = await worker.call(database.create)
    await writer.submit(change(there, note(n=1)))
    await worker.call(database.connection.execute, "PRAGMA max_page_count = 1")
    large = [note(text="x" * 60_000) for _ in range(5)]

    with pytest.raises(StorageFull):
        await writer.submit(change(there, *large))
    assert there.last_sequence == 1 and isinstance(writer.trouble, StorageFull)

    await worker.call(database.connection.execute, "PRAGMA max_page_count = 1000000")
    sealed = await writer.submit(change(there, *large))
    assert sequences(sealed) == [2, 3, 4, 5, 6]
    assert writer.trouble is None


async def test_session_is_closed_for_those_behind_in_the_queue(live):
    writer, database, worker = live
    there = await worker.call(database.create)
    close = Change(there, Gate.SERVER, (note(),), Describe(Status.CLOSED, None))

    results = await asyncio.gather(
        writer.submit(change(there, note())),
        writer.submit(close),
        writer.submit(change(there, note())),
        return_exceptions=True,
    )

    assert type(results[2]) is SessionClosed
    assert there.status is Status.CLOSED
    assert [event.sequence for event in await worker.call(database.read, there)] == [1, 2]
