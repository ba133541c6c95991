"""Request bodies (DESIGN 4): their size however they come, and how they may be encoded."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib

import pytest

from tests.conftest import Api
from tests.contract import MESSAGE, assert_problem, chunked, state
from tests.http import Connection, Response

LIMIT = 1024
CODINGS = {"identity": lambda body: body, "gzip": gzip.compress, "deflate": zlib.compress}


def padded(size: int) -> bytes:
    """Return a body that creates the session ``new``, of exactly so many bytes."""
    body = json.dumps({"sessionId": "new", "pad": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


@pytest.fixture
def small(io_loop, start_server):
    """A server that takes bodies of `LIMIT` bytes, with the session ``s`` of alice and bob."""

    async def start() -> Api:
        api = await start_server(max_body_bytes=LIMIT, max_event_bytes=LIMIT)
        await api.create()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


async def send(api: Api, body: bytes, framing: str, coding: str = "identity", who: str | None = "service") -> Response:
    """Create a session with a body framed by its length or in chunks."""
    headers = api.headers(who) | {"Content-Encoding": coding}
    async with Connection(api.port) as connection:
        if framing == "length":
            return await connection.request("POST", "/api/sessions", headers, body)
        connection.send("POST", "/api/sessions", headers | {"Transfer-Encoding": "chunked"})
        connection.writer.write(chunked(body, 100))
        return await connection.read_response("POST")


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
async def test_a_body_has_a_limit_that_counts_what_it_inflates_to(small, size, coding, framing):
    """P4."""
    before = await state(small)

    response = await send(small, CODINGS[coding](padded(size)), framing, coding)

    if size <= LIMIT:
        assert response.status == 201 and response.json["sessionId"] == "new"
    else:
        assert str(LIMIT) in assert_problem(response, 413)["detail"]
        assert await state(small) == before


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_little_inflates_to_much_is_refused_without_being_inflated(small, coding):
    """P4."""
    bomb = CODINGS[coding](b"[" * (100 << 20))
    layered = CODINGS[coding](b'{"pad": "' + bytes(200_000))[:LIMIT]

    assert_problem(await send(small, bomb, "length", coding), 413)
    assert_problem(await send(small, bomb[: LIMIT - 1], "length", coding), 413)
    assert_problem(await send(small, layered, "chunks", coding), 413)

    assert (await small.get("/healthz")).status == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "Deflate", "identity"])
async def test_a_compressed_publish_is_as_good_as_a_plain_one(api, coding):
    body = CODINGS[coding.lower()](json.dumps(MESSAGE).encode())

    response = await api.post("/sessions/s/events", body, who="alice", headers={"Content-Encoding": coding})

    assert response.status == 201
    assert (await api.poll("lastEventId=2&timeout=0")).json["events"][0]["data"]["content"] == "hello"


WHOLE = {coding: CODINGS[coding](json.dumps({"sessionId": "new"}).encode()) for coding in ("gzip", "deflate")}


@pytest.mark.parametrize("coding", WHOLE)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"",
        lambda body: b"{}",
        lambda body: b"\x00\xff" * 20,
        lambda body: body[:-1],
        lambda body: body[: len(body) // 2],
        lambda body: body[:2],
        lambda body: body[:-8] + bytes(8),
        lambda body: body + b"more",
    ],
    ids=["empty", "plain", "noise", "one byte short", "half", "head", "checksum", "more"],
)
async def test_a_body_that_does_not_inflate_is_malformed(api, coding, spoil):
    """P7."""
    before = await state(api)

    assert_problem(await send(api, spoil(WHOLE[coding]), "length", coding), 400)

    assert await state(api) == before


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip", "*", "gzip;q=1", "g zip", "\xe4"]
)
async def test_other_encodings_are_not_supported(api, coding):
    """P7."""
    before = await state(api)

    assert_problem(await send(api, b'{"sessionId": "new"}', "length", coding), 415)
    assert_problem(await send(api, b'{"sessionId": "new"}', "chunks", coding), 415)

    assert await state(api) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sessions"),
        ("PATCH", "/sessions/s"),
        ("PUT", "/sessions/s/participants/bob"),
        ("POST", "/sessions/s/events"),
    ],
)
async def test_every_route_that_reads_a_body_has_the_same_limit_and_encodings(small, method, path):
    """P4."""
    before = await state(small)

    assert_problem(await small.request(method, path, b" " * LIMIT + b"{}"), 413)
    assert_problem(await small.request(method, path, gzip.compress(b" " * LIMIT + b"{}"), headers=GZIP), 413)
    assert_problem(await small.request(method, path, b"{}", headers={"Content-Encoding": "br"}), 415)

    assert await state(small) == before


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize(("who", "status"), [("service", 413), (None, 401)])
async def test_a_client_that_sends_all_before_it_reads_gets_to_read_why_it_was_refused(api, framing, who, status):
    """P7."""
    body = b"x" * (32 << 20)
    lines = ["POST /api/sessions HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in api.headers(who).items()]
    lines += [f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked", "", ""]
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", api.port))
        await loop.sock_sendall(client, "\r\n".join(lines).encode())

        await loop.sock_sendall(client, body if framing == "length" else chunked(body, 1 << 20))
        answer = await loop.sock_recv(client, 1 << 16)

    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(("length", "status"), [(1 << 20, 100), ((1 << 20) + 1, 413), (1 << 40, 413), (10**30, 413)])
async def test_a_client_that_asks_first_is_spared_sending_what_is_too_large(api, length, status):
    """P4."""
    async with Connection(api.port) as connection:
        headers = api.headers("service") | {"Expect": "100-continue", "Content-Length": str(length)}
        connection.send("POST", "/api/sessions", headers)

        found, _ = await connection.read_head()

    assert found == status


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_where_a_body_is_needed_none_is_malformed(api, method):
    """P7."""
    before = await state(api)

    paths = {"PATCH": ["/sessions/s"], "POST": ["/sessions", "/sessions/s/events"]}
    for path in paths[method]:
        assert_problem(await api.request(method, path), 400)
        assert_problem(await api.request(method, path, b""), 400)
        assert_problem(await api.request(method, path, b"  "), 400)

    assert await state(api) == before


HEADS = {
    "superscript": "Content-Length: \xb2",
    "negative": "Content-Length: -1",
    "signed": "Content-Length: +2",
    "a word": "Content-Length: two",
    "empty": "Content-Length:",
    "two": "Content-Length: 2\r\nContent-Length: 3",
    "both": "Content-Length: 2\r\nTransfer-Encoding: chunked",
    "coding": "Transfer-Encoding: gzip",
    "chunk size": "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "control character": "Content-Length: 2\r\nIdempotency-Key: a\x01b",
}


async def send_head(api: Api, lines: str) -> Response:
    """Create a session with lines in the head that nobody can understand."""
    head = "".join(f"{name}: {value}\r\n" for name, value in api.headers("service").items())
    async with Connection(api.port) as connection:
        raw = f"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\n{head}{lines}\r\n\r\n" + "{}"
        connection.writer.write(raw.encode("latin1"))
        return await connection.read_response("POST")


async def test_a_body_whose_end_cannot_be_known_is_refused(api, subtests):
    """P7."""
    before = await state(api)

    for name, lines in HEADS.items():
        with subtests.test(name):
            assert (await send_head(api, lines)).status in (400, 411, 501)

    assert await state(api) == before


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_that_nobody_understands_is_refused_in_the_form_of_all_refusals(api, wire, name):
    """P7."""
    response = await send_head(api, HEADS[name])

    if wire == "tornado":
        # Tornado refuses heads before it asks anybody above it, in its own bare words: the one known difference.
        assert (response.status, response.body) == (400, b"")
    else:
        assert_problem(response, response.status)


@pytest.mark.parametrize(("path", "who"), [("/nowhere", "service"), ("/sessions", None), ("/sessions", "alice")])
async def test_of_a_request_that_is_refused_so_much_is_read_and_no_more(api, wire, monkeypatch, path, who):
    """P4: chunks need not have an end."""
    monkeypatch.setattr("rtserver.handlers.body.MAX_DISCARDED_BYTES", 1 << 20)
    head = "".join(f"{name}: {value}\r\n" for name, value in api.headers(who).items())
    async with Connection(api.port) as connection:
        connection.writer.write(
            f"POST /api{path} HTTP/1.1\r\nHost: localhost\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = chunked(b"x" * (1 << 20)).removesuffix(b"0\r\n\r\n")
        connection.writer.write(chunk + chunk)
        # Never its end: what is said comes before that.  Tornado resets the connection, perhaps before it is read.
        try:
            status = (await asyncio.wait_for(connection.read_response("POST"), 10)).status
        except (ConnectionError, asyncio.IncompleteReadError):
            status = 0
        assert status in ((413,) if wire == "fast" else (400, 0))
