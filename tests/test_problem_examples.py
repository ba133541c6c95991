"""The examples on the problems' pages are what happens: each is sent, and answered as its page says (DESIGN 4.8)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from rtserver import errors, schema
from rtserver.framing import MAX_HEAD_BYTES, MAX_TARGET_BYTES
from rtserver.problems import EXPLANATIONS, Explanation
from rtserver.terms import Timeouts
from tests.conftest import Api, until
from tests.contract import MESSAGE, assert_problem
from tests.http import Connection, Response

# Only their kinds are answered; and a defect nobody knows of.
NEVER_SENT = {errors.RequestError, errors.TooMany, errors.Unavailable, errors.Internal}


@asynccontextmanager
async def nothing(api: Api) -> AsyncIterator[None]:
    yield


def status(value: str) -> Callable:
    @asynccontextmanager
    async def has_status(api: Api) -> AsyncIterator[None]:
        await api.request("PATCH", "/sessions/case-1", {"status": value})
        yield

    return has_status


@asynccontextmanager
async def key_was_used(api: Api) -> AsyncIterator[None]:
    note = {"type": "note", "data": {}}
    assert (await api.post("/sessions/case-1/events", note, headers={"Idempotency-Key": "k1"})).status == 201
    yield


@asynccontextmanager
async def a_stream_is_open(api: Api) -> AsyncIterator[None]:
    async with api.stream(session_id="case-1") as stream:
        assert stream.status == 200
        yield


@asynccontextmanager
async def a_probe_runs(api: Api) -> AsyncIterator[None]:
    async with Connection(api.port) as connection:
        connection.send("GET", "/api/diagnostics/hold?seconds=60", api.headers("alice"))
        await until(lambda: api.hub.probes.count)
        yield


@asynccontextmanager
async def much_was_asked(api: Api) -> AsyncIterator[None]:
    async with Connection(api.port) as connection:
        while (await api.poll("timeout=0", session_id="case-1", connection=connection)).status != 429:
            pass
    yield


@asynccontextmanager
async def draining(api: Api) -> AsyncIterator[None]:
    await api.hub.drain(0)
    yield


@asynccontextmanager
async def disk_is_full(api: Api) -> AsyncIterator[None]:
    await api.core._store_worker.call(api.core._store._connection.execute, "PRAGMA max_page_count = 1")
    for body in ({"type": "note", "data": {"text": "x" * 60_000}}, MESSAGE):
        while (await api.post("/sessions/case-1/events", body)).status != 507:
            pass
    yield


@asynccontextmanager
async def disk_is_locked(api: Api) -> AsyncIterator[None]:
    await api.core._store_worker.call(api.core._store._connection.execute, "PRAGMA busy_timeout = 0")
    with closing(schema.connect(Path(api.server.config.data_dir) / "rtserver.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def no_time(api: Api) -> AsyncIterator[None]:
    api.server._wire.timeouts = Timeouts(head=0, body=0)
    yield


class Situation(NamedTuple):
    """Who asks, and what has to be so before."""

    who: str | None = "service"
    before: Callable = nothing
    settings: dict[str, int] = {}


SITUATIONS = {
    errors.Malformed: Situation(),
    errors.Unauthorized: Situation(None),
    errors.InvalidToken: Situation(None),
    errors.TokenExpired: Situation(None),
    errors.InvalidTicket: Situation(None),
    errors.Forbidden: Situation(None),
    errors.NotAParticipant: Situation("alice"),
    errors.CrossSiteWrite: Situation(None),
    errors.NotFound: Situation(),
    errors.SessionNotFound: Situation(),
    errors.ParticipantNotFound: Situation(),
    errors.EventNotFound: Situation(),
    errors.MethodNotAllowed: Situation(),
    errors.NotAcceptable: Situation(),
    errors.SessionExists: Situation(),
    errors.SessionPaused: Situation("alice", status("paused")),
    errors.SessionClosed: Situation(before=status("closed")),
    errors.TooManyParticipants: Situation(settings={"max_participants": 1}),
    errors.RequestTimeout: Situation(before=no_time),
    errors.TooLarge: Situation(),
    errors.AddressTooLong: Situation(),
    errors.HeadTooLarge: Situation(),
    errors.UnsupportedEncoding: Situation(),
    errors.IdempotencyMismatch: Situation(before=key_was_used),
    errors.RateLimited: Situation("alice", much_was_asked, {"rate_limit": 2}),
    errors.TooManyStreams: Situation("alice", a_stream_is_open, {"max_streams_per_participant": 1}),
    errors.TooManyProbes: Situation("alice", a_probe_runs, {"max_probes_per_participant": 1}),
    errors.Draining: Situation(before=draining),
    errors.Overloaded: Situation(before=a_stream_is_open, settings={"max_streams": 1}),
    errors.StorageFailing: Situation(before=disk_is_locked),
    errors.StorageFull: Situation(before=disk_is_full),
}


def test_every_problem_that_is_answered_has_its_example_sent():
    assert set(SITUATIONS) == set(EXPLANATIONS) - NEVER_SENT


@pytest.mark.parametrize("kind", SITUATIONS, ids=lambda kind: kind.__name__)
async def test_the_example_of_a_page_is_answered_as_the_page_says(start_server, kind):
    """P7."""
    situation, page = SITUATIONS[kind], EXPLANATIONS[kind]
    api = await start_server(**situation.settings)
    await api.create("case-1", ("alice",))

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(situation.before(api))
        answer = await send(api, page, situation.who)

    problem = assert_problem(answer, kind.status)
    assert problem["type"] == f"/problems/{kind.slug}"
    assert plain(problem["detail"]) == plain(page.detail)


async def send(api: Api, page: Explanation, who: str | None) -> Response:
    """Send a request as a page shows it: a line, headers, an empty line, a body; who asks is in it, or ``who``."""
    head, _, body = page.request.partition("\n\n")
    first, *lines = head.split("\n")
    method, target = first.split()
    headers = dict(line.split(": ", 1) for line in lines)
    for name, value in headers.items():
        expired = api.token("alice", ttl_seconds=-60)
        value = value.replace("Bearer eyJ...", f"Bearer {expired}").replace("eyJ...", api.token("alice"))
        headers[name] = value.replace("<a participant's>", api.token("alice"))
        headers[name] = headers[name].replace("aaa...", "a" * MAX_HEAD_BYTES)
    target = target.replace("aaa...", "a" * MAX_TARGET_BYTES)
    if "did not come" not in page.detail:
        body = body or " " * int(headers.pop("Content-Length", 0))
    return await api.request(method, target.removeprefix("/api"), body.encode() or None, who=who, headers=headers)


def plain(detail: str) -> str:
    """Return a detail without its numbers, which depend on settings, and without what SQLite calls the trouble."""
    return re.sub(r"\(SQLITE_\w+\)", "(SQLITE)", re.sub(r"[0-9]+(\.[0-9]+)?", "0", detail))
