"""P4 for what the server keeps: every limit at n-1, n, n+1, and what happens there."""

import asyncio
import json

import pytest

from rtserver.auth import Principal, Role
from rtserver.publication import parse_publication
from tests.conftest import until
from tests.http import Connection

SERVICE = Principal("service", Role.SERVICE, 1e12)


@pytest.mark.parametrize("count", [4, 5, 6])
async def test_a_ring_holds_so_many_events(start_server, count):
    api = await start_server(ring_events=5)
    await api.create(people=("alice",))
    for number in range(count - 1):
        await api.publish(f"m{number}")
    ring = api.hub.registry.peek("s").ring
    assert (len(ring), ring.evicted_through) == (min(count, 5), max(0, count - 5))


async def test_a_ring_holds_so_many_bytes(start_server):
    api = await start_server(ring_bytes=20_000)
    await api.create()
    for number in range(30):
        await api.publish(f"{number}" + "x" * 1000)
        assert api.hub.registry.peek("s").ring.size <= 20_000
    assert len(api.hub.registry.peek("s").ring) > 2


async def test_all_rings_together_hold_so_many_bytes_the_least_used_giving_way(start_server):
    api = await start_server(max_ring_bytes=90_000)
    for name in ("old", "new"):
        await api.create(name)
        for _ in range(10):
            await api.publish("x" * 2000, session_id=name)
    old, new = (api.hub.registry.peek(name) for name in ("old", "new"))
    assert old.ring.size + new.ring.size > 90_000
    before = new.ring.size
    await api.core.maintenance.step()
    assert old.ring.size + new.ring.size <= 90_000
    assert new.ring.size == before
    # What left memory is read from the store.
    page = await api.poll("from=earliest&timeout=0", session_id="old")
    assert len(page.json["events"]) == 12


async def test_so_many_sessions_are_in_memory_the_least_used_giving_way(start_server):
    api = await start_server(max_sessions=3)
    for number in range(5):
        await api.create(f"s{number}")
        assert len(api.hub.registry) == min(number + 1, 3)
    assert [session.session_id for session in api.hub.registry] == ["s2", "s3", "s4"]
    assert (await api.get("/sessions/s0")).status == 200
    assert [session.session_id for session in api.hub.registry] == ["s3", "s4", "s0"]


async def test_sessions_in_use_do_not_give_way_and_one_more_is_refused(start_server):
    api = await start_server(max_sessions=2)
    await api.create("a")
    await api.create("b")
    async with api.stream(session_id="a") as a, api.stream(session_id="b") as b:
        await a.until("connected")
        await b.until("connected")
        body = {"sessionId": "c"}
        refused = await api.post("/sessions", body)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert len(api.hub.registry) == 2
    await until(lambda: api.hub.streams.count == 0)
    assert (await api.post("/sessions", body)).status == 201


async def test_an_unused_session_leaves_memory(start_server):
    api = await start_server(session_idle=0)
    await api.create()
    await until(lambda: len(api.hub.registry) == 0)
    assert (await api.get("/sessions/s")).json["lastSequence"] == 2


async def test_a_session_in_use_stays_in_memory(start_server):
    api = await start_server(session_idle=0)
    await api.create()
    async with api.stream() as stream:
        await stream.until("connected")
        session = api.hub.registry.peek("s")
        await api.core.maintenance.step()
        assert api.hub.registry.peek("s") is session


async def test_what_waits_for_the_disk_is_bounded(start_server):
    """Beyond it publishing is refused with 503, and what was accepted is published."""
    api = await start_server(max_pending_bytes=1 << 16)
    await api.create()
    blocked = asyncio.get_running_loop().create_future()
    release = asyncio.Event()

    def hold() -> None:
        asyncio.run_coroutine_threadsafe(_wait(blocked, release), loop).result()

    loop = asyncio.get_running_loop()
    held = api.hub.writer._worker.call(hold)
    await blocked
    event = {"type": "message_added", "data": {"content": "x" * 8000}}
    publishes = [asyncio.create_task(api.post("/sessions/s/events", event, who="alice")) for _ in range(12)]
    await until(lambda: sum(task.done() for task in publishes) == 4)
    refused = [task.result() for task in publishes if task.done()]
    assert {answer.status for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert api.hub.writer.pending_bytes <= 1 << 16
    release.set()
    await held
    statuses = [(await task).status for task in publishes]
    assert sorted(statuses) == [201] * 8 + [503] * 4
    assert api.hub.writer.pending_bytes == 0
    assert (await api.get("/sessions/s")).json["lastSequence"] == 2 + 8


async def _wait(blocked, release):
    blocked.set_result(None)
    await release.wait()


@pytest.mark.parametrize(("count", "status"), [(2, 201), (3, 201), (4, 409)])
async def test_a_session_has_so_many_participants(start_server, count, status):
    api = await start_server(max_participants=3)
    people = [{"participantId": f"p{number}"} for number in range(count)]
    assert (await api.post("/sessions", {"sessionId": "s", "participants": people})).status == status
    await api.create("grown", people=("p0",))
    answers = [await api.request("PUT", f"/sessions/grown/participants/p{number}") for number in range(count)]
    assert answers[-1].status == status
    assert (await api.get("/sessions/grown")).json["participantCount"] == min(count, 3)


@pytest.mark.parametrize(("size", "status"), [(999, 201), (1000, 201), (1001, 413)])
async def test_an_event_has_so_many_bytes(start_server, size, status):
    api = await start_server(max_event_bytes=1000)
    await api.create()
    data = {"fill": "x" * (size - len('{"fill":""}'))}
    answer = await api.post("/sessions/s/events", {"type": "x", "data": data})
    assert answer.status == status
    assert (await api.get("/sessions/s")).json["lastSequence"] == (3 if status == 201 else 2)


@pytest.mark.parametrize(("size", "status"), [(299, 201), (300, 201), (301, 413)])
async def test_metadata_has_so_many_bytes(start_server, size, status):
    api = await start_server(max_metadata_bytes=300)
    metadata = {"fill": "x" * (size - len('{"fill":""}'))}
    assert (await api.post("/sessions", {"sessionId": "s", "metadata": metadata})).status == status


@pytest.mark.parametrize(("size", "status"), [(1023, 400), (1024, 400), (1025, 413)])
async def test_a_body_has_so_many_bytes(start_server, size, status):
    api = await start_server(max_body_bytes=1024, max_event_bytes=1024)
    await api.create()
    assert (await api.post("/sessions/s/events", b"x" * size)).status == status


async def test_a_replay_is_read_in_bounded_steps(start_server):
    """No step of catching up from the store holds more than its bytes, however many events there are."""
    api = await start_server(ring_events=1, replay_step=7, replay_step_bytes=10_000)
    await api.create()
    for number in range(40):
        await api.publish(f"{number}:" + "x" * 3000)
    sizes = []
    reader = api.hub._reader
    original = reader._queries.read

    def watched(*arguments):
        events = original(*arguments)
        sizes.append((len(events), sum(len(event.data) for event in events)))
        return events

    reader._queries.read = watched
    async with api.stream("from=earliest") as stream:
        seen = [(await stream.durable()).data for _ in range(42)]
    assert len(seen) == 42
    assert max(count for count, _ in sizes) <= 7
    assert max(size for _, size in sizes) <= 10_000 + 3200


async def test_idle_connections_and_half_sent_requests_hold_nothing_of_a_session(api):
    """A client that sends half a body and goes away leaves the session free to leave memory."""
    session = api.hub.registry.peek("s")
    async with Connection(api.port) as connection:
        head = "\r\n".join(f"{name}: {value}" for name, value in api.headers("alice").items())
        connection.writer.write(
            f"POST /api/sessions/s/events HTTP/1.1\r\nHost: x\r\n{head}\r\nContent-Length: 100\r\n\r\nhalf".encode()
        )
        assert (await api.get("/sessions/s")).status == 200
        assert session.is_idle
    assert json.loads((await api.get("/sessions/s")).body)["lastSequence"] == 2


async def test_a_session_whose_publish_is_on_its_way_to_the_disk_stays_in_memory(api):
    """P2: dropped and loaded again meanwhile, it would be numbered by two objects."""
    body = b'{"type": "note", "data": {}}'
    publication = parse_publication(
        body, subject="app", is_participant=False, idempotency_key=None, max_event_bytes=1000
    )
    publishing = asyncio.ensure_future(api.hub.publish(SERVICE, "s", publication))
    while not api.hub.writer.pending_bytes:
        await asyncio.sleep(0)

    assert not api.hub.registry.peek("s").is_idle
    await publishing
    assert api.hub.registry.peek("s").is_idle
