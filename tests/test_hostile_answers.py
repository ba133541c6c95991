"""What the hop answers in the server's place, each behaviour by its name."""

from __future__ import annotations

from tests.conftest import until
from tests.test_hostile_hop import through

HTML = "text/html; charset=utf-8"


async def test_block_streams_refuses_them_by_their_type_and_nothing_else():
    async with through("block-streams") as (server, hop, connection):
        response = await connection.request("GET", "/api/stream")
        assert (response.status, response.headers["content-type"]) == (403, HTML)
        assert b"Access denied" in response.body
        await until(lambda: server.got[0].is_over)
        assert hop.held == 0
        assert (await connection.request("GET", "/api/json")).json == {"number": 2}


async def test_block_page_is_html_with_a_200_for_the_api_alone():
    async with through("block-page") as (server, _, connection):
        for path in ("/api/json", "/api/stream"):
            response = await connection.request("GET", path)
            assert (response.status, response.headers["content-type"]) == (200, HTML)
        assert server.got == []
        assert (await connection.request("GET", "/page")).body == b"<p>page</p>"


async def test_block_page_may_be_there_now_and_then():
    async with through("block-page:1in3") as (server, _, connection):
        types = [(await connection.request("GET", "/api/json")).headers["content-type"] for _ in range(6)]
        assert types == ["application/json", "application/json", HTML] * 2
        assert len(server.got) == 4
