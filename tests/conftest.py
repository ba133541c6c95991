"""Fixtures: a server in this process on a free port, and people to use it."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtserver import config
from rtserver.app import Server, now_us
from rtserver.auth import Role, make_token, read_secret
from rtserver.wire import Wire
from tests.http import Connection, Response, SseStream, request


class Api:
    """A server under test, and requests to it as somebody."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.hub = server.hub
        self.core = server._core
        self.port = int(server.url.rsplit(":", 1)[1].split("/")[0])
        self._secret = read_secret(Path(server.config.data_dir))
        certificate = server.config.tls_cert
        self._context = ssl.create_default_context(cafile=certificate) if certificate else None

    @property
    def connections(self) -> int:
        """How many connections read requests."""
        wire = self.server._wire
        return len(wire.connections if isinstance(wire, Wire) else wire._http._connections)

    def token(self, subject: str, role: str = "participant", ttl_seconds: int = 3600) -> str:
        return make_token(self._secret, subject, Role(role), ttl_seconds)

    def headers(self, who: str | None, role: str | None = None, ttl_seconds: int = 3600) -> dict[str, str]:
        """Return what ``who`` sends: 'service' and 'admin' have these roles, anybody else is a participant."""
        if who is None:
            return {}
        role = role or (who if who in ("service", "admin") else "participant")
        return {"Authorization": f"Bearer {self.token(who, role, ttl_seconds)}"}

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "service",
        headers: dict[str, str] | None = None,
        connection: Connection | None = None,
    ) -> Response:
        """Send one request to ``/api`` + ``path``; ``body`` is bytes, or anything for JSON."""
        encoded = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        target = path if path.startswith("/healthz") else f"/api{path}"
        send = connection.request if connection else lambda *args: request(self.port, *args, self._context)
        return await send(method, target, self.headers(who) | (headers or {}), encoded)

    async def get(self, path: str, **options: Any) -> Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Response:
        return await self.request("POST", path, body, **options)

    async def create(self, session_id: str = "s", people: tuple[str, ...] = ("alice", "bob")) -> dict[str, Any]:
        """Create a session with people in it and return its snapshot."""
        participants = [{"participantId": person} for person in people]
        response = await self.post("/sessions", {"sessionId": session_id, "participants": participants})
        assert response.status == 201, response.body
        return response.json

    async def publish(self, content: str, *, session_id: str = "s", who: str = "alice") -> dict[str, Any]:
        """Publish one message and return its entry in the answer."""
        body = {"type": "message_added", "data": {"content": content}}
        response = await self.post(f"/sessions/{session_id}/events", body, who=who)
        assert response.status == 201, response.body
        return response.json["events"][0]

    async def trim(self) -> None:
        """Let retention catch up."""
        while await self.core.maintenance.step():
            pass

    def stream(
        self,
        query: str = "",
        *,
        session_id: str = "s",
        who: str = "alice",
        headers: dict[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> SseStream:
        target = f"/api/sessions/{session_id}/events" + (f"?{query}" if query else "")
        return SseStream(self.port, target, self.headers(who) | (headers or {}), receive_buffer, self._context)

    async def poll(self, query: str = "", *, session_id: str = "s", who: str = "alice", **options: Any) -> Response:
        return await self.get(f"/sessions/{session_id}/updates" + (f"?{query}" if query else ""), who=who, **options)


WIRES = ("fast", "tornado")
# What the contract says is so whatever reads HTTP: these run on both wires, everything else on this server's own.
ON_BOTH_WIRES = re.compile(r"test_(contract_\w+|delivery|streams|polls)")


@pytest.fixture
def wire() -> str:
    """What reads HTTP (setting ``wire``)."""
    return WIRES[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "wire" in metafunc.fixturenames and ON_BOTH_WIRES.fullmatch(metafunc.module.__name__.rpartition(".")[2]):
        metafunc.parametrize("wire", WIRES)


@pytest.fixture
def start_server(io_loop, tmp_path, wire):
    """Start servers with settings; the data directory is the same for each unless named, as for one that restarts."""
    running: list[Server] = []

    async def start(clock: Callable[[], int] = now_us, **settings: Any) -> Api:
        # Tests are faster than people: how often somebody may ask is limited where that is the question.
        defaults = {"rate_limit": 0, "stream_rate_limit": 0}
        defaults |= {"data_dir": str(tmp_path / "data"), "port": 0, "drain_seconds": 0, "wire": wire}
        server = Server(config.load(defaults | settings, environment={}), clock)
        await server.start()
        running.append(server)
        return Api(server)

    async def stop(api: Api) -> None:
        running.remove(api.server)
        await api.server.stop()

    start.stop = stop
    yield start
    for server in running:
        io_loop.asyncio_loop.run_until_complete(asyncio.wait_for(server.stop(), 10))


@pytest.fixture
def api(io_loop, start_server):
    """A server with default settings, with the session ``s`` of alice and bob."""

    async def start() -> Api:
        api = await start_server()
        await api.create()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait, turn by turn of the loop, until something has become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
