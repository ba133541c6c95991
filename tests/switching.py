"""One client that changes its tier again and again, while others publish and the server is restarted (P2).

The real program; used by the tests with few switches and by ``make accept`` with a thousand.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checker import History, Stored, check
from tests.http import Connection, Response, SseStream, request
from tests.process import ServerProcess
from tests.readers import READERS, TIERS, sequence_of, uid_of

GONE = (asyncio.IncompleteReadError, ConnectionError)
PUBLISHERS = 2
PAUSE_SECONDS = 0.004


@dataclass
class Report:
    switches: int = 0
    restarts: int = 0
    published: int = 0
    seen: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        tiers = ", ".join(f"{count} {tier}" for tier, count in sorted(self.tiers.items()))
        return (
            f"{self.switches} switches ({tiers}) and {self.restarts} restarts while {self.published} events were "
            f"published; {self.seen} seen; {len(self.violations)} violations {self.violations[:3]}"
        )


class Remote:
    """The part of the fixture ``api`` that readers use, for a server in a process of its own."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.port = server.port

    def stream(self, query: str, *, session_id: str, who: str, headers: dict[str, str] | None = None) -> SseStream:
        target = f"/api/sessions/{session_id}/events?{query}"
        return SseStream(self.port, target, self._server.headers(who) | (headers or {}))

    async def poll(
        self,
        query: str,
        *,
        session_id: str,
        who: str,
        connection: Connection,
        headers: dict[str, str] | None = None,
    ) -> Response:
        target = f"/api/sessions/{session_id}/updates?{query}"
        return await connection.request("GET", target, self._server.headers(who) | (headers or {}))


class Switching:
    def __init__(self, data_dir: Path, seed: int = 0) -> None:
        self._data_dir = data_dir
        self._rng = random.Random(seed)
        self._history = History(attempted={"participant_joined:alice"})
        self._report = Report()
        self._cursor = ""
        self._count = 0

    async def run(self, switches: int, restarts: int) -> Report:
        log = self._history.reader("switching")
        for life in range(restarts + 1):
            with ServerProcess(self._data_dir) as server:
                if life == 0:
                    await self._create(server)
                publishing = [asyncio.create_task(self._publish(server)) for _ in range(PUBLISHERS)]
                end = switches * (life + 1) // (restarts + 1)
                while self._report.switches < end:
                    await self._read(Remote(server), log)
                # By turns in good order and in the hardest way, both in the middle of publishing.
                if life % 2:
                    server.kill()
                else:
                    server.stop()
                await asyncio.gather(*publishing)
                self._report.restarts = life
        with ServerProcess(self._data_dir) as server:
            stored = await self._stored(server)
            while sequence_of(self._cursor) < stored[-1].sequence:
                await self._read(Remote(server), log)
        self._report.seen = len(log.seen)
        self._report.published = len(self._history.acknowledged)
        self._report.violations = check(self._history, stored)
        return self._report

    async def _create(self, server: ServerProcess) -> None:
        body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
        answer = await request(server.port, "POST", "/api/sessions", server.headers("service"), body)
        self._cursor = answer.json["lastEventId"]

    async def _publish(self, server: ServerProcess) -> None:
        try:
            async with Connection(server.port) as connection:
                while True:
                    self._count += 1
                    uid = f"u{self._count}"
                    self._history.attempted.add(uid)
                    body = json.dumps({"type": "message_added", "data": {"content": uid}}).encode()
                    answer = await connection.request("POST", "/api/sessions/s/events", server.headers("alice"), body)
                    if answer.status == 503:
                        return
                    assert answer.status == 201, answer
                    entry = answer.json["events"][0]
                    self._history.acknowledge(uid, entry["sequence"], entry["id"])
                    await asyncio.sleep(PAUSE_SECONDS)
        except GONE:
            pass

    async def _read(self, api: Any, log: Any) -> None:
        """Read a little on some tier, from where the last one stopped."""
        tier = self._rng.choice(TIERS)
        self._report.switches += 1
        self._report.tiers[tier] += 1
        async with READERS[tier](api, log, self._cursor) as reader:
            for _ in range(self._rng.randint(1, 4)):
                if not await reader.read():
                    break
            self._cursor = reader.cursor

    async def _stored(self, server: ServerProcess) -> list[Stored]:
        stored, query = [], "from=earliest"
        async with Connection(server.port) as connection:
            while True:
                target = f"/api/sessions/s/updates?timeout=0&{query}"
                page = (await connection.request("GET", target, server.headers("service"))).json
                stored += [Stored(e["sequence"], e["id"], uid_of(e["type"], e["data"])) for e in page["events"]]
                query = f"lastEventId={page['lastEventId']}"
                if not page["hasMore"]:
                    return stored
