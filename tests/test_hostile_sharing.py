"""How the hop gives one answer to several, or sends one request twice, each behaviour by its name."""

from __future__ import annotations

import pytest

from tests.conftest import until
from tests.http import Connection
from tests.test_hostile_hop import nothing_comes, open_stream, streaming, through


async def test_cache_answers_alike_until_it_is_old():
    async with through("cache:3", speed=3) as (server, _, connection):
        first = await connection.request("GET", "/api/json?a=1")
        assert await connection.request("GET", "/api/json?a=1") == first
        assert (await connection.request("GET", "/api/json?a=2")).json == {"number": 2}
        assert (await connection.request("POST", "/api/json?a=1")).json == {"number": 3}
        while (again := await connection.request("GET", "/api/json?a=1")) == first:
            pass
        assert again.json == {"number": 4}
        assert len(server.got) == 4


async def test_cache_path_sees_no_query():
    async with through("cache-path") as (server, _, connection):
        first = await connection.request("GET", "/api/json?a=1")
        assert await connection.request("GET", "/api/json?a=2") == first
        assert len(server.got) == 1


async def test_cache_keeps_only_what_was_good_and_complete():
    async with through("cache") as (server, hop, connection):
        for _ in range(2):
            assert (await connection.request("GET", "/api/missing")).status == 204
        assert len(server.got) == 2
        async with Connection(hop.port) as other:
            await open_stream(server, other)
        await until(lambda: server.got[2].is_over)
        await open_stream(server, connection)
        assert len(server.got) == 4


async def test_collapse_gives_one_answer_to_all_who_wait_for_it():
    async with through("collapse") as (server, hop, connection), Connection(hop.port) as other:
        connection.send("GET", "/api/hold")
        await until(lambda: server.got)
        other.send("GET", "/api/hold")
        await nothing_comes(other)
        server.release()
        answers = [await each.read_response("GET") for each in (connection, other)]
        assert [answer.json for answer in answers] == [{"number": 1}] * 2
        assert len(server.got) == 1
        assert (await other.request("GET", "/api/hold")).json == {"number": 2}


async def test_collapse_leaves_who_follows_alone_when_the_first_one_leaves():
    async with through("collapse") as (server, hop, connection), Connection(hop.port) as other:
        await open_stream(server, connection)
        other.send("GET", "/api/stream")
        assert (await other.read_head())[0] == 200
        await connection.read_head()
        server.send(b"one")
        assert [await each.read_chunk() for each in (connection, other)] == [b"one"] * 2
        await connection.close()
        assert await other.reader.read() == b""


@pytest.mark.parametrize(("method", "count"), [("GET", 2), ("POST", 1)])
async def test_replay_asks_twice_for_what_is_only_read(method, count):
    async with through("replay") as (server, _, connection):
        connection.send(method, "/api/hold")
        await until(lambda: len(server.got) == count)
        server.release()
        assert (await connection.read_response(method)).status == 200
        await until(lambda: all(got.is_over for got in server.got))
        assert [got.method for got in server.got] == [method] * count


async def test_replay_gives_a_stream_once():
    async with streaming("replay") as (server, _, connection):
        await until(lambda: len(server.got) == 2)
        server.send(b"one")
        server.end()
        assert await connection.read_chunk() == b"one"
        assert await connection.read_chunk() == b""
