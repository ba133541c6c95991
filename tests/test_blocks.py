"""Blocks: what many readers catch up with is made once, never changes, and is no way around a gap."""

from __future__ import annotations

import asyncio
import re

import pytest

from rtserver.blocks import Block, Blocks
from rtserver.changes import Trim
from rtserver.reader import Gap
from rtserver.sse import ResetReason
from tests.builders import Database, change, note, sealed_of
from tests.test_reader import Desk, with_events

EVENTS = 4


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "rtserver.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(io_loop, database):
    desk = Desk(database)
    desk.blocks = Blocks(desk.reader, EVENTS, 1 << 20)
    return desk


def numbers(block: Block) -> list[int]:
    """Return what is in a block, by what was published."""
    return [int(number) for number in re.findall(rb'"n":([0-9]+)', block.frames)]


def trim(database: Database, there, sequence: int) -> None:
    (sealed,) = database.store.commit(
        [change(there, edit=Trim(sequence, there.timestamp_of(sequence) or 0))], database.clock()
    )
    there.apply(sealed_of(sealed))


async def everything(desk: Desk, there, after: int = 0) -> list[int]:
    found = []
    while after < there.last_sequence:
        block = await desk.do(desk.blocks.read(there, after))
        found += numbers(block)
        after = block.sequence
    return found


@pytest.mark.parametrize("evicted", [0, 5, 10])
@pytest.mark.parametrize("after", [0, 3, 4, 5, 9])
async def test_blocks_from_any_cursor_hold_what_follows_it_once(desk, database, evicted, after):
    """P2: from the ring, from the store, and across both."""
    there = with_events(database, 10)
    there.ring.evict_through(evicted)
    assert await everything(desk, there, after) == list(range(after, 10))


async def test_readers_with_different_cursors_share_all_but_their_first_block(desk, database):
    there = with_events(database, 3 * EVENTS)
    first = [desk.blocks.peek(there, after) for after in (0, 1, 2)]
    assert {block.sequence for block in first} == {EVENTS}
    assert desk.blocks.peek(there, EVENTS) is desk.blocks.peek(there, EVENTS)


async def test_readers_of_the_same_block_have_it_read_from_the_store_once(desk, database):
    there = with_events(database, EVENTS)
    there.ring.evict_through(EVENTS)
    reading = [asyncio.ensure_future(desk.blocks.read(there, 0)) for _ in range(100)]
    await asyncio.sleep(0)
    call = await desk.worker.next()
    call.complete()
    found = await asyncio.gather(*reading)
    assert desk.worker.is_idle and len(set(map(id, found))) == 1
    assert desk.blocks.peek(there, 0) is found[0]


async def test_a_reader_that_leaves_does_not_take_the_reading_with_it(desk, database):
    there = with_events(database, 2)
    there.ring.evict_through(2)
    leaving = asyncio.ensure_future(desk.blocks.read(there, 0))
    staying = asyncio.ensure_future(desk.blocks.read(there, 0))
    await asyncio.sleep(0)
    leaving.cancel()
    assert numbers(await desk.do(staying)) == [0, 1]


async def test_the_last_block_of_a_session_grows(desk, database):
    """P2: what was made of it before is not what follows a cursor any more."""
    there = with_events(database, 2)
    assert numbers(desk.blocks.peek(there, 0)) == [0, 1]
    database.add_events(there, note(n=2))
    assert numbers(desk.blocks.peek(there, 0)) == [0, 1, 2]


async def test_a_block_of_what_was_trimmed_is_served_to_nobody(desk, database):
    """P3: the gap is said, though the events are still in memory."""
    there = with_events(database, 2 * EVENTS)
    assert desk.blocks.peek(there, 0) is not None
    trim(database, there, 2)
    assert desk.blocks.peek(there, 0) is None
    found = await desk.do(desk.blocks.read(there, 0))
    assert isinstance(found, Gap) and found.reason is ResetReason.TRIMMED
    assert numbers(desk.blocks.peek(there, 2)) == [2, 3]


@pytest.mark.parametrize("excess", [-1, 0, 1])
async def test_blocks_hold_so_many_bytes_those_used_least_recently_giving_way(desk, database, excess):
    """P4."""
    there = with_events(database, 3 * EVENTS)
    sizes = [desk.blocks.peek(there, after).size for after in (0, EVENTS, 2 * EVENTS)]
    blocks = Blocks(desk.reader, EVENTS, sum(sizes) - excess)
    first = blocks.peek(there, 0)
    blocks.peek(there, EVENTS)
    assert blocks.peek(there, 0) is first
    blocks.peek(there, 2 * EVENTS)
    assert len(blocks) == (2 if excess > 0 else 3)
    assert blocks.size <= sum(sizes) - excess
    assert blocks.peek(there, 0) is first, "it was used after the one that gave way"


async def test_without_room_for_any_block_readers_get_theirs_all_the_same(desk, database):
    there = with_events(database, 10)
    there.ring.evict_through(5)
    desk.blocks = Blocks(desk.reader, EVENTS, 0)
    assert await everything(desk, there) == list(range(10))
    assert len(desk.blocks) == 0
