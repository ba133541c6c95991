"""What the hop keeps back and when it lets go of it, each behaviour by its name."""

from __future__ import annotations

import pytest

from tests.conftest import until
from tests.test_hostile_hop import nothing_comes, open_stream, streaming, through


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
    async with streaming("buffer-body") as (server, _, connection):
        server.send(b"one")
        server.send(b"two")
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"onetwo"


async def test_buffer_blocks_gives_only_full_blocks():
    async with streaming("buffer-blocks:4") as (server, _, connection):
        server.send(b"123")
        await nothing_comes(connection)
        server.send(b"456789")
        assert await connection.read_chunk() == b"12345678"
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"9"


async def test_buffer_until_gives_all_once_there_is_enough():
    async with streaming("buffer-until:4") as (server, _, connection):
        server.send(b"123")
        await nothing_comes(connection)
        server.send(b"456789")
        assert await connection.read_chunk() == b"123456789"
        server.send(b"1")
        await nothing_comes(connection)


async def test_bursts_give_what_came_meanwhile_together():
    async with streaming("bursts:5", speed=5) as (server, _, connection):
        server.send(b"one")
        server.send(b"two")
        assert await connection.read_chunk() == b"onetwo"
        server.send(b"three")
        assert await connection.read_chunk() == b"three"


async def test_buffer_after_is_good_at_first():
    async with streaming("buffer-after:10", speed=10) as (server, hop, connection):
        server.send(b"good")
        assert await connection.read_chunk() == b"good"
        began_at = hop.exchanges[0].began_at
        await until(lambda: hop.clock.now() - began_at * hop.clock.speed > 10)
        server.send(b"kept")
        await nothing_comes(connection)
        server.end()
        assert await connection.read_chunk() == b"kept"


KEEP_BACK = ["buffer-whole", "buffer-body", "buffer-blocks", "buffer-until", "buffer-after", "bursts", "trickle"]


@pytest.mark.parametrize("name", [*KEEP_BACK, "merge", "rechunk:2", "dechunk"])
async def test_what_is_complete_passes_whatever_is_kept_back(name):
    async with through(name) as (_, _, connection):
        for path in ("json", "chunked", "missing"):
            response = await connection.request("GET", f"/api/{path}")
            assert response.status == 204 if path == "missing" else response.json["number"]


async def test_trickle_drips_until_the_end_is_there():
    async with streaming("trickle:10", speed=2) as (server, _, connection):
        server.send(b"12345678")
        for drop in (b"1", b"2", b"3"):
            assert await connection.read_chunk() == drop
        server.end()
        rest = b""
        while piece := await connection.read_chunk():
            rest += piece
        assert rest == b"45678"


async def test_merge_makes_one_piece_of_what_comes_together():
    async with streaming("merge:3") as (server, _, connection):
        for piece in (b"1", b"2", b"3", b"4"):
            server.send(piece)
        assert await connection.read_chunk() == b"123"
        assert await connection.read_chunk() == b"4"
        server.send(b"5")
        server.end()
        assert await connection.read_chunk() == b"5"


async def test_rechunk_cuts_in_the_middle_of_characters_and_line_ends():
    async with streaming("rechunk:1") as (server, _, connection):
        sent = "data: \u00fc\r\n\r\n".encode()
        server.send(sent)
        assert [await connection.read_chunk() for _ in sent] == [bytes([byte]) for byte in sent]
        server.end()
        assert await connection.read_chunk() == b""
        assert (await connection.request("GET", "/api/json")).json == {"number": 2}


async def test_dechunk_gives_a_length_when_all_is_there():
    async with through("dechunk") as (server, _, connection):
        response = await connection.request("GET", "/api/chunked")
        assert (response.headers["content-length"], response.json) == ("13", {"number": 1})
        assert "transfer-encoding" not in response.headers
        assert (await connection.request("GET", "/api/missing")).status == 204
        await open_stream(server, connection)
        server.send(b"one")
        await nothing_comes(connection)
        server.end()
        assert (await connection.read_response("GET")).body == b"one"
