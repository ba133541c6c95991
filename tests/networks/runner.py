"""Runs rows: a server, the network of each row, a client behind it, and messages all the time.

Messages are published at the server itself, so that the network is the client's alone.  Many rows run at once, in one
loop; every row has a session, a network and a visitor of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from tests.browser import CHROMIUM as CHROMIUM_PATH
from tests.browser import OPTIONS
from tests.checker import Stored
from tests.networks.judge import judge
from tests.networks.paths import Way, way
from tests.networks.record import Record
from tests.networks.row import CHROMIUM, PYTHON, Row
from tests.networks.visitors import Visitor, in_chromium, in_python
from tests.process import ServerProcess

AT_ONCE = {CHROMIUM: 24, PYTHON: 24}
# A tab costs most while it opens.
APART_SECONDS = 0.7
CATCH_UP_SECONDS = 25
LOOK_SECONDS = 0.2
PUBLISHER, READER = "publisher", "reader"
# A page of the log.
PAGE = 100
Say = Callable[[str], None]


async def run_all(
    pairs: list[tuple[Row, str]], directory: Path, *, heartbeat_seconds: int = 30, say: Say = print
) -> list[Record]:
    """Run rows, each with the client named beside it, and return what was seen of each."""
    server = ServerProcess(directory / "data", "--heartbeat-interval", str(heartbeat_seconds))
    await asyncio.to_thread(server.start)
    try:
        async with open_browser(any(client == CHROMIUM for _, client in pairs)) as chromium:
            runner = Runner(server, directory, chromium, heartbeat_seconds, say)
            return list(await asyncio.gather(*(runner.run(row, client) for row, client in pairs)))
    finally:
        server.kill()


@contextlib.asynccontextmanager
async def open_browser(is_wanted: bool) -> Any:
    if not is_wanted:
        yield None
        return
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM_PATH, args=OPTIONS)
        try:
            yield chromium
        finally:
            await chromium.close()


class Runner:
    """Runs one row after the other, so many at once as the machine can carry."""

    def __init__(self, server: ServerProcess, directory: Path, chromium: Any, heartbeat_seconds: int, say: Say) -> None:
        self._server = server
        self._directory = directory
        self._chromium = chromium
        self._heartbeat_seconds = heartbeat_seconds
        self._say = say
        self._http = AsyncHTTPClient(force_instance=True, max_clients=100)
        self._places = {client: asyncio.Semaphore(count) for client, count in AT_ONCE.items()}
        self._opening = asyncio.Lock()
        self._count = 0

    async def run(self, row: Row, client: str) -> Record:
        async with self._places[client]:
            async with self._opening:
                await asyncio.sleep(APART_SECONDS if client == CHROMIUM else 0)
            record = Record(row, client, float(self._heartbeat_seconds))
            self._count += 1
            session_id = f"s{self._count}"
            began_at = time.monotonic()
            try:
                await self._run(record, session_id)
            except Exception as error:
                record.error = f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - began_at
            found = judge(record)
            self._say("\n  ".join([f"{'FAIL' if found else 'ok'}  {record.name}, {seconds:.0f} s", *found]))
            return record

    async def _run(self, record: Record, session_id: str) -> None:
        row = record.row
        people = [{"participantId": person} for person in (PUBLISHER, READER)]
        await self._ask("POST", "", {"sessionId": session_id, "participants": people})
        record.reader.began(len(people))
        publish = _Publisher(self._ask, session_id, record)
        await publish.one()
        async with way(row, self._server.port, self._directory / session_id) as network:
            publishing = asyncio.create_task(publish.every(row.publish_every))
            try:
                async with self._visitor(network, session_id, record) as visitor:
                    await self._phases(record, network, visitor, publishing)
                    publish.end()
                    await publishing
                    await _caught_up(record, publish)
            finally:
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
            record.requests = [record.since_start(at) for at in network.requests()]
            record.most_held = network.hop.most_held
        record.stored = await self._stored(session_id)
        # What the server itself had to say: that people joined.
        record.history.attempted |= {event.uid for event in record.stored if event.uid == event.id}

    def _visitor(self, network: Way, session_id: str, record: Record) -> Any:
        token = self._server.headers(READER)["Authorization"].removeprefix("Bearer ")
        if record.client == CHROMIUM:
            return in_chromium(self._chromium, network, token, session_id, record)
        return in_python(network, token, session_id, record)

    async def _phases(self, record: Record, network: Way, visitor: Visitor, publishing: asyncio.Task[None]) -> None:
        for number, phase in enumerate(record.row.phases):
            if number:
                network.behave(phase.network)
            record.phase_began.append(record.now() if number else 0.0)
            if phase.is_tried:
                await visitor.try_now()
            begins = record.phase_began[-1]
            is_late = False
            while record.now() - begins < phase.seconds or not (record.tier_at(record.now()) == phase.tier or is_late):
                await asyncio.sleep(LOOK_SECONDS)
                is_late = record.now() - begins > phase.within + 2
                if publishing.done():
                    publishing.result()
        record.ended_at = record.now()

    async def _stored(self, session_id: str) -> list[Stored]:
        """Return the log of a session, as it is at the server."""
        cursor, found = "0", []
        while True:
            answer = await self._ask("GET", f"/{session_id}/updates?lastEventId={cursor}&timeout=0&limit={PAGE}")
            for item in answer["events"]:
                found.append(Stored(item["sequence"], item["id"], str(item["data"].get("content", item["id"]))))
            if not answer["hasMore"]:
                return found
            cursor = answer["lastEventId"]

    async def _ask(self, method: str, path: str, document: object = None) -> Any:
        body = json.dumps(document).encode() if document is not None else None
        answer = await self._http.fetch(
            f"{self._server.url}/api/sessions{path}", method=method, body=body,
            headers=self._server.headers("service"), request_timeout=30,
        )  # fmt: skip
        return json.loads(answer.body)


class _Publisher:
    """Says numbers, one after the other; what was acknowledged is in the record's history."""

    def __init__(self, ask: Callable[..., Awaitable[Any]], session_id: str, record: Record) -> None:
        self._ask = ask
        self._path = f"/{session_id}/events"
        self._history = record.history
        self._said = 0
        self._is_over = asyncio.Event()
        self.last_sequence = 0

    async def one(self) -> None:
        uid = str(self._said)
        self._said += 1
        self._history.attempted.add(uid)
        document = {"type": "message_added", "data": {"content": uid, "participantId": PUBLISHER}}
        (event,) = (await self._ask("POST", self._path, document))["events"]
        self._history.acknowledge(uid, event["sequence"], event["id"])
        self.last_sequence = event["sequence"]

    async def every(self, seconds: float) -> None:
        while not self._is_over.is_set():
            await self.one()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), seconds)

    def end(self) -> None:
        """Say no more, once what is being said has been acknowledged."""
        self._is_over.set()


async def _caught_up(record: Record, publish: _Publisher) -> None:
    """Say one thing more, and wait until the client has it."""
    await publish.one()
    began_at = time.monotonic()
    while record.last_sequence < publish.last_sequence and time.monotonic() - began_at < CATCH_UP_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
    record.caught_up_at = record.now()
