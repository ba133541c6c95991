"""Thousands of generated requests to the real program: each is answered, in shape; what is refused does nothing (P7).

Several senders, each with a session of its own and one request at a time, so that what a session holds is known after
each: the same as before a refusal, and what an answer acknowledged otherwise.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtserver.auth import Role, make_token, read_secret
from rtserver.problems import PAGES
from tests.contract import assert_problem
from tests.http import Connection, Response
from tests.process import ServerProcess
from tests.spoilt import PEOPLE, Generator, Operation, Request

SENDERS = 8
ANSWER_SECONDS = 20
SETTLE_SECONDS = 5
WARM_UP = 0.3
MAX_DETAIL = 1000  # a refusal says what was found, not all of it
WRITES = ("POST", "PUT", "PATCH", "DELETE")
# What is refused must come with these.
NEEDED = {401: "www-authenticate", 405: "allow", 429: "retry-after"}
# Heads that no HTTP client sends; what is no HTTP may be answered with less than a problem document.
HEADS = [
    *(b"", b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET /healthz\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    *(
        b"%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % pair
        for pair in [
            *((b"GET /health z", b""), (b"GET http://[::1/healthz", b""), (b"CONNECT x:443", b""), (b"OPTIONS *", b"")),
            *((b"GET /healthz?\xff\xc3=\x80", b""), (b"GET ?a", b""), (b"GET /healthz?" + b"a" * 70_000, b"")),
            *((b"GET /healthz", b"X: a\x00b\r\n"), (b"GET /healthz", b"X: a\r\n b\r\n"), (b"GET /healthz", b"Xab\r\n")),
            *((b"GET /healthz", b"X: " + b"a" * 70_000 + b"\r\n"), (b"GET /healthz", b"X: a\r\n" * 3000)),
            *((b"GET /api/sessions", b"Cookie: rt_token=\xff\x80; a=\xc3\r\n"), (b"GET /healthz", b"Expect: x\r\n")),
            *((b"POST /api/sessions", b"Content-Length: %b\r\n" % n) for n in (b"-1", b"+1", b"9" * 30, b"1, 2", b"x")),
            (b"POST /api/sessions", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
            (b"POST /api/sessions", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            (b"POST /api/sessions", b"Transfer-Encoding: gzip\r\n\r\n0\r\n"),
        ]
    ),
]  # fmt: skip


@dataclass
class Figures:
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    taken: Counter[Operation] = field(default_factory=Counter)  # requests that were answered with 2xx
    violations: list[str] = field(default_factory=list)
    grown_bytes: int = 0  # resident memory after the warm-up
    grown_descriptors: int = 0
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        refused = sum(count for status, count in self.statuses.items() if status >= 400)
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.requests} requests, {refused} refused ({statuses}), the slowest answered in "
            f"{1000 * self.slowest_seconds:.0f} ms; after the warm-up memory grew by {self.grown_bytes / 1e6:.1f} MB "
            f"and descriptors by {self.grown_descriptors}; {len(self.violations)} violations"
        )


async def run(data_dir: Path, count: int, seed: int = 0) -> Figures:
    """Send ``count`` generated requests to the real program and return what came of them."""
    figures = Figures()
    # Few events in memory, so that it does not grow by what is published; a poll may wait a second.
    settings = ("--log-level", "error", "--ring-events", "50", "--poll-timeout", "1")
    with ServerProcess(data_dir, *settings) as server:
        senders = [Sender(server, f"session-{number}", f"{seed}/{number}", figures) for number in range(SENDERS)]
        await _together(senders, figures, round(count * WARM_UP))
        before = server.resident_bytes(), await _descriptors(server, 0)
        await _together(senders, figures, count)
        figures.grown_bytes = server.resident_bytes() - before[0]
        figures.grown_descriptors = await _descriptors(server, before[1]) - before[1]
        await _compare(server, senders, figures)
        status, logged = server.stop()
        if status or "Traceback" in logged:
            figures.violations.append(f"the server ended with {status} and logged {logged[-2000:]}")
    return figures


async def _together(senders: list[Sender], figures: Figures, until: int) -> None:
    await asyncio.gather(*(sender.send(until) for sender in senders))


async def _descriptors(server: ServerProcess, expected: int) -> int:
    """Return how many are open, once those of closed connections have been closed there, too."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        is_settled = found <= expected if expected else found < SENDERS * 2
        if is_settled or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


async def _compare(server: ServerProcess, senders: list[Sender], figures: Figures) -> None:
    """Look whether anything is there that nobody was told of, and everything that somebody was."""
    async with Connection(server.port) as connection:
        listed = await connection.request("GET", "/api/sessions?limit=100", server.headers("service"))
        if {session["sessionId"] for session in listed.json["sessions"]} != {sender.session_id for sender in senders}:
            figures.violations.append(f"there are other sessions than were made: {listed.body[:1000]!r}")
        for sender in senders:
            target = f"/api/sessions/{sender.session_id}/updates?timeout=0&lastEventId="
            ids, place = [], "0"
            while True:
                page = await connection.request("GET", target + place, server.headers("service"))
                if page.status == 204 or not page.json["events"]:
                    break
                ids += [event["id"] for event in page.json["events"]]
                place = page.json["lastEventId"]
            if len(ids) != sender.snapshot["lastSequence"] or not sender.published <= set(ids):
                figures.violations.append(f"{sender.session_id} has {len(ids)} events and not what was acknowledged")


class Sender:
    """One connection, one session, and what must be in it."""

    def __init__(self, server: ServerProcess, session_id: str, seed: str, figures: Figures) -> None:
        self.session_id = session_id
        self.snapshot: dict[str, Any] = {}
        self.published: set[str] = set()  # the ids of its events that an answer named
        self._server = server
        self._figures = figures
        self._rng = random.Random(seed)
        self._generator = Generator(self._rng, session_id, credentials(server))
        self._service = server.headers("service")

    async def send(self, until: int) -> None:
        """Send requests until so many have been sent by all."""
        async with Connection(self._server.port) as self._connection:
            if not self.snapshot:
                await self._create()
            while self._figures.requests < until:
                self._figures.requests += 1
                chance = self._rng.random()
                if chance < 0.02:
                    await self._send_head(self._rng.choice(HEADS))
                    continue
                request = self._generator.request()
                try:
                    if chance < 0.03:
                        await self._abandon(request)
                    else:
                        await self._ask(request)
                except (TimeoutError, OSError, asyncio.IncompleteReadError, AssertionError, ValueError) as error:
                    self._figures.violations.append(f"{request}: {error!r:.500}")
                    await self._reconnect()

    async def _create(self) -> None:
        body = {"sessionId": self.session_id, "participants": [{"participantId": name} for name in PEOPLE[:2]]}
        answer = await self._connection.request("POST", "/api/sessions", self._service, json.dumps(body).encode())
        assert answer.status == 201, answer.body
        self.snapshot, self.published = answer.json, set()

    async def _reconnect(self) -> None:
        await self._connection.close()
        await self._connection.__aenter__()

    async def _ask(self, request: Request) -> None:
        """Send one request, judge its answer, and look what it has done."""
        began_at = time.monotonic()
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self._answer(request)
        self._figures.slowest_seconds = max(self._figures.slowest_seconds, time.monotonic() - began_at)
        self._figures.statuses[answer.status] += 1
        if answer.status < 300 and request.method in (request.operation.method, "HEAD"):
            self._figures.taken[request.operation] += 1
        self._figures.violations += [f"{request}: {answer.status} {each}" for each in wrong(request, answer)]
        # An event stream ends with its connection; so do some refusals.
        if answer.headers.get("connection") == "close" or "transfer-encoding" in answer.headers:
            await self._reconnect()
        if request.method in WRITES:
            await self._look(request, answer)

    async def _answer(self, request: Request) -> Response:
        connection = self._connection
        connection.send(request.method, request.target, request.headers, request.body)
        status, headers = await connection.read_head()
        if headers.get("content-type") != "text/event-stream" or request.method == "HEAD":
            return await connection.read_rest(request.method, status, headers)
        first = await connection.read_chunk()
        is_probe = "/diagnostics/" in request.target
        assert (b"event: chunk\ndata: " if is_probe else b"retry: 5000\n\nevent: connected\n") in first, first
        return Response(status, headers, first)

    async def _look(self, request: Request, answer: Response) -> None:
        """Compare the session with what the answer to a write says of it."""
        path = request.target.partition("?")[0]
        if path == "/api/sessions" and answer.status == 201:
            # It must be possible to take back what was made.
            made = decoded(answer)["sessionId"]
            gone = await self._connection.request("DELETE", f"/api/sessions/{made}", self._service)
            assert gone.status == 204, (made, gone.status)
        own = f"/api/sessions/{self.session_id}"
        if request.method == "DELETE" and path == own and answer.status == 204:
            await self._create()
            return
        found = await self._connection.request("GET", own, self._service)
        assert found.status == 200, found.body
        before, self.snapshot = self.snapshot, found.json
        is_about_it = answer.status < 300 and path.startswith(own)
        added = self._added(request, path.removeprefix(own), answer, before) if is_about_it else None
        if added is None and self.snapshot != before:
            self._figures.violations.append(f"{request}: {answer.status}, and yet {before} became {self.snapshot}")
        if added is not None and self.snapshot["lastSequence"] != before["lastSequence"] + added:
            last = before["lastSequence"], self.snapshot["lastSequence"]
            self._figures.violations.append(f"{request}: {answer.status}, {added} events, and yet {last}")

    def _added(self, request: Request, place: str, answer: Response, before: dict[str, Any]) -> int | None:
        """Return how many events a write has added by what its answer says; None if it has changed nothing at all."""
        if place == "/events":
            if "idempotency-replayed" in answer.headers:
                return None
            new = [event for event in decoded(answer)["events"] if "id" in event and not event.get("replayed")]
            self.published |= {event["id"] for event in new}
            self._generator.last_event_id = decoded(answer)["lastEventId"]
            return len(new) or None
        if place == "/tickets":
            self._generator.ticket = decoded(answer)["ticket"]
            return None
        if request.method == "PATCH":
            return int(decoded(answer)["status"] != before["status"])
        return int(answer.status in (201, 204))

    async def _abandon(self, request: Request) -> None:
        """Leave before the answer comes, and in the middle of what would change anything."""
        is_half = request.method in WRITES
        headers = request.headers | ({"Content-Length": "100"} if is_half else {})
        self._connection.send(request.method, request.target, headers)
        if is_half:
            self._connection.writer.write(b"{")
        await self._reconnect()

    async def _send_head(self, head: bytes) -> None:
        async with Connection(self._server.port) as connection:
            connection.writer.write(head)
            connection.writer.write_eof()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await connection.reader.read(1 << 16)
            except OSError:
                return
            except TimeoutError:
                self._figures.violations.append(f"{head[:100]!r} has no answer")
                return
            if answer and not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")):
                self._figures.violations.append(f"{head[:100]!r}: {answer[:300]!r}")


def credentials(server: ServerProcess) -> dict[str, dict[str, str]]:
    """Return what requests may be sent with: of people who may more or less, and of nobody."""
    secret = read_secret(server.data_dir)
    found = {who: server.headers(who) for who in ("service", "alice", "carol")}
    alice = found["alice"]["Authorization"].partition(" ")[2]
    spoilt = [alice[:-3] + "AAA", "x", "", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0."]
    found |= {f"bad {number}": {"Authorization": f"Bearer {token}"} for number, token in enumerate(spoilt)}
    expired = make_token(secret, "alice", Role.PARTICIPANT, -60)
    return found | {
        "expired": {"Authorization": f"Bearer {expired}"},
        "basic": {"Authorization": "Basic YTpi"},
        "nobody": {},
        "cookie": {"Cookie": f"rt_token={alice}", "Sec-Fetch-Site": "same-origin"},
        "cookie elsewhere": {"Cookie": f"rt_token={alice}", "Sec-Fetch-Site": "cross-site"},
        "bad cookie": {"Cookie": "rt_token=x"},
    }


def wrong(request: Request, answer: Response) -> Iterator[str]:
    """Yield what is wrong with an answer, whatever was asked."""
    if not 200 <= answer.status < 500:
        yield repr(answer.body[:300])
    elif answer.status < 400:
        if answer.headers.get("content-type") == "application/json" and answer.body:
            decoded(answer)
    elif request.method != "HEAD":
        plain = Response(answer.status, answer.headers, _inflated(answer))
        problem = assert_problem(plain, answer.status)
        if problem["type"].removeprefix("/problems/") not in PAGES:
            yield f"type {problem['type']}"
        if len(problem["detail"]) > MAX_DETAIL:
            yield f"a detail of {len(problem['detail'])} characters"
    if answer.status in NEEDED and NEEDED[answer.status] not in answer.headers:
        yield f"without {NEEDED[answer.status]}"


def decoded(answer: Response) -> Any:
    """Return the JSON of an answer, strictly."""
    return json.loads(_inflated(answer), parse_constant=lambda name: _refuse(name))


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _inflated(answer: Response) -> bytes:
    return gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body
