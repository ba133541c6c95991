"""What the hop does to what messages say, each behaviour by its name."""

from __future__ import annotations

import zlib

import pytest

from tests.test_hostile_hop import nothing_comes, open_stream, through


async def test_http10_is_spoken_on_both_sides():
    async with through("http10") as (server, _, connection):
        connection.send("GET", "/api/stream")
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 ")
        assert b"Connection: close" in head
        assert b"chunked" not in head
        server.send(b"one")
        assert await connection.reader.readexactly(3) == b"one"
        server.end()
        assert await connection.reader.read() == b""
        assert (server.got[0].version, server.got[0].headers["connection"]) == ("HTTP/1.0", "close")


async def test_http10_keep_alive_asks_the_server_to_keep_the_connection():
    async with through("http10-keep-alive") as (server, _, connection):
        assert (await connection.request("GET", "/api/json")).headers["connection"] == "keep-alive"
        connection.send("GET", "/api/stream")
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.0 200 ")
        server.send(b"one")
        server.end()
        assert await connection.reader.read() == b"one"
        assert [(got.version, got.headers["connection"]) for got in server.got] == [("HTTP/1.0", "keep-alive")] * 2


@pytest.mark.parametrize("name", ["cookie", "last-event-id", "x-"])
async def test_strip_takes_a_header_out_of_requests(name):
    headers = {"Cookie": "a=1", "Last-Event-ID": "7", "X-One": "1", "X-Two": "2", "Accept": "*/*"}
    async with through(f"strip:{name}") as (server, _, connection):
        await connection.request("GET", "/api/json", headers)
        left = set(server.got[0].headers) - {"host"}
        assert left == {each.lower() for each in headers if not each.lower().startswith(name)}


async def test_strip_takes_a_header_out_of_responses():
    async with through("strip:cache-control", "strip:x-") as (_, _, connection):
        response = await connection.request("GET", "/api/json")
        assert sorted(response.headers) == ["content-length", "content-type", "set-cookie"]


@pytest.mark.parametrize("type_", ["text/plain", "text/event-stream; charset=utf-8"])
async def test_retype_calls_streams_something_else(type_):
    async with through(f"retype:{type_}") as (server, _, connection):
        assert (await connection.request("GET", "/api/json")).headers["content-type"] == "application/json"
        await open_stream(server, connection)
        assert (await connection.read_head())[1]["content-type"] == type_


async def test_gzip_keeps_what_it_compresses_until_the_end():
    async with through("gzip") as (server, _, connection):
        connection.send("GET", "/api/stream", {"Accept-Encoding": "gzip, br"})
        _, headers = await connection.read_head()
        assert headers["content-encoding"] == "gzip"
        server.send(b"one")
        header = await connection.read_chunk()
        assert zlib.decompressobj(31).decompress(header) == b""
        server.send(b"two")
        await nothing_comes(connection)
        server.end()
        response = await connection.read_rest("GET", 200, headers)
        assert zlib.decompress(header + response.body, 31) == b"onetwo"


async def test_gzip_leaves_alone_who_does_not_take_it():
    async with through("gzip") as (_, _, connection):
        assert (await connection.request("GET", "/api/json")).json == {"number": 1}
        packed = await connection.request("GET", "/api/json", {"Accept-Encoding": "gzip"})
        assert zlib.decompress(packed.body, 31) == b'{"number": 2}'
        missing = await connection.request("GET", "/api/missing", {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in missing.headers


async def test_inject_puts_a_script_into_every_body():
    async with through("inject") as (server, _, connection):
        for path in ("json", "chunked"):
            body = (await connection.request("GET", f"/api/{path}", {"Accept-Encoding": "gzip"})).body
            assert "accept-encoding" not in server.got[-1].headers
            assert body.startswith(b'{"number": ')
            assert body.endswith(b"</script>")
        assert (await connection.request("GET", "/api/missing")).body == b""
        assert (await connection.request("GET", "/page")).body == b"<p>page</p>"
        await open_stream(server, connection)
        await connection.read_head()
        assert (await connection.read_chunk()).startswith(b"<script>")
        server.send(b"one")
        assert await connection.read_chunk() == b"one"
