"""How the hop ends what it does not like to last, each behaviour by its name."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.conftest import until
from tests.hostile import Hop
from tests.http import Connection, request
from tests.origin import origin
from tests.test_hostile_hop import nothing_comes, reset_comes, streaming, through


@contextlib.asynccontextmanager
async def talking(*behaviours: str, speed: float = 1.0):
    """A stream through the hop of which one piece has come."""
    async with streaming(*behaviours, speed=speed) as (server, hop, connection):
        server.send(b"one")
        assert await connection.read_chunk() == b"one"
        yield server, hop, connection


async def nobody_answers(hop) -> None:
    with pytest.raises(ConnectionRefusedError):
        await request(hop.port, "GET", "/api/json")


@pytest.mark.parametrize(
    ("name", "last"),
    [("cut-at:0.2", b"0\r\n\r\n"), ("cut-early:0.2", b"0\r\n\r\n"), ("cut-at-truncated:0.2", b""), ("cap:0.2", b"")],
)
async def test_what_has_begun_is_ended_as_if_it_were_complete_or_without_its_last_chunk(name, last):
    async with talking() as (server, hop, connection):
        hop.set(name)
        assert await connection.reader.read() == last
        await until(lambda: server.got[0].is_over)


async def test_cut_at_rst_resets_the_connection():
    async with talking() as (_, hop, connection):
        hop.set("cut-at-rst:0.2")
        await reset_comes(connection)


async def test_a_cut_ends_what_has_no_answer_yet_without_one():
    async with through("cut-at:1", speed=10) as (_, hop, connection):
        connection.send("GET", "/api/hold")
        assert await connection.reader.read() == b""
        assert hop.exchanges[0].status is None


async def test_idle_kill_spares_what_talks():
    async with talking("idle-kill:5", speed=10) as (server, _, connection):
        began_at = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began_at + 0.6:
            server.send(b"more")
            assert await connection.read_chunk() == b"more"
        assert await connection.reader.read() == b""


async def test_idle_kill_closes_connections_that_wait_for_the_next_request():
    async with through("idle-kill:1", speed=10) as (_, hop, connection):
        assert (await connection.request("GET", "/api/json")).status == 200
        assert await connection.reader.read() == b""
        assert hop.connections == 0


async def test_cap_is_a_504_of_html_for_what_has_no_answer():
    async with through("cap:1", speed=10) as (_, hop, connection):
        connection.send("GET", "/api/hold")
        response = await connection.read_response("GET")
        assert (response.status, response.headers["content-type"]) == (504, "text/html; charset=utf-8")
        assert await connection.reader.read() == b""
        assert hop.exchanges[0].status == 504


async def test_black_hole_lets_nothing_pass_and_tells_nobody():
    async with talking() as (server, hop, connection):
        hop.set("black-hole:0.2")
        began_at = hop.exchanges[0].began_at
        await until(lambda: time.monotonic() - began_at > 0.3)
        server.send(b"lost")
        await nothing_comes(connection)
        assert not server.got[0].is_over
        hop.set("pass")
        server.send(b"lost as well")
        await nothing_comes(connection)
        assert (await request(hop.port, "GET", "/api/json")).status == 200


async def test_black_hole_from_the_start_has_no_answers():
    async with through("black-hole:0") as (_, _, connection):
        connection.send("GET", "/api/json")
        await nothing_comes(connection)


async def test_hold_nothing_swallows_streams_and_long_polls_and_spares_the_rest():
    async with talking() as (server, hop, connection), Connection(hop.port) as other:
        other.send("GET", "/api/hold")
        await until(lambda: hop.held == 2)
        hop.set("hold-nothing")
        server.send(b"lost")
        server.release()
        await nothing_comes(connection)
        await nothing_comes(other)
        assert (await request(hop.port, "GET", "/api/json")).status == 200


@pytest.mark.parametrize("name", ["cut-at", "cut-early", "idle-kill", "cap", "black-hole", "cut-at-rst"])
async def test_what_does_not_last_is_spared(name):
    async with through(name) as (_, hop, connection):
        for _ in range(2):
            assert (await connection.request("GET", "/api/json")).status == 200
        assert hop.connections == 1
        async with Connection(hop.port) as other:
            assert (await other.request("GET", "/api/chunked")).json == {"number": 3}


async def test_reset_stream_spares_all_but_streams():
    async with talking() as (server, hop, connection), Connection(hop.port) as other:
        other.send("GET", "/api/hold")
        await until(lambda: hop.held == 2)
        hop.set("reset-stream:0.2")
        await reset_comes(connection)
        server.release()
        assert (await other.read_response("GET")).status == 200


@pytest.mark.parametrize(("name", "count"), [("one-connection", 1), ("six-connections", 6)])
async def test_of_a_host_that_may_be_asked_so_often_at_a_time_the_others_wait(name, count):
    async with through(name) as (server, hop, connection), contextlib.AsyncExitStack() as stack:
        holding = [await stack.enter_async_context(Connection(hop.port)) for _ in range(count)]
        for each in holding:
            each.send("GET", "/api/hold")
        await until(lambda: len(server.got) == count)
        connection.send("GET", "/api/json")
        await nothing_comes(connection)
        assert len(server.got) == count
        await holding[0].close()
        assert (await connection.read_response("GET")).json == {"number": count + 1}


async def test_restart_refuses_for_a_while():
    async with talking() as (_, hop, connection):
        hop.set("restart:3")
        await reset_comes(connection)
        await nobody_answers(hop)
        assert hop.connections == 0
        hop.set("restart:1")
        hop.set("restart:0.1")
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    assert (await request(hop.port, "GET", "/api/json")).status == 200
                    break


async def test_gone_refuses_until_told_otherwise():
    async with through() as (_, hop, connection):
        hop.set("gone")
        await reset_comes(connection)
        await nobody_answers(hop)
        hop.set("gone")
        hop.set("pass")
        assert (await request(hop.port, "GET", "/api/json")).status == 200


async def test_gone_may_be_so_from_the_start():
    async with origin() as server, Hop(server.port, "gone") as hop:
        await nobody_answers(hop)


async def test_stop_reading_leaves_the_server_with_what_it_writes():
    async with streaming("stop-reading:0") as (server, hop, connection):
        for _ in range(40):
            server.send(bytes(1 << 20))
        await nothing_comes(connection)
        assert not server.is_idle
        hop.set("pass")
        assert len(await connection.read_chunk()) > 0
