"""Which sessions are in memory: one object each, so many and no more, and none dropped that somebody uses."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from rtserver.errors import Overloaded, SessionExists
from rtserver.registry import Registry
from rtserver.ring import Ring
from rtserver.session import Session
from tests.builders import Database, HandWorker, note, person, record, session, settle


class Library:
    """A registry over a real store with the sessions ``a`` to ``e``, whose reading is moved by hand."""

    def __init__(self, database: Database, max_sessions: int = 3) -> None:
        self.database = database
        self.worker = HandWorker()
        self.registry = Registry(self.worker, database.queries, max_sessions, ring_events=10, ring_bytes=1 << 20)

    async def load(self, session_id: str) -> Session | None:
        """Return a session that is loaded at once."""
        getting = asyncio.ensure_future(self.registry.get(session_id))
        await settle()
        if not self.worker.is_idle:
            (await self.worker.next()).complete()
        return await getting

    @property
    def held(self) -> list[str]:
        return [held.session_id for held in self.registry]


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    for session_id in "abcde":
        opened.add_events(opened.create(person("alice"), session_id=session_id), note(), note())
    yield opened
    opened.close()


@pytest.fixture
def library(io_loop, database):
    async def start() -> Library:
        return Library(database)

    return io_loop.asyncio_loop.run_until_complete(start())


# Loading


async def test_session_is_loaded_as_it_is_in_the_store(library, database):
    """P2: with an empty ring that begins at its end."""
    row, people = database.queries.load("a")

    loaded = await library.load("a")

    assert loaded.record() == row
    assert list(loaded.participants.values()) == people
    assert (len(loaded.ring), loaded.ring.evicted_through, loaded.ring.last) == (0, 2, 2)
    assert (loaded.ring.max_events, loaded.ring.max_bytes) == (10, 1 << 20)


async def test_session_in_memory_is_found_without_the_store(library):
    loaded = await library.load("a")

    assert await library.registry.get("a") is loaded
    assert library.registry.peek("a") is loaded
    assert library.worker.is_idle and len(library.worker.made) == 1


async def test_session_that_does_not_exist_is_none_and_takes_no_place(library):
    """P4."""
    assert await library.load("nobody") is None
    assert library.registry.peek("nobody") is None
    assert library.held == []


async def test_everybody_who_asks_while_a_session_arrives_gets_the_same_object(library):
    """P2: its numbering has one owner, and the store is read once."""
    asking = [asyncio.ensure_future(library.registry.get("a")) for _ in range(5)]
    await settle()

    (await library.worker.next()).complete()
    found = await asyncio.gather(*asking)

    assert all(each is found[0] for each in found) and found[0] is library.registry.peek("a")
    assert len(library.worker.made) == 1


async def test_everybody_who_asks_for_what_does_not_exist_is_told_so(library):
    asking = [asyncio.ensure_future(library.registry.get("nobody")) for _ in range(3)]
    await settle()

    (await library.worker.next()).complete()

    assert await asyncio.gather(*asking) == [None, None, None]
    assert await library.load("nobody") is None


async def test_one_who_waits_may_give_up(library):
    first, second, third = [asyncio.ensure_future(library.registry.get("a")) for _ in range(3)]
    await settle()
    second.cancel()
    await settle()

    (await library.worker.next()).complete()

    assert await first is await third is library.registry.peek("a") is not None


async def test_store_that_cannot_be_read_fails_the_one_who_asked_and_may_be_asked_again(library):
    asking = asyncio.ensure_future(library.registry.get("a"))
    (await library.worker.next()).fail(sqlite3.OperationalError("disk I/O error"))

    with pytest.raises(sqlite3.OperationalError):
        await asking

    assert library.held == []
    assert (await library.load("a")).session_id == "a"


@pytest.mark.parametrize("trouble", ["the store fails", "memory is full", "the first gives up"])
async def test_who_waits_for_a_session_is_not_told_that_it_does_not_exist(library, trouble):
    """P7."""
    if trouble == "memory is full":
        for session_id in "bcd":
            (await library.load(session_id)).pins += 1
    first, second = [asyncio.ensure_future(library.registry.get("a")) for _ in range(2)]
    call = await library.worker.next()
    await settle()
    match trouble:
        case "the store fails":
            call.fail(sqlite3.OperationalError("disk I/O error"))
        case "memory is full":
            call.complete()
        case "the first gives up":
            first.cancel()
            call.complete()
    await settle()
    if not library.worker.is_idle:  # whoever waits may have to ask the store itself
        (await library.worker.next()).complete()

    _, outcome = await asyncio.gather(first, second, return_exceptions=True)

    assert outcome is not None


async def test_who_waited_for_a_session_gets_the_one_that_is_in_memory(io_loop, database):
    """P2: else two objects number the same session."""
    library = Library(database, max_sessions=1)

    async def gets_what_is_in_memory(session_id: str) -> bool:
        found = await library.registry.get(session_id)
        return found is library.registry.peek(session_id)

    asking = asyncio.gather(*[gets_what_is_in_memory(session_id) for session_id in "aab"])
    a, b = await library.worker.next(), await library.worker.next()
    a.complete()
    b.complete()
    while not asking.done():
        await settle()
        if not library.worker.is_idle:  # whoever waited may have to ask the store again
            (await library.worker.next()).complete()

    assert await asking == [True, True, True]


# Creating


async def test_name_can_be_reserved_once(library):
    arrival = asyncio.ensure_future(library.registry.reserve("new"))
    (await library.worker.next()).complete()
    with await arrival as arrived:
        competing = asyncio.ensure_future(library.registry.reserve("new"))
        reading = asyncio.ensure_future(library.registry.get("new"))
        await settle()
        assert not competing.done() and not reading.done(), "both wait for what becomes of it"
        created = session(session_id="new")
        library.registry.admit(created)
        arrived.set_result(created)

    assert await reading is created
    with pytest.raises(SessionExists, match="'new'") as refused:
        await competing
    assert refused.value.status == 409


async def test_name_of_a_session_in_memory_is_taken(library):
    await library.load("a")

    with pytest.raises(SessionExists):
        await library.registry.reserve("a")


async def test_name_of_a_session_in_the_store_is_taken(library):
    arrival = asyncio.ensure_future(library.registry.reserve("a"))
    (await library.worker.next()).complete()

    with pytest.raises(SessionExists):
        await arrival


async def test_name_is_free_again_when_its_creation_failed(library):
    arrival = asyncio.ensure_future(library.registry.reserve("new"))
    (await library.worker.next()).complete()
    with pytest.raises(RuntimeError), await arrival:
        competing = asyncio.ensure_future(library.registry.reserve("new"))
        reading = asyncio.ensure_future(library.registry.get("new"))
        await settle()
        raise RuntimeError("the disk is full")

    assert await reading is None
    with await competing as arrived:
        assert not arrived.done()
    assert library.held == []


async def test_two_objects_for_one_session_are_refused(library):
    """P2."""
    loaded = await library.load("a")

    with pytest.raises(AssertionError, match="two objects"):
        library.registry.admit(session(session_id="a"))

    assert library.registry.peek("a") is loaded


# Limits


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_so_many_sessions_are_in_memory_and_no_more(library, count):
    """P4: n-1, n and n+1 of three; the least recently used goes."""
    for session_id in "abcde"[:count]:
        await library.load(session_id)

    assert library.held == list("abcde"[:count])[-3:]
    assert len(library.registry) == min(count, 3)


async def test_session_that_was_asked_for_stays_before_one_that_was_not(library):
    for session_id in "abc":
        await library.load(session_id)
    await library.registry.get("a")

    await library.load("d")

    assert library.held == ["c", "a", "d"]


async def test_session_in_use_is_not_dropped_for_another(library):
    kept = await library.load("a")
    kept.pins += 1
    for session_id in "bcd":
        await library.load(session_id)

    assert library.registry.peek("a") is kept
    assert library.held == ["a", "c", "d"]


async def test_memory_full_of_sessions_in_use_refuses_another(library):
    """P4, P7: and those in use stay."""
    for session_id in "abc":
        (await library.load(session_id)).pins += 1

    with pytest.raises(Overloaded, match="at most 3 can be") as refused:
        await library.load("d")

    assert refused.value.status == 503 and refused.value.headers()["Retry-After"]
    assert library.held == ["a", "b", "c"]
    library.registry.peek("b").pins -= 1
    assert (await library.load("d")).session_id == "d"
    assert library.held == ["a", "c", "d"]


async def test_sessions_that_are_created_at_once_keep_to_the_limit_too(library):
    """P4."""

    async def create(session_id: str) -> None:
        with await library.registry.reserve(session_id) as arrived:
            library.registry.make_room()
            await settle()  # its commit
            created = session(session_id=session_id)
            library.registry.admit(created)
            arrived.set_result(created)

    creating = asyncio.gather(*[create(f"new{n}") for n in range(5)], return_exceptions=True)
    for _ in range(5):
        (await library.worker.next()).complete()
    outcomes = await creating

    assert {type(each) for each in outcomes} <= {type(None), Overloaded}
    assert len(library.registry) <= 3


async def test_session_that_came_back_is_another_object_with_the_same_row(library):
    """P2, P3."""
    before = await library.load("a")
    for session_id in "bcd":
        await library.load(session_id)
    assert library.registry.peek("a") is None

    after = await library.load("a")

    assert after is not before
    assert after.record() == before.record()


# Dropping


async def test_idle_sessions_are_dropped_after_their_time(library):
    """P4: at the moment itself, not before."""
    for session_id in "abc":
        await library.load(session_id)
    a, b, c = (library.registry.peek(session_id) for session_id in "abc")
    a.last_used_at, b.last_used_at, c.last_used_at = 10.0, 11.0, 10.0
    c.pins += 1

    assert library.registry.drop_idle(9.9) == 0
    assert library.registry.drop_idle(10.0) == 1

    assert library.held == ["b", "c"]


async def test_session_that_was_just_loaded_has_just_been_used(library):
    loaded = await library.load("a")

    assert loaded.last_used_at == pytest.approx(asyncio.get_running_loop().time(), abs=5)


async def test_asking_for_a_session_counts_as_using_it(library):
    loaded = await library.load("a")
    loaded.last_used_at = 0.0

    await library.registry.get("a")

    assert loaded.last_used_at == pytest.approx(asyncio.get_running_loop().time(), abs=5)


async def test_peeking_does_not_count_as_using(library):
    loaded = await library.load("a")
    loaded.last_used_at = 1.0

    library.registry.peek("a")

    assert loaded.last_used_at == 1.0


async def test_discarding_an_old_object_leaves_the_new_one(library):
    old = await library.load("a")
    library.registry.discard(old)
    new = await library.load("a")

    library.registry.discard(old)

    assert library.registry.peek("a") is new


async def test_sessions_may_be_dropped_while_they_are_visited(library):
    for session_id in "abc":
        await library.load(session_id)

    for visited in library.registry:
        library.registry.discard(visited)

    assert len(library.registry) == 0


# Rings


async def full_rings(library: Library) -> dict[str, Session]:
    """Load a, b and c with two events in each ring."""
    loaded = {}
    for session_id in "abc":
        loaded[session_id] = await library.load(session_id)
        events = library.database.add_events(loaded[session_id], note(n=1), note(n=2))
        assert len(loaded[session_id].ring) == len(events) == 2
    return loaded


@pytest.mark.parametrize(("excess", "emptied"), [(0, ""), (-1, "a"), (1, "")])
async def test_rings_together_are_bounded(library, excess, emptied):
    """P4: n-1, n, n+1 of what they hold; the least recently used is emptied first."""
    loaded = await full_rings(library)
    total = library.registry.ring_bytes()
    assert total == sum(each.ring.size for each in loaded.values())

    library.registry.shrink_rings(total + excess)

    assert [each for each in "abc" if len(loaded[each].ring) == 0] == list(emptied)
    assert library.registry.ring_bytes() <= total + excess
    assert library.held == ["a", "b", "c"], "no session is lost"


async def test_rings_are_emptied_until_it_is_enough(library):
    """P3: an emptied ring changes nothing about where the session ends."""
    loaded = await full_rings(library)
    rows = {each: loaded[each].record() for each in loaded}

    library.registry.shrink_rings(loaded["c"].ring.size)
    assert [len(loaded[each].ring) for each in "abc"] == [0, 0, 2]

    library.registry.shrink_rings(0)
    assert library.registry.ring_bytes() == 0
    assert {each: loaded[each].record() for each in loaded} == rows
    assert all(each.ring.last == each.last_sequence for each in loaded.values())


async def test_built_session_is_not_in_memory_for_others(library):
    built = library.registry.build(record(session_id="new"), [person()])

    assert isinstance(built.ring, Ring) and library.held == []
