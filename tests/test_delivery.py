"""Delivery: the same behaviour on every tier, from the ring and from the store (P2, P3).

`tier` is how the reader reads, `source` where most of what it reads comes from: with a ring of one event nearly
everything has to come from the store.
"""

import asyncio
import random

import pytest

from tests.checker import History, Stored, check
from tests.conftest import until
from tests.readers import READERS, TIERS, sequence_of, uid_of

SOURCES = {"ring": {"sse_gzip": True}, "store": {"sse_gzip": True, "ring_events": 1, "replay_step": 3}}


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture(params=SOURCES)
def source(request):
    return SOURCES[request.param]


async def stored_events(api, session_id="s"):
    """Return the whole log as it is now, through the API."""
    stored, cursor = [], "earliest"
    while True:
        query = "from=earliest" if cursor == "earliest" else f"lastEventId={cursor}"
        page = await api.poll(f"{query}&timeout=0", session_id=session_id, who="service")
        if page.status == 204:
            return stored
        stored += [Stored(e["sequence"], e["id"], uid_of(e["type"], e["data"])) for e in page.json["events"]]
        cursor = page.json["lastEventId"]
        if not page.json["hasMore"]:
            return stored


def new_history(snapshot):
    """A history that knows of the events the session began with."""
    history = History()
    history.attempted |= {"participant_joined:alice", "participant_joined:bob"}
    return history, snapshot["lastEventId"]


async def publish_many(api, history, names):
    for name in names:
        history.attempted.add(name)
        entry = await api.publish(name)
        history.acknowledge(name, entry["sequence"], entry["id"])


async def read_to(reader, sequence):
    while sequence_of(reader.cursor) < sequence:
        assert await reader.read(), "the server ended the reader"


async def test_a_reader_gets_everything_after_its_cursor_in_order_and_once(start_server, tier, source):
    """P2."""
    api = await start_server(**source)
    history, cursor = new_history(await api.create())
    await publish_many(api, history, [f"m{n}" for n in range(40)])
    async with READERS[tier](api, history.reader("r"), cursor) as reader:
        await read_to(reader, 42)
        await publish_many(api, history, [f"live{n}" for n in range(20)])
        await read_to(reader, 62)
    assert check(history, await stored_events(api)) == []


async def test_a_reader_can_go_on_from_any_event(start_server, tier, source):
    """P2: whatever the cursor, exactly the rest follows."""
    api = await start_server(**source)
    history, _ = new_history(await api.create())
    await publish_many(api, history, [f"m{n}" for n in range(12)])
    stored = await stored_events(api)
    for event in stored:
        async with READERS[tier](api, history.reader(f"from {event.sequence}"), event.id) as reader:
            await read_to(reader, 14)
    assert check(history, stored) == []


async def test_a_plain_sequence_is_a_cursor_too(start_server, tier, source):
    api = await start_server(**source)
    history, _ = new_history(await api.create())
    await publish_many(api, history, [f"m{n}" for n in range(9)])
    async with READERS[tier](api, history.reader("r"), "4") as reader:
        await read_to(reader, 11)
    assert [saw.sequence for saw in history.readers[0].seen] == list(range(5, 12))


@pytest.mark.parametrize("seed", range(3))
async def test_switching_tiers_under_concurrent_publishing_loses_and_repeats_nothing(start_server, source, seed):
    """P2: each of five readers changes its tier at random moments, in the middle of pages and bursts."""
    rng = random.Random(seed)
    api = await start_server(**source)
    history, cursor = new_history(await api.create())
    total = 150

    async def publish():
        for number in range(0, total, 3):
            await asyncio.gather(*(publish_many(api, history, [f"m{number + i}"]) for i in range(3)))

    async def read(name):
        log, position, switches = history.reader(name), cursor, 0
        while sequence_of(position) < total + 2:
            async with READERS[rng.choice(TIERS)](api, log, position) as reader:
                for _ in range(rng.randint(1, 12)):
                    if sequence_of(reader.cursor) < total + 2:
                        assert await reader.read()
                position, switches = reader.cursor, switches + 1
        return switches

    results = await asyncio.gather(publish(), *(read(f"r{n}") for n in range(5)))
    assert sum(results[1:]) > 20, "the readers hardly ever switched"
    assert check(history, await stored_events(api)) == []


async def test_a_restart_in_the_middle_loses_and_repeats_nothing(start_server, tier, source):
    """P1, P2."""
    api = await start_server(**source)
    history, cursor = new_history(await api.create())
    await publish_many(api, history, [f"m{n}" for n in range(10)])
    log = history.reader("r")
    async with READERS[tier](api, log, cursor) as reader:
        await read_to(reader, 6)
    await start_server.stop(api)
    api = await start_server(**source)
    await publish_many(api, history, [f"after{n}" for n in range(10)])
    async with READERS[tier](api, log, reader.cursor) as reader:
        await read_to(reader, 22)
    assert check(history, await stored_events(api)) == []


async def test_a_session_that_left_memory_is_no_gap(start_server, tier):
    """P3: an idle reader of an idle session is up to date, and goes on."""
    api = await start_server(session_idle=0, sse_gzip=True)
    history, cursor = new_history(await api.create())
    await publish_many(api, history, ["m"])
    log = history.reader("r")
    async with READERS[tier](api, log, cursor) as reader:
        await read_to(reader, 3)
    await until(lambda: len(api.hub.registry) == 0)
    async with READERS[tier](api, log, reader.cursor) as reader:
        await publish_many(api, history, ["n"])
        await read_to(reader, 4)
    assert check(history, await stored_events(api)) == []
