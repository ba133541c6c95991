"""The hop itself: what passes passes as it is, what it records, how it changes while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import until
from tests.hostile import BEHAVIOURS, Hop, HopThread
from tests.http import Connection, request
from tests.origin import origin


@contextlib.asynccontextmanager
async def through(*behaviours: str, speed: float = 1.0):
    """A server, a hop before it and a connection to the hop."""
    async with (
        origin() as server,
        Hop(server.port, *behaviours, speed=speed) as hop,
        Connection(hop.port) as connection,
    ):
        yield server, hop, connection


async def open_stream(server, connection, target: str = "/api/stream") -> None:
    """Ask for a stream, and return when the server has been asked."""
    count = len(server.got)
    connection.send("GET", target, {"Accept": "text/event-stream"})
    await until(lambda: len(server.got) > count)


@contextlib.asynccontextmanager
async def streaming(*behaviours: str, speed: float = 1.0):
    """The same, with a stream on the connection whose head has come."""
    async with through(*behaviours, speed=speed) as (server, hop, connection):
        await open_stream(server, connection)
        assert (await connection.read_head())[0] == 200
        yield server, hop, connection


async def nothing_comes(connection, seconds: float = 0.1) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            came = await connection.reader.read(1)
            raise AssertionError(f"{came!r} came")


async def reset_comes(connection) -> None:
    with pytest.raises(ConnectionResetError):
        await connection.reader.readexactly(1)


async def test_a_clean_path_changes_nothing():
    async with through("pass") as (server, _, connection):
        direct = await request(server.port, "GET", "/api/json?a=1", {"X-Mine": "b", "Cookie": "c=1"})
        passed = await connection.request("GET", "/api/json?a=1", {"X-Mine": "b", "Cookie": "c=1"})
        assert passed.headers == direct.headers
        assert passed.status == direct.status == 200
        first, second = server.got
        assert second.headers.pop("host") != first.headers.pop("host")
        assert (first.target, first.headers, first.body) == (second.target, second.headers, second.body)


async def test_bodies_of_requests_pass_with_a_length_or_in_chunks():
    async with through() as (server, _, connection):
        await connection.request("POST", "/api/json", body=b"with a length")
        connection.writer.write(b"POST /api/json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.writer.write(b"3\r\nin \r\n6\r\nchunks\r\n0\r\n\r\n")
        assert (await connection.read_response("POST")).status == 200
        assert [got.body for got in server.got] == [b"with a length", b"in chunks"]


async def test_one_connection_carries_many_exchanges_of_every_framing():
    async with through() as (_, hop, connection):
        for path in ("json", "chunked", "missing", "json"):
            response = await connection.request("GET", f"/api/{path}")
            assert response.status == (204 if path == "missing" else 200)
        assert (await connection.request("HEAD", "/api/json")).body == b""
        assert hop.connections == 1
        assert [exchange.status for exchange in hop.exchanges] == [200, 200, 204, 200, 200]


async def test_a_piece_of_a_stream_passes_at_once():
    async with through() as (server, _, connection):
        await open_stream(server, connection)
        status, headers = await connection.read_head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        for piece in (b": one\n\n", b": two\n\n"):
            server.send(piece)
            assert await connection.read_chunk() == piece
        server.end()
        assert await connection.read_chunk() == b""


async def test_what_is_held_is_counted_while_it_lasts():
    async with streaming() as (server, hop, connection):
        async with Connection(hop.port) as other:
            other.send("GET", "/api/sessions/s/updates?timeout=30")
            await until(lambda: hop.held == 2)
            server.release()
            assert (await other.read_response("GET")).status == 200
            stream, poll = hop.exchanges
            assert (stream.is_stream, stream.is_held, stream.ended_at) == (True, True, None)
            await until(lambda: poll.ended_at is not None)
            assert (poll.is_stream, poll.is_held, poll.path) == (False, True, "/api/sessions/s/updates")
        assert hop.most_held == 2
        await connection.close()
        await until(lambda: hop.connections == 0 and hop.held == 0)
        assert stream.ended_at > stream.began_at


@pytest.mark.parametrize(
    "target", ["/api/sessions/s/updates?timeout=0", "/api/sessions/s/updates?since=x", "/api/json"]
)
async def test_what_is_answered_at_once_is_not_held(target):
    async with through() as (_, hop, connection):
        await connection.request("GET", f"/api{target}")
        assert not hop.exchanges[0].is_held
        assert hop.most_held == 0


async def test_the_server_learns_at_once_that_a_client_has_left():
    async with through() as (server, _, connection):
        await open_stream(server, connection)
        await connection.close()
        await until(lambda: server.got[0].is_over)


async def test_a_server_that_does_not_answer_is_a_502():
    async with origin() as server:
        pass
    async with Hop(server.port) as hop:
        response = await request(hop.port, "GET", "/")
    assert (response.status, response.headers["content-type"]) == (502, "text/html; charset=utf-8")


async def test_a_change_reaches_streams_that_are_open_and_loses_nothing():
    async with streaming() as (server, hop, connection):
        server.send(b"good")
        assert await connection.read_chunk() == b"good"
        hop.set("buffer-body")
        server.send(b"kept")
        await nothing_comes(connection)
        hop.set("pass")
        assert await connection.read_chunk() == b"kept"
        server.send(b"good again")
        assert await connection.read_chunk() == b"good again"


async def test_a_change_reaches_answers_that_are_waited_for():
    async with through() as (server, hop, connection):
        connection.send("GET", "/api/hold")
        await until(lambda: server.got)
        hop.set("black-hole:0")
        server.release()
        await nothing_comes(connection)


async def test_behaviours_are_composed():
    async with streaming("buffer-body", "cut-at:1", speed=10) as (server, _, connection):
        server.send(b"kept")
        assert await connection.reader.read() == b"0\r\n\r\n"
        assert server.got[0].is_over


async def test_cutting_breaks_every_connection():
    async with streaming() as (_, hop, connection):
        hop.cut()
        await reset_comes(connection)
        assert (await request(hop.port, "GET", "/")).status == 200


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_every_behaviour_has_a_parameter_that_it_takes_or_needs_none(name):
    async with Hop(1, name) as hop:
        hop.set("pass")
        hop.set(name)


@pytest.mark.parametrize("name", ["nonsense", "cut-at:soon", "pass:1", "block-page:1inx"])
async def test_a_behaviour_that_means_nothing_is_refused(name):
    async with Hop(1) as hop:
        with pytest.raises(ValueError, match=name.partition(":")[0]):
            hop.set(name)


async def test_a_hop_in_a_thread_is_the_same():
    async with origin() as server:
        with HopThread(server.port, "block-page", speed=2) as hop:
            assert hop.url == f"http://127.0.0.1:{hop.port}"
            assert (await request(hop.port, "GET", "/api/json")).headers["content-type"] == "text/html; charset=utf-8"
            await asyncio.to_thread(hop.set, "pass")
            async with Connection(hop.port) as connection:
                assert (await connection.request("GET", "/api/json")).json == {"number": 1}
                assert hop.connections == 1
                hop.cut()
                await reset_comes(connection)
            assert [exchange.status for exchange in hop.exchanges] == [200, 200]
            assert (hop.held, hop.most_held) == (0, 0)


async def test_it_may_be_asked_as_a_forward_proxy_is():
    async with through() as (server, _, connection):
        assert (await connection.request("GET", "http://bank.example:8080/api/json?a=1")).json == {"number": 1}
        connection.send("CONNECT", "bank.example:80")
        assert (await connection.read_head())[0] == 200
        assert (await connection.request("GET", "/api/json")).json == {"number": 2}
        assert [got.target for got in server.got] == ["/api/json?a=1", "/api/json"]


@pytest.mark.parametrize("said", [b"\x16\x03\x01 no HTTP\r\n\r\n", b"GET\r\n\r\n", b"GET / a b c HTTP/1.1\r\n\r\n"])
async def test_what_is_not_http_ends_the_connection(said):
    async with through() as (server, _, connection):
        connection.writer.write(said)
        assert await connection.reader.read() == b""
        assert server.got == []


async def test_by_hand_one_command_opens_several_ports():
    command = [sys.executable, "-m", "tests.hostile", "--verbose", "--upstream"]
    async with origin() as server:
        arguments = [str(server.port), "block-page:1in2", "pass", "--port", "0", "pass", "--speed=2"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = await asyncio.create_subprocess_exec(*command, *arguments, **pipes)
        try:
            lines = [(await process.stdout.readline()).decode().split() for _ in range(2)]
            assert [line[1:] for line in lines] == [["block-page:1in2", "pass"], ["pass"]]
            for url, *_ in lines:
                assert (await request(int(url.rpartition(":")[2]), "GET", "/api/json")).status == 200
            assert [got.target for got in server.got] == ["/api/json", "/api/json"]
            port = url.rpartition(":")[2]
            process.stdin.write(f"{port} nonsense\n{port} block-page\n".encode())
            assert (await process.stdout.readline()).decode().split() == [url, "block-page"]
            assert (await request(int(port), "GET", "/api/json")).headers["content-type"].startswith("text/html")
            told = [(await process.stderr.readline()).decode() for _ in range(4)]
            assert [line.split()[1:4] for line in told].count(["GET", "/api/json", "200"]) == 3
            assert "no behaviour is called 'nonsense'" in "".join(told)
        finally:
            process.terminate()
            await process.wait()
            process._transport.close()


def test_by_hand_every_behaviour_is_listed_as_it_is_documented():
    ran = subprocess.run([sys.executable, "-m", "tests.hostile", "--list"], capture_output=True, text=True, check=True)
    names = [line.split()[1].partition(":")[0] for line in ran.stdout.splitlines()]
    assert sorted(names) == sorted(BEHAVIOURS)
    assert "cut-at:20" in ran.stdout
    documented = (Path(__file__).parent.parent / "docs/hostile-hop.rst").read_text()
    for line in ran.stdout.splitlines():
        assert line.strip() in documented, "docs/hostile-hop.rst does not have the list as it is"


def test_every_behaviour_is_proven_by_its_name():
    proofs = "".join(path.read_text() for path in Path(__file__).parent.glob("test_hostile_*.py"))
    assert [name for name in BEHAVIOURS if not re.search(rf"[\"(]{name}[\":]", proofs)] == []


def test_by_hand_a_mistake_is_told_in_a_line():
    ran = subprocess.run([sys.executable, "-m", "tests.hostile", "nonsense"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "no behaviour is called 'nonsense'" in ran.stderr
