"""What the traffic of one user looks like on each tier: requests, bytes and connections of a tab of Chromium, measured.

``python -m tests.networks.traffic --write`` puts the figures into docs/network-guide.rst.  It counts what passes, as a
firewall would; what the client makes of it is asked elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tornado.httpclient import AsyncHTTPClient

from tests.hostile import Hop
from tests.networks.proxies.real import ROOT
from tests.networks.record import Record
from tests.networks.row import CHROMIUM, LONG_POLL, SHORT_POLL, SSE, Row
from tests.networks.runner import PUBLISHER, READER, open_browser
from tests.networks.visitors import in_chromium
from tests.peers import listening, relay
from tests.process import ServerProcess

GUIDE = ROOT / "docs" / "network-guide.rst"
BEGIN = ".. Figures: written by python -m tests.networks.traffic --write\n"
END = ".. End of the figures\n"
# What keeps a client on a tier: the network lets no better one through.
KEPT_ON = {SSE: ("pass",), LONG_POLL: ("block-streams",), SHORT_POLL: ("block-streams", "cap:0.3")}
CONVERSATIONS = {"quiet": 0.0, "busy": 1.0}  # seconds between two messages
MESSAGE = "x" * 200
FALL_BACK_SECONDS = 60


class Figures(NamedTuple):
    """What passed in a minute; ``connections`` are the most that were open at a time."""

    tier: str
    conversation: str
    requests: float
    sent: float
    received: float
    connections: int


@dataclass
class Counted:
    """One direction of a connection: a reader whose bytes are counted."""

    reader: asyncio.StreamReader
    meter: Meter
    name: str

    async def read(self, count: int) -> bytes:
        piece = await self.reader.read(count)
        setattr(self.meter, self.name, getattr(self.meter, self.name) + len(piece))
        return piece


class Meter:
    """``async with Meter(port) as meter``: passes on what comes to ``meter.url``, and counts it."""

    def __init__(self, upstream_port: int) -> None:
        self.sent = self.received = 0
        self.most_open = self.open = 0
        self.proxy_url = ""
        self._upstream_port = upstream_port

    async def __aenter__(self) -> Meter:
        self._listening = listening(self._serve)
        self.url = f"http://127.0.0.1:{await self._listening.__aenter__()}"
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._listening.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            sent, received = Counted(reader, self, "sent"), Counted(from_server, self, "received")
            await relay(sent, writer, received, to_server)  # type: ignore[arg-type]
        finally:
            self.open -= 1


async def measure(seconds: float) -> list[Figures]:
    """Measure every tier, quiet and busy, for so long; all at once, each with a tab and a network of its own."""
    with tempfile.TemporaryDirectory(prefix="rtserver-traffic-") as directory:
        server = ServerProcess(Path(directory) / "data")
        await asyncio.to_thread(server.start)
        try:
            async with open_browser(True) as chromium:
                kinds = [(tier, conversation) for tier in KEPT_ON for conversation in CONVERSATIONS]
                return await asyncio.gather(*(_measure(server, chromium, *kind, seconds) for kind in kinds))
        finally:
            server.kill()


async def _measure(server: ServerProcess, chromium: Any, tier: str, conversation: str, seconds: float) -> Figures:
    session_id = f"{tier}-{conversation}"
    people = [{"participantId": person} for person in (PUBLISHER, READER)]
    await _post(server, "", {"sessionId": session_id, "participants": people})
    record = Record(Row(conversation, ()), CHROMIUM)
    token = server.headers(READER)["Authorization"].removeprefix("Bearer ")
    async with (
        Hop(server.port, *KEPT_ON[tier]) as hop,
        Meter(hop.port) as meter,
        in_chromium(chromium, meter, token, session_id, record),
    ):
        # In silence: with news a long poll has its answer before the network cuts it.
        async with asyncio.timeout(FALL_BACK_SECONDS):
            while record.tier_at(record.now()) != tier:
                await asyncio.sleep(0.1)
        async with _talking(server, session_id, CONVERSATIONS[conversation]):
            return await _count(record, meter, hop, seconds)


async def _count(record: Record, meter: Meter, hop: Hop, seconds: float) -> Figures:
    # Of the moment at which it settles nothing is counted.
    await asyncio.sleep(min(10, seconds / 4))
    tier = record.tier_at(record.now())
    began_at, sent, received = time.monotonic(), meter.sent, meter.received
    meter.most_open = meter.open
    await asyncio.sleep(seconds)
    minutes = (time.monotonic() - began_at) / 60
    requests = sum(exchange.began_at >= began_at for exchange in hop.exchanges)
    figures = (requests, meter.sent - sent, meter.received - received)
    assert record.tier_at(record.now()) == tier, record.moments
    return Figures(tier, record.row.name, *(figure / minutes for figure in figures), meter.most_open)


@contextlib.asynccontextmanager
async def _talking(server: ServerProcess, session_id: str, every_seconds: float) -> AsyncIterator[None]:
    async def talk() -> None:
        while every_seconds:
            await asyncio.sleep(every_seconds)
            message = {"type": "message_added", "data": {"content": MESSAGE, "participantId": PUBLISHER}}
            await _post(server, f"/{session_id}/events", message)

    talking = asyncio.create_task(talk())
    try:
        yield
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def _post(server: ServerProcess, path: str, document: object) -> None:
    url, headers = f"{server.url}/api/sessions{path}", server.headers("service")
    await AsyncHTTPClient().fetch(url, method="POST", body=json.dumps(document), headers=headers)


def table(figures: list[Figures]) -> str:
    """Return the figures as a table for people."""
    rule = f"{'=' * 10}  {'=' * 12}  {'=' * 17}  {'=' * 13}  {'=' * 17}  {'=' * 16}\n"
    row = "{:<10}  {:<12}  {:<17}  {:<13}  {:<17}  {}\n"
    lines = [
        row.format(each.tier, each.conversation, f"{each.requests:.0f}", _size(each.sent), _size(each.received),
                   each.connections)
        for each in figures
    ]  # fmt: skip
    head = ("tier", "conversation", "requests a minute", "sent a minute", "received a minute", "connections open")
    return "\n" + rule + row.format(*head) + rule + "".join(lines) + rule + "\n"


def _size(count: float) -> str:
    return f"{count:.0f} bytes" if count < 1000 else f"{count / 1000:.1f} KB"


def written(page: str, figures: list[Figures]) -> str:
    """Return the page with these figures in place of those it has."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "the page has no place for figures"
    return before + BEGIN + table(figures) + END + after


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.networks.traffic", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long each is measured")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/network-guide.rst")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.seconds))
    print(table(figures))
    if options.write:
        GUIDE.write_text(written(GUIDE.read_text(), figures))


if __name__ == "__main__":
    main()
