"""Reading backwards: bounded steps, what has been shown and no more, and the end of the moment."""

from __future__ import annotations

import asyncio

import pytest

from rtserver import history
from rtserver.changes import Sealed, Trim
from rtserver.cursor import Cursor, Edge, encode_id, parse_cursor
from rtserver.history import MAX_STEPS, SEARCH_FACTOR, History, HistoryPage
from rtserver.reader import Reader
from rtserver.ring import Ring
from rtserver.session import Session
from tests.builders import EPOCH, Clock, Database, HandWorker, change, event, message, note

STEP_EVENTS = 2
STEP = SEARCH_FACTOR * STEP_EVENTS  # rows that one step looks at
STEP_BYTES = 1 << 20


class Desk:
    """A history over a real store, whose calls are done at once; `made` says how many there were."""

    def __init__(self, database: Database, step_bytes: int = STEP_BYTES) -> None:
        self.worker = HandWorker()
        reader = Reader(self.worker, database.queries, Clock(), STEP_EVENTS, step_bytes)
        self.history = History(self.worker, database.queries, reader, STEP_EVENTS, step_bytes)

    @property
    def steps(self) -> int:
        return sum(call.function.__name__ == "read_back" for call in self.worker.made)

    async def do(self, awaitable, before_call=lambda: None):
        """Return what is read; every call to the store is done when it comes."""
        task = asyncio.ensure_future(awaitable)
        while not task.done():
            await asyncio.sleep(0)
            if not self.worker.is_idle:
                before_call()
                (await self.worker.next()).complete()
        return task.result()

    async def page(self, session: Session, before: str | None = None, limit: int = 100, **options) -> HistoryPage:
        start = parse_cursor(before, "before") if before is not None else None
        return await self.do(self.history.page(session, start, limit), **options)

    async def event(self, session: Session, place: str):
        return await self.do(self.history.event(session, parse_cursor(place, "event")))


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(io_loop, database):
    return Desk(database)


def with_events(database: Database, pattern: str, *, ring: int | None = None) -> Session:
    """Return a session of messages (m) and other events (.); ``ring`` newest of them are in memory."""
    there = database.create()
    for n, letter in enumerate(pattern, 1):
        database.add_events(there, message(f"m{n}") if letter == "m" else note(n=n))
    if ring is not None:
        there.ring.evict_through(len(pattern) - ring)
    return there


def trim(database: Database, session: Session, sequence: int) -> None:
    timestamp_us = database.queries.timestamp_of(session.number, sequence)
    (result,) = database.commit(change(session, edit=Trim(sequence, timestamp_us)))
    assert isinstance(result, Sealed)


def sequences(page: HistoryPage) -> list[int]:
    return [message.sequence for message in page.messages]


def newest_first(pattern: str, before: int | None = None, after: int = 0) -> list[int]:
    end = len(pattern) + 1 if before is None else before
    return [n for n in range(end - 1, after, -1) if pattern[n - 1] == "m"]


PATTERN = "m..mm.m...mmmm.m.." + "." * 3 * STEP + "m.mmm..m"


# A page


@pytest.mark.parametrize("ring", [0, 1, 4, 20, len(PATTERN) - 1, len(PATTERN)])
async def test_every_message_is_read_newest_first_wherever_it_is(desk, database, ring):
    """P2: the ring's edge may lie anywhere."""
    there = with_events(database, PATTERN, ring=ring)

    page = await desk.page(there)

    assert sequences(page) == newest_first(PATTERN)
    assert [message.item for message in page.messages] == [
        e.item for e in reversed(database.read(there)) if "m" in e.type
    ]
    assert (page.next, page.has_more, page.reset) == (None, False, None)
    assert page.last_event_id == there.last_event_id


@pytest.mark.parametrize("ring", [0, 5, 30, len(PATTERN)])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_follow_each_other_without_a_hole_or_a_repeat(desk, database, ring, limit):
    """P2."""
    there = with_events(database, PATTERN, ring=ring)
    seen, before = [], None

    while True:
        page = await desk.page(there, before, limit)
        assert len(page.messages) == limit or not page.has_more
        seen += sequences(page)
        if not page.has_more:
            break
        before = page.next

    assert seen == newest_first(PATTERN)


@pytest.mark.parametrize("ring", [0, 3, 6])
@pytest.mark.parametrize("count", [4, 5, 6])
async def test_there_is_more_exactly_if_one_message_more_is_kept(desk, database, ring, count):
    """P4: the limit at n-1, n and n+1; other events before the messages do not count."""
    there = with_events(database, "..." + "m" * count, ring=ring)

    page = await desk.page(there, limit=5)

    assert len(page.messages) == min(count, 5)
    assert page.has_more is (count > 5)
    assert page.next == (page.messages[-1].id if count > 5 else None)


@pytest.mark.parametrize("ring", [0, 10, len(PATTERN)])
async def test_a_page_begins_before_any_event_whether_it_is_a_message_or_not(desk, database, ring):
    there = with_events(database, PATTERN, ring=ring)
    ids = {each.sequence: each.id for each in database.read(there)}

    for sequence, id in ids.items():
        for before in (id, str(sequence)):
            assert sequences(await desk.page(there, before)) == newest_first(PATTERN, before=sequence)


@pytest.mark.parametrize("pattern", ["", ".", "....."])
@pytest.mark.parametrize("ring", [0, None], ids=["store", "ring"])
async def test_a_session_without_messages_has_an_empty_page_and_an_end(desk, database, pattern, ring):
    there = with_events(database, pattern, ring=ring)

    page = await desk.page(there)

    assert (page.messages, page.next, page.reset) == ([], None, None)
    assert page.last_event_id == there.last_event_id


@pytest.mark.parametrize("before", ["0", "zero"])
async def test_before_the_beginning_there_is_nothing(desk, database, before):
    there = with_events(database, "mmm")
    zero = encode_id(there.created_at_us, EPOCH, 0)

    page = await desk.page(there, zero if before == "zero" else before)

    assert (page.messages, page.next, page.reset) == ([], None, None)


# Places that are not in this session


async def test_a_place_that_is_not_in_this_life_of_the_session_is_a_reset(desk, database):
    """P3."""
    there = with_events(database, "mm.", ring=1)
    last = parse_cursor(there.last_event_id, "id")
    assert isinstance(last, Cursor)
    wrong = {
        encode_id(last.timestamp_us, EPOCH + 1, 3): "epoch",
        encode_id(last.timestamp_us + 1, EPOCH, 3): "epoch",
        encode_id(last.timestamp_us, EPOCH, 1): "epoch",
        encode_id(last.timestamp_us, EPOCH, 4): "ahead",
        "4": "ahead",
        "8df38f48-1cdf-46f9-95c3-c50739799481": "foreign",
    }

    for before, reason in wrong.items():
        page = await desk.page(there, before)
        assert page.reset is not None
        assert (page.reset["reason"], page.reset["requested"]) == (reason, before)
        assert (page.messages, page.next) == ([], None)
        assert page.last_event_id == page.reset["lastEventId"] == there.last_event_id


@pytest.mark.parametrize("ring", [0, None], ids=["store", "ring"])
async def test_what_retention_took_is_the_end_of_history_and_no_reset(desk, database, ring):
    """P3: whoever reads backwards to it has missed nothing that is kept."""
    there = with_events(database, "mmm.mmm", ring=ring)
    ids = {each.sequence: each.id for each in database.read(there)}
    trim(database, there, 4)

    assert sequences(await desk.page(there)) == [7, 6, 5]
    for sequence in range(1, 8):
        for before in (str(sequence), ids[sequence]):
            page = await desk.page(there, before)
            assert (sequences(page), page.next, page.reset) == (list(range(sequence - 1, 4, -1)), None, None)
    assert (await desk.page(there, limit=3)).next is None
    assert (await desk.page(there, limit=2)).next == ids[6]


async def test_a_session_of_which_all_is_trimmed_has_no_history_and_keeps_its_end(desk, database):
    there = with_events(database, "mmm")
    end = there.last_event_id
    trim(database, there, 3)

    for before in (None, end, "1", "0"):
        page = await desk.page(there, before)
        assert (page.messages, page.next, page.last_event_id, page.reset) == ([], None, end, None)


# Joined to live


async def test_what_comes_while_the_store_is_read_is_left_to_the_live_reader(desk, database):
    """P2: the end is of the moment in which the ring was read, so nothing is in both or in neither."""
    there = with_events(database, "m" * 4 + "." * 2 * STEP + "mm", ring=2)
    end = there.last_event_id

    def publish() -> None:
        database.add_events(there, message("later"))
        there.ring.evict_through(there.ring.last)

    page = await desk.page(there, before_call=publish)

    assert desk.steps > 1
    assert page.last_event_id == end
    assert sequences(page) == [2 * STEP + 6, 2 * STEP + 5, 4, 3, 2, 1]


async def test_what_the_store_has_and_was_not_shown_yet_is_not_read(desk, database):
    """P1."""
    there = with_events(database, "mm", ring=0)
    (ahead,) = database.store.commit([change(there, message("unseen"))], database.clock())
    assert isinstance(ahead, Sealed)

    page = await desk.page(there)

    assert sequences(page) == [2, 1] and page.last_event_id == there.last_event_id
    assert await desk.event(there, "3") is None
    there.apply(ahead)
    assert sequences(await desk.page(there)) == [3, 2, 1]
    assert (await desk.event(there, "3")).sequence == 3


async def test_retention_that_comes_while_a_page_is_read_ends_it(desk, database):
    there = with_events(database, "m" * 4 + "." * 3 * STEP + "m", ring=0)

    def retain() -> None:
        if there.trimmed_sequence == 0 and desk.steps == 2:
            trim(database, there, 10)

    page = await desk.page(there, before_call=retain)

    assert (sequences(page), page.next) == ([3 * STEP + 5], None)
    assert page.is_trimmed


# Bounds


@pytest.mark.parametrize("stretch", [STEP - 1, STEP, STEP + 1, 3 * STEP])
async def test_a_step_looks_at_so_many_events_and_no_more(desk, database, stretch):
    """P4: the reading thread is free for others in between."""
    there = with_events(database, "m" + "." * stretch, ring=0)

    page = await desk.page(there)

    assert sequences(page) == [1]
    assert desk.steps == -(-(stretch + 1) // STEP)


async def test_a_page_that_the_ring_can_fill_does_not_ask_the_store(desk, database):
    there = with_events(database, "m" * 9, ring=4)

    assert (await desk.page(there, limit=3)).next is not None
    assert desk.worker.made == []


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_a_search_that_takes_too_long_goes_on_with_the_next_page(desk, database, monkeypatch, beyond):
    """P4: no request looks at more than so many steps; nothing is lost by it."""
    monkeypatch.setattr(history, "MAX_STEPS", 3)
    there = with_events(database, "m" + "." * (3 * STEP + beyond - 1) + "mm", ring=2)

    page = await desk.page(there)

    if beyond <= 0:
        assert (sequences(page)[2:], page.next) == ([1], None)
        return
    assert desk.steps == 3
    assert (sequences(page), page.has_more) == ([there.last_sequence, there.last_sequence - 1], True)
    following = await desk.page(there, page.next)
    assert (sequences(following), following.next) == ([1], None)


async def test_a_page_on_which_nothing_was_found_yet_says_where_to_go_on(desk, database, monkeypatch):
    """P4."""
    monkeypatch.setattr(history, "MAX_STEPS", 1)
    there = with_events(database, "m" + "." * 2 * STEP, ring=0)
    ids = {each.sequence: each for each in database.read(there)}

    first = await desk.page(there)
    second = await desk.page(there, first.next)
    third = await desk.page(there, second.next)

    assert [sequences(page) for page in (first, second, third)] == [[], [], [1]]
    assert (first.next, second.next, third.next) == (ids[STEP + 2].id, ids[2].id, None)
    assert first.newest_us == ids[STEP + 2].timestamp_us


def test_one_request_searches_all_that_retention_keeps_by_default():
    assert MAX_STEPS * SEARCH_FACTOR * 256 >= 100_000


@pytest.mark.parametrize("ring", [0, 2, 6])
@pytest.mark.parametrize("extra", [-1, 0, 1])
async def test_a_page_ends_when_it_has_its_bytes(io_loop, database, ring, extra):
    """P4: three messages fit to the byte."""
    there = with_events(database, "mmmmmm", ring=ring)
    desk = Desk(database, step_bytes=3 * len(there.ring.get(6).item if ring else database.read(there)[5].item) + extra)

    page = await desk.page(there)

    assert sequences(page) == [6, 5, 4, 3][: 4 if extra > 0 else 3]
    assert page.next == page.messages[-1].id
    assert sequences(await desk.page(there, page.next))[0] == page.messages[-1].sequence - 1


@pytest.mark.parametrize("ring", [0, 2])
async def test_a_message_larger_than_a_page_is_a_page(io_loop, database, ring):
    there = database.create()
    for n in range(2):
        database.add_events(there, message("x" * 5000 + str(n)))
    there.ring.evict_through(2 - ring)
    desk = Desk(database, step_bytes=1024)

    first = await desk.page(there)
    second = await desk.page(there, first.next)

    assert (sequences(first), sequences(second), second.next) == ([2], [1], None)


async def test_no_statement_stays_open_between_two_steps(desk, database):
    """P4: it would pin the write-ahead log, which then grows without bound."""
    there = with_events(database, "m" * 3 + "." * 2 * STEP + "m" * 3, ring=0)

    def checkpoint() -> None:
        database.add_events(there, note(more=True))
        busy, logged, copied = database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, logged, copied) == (0, 0, 0)

    page = await desk.page(there, limit=4, before_call=checkpoint)

    assert len(page.messages) == 4 and desk.steps > 2


# One event


@pytest.mark.parametrize("ring", [0, 2, 5])
async def test_an_event_is_found_by_its_id_and_by_its_sequence(desk, database, ring):
    there = with_events(database, "m.m.m", ring=ring)

    for each in database.read(there):
        for place in (each.id, each.id.upper(), str(each.sequence)):
            assert (await desk.event(there, place)).item == each.item


@pytest.mark.parametrize("ring", [0, 5])
async def test_what_is_no_event_of_this_life_is_not_found(desk, database, ring):
    there = with_events(database, "m.m.m", ring=ring)
    ids = {each.sequence: each for each in database.read(there)}
    trim(database, there, 2)
    third = ids[3].timestamp_us
    places = [
        *("0", "1", "2", "6", encode_id(there.created_at_us, EPOCH, 0), ids[1].id, ids[2].id),
        *(encode_id(third, EPOCH + 1, 3), encode_id(third + 1, EPOCH, 3), encode_id(third, EPOCH, 4)),
        *(encode_id(third, EPOCH, 6), "8df38f48-1cdf-46f9-95c3-c50739799481"),
    ]

    for place in places:
        assert await desk.event(there, place) is None, place

    assert (await desk.event(there, ids[3].id)).item == ids[3].item
    assert await desk.do(desk.history.event(there, Edge.NOW)) is None


# The ring backwards


@pytest.mark.parametrize("before", range(12))
def test_the_ring_gives_what_it_keeps_before_a_sequence_newest_first(before):
    ring = Ring(4, 1 << 20, evicted_through=3)
    for sequence in range(4, 10):
        ring.extend([event(sequence)])
    assert ring.evicted_through == 5

    assert [each.sequence for each in ring.before(before)] == [n for n in (9, 8, 7, 6) if n < before]
