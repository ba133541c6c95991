"""How soon a reader is told that it may read no longer: every reason, on every tier that waits (P6)."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from rtserver.auth import Role, make_token, read_secret
from tests.http import Connection, SseStream
from tests.process import ServerProcess

READERS = 20
POLL = "/api/sessions/s/updates?timeout=30"
# A token's expiry is a whole second.
TOKEN_SECONDS = 2


class Ending(NamedTuple):
    """``words`` are all that readers were told; ``seconds`` how long the last of them waited for it."""

    cause: str
    tier: str
    words: set[Any]
    seconds: float


EXPECTED: dict[tuple[str, str], set[Any]] = {
    ("removal", "sse"): {"removed"},
    ("removal", "long-poll"): {(403, "not-a-participant")},
    ("expiry", "sse"): {"token_expired"},
    ("expiry", "long-poll"): {(401, "token-expired")},
    ("deletion", "sse"): {"session_deleted"},
    ("deletion", "long-poll"): {(403, "not-a-participant")},
}


async def measure(data_dir: Path) -> list[Ending]:
    """End readers of the real program for each reason; return what became of them."""
    with ServerProcess(data_dir) as server:
        return [
            await _end(server, cause, tier)
            for cause in ("removal", "expiry", "deletion")
            for tier in ("sse", "long-poll")
        ]


async def _end(server: ServerProcess, cause: str, tier: str) -> Ending:
    async with Connection(server.port) as service:

        async def ask(method: str, path: str, body: object = None) -> int:
            encoded = None if body is None else json.dumps(body).encode()
            return (await service.request(method, f"/api/sessions{path}", server.headers("service"), encoded)).status

        people = [{"participantId": "alice"}, {"participantId": "bob"}]
        assert await ask("POST", "", {"sessionId": "s", "participants": people}) == 201
        ttl_seconds = TOKEN_SECONDS if cause == "expiry" else 3600
        token = make_token(read_secret(server.data_dir), "alice", Role.PARTICIPANT, ttl_seconds)
        read = _read_stream if tier == "sse" else _read_poll
        started: list[asyncio.Event] = [asyncio.Event() for _ in range(READERS)]
        reading = [asyncio.ensure_future(read(server.port, token, event)) for event in started]
        for event in started:
            await event.wait()
        # A poll that came later has been answered: those before it wait.
        assert await ask("GET", "/s/updates?timeout=0") == 204
        assert not any(reader.done() for reader in reading)
        ended_at = time.time()
        if cause == "removal":
            assert await ask("DELETE", "/s/participants/alice") == 204
        elif cause == "deletion":
            assert await ask("DELETE", "/s") == 204
        else:
            ended_at = jwt.decode(token, options={"verify_signature": False})["exp"]
        told = await asyncio.wait_for(asyncio.gather(*reading), 10)
        await ask("DELETE", "/s")
    return Ending(cause, tier, {words for words, _ in told}, max(at for _, at in told) - ended_at)


async def _read_stream(port: int, token: str, started: asyncio.Event) -> tuple[Any, float]:
    async with SseStream(port, "/api/sessions/s/events", {"Authorization": f"Bearer {token}"}) as stream:
        await stream.until("connected")
        started.set()
        event = await stream.until("reconnect")
        told_at = time.time()
        assert await stream.next() is None
        return event.data["reason"], told_at


async def _read_poll(port: int, token: str, started: asyncio.Event) -> tuple[Any, float]:
    async with Connection(port) as connection:
        headers = {"Authorization": f"Bearer {token}"}
        # The server has taken the connection when it answers a first poll; the second waits.
        await connection.request("GET", POLL.replace("30", "0"), headers)
        connection.send("GET", POLL, headers)
        started.set()
        answer = await connection.read_response("GET")
        return (answer.status, answer.json["type"].rsplit("/", 1)[1]), time.time()
