"""SIGKILL under load: publishers, readers and the real program, killed again and again on the same data.

Used by the tests with few rounds and by ``make accept`` with twenty.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.checker import History, ReaderLog, Stored, check
from tests.http import Connection, SseStream
from tests.process import ServerProcess
from tests.readers import CONTROL, sequence_of, uid_of

GONE = (asyncio.IncompleteReadError, ConnectionError)
READER_TIERS = ("sse", "long-poll", "short-poll")
PAUSE_SECONDS = 0.01
ROUND_SECONDS = 60


@dataclass
class Report:
    """What happened; the figures are those of the rounds together, the minima those of the weakest round."""

    kills: int = 0
    acknowledged: int = 0
    unknown: int = 0
    retried: int = 0
    seen: int = 0
    min_in_flight: int = 10**9
    min_acknowledged: int = 10**9
    lost: int = 0  # acknowledged, and not in the log at the end
    gone: int = 0  # seen by a reader, and not there
    holes: int = 0  # sequences without an event
    violations: list[str] = field(default_factory=list)  # these three and whatever else the checker finds

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, each with at least {self.min_in_flight} publishes in flight and "
            f"{self.min_acknowledged} acknowledged; {self.acknowledged} acknowledged, {self.unknown} with unknown "
            f"outcome ({self.retried} of them repeated), {self.seen} seen by {len(READER_TIERS)} readers; "
            f"{self.lost} lost, {self.gone} seen that are gone, {self.holes} holes, {len(self.violations)} violations"
        )


class CrashRun:
    def __init__(self, data_dir: Path, *, publishers: int = 32, seed: int = 0) -> None:
        self._data_dir = data_dir
        self._publishers = publishers
        self._rng = random.Random(seed)
        self._history = History(attempted={"participant_joined:alice"})
        self._report = Report()
        self._in_flight: set[str] = set()
        self._unknown: set[str] = set()
        self._cursors: dict[ReaderLog, str] = {}
        self._count = 0

    async def run(self, rounds: int, acknowledged: int, in_flight: int) -> Report:
        """Kill the server ``rounds`` times, each time after so many acknowledgements and with so much in flight."""
        for number in range(rounds):
            with ServerProcess(self._data_dir) as server:
                if number == 0:
                    await self._create(server)
                await self._round(server, acknowledged, in_flight)
        with ServerProcess(self._data_dir) as server:
            await self._repeat_unknown(server, len(self._unknown))
            stored = await self._stored(server)
            await self._catch_up(server, stored[-1].sequence)
            server.stop()
        self._judge(stored)
        return self._report

    def _judge(self, stored: list[Stored]) -> None:
        report, history, places = self._report, self._history, {(event.sequence, event.id) for event in stored}
        seen = [(saw.sequence, saw.id) for reader in history.readers for saw in reader.seen]
        report.seen = len(seen)
        report.lost = len(set(history.acknowledged.values()) - places)
        report.gone = len(set(seen) - places)
        report.holes = stored[-1].sequence - len({event.sequence for event in stored})
        report.violations = check(history, stored)

    async def _create(self, server: ServerProcess) -> None:
        body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
        async with Connection(server.port) as connection:
            response = await connection.request("POST", "/api/sessions", server.headers("service"), body)
        for number in range(len(READER_TIERS)):
            self._cursors[self._history.reader(f"reader {number}")] = response.json["lastEventId"]

    async def _round(self, server: ServerProcess, acknowledged: int, in_flight: int) -> None:
        before = len(self._history.acknowledged)
        await self._repeat_unknown(server, len(self._unknown) // 2)

        def look() -> None:
            """Kill in the very moment both are reached: nothing runs between the count and the signal."""
            done = len(self._history.acknowledged) - before
            if done >= acknowledged and len(self._in_flight) >= in_flight and server.process.returncode is None:
                self._report.min_in_flight = min(self._report.min_in_flight, len(self._in_flight))
                self._report.min_acknowledged = min(self._report.min_acknowledged, done)
                server.process.kill()
                server.process.wait()

        # Everybody goes on until the server is gone; what else ends one of them ends the run with its reason.
        async with asyncio.timeout(ROUND_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(self._publishers):
                group.create_task(self._publish(server, look))
            for tier, reader in zip(READER_TIERS, self._cursors, strict=True):
                group.create_task(self._read(server, tier, reader))
        server.wait()
        self._unknown |= self._in_flight
        self._report.unknown += len(self._in_flight)
        self._in_flight.clear()
        self._report.kills += 1
        self._report.acknowledged = len(self._history.acknowledged)

    async def _publish(self, server: ServerProcess, look) -> None:
        try:
            async with Connection(server.port) as connection:
                while True:
                    self._count += 1
                    uid = f"u{self._count}"
                    self._history.attempted.add(uid)
                    look()  # at what the others have sent
                    self._in_flight.add(uid)
                    await self._send(server, connection, uid)
                    self._in_flight.discard(uid)
        except GONE:
            pass

    async def _send(self, server: ServerProcess, connection: Connection, uid: str) -> None:
        body = json.dumps({"type": "message_added", "messageId": uid, "data": {"content": uid}}).encode()
        response = await connection.request("POST", "/api/sessions/s/events", server.headers("alice"), body)
        assert response.status == 201, response
        entry = response.json["events"][0]
        self._history.acknowledge(uid, entry["sequence"], entry["id"])

    async def _repeat_unknown(self, server: ServerProcess, count: int) -> None:
        """Send again, with the same messageId, what got no answer: it must come to be there exactly once."""
        async with Connection(server.port) as connection:
            for uid in self._rng.sample(sorted(self._unknown), count):
                await self._send(server, connection, uid)
                self._unknown.discard(uid)
                self._report.retried += 1

    async def _read(self, server: ServerProcess, tier: str, reader: ReaderLog, until: int | None = None) -> None:
        """Read on from the reader's cursor until the server dies, or up to a sequence."""
        reader.began(sequence_of(self._cursors[reader]))
        try:
            await (self._stream(server, reader, until) if tier == "sse" else self._poll(server, tier, reader, until))
        except GONE:
            pass

    async def _stream(self, server: ServerProcess, reader: ReaderLog, until: int | None) -> None:
        target = f"/api/sessions/s/events?lastEventId={self._cursors[reader]}"
        async with SseStream(server.port, target, server.headers("alice")) as stream:
            while not self._is_at(reader, until) and (event := await stream.next()):
                if event.type == "reset":
                    reader.told_of_gap(event.data["reason"], sequence_of(event.id or "0"))
                elif event.type not in CONTROL and event.id:
                    reader.saw(sequence_of(event.id), event.id, uid_of(event.type, event.data))
                    self._cursors[reader] = event.id

    async def _poll(self, server: ServerProcess, tier: str, reader: ReaderLog, until: int | None) -> None:
        # Beside a cursor the moment does not count, but says that this is a short poll.
        kind, name = ("since=1970-01-01T00:00:00Z&", "updates") if tier == "short-poll" else ("", "events")
        async with Connection(server.port) as connection:
            while not self._is_at(reader, until):
                target = f"/api/sessions/s/updates?{kind}lastEventId={self._cursors[reader]}"
                response = await connection.request("GET", target, server.headers("alice"))
                if response.status != 200:
                    continue
                if "reset" in response.json:
                    reset = response.json["reset"]
                    reader.told_of_gap(reset["reason"], sequence_of(reset["lastEventId"]))
                for item in sorted(response.json[name], key=lambda item: item["sequence"]):
                    reader.saw(item["sequence"], item["id"], uid_of(item["type"], item["data"]))
                self._cursors[reader] = response.json["lastEventId"]
                if not response.json[name]:
                    await asyncio.sleep(PAUSE_SECONDS)

    def _is_at(self, reader: ReaderLog, until: int | None) -> bool:
        return until is not None and sequence_of(self._cursors[reader]) >= until

    async def _catch_up(self, server: ServerProcess, last: int) -> None:
        for tier, reader in zip(READER_TIERS, self._cursors, strict=True):
            await self._read(server, tier, reader, until=last)

    async def _stored(self, server: ServerProcess) -> list[Stored]:
        stored: list[Stored] = []
        async with Connection(server.port) as connection:
            query = "from=earliest"
            while True:
                target = f"/api/sessions/s/updates?{query}&timeout=0"
                response = await connection.request("GET", target, server.headers("service"))
                if response.status == 204:
                    return stored
                page = response.json
                stored += [Stored(e["sequence"], e["id"], uid_of(e["type"], e["data"])) for e in page["events"]]
                query = f"lastEventId={page['lastEventId']}"
