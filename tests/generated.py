"""Thousands of requests that nobody would send on purpose, from a seed, at the real program (P7).

Every address and method, with bodies, parameters and headers that are malformed, huge, nested, of the wrong kind, not
UTF-8, repeated, or good.  What was refused must have had no effect: at the end the session holds exactly what was
acknowledged.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from rtserver.app import routes
from rtserver.handlers.base import BaseHandler, UnknownRoute
from tests.contract import assert_problem
from tests.http import Connection, Response
from tests.process import ServerProcess

CONNECTIONS = 8
ANSWER_SECONDS = 20
WARM_UP = 0.3
UUID = "01997a0e-0000-7000-8000-000000000001"

NUMBERS = [
    "-1",
    "0",
    "1",
    "100",
    "101",
    "9" * 30,
    "-" + "9" * 400,
    "1.5",
    "1e3",
    "NaN",
    "Infinity",
    "\uff10",
    "+1",
    " 1",
    "0x1",
]
TEXTS = [
    *(
        "",
        "s",
        "nope",
        "..",
        ".",
        "a" * 128,
        "a" * 129,
        "a" * 5000,
        "a b",
        "a/b",
        "%",
        "<script>",
        "'; DROP TABLE events;--",
    ),
    *(
        "\x00",
        "\x7f",
        "\u2028",
        "\ufeff",
        "😀",
        "ß",
        "null",
        "true",
        UUID,
        UUID[:-1],
        "2026-01-01T00:00:00Z",
        "earliest",
    ),
]
BYTES = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00"]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**400), 1e308, [], {}, [[]], {"a": {}}),
    *TEXTS,
]
# Bodies that no encoder makes.
RAW = [
    *(
        b"",
        b" ",
        b"{",
        b"}",
        b"[",
        b"nul",
        b'"',
        b"{}x",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xef\xbb\xbf{}",
    ),
    *(b'{"type": "note", "data": {"a": "\xff"}}', b'{"type": "note", "data": {"a": "\\ud800"}}', b'{"a": 1e999999}'),
    *(
        b'{"type": "note", "data": {"a": "\n"}}',
        b'{"type": "note", "data": {"a": "\x00"}}',
        b'{"type":1,"type":"note"}',
    ),
    *(
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"9" * 10_000,
        b'{"data": ' + b"[" * 200 + b"]" * 200 + b"}",
    ),
]
# Every address with what it takes, and some that are nowhere.
ROUTES = {
    pattern.replace("([^/]+)", "{}"): handler.allowed_methods()
    for pattern, handler in routes("")
    if issubclass(handler, BaseHandler) and handler is not UnknownRoute
}
ROUTES |= {"/{}": ["GET", "POST"], "/api/{}": ["GET", "POST"]}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "LINK"]
PARAMETERS = [
    *(
        "limit",
        "after",
        "before",
        "lastEventId",
        "from",
        "eventTypes",
        "clientId",
        "since",
        "batchSize",
        "includeTyping",
    ),
    *("compact", "rtt", "heartbeat", "ticket", "unknown"),
]
HEADERS = [
    *(
        "Last-Event-ID",
        "If-None-Match",
        "If-Modified-Since",
        "Idempotency-Key",
        "Accept",
        "Accept-Encoding",
        "Save-Data",
    ),
    *("RTT", "Origin", "Cookie", "Content-Encoding", "Sec-Fetch-Site", "X-Forwarded-Proto"),
]
TYPES = ["message_added", "note", "typing_indicator", "ai_progress", "connected", "", "A", "a" * 65, "x y"]


@dataclass
class Figures:
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    grown_bytes: int = 0  # resident memory after the warm-up
    grown_descriptors: int = 0
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        refused = sum(count for status, count in self.statuses.items() if status >= 400)
        return (
            f"{self.requests} requests, {refused} refused ({len(self.statuses)} statuses), the slowest answered in "
            f"{1000 * self.slowest_seconds:.0f} ms; after the warm-up memory grew by {self.grown_bytes / 1e6:.1f} MB "
            f"and descriptors by {self.grown_descriptors}; {len(self.violations)} violations"
        )


class Generator:
    def __init__(self, seed: int, server: ServerProcess) -> None:
        self._rng = random.Random(seed)
        self._server = server

    def request(self) -> tuple[str, str, dict[str, str], bytes | None]:
        """Return the next request: method, target, headers, body."""
        rng = self._rng
        pattern = rng.choice(list(ROUTES))
        path = pattern.format(*[self._text("s") for _ in range(pattern.count("{}"))])
        method = rng.choice(ROUTES[pattern] if rng.random() < 0.9 else METHODS)
        pairs = [f"{rng.choice(PARAMETERS)}={self._text()}" for _ in range(rng.choice((0, 0, 1, 1, 2, 5)))]
        if pairs and rng.random() < 0.1:
            pairs.append(pairs[0])
        # Nothing may wait or stream: both are asked elsewhere.
        pairs.append("timeout=0")
        if path.endswith("/events") and method == "GET":
            method = "HEAD"
        return method, f"{path}?{'&'.join(pairs)}", self._headers(), self._body() if method in METHODS[1:4] else None

    def _text(self, usual: str = "") -> str:
        rng = self._rng
        if usual and rng.random() < 0.6:
            return usual
        kind = rng.random()
        if kind < 0.2:
            return quote_from_bytes(rng.choice(BYTES))
        return quote_from_bytes(rng.choice(NUMBERS if kind < 0.5 else TEXTS).encode("utf-8", "surrogatepass"), safe="")

    def _headers(self) -> dict[str, str]:
        rng = self._rng
        who = rng.choice(("service", "service", "alice", "carol"))
        headers = (
            self._server.headers(who) if rng.random() < 0.9 else {"Authorization": rng.choice(("Bearer x", "x", ""))}
        )
        for _ in range(rng.choice((0, 0, 1, 3))):
            value = rng.choice(NUMBERS + TEXTS + ["gzip", "br", "*", "on", "W/" + '"a"'])
            # What is no header at all is the parser's matter, not the contract's.
            headers[rng.choice(HEADERS)] = (
                value.encode().decode("latin1").translate({0: None, 10: None, 13: None, 127: None})
            )
        return headers

    def _body(self) -> bytes:
        rng = self._rng
        kind = rng.random()
        if kind < 0.25:
            return rng.choice(RAW)
        body = rng.choice((self._session, self._event, self._events, self._anything))()
        encoded = json.dumps(body).encode()
        if kind < 0.3:
            return encoded[: rng.randrange(len(encoded) + 1)]
        if kind < 0.33:
            return gzip.compress(encoded)
        return encoded

    def _value(self) -> Any:
        return self._rng.choice(VALUES)

    def _anything(self) -> Any:
        return self._rng.choice((self._value(), [self._value()], {"type": self._value(), "data": self._value()}))

    def _session(self) -> dict[str, Any]:
        people = [{"participantId": self._value(), "kind": self._value()} for _ in range(self._rng.randrange(3))]
        fields = {
            "sessionId": self._value(),
            "metadata": self._value(),
            "participants": people,
            "status": self._value(),
        }
        return {name: value for name, value in fields.items() if self._rng.random() < 0.5}

    def _event(self) -> dict[str, Any]:
        data = {
            "content": self._value(),
            "isTyping": self._value(),
            "status": self._value(),
            "messageId": self._value(),
        }
        kept = {name: value for name, value in data.items() if self._rng.random() < 0.5}
        event = {"type": self._rng.choice(TYPES), "data": kept if self._rng.random() < 0.9 else self._value()}
        return event | ({"messageId": self._value()} if self._rng.random() < 0.3 else {})

    def _events(self) -> dict[str, Any]:
        return {"events": [self._event() for _ in range(self._rng.choice((0, 1, 2, 100, 101)))]}


async def run(data_dir: Path, count: int, seed: int = 0) -> Figures:
    """Send ``count`` generated requests to the real program and return what came of them."""
    figures = Figures()
    with ServerProcess(data_dir, "--log-level", "error") as server:
        await _create(server)
        generator = Generator(seed, server)
        await _send(server, generator, figures, round(count * WARM_UP))
        before = server.resident_bytes(), _descriptors(server)
        await _send(server, generator, figures, count - figures.requests)
        figures.grown_bytes = server.resident_bytes() - before[0]
        figures.grown_descriptors = _descriptors(server) - before[1]
        await _compare(server, figures)
        _, logged = server.stop()
        if "Traceback" in logged:
            figures.violations.append(f"the server's log has {logged[-2000:]}")
    return figures


async def _create(server: ServerProcess) -> None:
    body = {"sessionId": "s", "participants": [{"participantId": "alice"}, {"participantId": "s"}]}
    async with Connection(server.port) as connection:
        answer = await connection.request("POST", "/api/sessions", server.headers("service"), json.dumps(body).encode())
        assert answer.status == 201


async def _send(server: ServerProcess, generator: Generator, figures: Figures, count: int) -> None:
    end = figures.requests + count

    async def work() -> None:
        async with Connection(server.port) as connection:
            while figures.requests < end:
                figures.requests += 1
                if not await _one(connection, generator.request(), figures):
                    # The server closes after some refusals; that is its right.
                    await connection.close()
                    await connection.__aenter__()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


async def _one(
    connection: Connection, request: tuple[str, str, dict[str, str], bytes | None], figures: Figures
) -> bool:
    """Send one request and judge its answer; False if the connection is of no use any more."""
    method, target, headers, body = request
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    try:
        answer = await asyncio.wait_for(connection.request(method, target, headers, body), ANSWER_SECONDS)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        figures.violations.append(f"{method} {target[:200]} {headers} {body!r:.200}: {error!r}")
        return False
    figures.slowest_seconds = max(figures.slowest_seconds, loop.time() - began_at)
    figures.statuses[answer.status] += 1
    if problem := _wrong(method, answer):
        figures.violations.append(f"{method} {target[:200]} {body!r:.200}: {problem}")
    return answer.headers.get("connection", "").lower() != "close"


def _wrong(method: str, answer: Response) -> str:
    """Return what is wrong with an answer."""
    if answer.status >= 500:
        return f"{answer.status} {answer.body[:300]!r}"
    if answer.status >= 400 and method != "HEAD" and "content-encoding" not in answer.headers:
        try:
            assert_problem(answer, answer.status)
        except AssertionError as error:
            return f"{answer.status} is not in the contract's shape: {error}"
    return ""


async def _compare(server: ServerProcess, figures: Figures) -> None:
    """Find what refused requests have done: numbers and stored events must still fit together."""
    async with Connection(server.port) as connection:
        listed = await connection.request("GET", "/api/sessions?limit=100", server.headers("service"))
        for session in listed.json["sessions"]:
            seen, query = [], "lastEventId=0"
            while True:
                target = f"/api/sessions/{session['sessionId']}/updates?timeout=0&{query}"
                page = await connection.request("GET", target, server.headers("service"))
                if page.status == 204:
                    break
                seen += [event["sequence"] for event in page.json["events"]]
                query = f"lastEventId={page.json['lastEventId']}"
                if not page.json["hasMore"]:
                    break
            if seen != list(range(1, session["lastSequence"] + 1)):
                figures.violations.append(f"session {session['sessionId']} has {len(seen)} events, not in order")


def _descriptors(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))
