"""Who asks too much is told when to come back, and nobody else suffers (DESIGN 4.8)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.conftest import until
from tests.contract import assert_problem
from tests.http import Connection, request


async def ask(api, count, **options):
    """Send so many requests on one connection; return the answers."""
    async with Connection(api.port) as connection:
        return [await api.get("/sessions/s", connection=connection, **options) for _ in range(count)]


@pytest.mark.parametrize("count", [5, 6, 7])
async def test_a_participant_has_a_burst_and_then_waits(start_server, count):
    api = await start_server(rate_limit=2)
    await api.create()
    answers = await ask(api, count, who="alice")
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 200, 429][:count]
    for answer in answers[6:]:
        assert_problem(answer, 429)
        assert answer.json["type"] == "/problems/rate-limited"
        assert answer.headers["retry-after"] == "1"


async def test_who_comes_back_after_retry_after_is_let_in(start_server):
    api = await start_server(rate_limit=1)
    await api.create()
    refused = (await ask(api, 4, who="alice"))[-1]
    assert refused.status == 429
    await asyncio.sleep(int(refused.headers["retry-after"]))
    assert (await api.get("/sessions/s", who="alice")).status == 200


@pytest.mark.parametrize("who", ["service", "admin"])
async def test_service_and_admin_are_exempt(start_server, who):
    api = await start_server(rate_limit=1, stream_rate_limit=1, max_streams_per_participant=1)
    await api.create()
    assert {answer.status for answer in await ask(api, 20, who=who)} == {200}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            stream = await stack.enter_async_context(api.stream(who=who))
            assert stream.status == 200


async def test_zero_turns_a_limit_off(start_server):
    api = await start_server(rate_limit=0, stream_rate_limit=0, max_streams_per_participant=0)
    await api.create()
    assert {answer.status for answer in await ask(api, 400, who="alice")} == {200}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(60):
            assert (await stack.enter_async_context(api.stream(who="alice"))).status == 200


async def test_a_branch_of_two_hundred_behind_one_address_is_not_throttled(start_server):
    api = await start_server(rate_limit=2, stream_rate_limit=1)
    people = tuple(f"p{number}" for number in range(200))
    await api.create(people=people)
    async with Connection(api.port) as connection:
        for _ in range(4):
            for person in people:
                answer = await api.get("/sessions/s", who=person, connection=connection)
                assert answer.status == 200


async def test_failed_sign_ins_are_limited_by_address_and_disturb_nobody_who_is_signed_in(start_server):
    api = await start_server(rate_limit=2)
    await api.create()
    async with Connection(api.port) as connection:
        statuses = []
        for _ in range(8):
            answer = await connection.request("GET", "/api/sessions/s", {"Authorization": "Bearer x"})
            statuses.append(answer.status)
            assert (await api.get("/sessions/s", who="service", connection=connection)).status == 200
    assert statuses[:6] == [401] * 6 and 429 in statuses
    assert (await api.get("/sessions/s", who="alice")).status == 200


async def test_the_limit_comes_after_the_token_and_before_the_session(start_server):
    api = await start_server(rate_limit=1)
    await api.create()
    await ask(api, 3, who="carol")
    assert_problem(await api.get("/sessions/s", who="carol"), 429)
    assert_problem(await api.request("DELETE", "/sessions", who="carol"), 405)
    assert_problem(await request(api.port, "GET", "/api/sessions/s", {"Authorization": "Bearer x"}, None), 401)


async def test_a_refused_publish_changes_nothing(start_server):
    """P7."""
    api = await start_server(rate_limit=1)
    await api.create()
    before = (await api.get("/sessions/s")).json["lastSequence"]
    body = {"type": "message_added", "data": {"content": "m"}}
    statuses = [(await api.post("/sessions/s/events", body, who="alice")).status for _ in range(5)]
    assert statuses == [201, 201, 201, 429, 429]
    assert (await api.get("/sessions/s")).json["lastSequence"] == before + 3


# Streams


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_new_streams_have_a_rate_of_their_own(start_server, count):
    api = await start_server(rate_limit=0, stream_rate_limit=1)
    await api.create()
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(api.stream()) for _ in range(count)]
        assert [stream.status for stream in streams] == [200, 200, 200, 429][:count]
        # Everything else goes on, a stream's HEAD too.
        assert (await api.get("/sessions/s", who="alice")).status == 200
        assert (await api.request("HEAD", "/sessions/s/events", who="alice")).status == 200


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_a_participant_has_so_many_streams_in_all_sessions(start_server, count):
    """P4."""
    api = await start_server(max_streams_per_participant=3)
    for name in ("s", "t"):
        await api.create(name)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(api.stream(session_id="st"[number % 2])) for number in range(count)]
        assert [stream.status for stream in streams] == [200, 200, 200, 429][:count]
        assert (await stack.enter_async_context(api.stream(who="bob"))).status == 200
        if count > 3:
            assert streams[3].headers["retry-after"] == "5"
            await streams[0].close()
            await until(lambda: api.hub.streams.count == 3)
            assert (await stack.enter_async_context(api.stream())).status == 200


@pytest.mark.parametrize(("settings", "status"), [({"max_streams": 3}, 503), ({"max_streams_per_participant": 3}, 429)])
@pytest.mark.parametrize("ring_events", [1, 1000], ids=["store", "ring"])
async def test_streams_that_come_at_once_keep_to_the_limit(start_server, settings, status, ring_events):
    """P4: between the check and the opening the cursor is looked up."""
    api = await start_server(ring_events=ring_events, **settings)
    await api.create()
    entries = [await api.publish(f"m{number}") for number in range(5)]
    async with contextlib.AsyncExitStack() as stack:
        opening = [stack.enter_async_context(api.stream(f"lastEventId={entries[0]['id']}")) for _ in range(10)]
        streams = await asyncio.gather(*opening)
        assert sorted(stream.status for stream in streams) == [200] * 3 + [status] * 7
        assert api.hub.streams.count == 3


async def test_a_stream_that_is_refused_leaves_its_place_free(start_server):
    """P4."""
    api = await start_server(max_streams=1)
    await api.create()
    for _ in range(3):
        async with api.stream("lastEventId=x") as refused:
            assert refused.status == 400
    await api.request("PATCH", "/sessions/s", {"status": "closed"})
    async with api.stream() as ended:
        assert ended.status == 204
    await api.request("PATCH", "/sessions/s", {"status": "active"})
    async with api.stream() as stream:
        assert stream.status == 200
