"""SIGKILL under a client: it follows and publishes while the real server is killed and started again on its port.

What came of it is judged by `tests.checker`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

from rtserver.client import Event, Reset, connect
from tests.checker import History, Stored, check
from tests.client.clock import HandClock
from tests.conftest import until
from tests.http import request
from tests.process import ServerProcess
from tests.readers import sequence_of, uid_of

PAUSE_SECONDS = 0.005


@dataclass
class Report:
    kills: int = 0
    sent: int = 0
    seen: int = 0
    resets: int = 0
    violations: list[str] = field(default_factory=list)


class Killing:
    """One reader on one tier, and one publisher, both clients; time passes for them as fast as they ask for it."""

    def __init__(self, data_dir: Path, tier: str) -> None:
        self._data_dir = data_dir
        self._tier = tier
        self._clock = HandClock()
        self._history = History(attempted={"participant_joined:alice"})
        self._log = self._history.reader(tier)
        self._report = Report()
        self._sent: list[Event] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])

    async def run(self, kills: int, each: int) -> Report:
        """Kill the server so often, each time after so many events were acknowledged."""
        server = ServerProcess(self._data_dir, "--port", self._port).start()
        try:
            token = await self._create(server)
            following = connect(
                server.url, "s", token=token, tiers=[self._tier], start="earliest", clock=self._clock, environment={},
                on_event=self._saw, on_reset=self._told,
            )  # fmt: skip
            publishing = connect(server.url, "s", token=token, follows=False, clock=self._clock, environment={})
            async with following, publishing:
                self._log.began(0)
                sending = asyncio.create_task(self._publish(publishing, kills * each + each))
                for number in range(1, kills + 1):
                    await self._until(lambda number=number: len(self._sent) >= number * each)
                    server.kill()
                    self._report.kills += 1
                    # Both must meet a server that is away.
                    await until(lambda: following.status.tier is None or self._tier == "short-poll")
                    await until(lambda: publishing.send_problem)
                    server = ServerProcess(self._data_dir, "--port", self._port).start()
                await self._until(sending.done)
                await sending
                stored = await self._stored(server)
                await self._until(lambda: len(self._log.seen) >= len(stored))
        finally:
            server.stop()
        self._report.sent, self._report.seen = len(self._sent), len(self._log.seen)
        self._report.violations = check(self._history, stored)
        numbers = [
            int(event.data["content"][1:]) for event in sorted(self._sent, key=lambda event: event.sequence or 0)
        ]
        if numbers != sorted(numbers):
            self._report.violations.append("what was sent in order is not stored in order")
        return self._report

    async def _create(self, server: ServerProcess) -> str:
        body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
        assert (await request(server.port, "POST", "/api/sessions", server.headers("service"), body)).status == 201
        return server.headers("alice")["Authorization"].removeprefix("Bearer ")

    async def _publish(self, publishing, count: int) -> None:
        """Send one after the other without waiting for the answers of those before."""

        async def send(uid: str) -> None:
            event = await publishing.send(uid)
            self._sent.append(event)
            self._history.acknowledge(uid, event.sequence or 0, event.id or "")

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                self._history.attempted.add(f"u{number}")
                group.create_task(send(f"u{number}"))
                await asyncio.sleep(PAUSE_SECONDS)

    def _saw(self, event: Event) -> None:
        if event.id is not None:
            self._log.saw(event.sequence or 0, event.id, uid_of(event.type, event.data))

    def _told(self, reset: Reset) -> None:
        self._report.resets += 1
        self._log.told_of_gap(reset.reason, sequence_of(reset.last_event_id))

    async def _until(self, condition) -> None:
        """Wait, and let the clients' time pass: a second of theirs at each look."""

        def look() -> bool:
            if condition():
                return True
            self._clock.jump(0.05)
            return False

        await until(look, 60)

    async def _stored(self, server: ServerProcess) -> list[Stored]:
        stored, query = [], "from=earliest"
        while True:
            target = f"/api/sessions/s/updates?timeout=0&{query}"
            answer = await request(server.port, "GET", target, server.headers("service"))
            if answer.status == 204:
                return stored
            stored += [Stored(e["sequence"], e["id"], uid_of(e["type"], e["data"])) for e in answer.json["events"]]
            query = f"lastEventId={answer.json['lastEventId']}"
