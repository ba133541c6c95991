"""TLS on both wires: requests, polls and streams as without it, in little memory, and refusals that say why."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path

import pytest

from rtserver import config, tls
from rtserver.app import Server
from rtserver.errors import StartRefused
from tests.certificates import arguments, bytes_of_an_idle_connection, make_certificate
from tests.conftest import WIRES, until
from tests.contract import assert_problem
from tests.http import Connection
from tests.process import ServerProcess, run
from tests.readers import sequence_of

MAX_CONNECTION_BYTES = 48 << 10


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture
def secure(io_loop, start_server, tmp_path):
    """A server with TLS, with the session ``s``."""

    async def start():
        api = await start_server(**make_certificate(tmp_path))
        await api.create()
        return api

    return io_loop.run_sync(start)


async def test_every_tier_works(secure):
    assert secure.server.url.startswith("https://")
    async with secure.stream() as stream:
        await stream.until("connected")
        poll = asyncio.ensure_future(secure.poll("lastEventId=2", who="bob"))
        await secure.publish("one")
        await secure.publish("two")
        assert [(await stream.durable()).data["content"] for _ in range(2)] == ["one", "two"]
        assert [event["data"]["content"] for event in (await poll).json["events"]][:1] == ["one"]
    assert (await secure.get("/sessions/s/updates?since=2026-01-01T00:00:00Z")).status == 200
    await until(lambda: secure.hub.streams.count == 0)


async def test_each_event_comes_although_the_client_says_nothing_in_between(secure):
    async with secure.stream() as stream:
        await stream.until("connected")
        for number in range(6):
            # Large and small: full is what was not sent, not what was.
            entry = await secure.publish(f"{number}" * (6000 if number % 2 else 1))
            assert (await asyncio.wait_for(stream.durable(), 5)).id == entry["id"]


async def test_many_requests_go_over_one_connection(secure):
    async with Connection(secure.port, context=secure._context) as connection:
        for _ in range(3):
            assert (await secure.get("/sessions/s", connection=connection)).status == 200
        assert (await secure.get("/nowhere", connection=connection)).status == 404


async def test_a_cookie_is_for_https_alone(secure):
    assert "Secure" in (await secure.post("/auth/cookie", who="alice")).headers["set-cookie"]


async def test_a_stream_that_pauses_and_resumes_misses_nothing(secure):
    """P2, P4."""
    async with secure.stream("eventTypes=message_added", receive_buffer=4096) as stream:
        await stream.until("connected")
        body = {"events": [{"type": "message_added", "data": {"content": "x" * 60_000}}] * 10}
        for _ in range(6):
            assert (await secure.post("/sessions/s/events", body, who="alice")).status == 201
        [one] = secure.hub.registry.peek("s").streams
        await until(lambda: one.state.value == "paused")
        await secure.publish("last")
        found = []
        while not found or found[-1] != sequence_of((await secure.get("/sessions/s")).json["lastEventId"]):
            found.append(sequence_of((await stream.durable()).id))
    assert found == [*range(found[0], found[0] + 61)]


async def test_streams_are_told_why_they_end(secure):
    """P5."""
    async with secure.stream() as stream:
        await stream.until("connected")
        assert (await secure.request("DELETE", "/sessions/s")).status == 204
        assert (await stream.until("reconnect")).data["reason"]
        assert await stream.next() is None


@pytest.mark.parametrize("wire", ["fast"])
async def test_an_answer_before_the_body_has_been_read_arrives(secure):
    """RFC 9112 section 9.6: also at a client that reads only when it has sent; Tornado resets its connection."""
    async with Connection(secure.port, context=secure._context) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in secure.headers("service").items())
        connection.writer.write(
            f"POST /api/sessions HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {1 << 27}\r\n\r\n".encode()
        )
        for _ in range(100):
            connection.writer.write(b"x" * (1 << 16))
            await connection.writer.drain()
        response = await connection.read_response("POST")
    assert_problem(response, 413)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_versions_from_1_2_on_are_spoken(secure, version):
    # Otherwise OpenSSL would refuse old ones at this end already.
    secure._context.set_ciphers("ALL:@SECLEVEL=0")
    secure._context.minimum_version = secure._context.maximum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await secure.get("/sessions/s")
    else:
        assert (await secure.get("/sessions/s")).status == 200


async def test_who_speaks_plain_http_gets_nothing_and_disturbs_nobody(secure):
    async with Connection(secure.port) as connection:
        connection.send("GET", "/healthz")
        try:
            assert b"HTTP" not in await connection.reader.read()
        except ConnectionError:
            pass
    assert (await secure.get("/sessions/s")).status == 200


async def test_a_new_certificate_is_shown_from_then_on_and_one_that_does_not_fit_is_not(secure, tmp_path):
    new = make_certificate(tmp_path / "new")
    with pytest.raises(StartRefused):
        tls.load(secure.server.tls, Path(new["tls_cert"]), Path(secure.server.config.tls_key))
    assert (await secure.get("/sessions/s")).status == 200

    tls.load(secure.server.tls, Path(new["tls_cert"]), Path(new["tls_key"]))

    with pytest.raises(ssl.SSLCertVerificationError):
        await secure.get("/sessions/s")
    secure._context = ssl.create_default_context(cafile=new["tls_cert"])
    assert (await secure.get("/sessions/s")).status == 200


def refusal(tmp_path: Path, **files: str) -> str:
    """Return the line with which a start is refused; nothing has been made in the data directory's database."""

    async def start() -> None:
        await Server(config.load({"data_dir": str(tmp_path / "data"), "port": 0} | files, environment={})).start()

    with pytest.raises(StartRefused) as error:
        asyncio.run(start())
    assert "\n" not in str(error.value) and not (tmp_path / "data" / "rtserver.db").exists()
    return str(error.value)


def test_a_certificate_needs_its_key_and_both_must_be_there(tmp_path):
    files = make_certificate(tmp_path)
    other = make_certificate(tmp_path, "other")
    locked = make_certificate(tmp_path, "locked", b"secret")
    assert "each needs the other" in refusal(tmp_path, tls_cert=files["tls_cert"])
    assert "each needs the other" in refusal(tmp_path, tls_key=files["tls_key"])
    assert "cannot read" in refusal(tmp_path, **files | {"tls_key": str(tmp_path / "nowhere")})
    assert "KEY_VALUES_MISMATCH" in refusal(tmp_path, **files | {"tls_key": other["tls_key"]})
    assert "are not a certificate and its key" in refusal(tmp_path, **files | {"tls_cert": files["tls_key"]})
    assert "has a password" in refusal(tmp_path, **locked)


def test_the_command_serves_https_and_says_so(tmp_path):
    files = make_certificate(tmp_path)
    with ServerProcess(tmp_path / "data", *arguments(files)) as server:
        assert re.fullmatch(r"https://127\.0\.0\.1:[0-9]+", server.url)
        assert server.stop()[0] == 0
    refused = run("serve", "--data-dir", str(tmp_path / "other"), "--tls-cert", files["tls_cert"])
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_an_idle_connection_costs_little_memory(tmp_path):
    """P4: asyncio's own buffers would make it 279 KB."""
    cost = asyncio.run(bytes_of_an_idle_connection(tmp_path, 150))

    assert cost <= MAX_CONNECTION_BYTES
