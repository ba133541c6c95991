"""What the hop answers in the server's place, each behaviour by its name."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest

from tests.conftest import until
from tests.http import Connection, request
from tests.test_hostile_hop import reset_comes, streaming, through

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


async def test_block_accept_refuses_by_what_is_asked_for():
    async with through("block-accept") as (server, _, connection):
        response = await connection.request("GET", "/api/stream", {"Accept": "text/event-stream"})
        assert (response.status, response.headers["content-type"]) == (403, HTML)
        assert (await connection.request("GET", "/api/json", {"Accept": "*/*"})).json == {"number": 1}
        assert [got.target for got in server.got] == ["/api/json"]


async def test_block_accept_may_drop_the_connection():
    async with through("block-accept:drop") as (server, _, connection):
        connection.send("GET", "/api/stream", {"Accept": "text/event-stream"})
        await reset_comes(connection)
        assert server.got == []


async def test_redirect_login_sends_the_api_elsewhere():
    async with through("redirect-login") as (server, _, connection):
        response = await connection.request("GET", "/api/json")
        assert (response.status, response.headers["location"]) == (302, "https://login.invalid/")
        assert (await connection.request("GET", "/page")).status == 200
        assert [got.target for got in server.got] == ["/page"]


async def test_redirect_same_sends_the_api_to_a_page_of_the_same_host():
    async with through("redirect-same") as (server, _, connection):
        response = await connection.request("POST", "/api/json", body=b"x")
        assert response.status == 302
        page = await connection.request("GET", response.headers["location"])
        assert (page.status, page.headers["content-type"]) == (200, HTML)
        assert server.got == []


async def test_proxy_auth_is_a_407():
    async with through("proxy-auth") as (server, _, connection):
        response = await connection.request("GET", "/api/json")
        assert (response.status, response.headers["proxy-authenticate"]) == (407, 'Basic realm="network"')
        assert server.got == []


async def test_unauthorised_tells_open_streams_and_refuses_new_requests():
    async with streaming() as (server, hop, connection):
        hop.set("unauthorised")
        assert b'event: reconnect\ndata: {"reason": "token_expired"}\n\n' in await connection.read_chunk()
        assert await connection.read_chunk() == b""
        response = await request(hop.port, "GET", "/api/stream")
        assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.headers["content-type"] == "application/problem+json"
        assert len(server.got) == 1


@pytest.mark.parametrize(("name", "status"), [("too-many", 429), ("unavailable", 503)])
async def test_later_may_be_said_in_many_ways(name, status):
    async with through() as (server, hop, connection):
        said = {}
        for parameter in ("7", "date", "garbage", "day"):
            hop.set(f"{name}:{parameter}")
            response = await connection.request("GET", "/api/json")
            assert response.status == response.json["status"] == status
            said[parameter] = response.headers["retry-after"]
        left = parsedate_to_datetime(said.pop("date")).timestamp() - time.time()
        assert -60 < left < 6
        assert said == {"7": "7", "garbage": "soon", "day": "86400"}
        assert server.got == []


async def test_refuse_chunked_takes_only_what_has_a_length():
    async with through("refuse-chunked") as (server, _, connection):
        assert (await connection.request("GET", "/api/chunked")).status == 501
        assert (await connection.request("GET", "/api/stream")).status == 501
        assert (await connection.request("GET", "/api/json")).json == {"number": 3}
        connection.writer.write(b"POST /api/json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert (await connection.read_response("POST")).status == 411
        assert len(server.got) == 3


async def test_ntlm_asks_twice_on_each_connection():
    async with through("ntlm:0.02") as (server, hop, _):
        for _ in range(2):
            statuses = []
            async with Connection(hop.port) as other:
                for _ in range(4):
                    response = await other.request("GET", "/api/json")
                    statuses.append(response.status)
                    assert response.headers.get("www-authenticate") == ("NTLM" if response.status == 401 else None)
                    assert (await other.request("GET", "/page")).status == 200
            assert statuses == [401, 401, 200, 200]
        assert [got.path for got in server.got].count("/api/json") == 4


async def test_ntlm_answered_takes_its_time_once_on_each_connection():
    async with through("ntlm-answered:2", speed=10) as (_, hop, connection), Connection(hop.port) as other:
        for each in (connection, connection, other):
            assert (await each.request("GET", "/api/json")).status == 200
        await until(lambda: hop.exchanges[-1].ended_at)
        took = [exchange.ended_at - exchange.began_at for exchange in hop.exchanges]
        assert [seconds >= 0.2 for seconds in took] == [True, False, True]
