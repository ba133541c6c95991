"""What the hop keeps back and when it lets go of it, each behaviour by its name."""

from __future__ import annotations

import pytest

from tests.conftest import until
from tests.test_hostile_hop import nothing_comes, open_stream, through


async def test_buffer_whole_keeps_everything_until_the_end():
    async with through("buffer-whole") as (server, _, connection):
        await open_stream(server, connection)
        server.send(b"one")
        server.send(b"two")
        await nothing_comes(connection)
        server.end()
        response = await connection.read_response("GET")
        assert (response.status, response.body) == (200, b"onetwo")
        assert (await connection.request("GET", "/api/json")).json == {"number": 2}


async def test_buffer_body_gives_the_head_at_once_and_the_body_at_the_end():
    async with through("buffer-body") as (server, _, connection):
        await open_stream(server, connection)
        assert (await connection.read_head())[0] == 200
        server.send(b"one")
        server.send(b"two")
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"onetwo"


async def test_buffer_blocks_gives_only_full_blocks():
    async with through("buffer-blocks:4") as (server, _, connection):
        await open_stream(server, connection)
        await connection.read_head()
        server.send(b"123")
        await nothing_comes(connection)
        server.send(b"456789")
        assert await connection.read_chunk() == b"12345678"
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"9"


async def test_buffer_until_gives_all_once_there_is_enough():
    async with through("buffer-until:4") as (server, _, connection):
        await open_stream(server, connection)
        await connection.read_head()
        server.send(b"123")
        await nothing_comes(connection)
        server.send(b"456789")
        assert await connection.read_chunk() == b"123456789"
        server.send(b"1")
        await nothing_comes(connection)


async def test_bursts_give_what_came_meanwhile_together():
    async with through("bursts:5", speed=20) as (server, _, connection):
        await open_stream(server, connection)
        await connection.read_head()
        server.send(b"one")
        server.send(b"two")
        assert await connection.read_chunk() == b"onetwo"
        server.send(b"three")
        assert await connection.read_chunk() == b"three"


async def test_buffer_after_is_good_at_first():
    async with through("buffer-after:10", speed=50) as (server, hop, connection):
        await open_stream(server, connection)
        await connection.read_head()
        server.send(b"good")
        assert await connection.read_chunk() == b"good"
        began_at = hop.exchanges[0].began_at
        await until(lambda: hop.clock.now() - began_at * hop.clock.speed > 10)
        server.send(b"kept")
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"kept"


@pytest.mark.parametrize("name", ["buffer-whole", "buffer-body", "buffer-blocks", "buffer-until", "bursts:0.01"])
async def test_what_is_complete_passes_whatever_is_kept_back(name):
    async with through(name) as (_, _, connection):
        for path in ("json", "chunked", "missing"):
            response = await connection.request("GET", f"/api/{path}")
            assert response.status == 204 if path == "missing" else response.json["number"]
