"""How the hop is slow, each behaviour by its name."""

from __future__ import annotations

import time

from tests.conftest import until
from tests.test_hostile_hop import nothing_comes, streaming, through


async def test_latency_is_added_to_a_round_trip_once():
    async with through("latency:2", speed=10) as (_, _, connection):
        began_at = time.monotonic()
        assert (await connection.request("GET", "/api/json")).status == 200
        assert time.monotonic() - began_at >= 0.2


async def test_latency_does_not_add_up_over_what_is_on_its_way_together():
    async with streaming("latency:2", speed=10) as (server, _, connection):
        began_at = time.monotonic()
        for _ in range(50):
            server.send(b"one")
        for _ in range(50):
            await connection.read_chunk()
        took = time.monotonic() - began_at
        assert 0.1 <= took < 50 * 0.1


async def test_stalls_come_now_and_then_and_end():
    async with through("stalls:3", speed=10) as (_, hop, connection):
        for _ in range(12):
            assert (await connection.request("GET", "/api/json")).json
        await until(lambda: hop.exchanges[-1].ended_at)
        took = [exchange.ended_at - exchange.began_at for exchange in hop.exchanges]
        assert took[9] >= 0.3
        assert min(took) < 0.3


async def test_freeze_holds_everything_and_then_lets_it_go():
    async with streaming() as (server, hop, connection):
        hop.set("freeze:600")
        server.send(b"one")
        await nothing_comes(connection)
        hop.set("freeze:0.1")
        assert await connection.read_chunk() == b"one"
        server.send(b"two")
        assert await connection.read_chunk() == b"two"


async def test_freeze_holds_requests_as_well():
    async with through("freeze:2", speed=10) as (server, hop, connection):
        connection.send("GET", "/api/json")
        await until(lambda: hop.exchanges)
        assert server.got == []
        assert (await connection.read_response("GET")).status == 200
