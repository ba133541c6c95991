"""Requests over real sockets: connections that are kept, cut, slow, and answers that are not the server's."""

import asyncio
import contextlib

import pytest

from rtserver.client.connection import Connection
from rtserver.client.errors import Blocked, Misused, TimedOut, Unreachable
from rtserver.client.transport import Transport
from tests.certificates import make_certificate, tls_in_front
from tests.client.clock import HandClock
from tests.conftest import until
from tests.peers import listening


@contextlib.asynccontextmanager
async def peer(serve):
    """Somebody who answers: ``serve(reader, writer)`` for each connection; gives the transport to ask with."""
    async with listening(serve) as port:
        transport = Transport(f"http://127.0.0.1:{port}", environment={}, clock=HandClock())
        try:
            yield transport
        finally:
            await transport.close()


def answers(*raw, keeps=True):
    """Answer one request after the other on each connection with these bytes; then close it."""

    async def serve(reader, writer):
        for answer in raw:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if keeps:
            await reader.read()

    return serve


async def get(transport, path="/x", **options):
    return await transport.request("GET", path, timeout_seconds=5, **options)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "raw",
    [
        OK,
        b"HTTP/1.1 200\nContent-Length: 2\n\nok",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\no\r\n1\r\nk\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
async def test_answers_are_read_however_they_are_framed_and_the_connection_is_kept(raw):
    async with peer(answers(raw, OK)) as transport:
        assert (await get(transport)).body == b"ok"
        connection = transport._idle[0]
        assert (await get(transport)).body == b"ok"
        assert transport._idle == [connection]


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 200 OK\r\n\r\nok", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
)  # fmt: skip
async def test_a_connection_that_ends_with_its_answer_is_not_kept(raw):
    async with peer(answers(raw, keeps=False)) as transport:
        assert (await get(transport)).body == b"ok"
        assert transport._idle == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
    ],
)
async def test_what_is_cut_is_unreachable_and_not_kept(raw):
    async with peer(answers(raw, keeps=False)) as transport:
        with pytest.raises(Unreachable):
            await get(transport)
        assert transport._idle == []


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"x" * 100_000,
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["not HTTP", "length", "endless line", "endless head", "chunk"],
)  # fmt: skip
async def test_what_is_not_http_is_blocked(raw):
    async with peer(answers(raw)) as transport:
        with pytest.raises(Blocked):
            await get(transport)


async def test_a_kept_connection_that_is_closed_when_it_is_asked_again_is_replaced_without_a_word():
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with peer(serve) as transport:
        for _ in range(3):
            assert (await get(transport)).body == b"ok"
    assert len(asked) == 5, "two were asked twice"


async def test_a_kept_connection_that_was_closed_is_not_asked_again():
    async with peer(answers(OK, keeps=False)) as transport:
        await get(transport)
        await until(transport._idle[0]._reader.at_eof)
        assert (await get(transport)).body == b"ok"


async def test_a_new_connection_that_is_closed_is_not_tried_again():
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with peer(serve) as transport:
        with pytest.raises(Unreachable):
            await get(transport)
        assert len(asked) == 1


async def test_what_takes_too_long_is_given_up_and_the_connection_is_closed():
    closed = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        closed.set()

    async with peer(serve) as transport:
        asking = asyncio.create_task(get(transport))
        await until(lambda: len(transport.clock.left()) == 1)
        transport.clock.jump(5)
        with pytest.raises(TimedOut):
            await asking
        await asyncio.wait_for(closed.wait(), 5)


async def test_an_answer_without_end_is_blocked(monkeypatch):
    monkeypatch.setattr("rtserver.client.transport.MAX_BODY_BYTES", 1000)
    async with peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001)) as transport:
        with pytest.raises(Blocked):
            await get(transport)


async def test_a_body_is_read_as_it_comes():
    going_on = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf")
        await going_on.wait()
        writer.write(b"rest\r\n0\r\n\r\n")

    async with peer(serve) as transport, transport.stream("/s", {}, timeout_seconds=5) as (head, pieces):
        assert head.status == 200
        assert await anext(pieces) == b"half"
        going_on.set()
        assert [piece async for piece in pieces] == [b"rest"]


async def test_nobody_there_is_unreachable_in_words():
    async with peer(answers(OK)) as transport:
        pass
    with pytest.raises(Unreachable) as error:
        await get(transport)
    assert str(error.value) == f"{transport.origin.address} cannot be reached: connection refused"


async def test_a_name_that_does_not_exist_is_unreachable_in_words():
    with pytest.raises(Unreachable) as error:
        await get(Transport("http://no-such-name.invalid", environment={}))
    assert "no-such-name.invalid:80 cannot be reached" in str(error.value)


async def test_tls_is_verified_against_the_system_or_a_file(tmp_path, api):
    certificate = make_certificate(tmp_path, "localhost")
    other = make_certificate(tmp_path, "elsewhere.example")
    async with tls_in_front(api.port, certificate) as port:
        url = f"https://localhost:{port}"
        trusting = Transport(url, ca=certificate["tls_cert"], environment={})
        assert (await get(trusting, "/healthz")).status == 200
        assert (await get(trusting, "/healthz")).status == 200
        await trusting.close()
        for transport in (Transport(url, environment={}), Transport(url, ca=other["tls_cert"], environment={})):
            with pytest.raises(Unreachable) as error:
                await get(transport, "/healthz")
            assert f"the certificate of localhost:{port} is not trusted" in str(error.value)
    async with tls_in_front(api.port, other) as port:
        with pytest.raises(Unreachable) as error:
            await get(Transport(f"https://localhost:{port}", ca=other["tls_cert"], environment={}), "/healthz")
        assert "localhost" in str(error.value)


async def test_what_speaks_no_tls_is_said(api):
    with pytest.raises(Unreachable) as error:
        await get(Transport(f"https://127.0.0.1:{api.port}", environment={}))
    assert "does not speak TLS" in str(error.value)


def test_a_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(Misused) as error:
            Transport("https://localhost", ca=tmp_path / name, environment={})
        assert name in str(error.value)


async def test_few_connections_are_kept_and_none_after_the_end(api):
    transport = Transport(f"http://127.0.0.1:{api.port}", environment={})
    await asyncio.gather(*(get(transport, "/healthz") for _ in range(6)))
    assert len(transport._idle) == 2
    await transport.close()
    await get(transport, "/healthz")
    assert transport._idle == []
    await transport.close()


async def test_a_connection_that_cannot_be_finished_is_closed(monkeypatch, api):
    """Cancelled while it connects, a client leaves no socket behind."""
    opened = []

    async def hang(self, tls):
        opened.append(self)
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "_start_tls", hang)
    monkeypatch.setattr("rtserver.client.transport._make_tls", lambda ca: None)
    asking = asyncio.create_task(get(Transport(f"https://127.0.0.1:{api.port}", environment={})))
    await until(lambda: opened)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert opened[0]._writer.is_closing()
