"""What the contract tests share: the routes as a table, problem documents, ids, and requests whose body comes late.

Written from Part 1 of the design alone: nothing here asks the server's own code what is right.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings

from tests.conftest import Api
from tests.http import Connection, Response

# For tests in which hypothesis sends requests; what they ask must leave the one server they share as it was.
STORM = settings(
    deadline=None,
    max_examples=60,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Every path of this stage with the methods it has; OPTIONS comes with each.
METHODS = {
    "/sessions": {"GET", "HEAD", "POST"},
    "/sessions/s": {"GET", "HEAD", "PATCH", "DELETE"},
    "/sessions/s/participants": {"GET", "HEAD"},
    "/sessions/s/participants/alice": {"PUT", "DELETE"},
    "/sessions/s/leave": {"POST"},
    "/sessions/s/tickets": {"POST"},
    "/sessions/s/events": {"GET", "HEAD", "POST"},
    "/sessions/s/events/1": {"GET", "HEAD"},
    "/sessions/s/messages": {"GET", "HEAD"},
    "/sessions/s/updates": {"GET", "HEAD"},
    "/auth/cookie": {"POST", "DELETE"},
    "/auth/logout": {"POST"},
    "/diagnostics/network": {"GET", "HEAD"},
    "/diagnostics/reports": {"POST"},
    "/diagnostics/stream": {"GET", "HEAD"},
    "/diagnostics/hold": {"GET", "HEAD"},
    "/diagnostics/payload": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
    "/health/realtime": {"GET", "HEAD"},
    "/healthz": {"GET", "HEAD"},
}
PUBLIC = {"/health/realtime", "/healthz", "/openapi.json"}
# Whoever wants to go may go, whatever has become of the token.
SIGNING_OUT = {("DELETE", "/auth/cookie"), ("POST", "/auth/logout")}


class Route(NamedTuple):
    """One thing a client can ask under a session; the path is what follows ``/sessions/{id}``."""

    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path or '/'}"


MESSAGE = {"type": "message_added", "data": {"content": "hello"}}

SESSION_ROUTES = [
    Route("GET", ""),
    Route("PATCH", "", {"metadata": {"changed": True}}),
    Route("DELETE", ""),
    Route("GET", "/participants"),
    Route("PUT", "/participants/dave", {}),
    Route("DELETE", "/participants/bob"),
    Route("POST", "/leave"),
    Route("POST", "/tickets"),
    Route("POST", "/events", MESSAGE),
    Route("GET", "/events"),
    Route("GET", "/events/1"),
    Route("GET", "/messages"),
    Route("GET", "/updates?timeout=0"),
]


def assert_problem(response: Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document of RFC 9457 with this status, and return it."""
    assert response.status == status, (response.status, response.body)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == status
    assert all(problem[name] and isinstance(problem[name], str) for name in ("type", "title", "detail", "instance"))
    assert "?" not in problem["instance"]
    assert "Traceback" not in problem["detail"]
    return problem


async def state(api: Api, session_id: str = "s") -> dict[str, Any]:
    """Return everything a client can see of a session and of the list of sessions, to compare before and after."""
    at = f"/sessions/{session_id}"
    updates = await api.get(f"{at}/updates?from=earliest&timeout=0")
    return {
        "session": (await api.get(at)).json,
        "participants": (await api.get(f"{at}/participants")).json,
        "events": updates.json if updates.status == 200 else updates.status,
        "sessions": (await api.get("/sessions")).json,
    }


async def events_after(api: Api, sequence: int, session_id: str = "s") -> list[dict[str, Any]]:
    """Return the session's events after a sequence, as a reader gets them; there are at most a page of them."""
    response = await api.get(f"/sessions/{session_id}/updates?lastEventId={sequence}&timeout=0")
    if response.status == 204:
        return []
    assert response.status == 200 and not response.json["hasMore"], response.body
    return response.json["events"]


async def last_sequence(api: Api, session_id: str = "s") -> int:
    return (await api.get(f"/sessions/{session_id}")).json["lastSequence"]


async def status_of(api: Api, method: str, path: str, body: Any = None, *, who: str | None = "service") -> int:
    """Return the status alone: also of a stream, whose body has no end."""
    if (method, path.rpartition("/")[2]) == ("GET", "events"):
        async with Connection(api.port) as connection:
            connection.send(method, f"/api{path}", api.headers(who))
            return (await connection.read_head())[0]
    return (await api.request(method, path, body, who=who)).status


class Id(NamedTuple):
    """What an event's id holds (DESIGN section 2)."""

    timestamp: str
    epoch: int
    sequence: int


def decode_id(text: str) -> Id:
    value = uuid.UUID(text)
    assert str(value) == text and value.version == 7 and value.variant == uuid.RFC_4122
    milliseconds, microseconds = value.int >> 80, value.int >> 64 & 0xFFF
    assert microseconds <= 999
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    timestamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}{microseconds:03d}Z"
    return Id(timestamp, value.int >> 40 & (1 << 22) - 1, value.int & (1 << 40) - 1)


def assert_timestamp(text: str) -> None:
    """Check the one form that times have: ISO 8601, UTC, microseconds, Z."""
    assert len(text) == len("2026-01-31T12:00:00.000001Z")
    datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


class LateBody:
    """A request whose head the server has taken and whose body comes when the test says so, in `finish`.

    ``Expect: 100-continue`` (RFC 9110 section 10.1.1) has the server say when it has checked the head, so the test
    knows where the server stands without waiting.
    """

    def __init__(self, api: Api, method: str, path: str, body: bytes, *, who: str, **headers: str) -> None:
        self._connection = Connection(api.port)
        self._method = method
        self._body = body
        lines = [f"{method} /api{path} HTTP/1.1", "Host: localhost", "Expect: 100-continue"]
        lines += [f"{name}: {value}" for name, value in (api.headers(who) | headers).items()]
        self._head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()

    async def __aenter__(self) -> LateBody:
        await self._connection.__aenter__()
        self._connection.writer.write(self._head)
        status, _ = await self._connection.read_head()
        assert status == 100, "the server did not ask for the body"
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._connection.close()

    async def send(self, part: bytes) -> None:
        """Send what may be less than the body."""
        self._connection.writer.write(part)
        await self._connection.writer.drain()

    async def finish(self) -> Response:
        """Send the body and return the answer."""
        self._connection.writer.write(self._body)
        return await asyncio.wait_for(self._connection.read_response(self._method), 10)


def chunked(body: bytes, size: int = 1 << 14) -> bytes:
    """Return a body in the chunked transfer coding (RFC 9112 section 7.1)."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
