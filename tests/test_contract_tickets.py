"""Tickets over real sockets (DESIGN 4.1): what they open, for how long, how many, and that nobody writes them down."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import pytest

from rtserver.auth import Principal, Role
from tests.conftest import Api
from tests.contract import assert_problem
from tests.http import Connection, request
from tests.process import ServerProcess

READING = ["", "/participants", "/events/1", "/messages", "/updates?timeout=0", "/updates?since=2020-01-01T00:00:00Z"]


async def ticket_of(api: Api, who: str = "alice", **options: object) -> str:
    answer = await api.post("/sessions/s/tickets", who=who, **options)
    assert answer.status == 201, answer
    return answer.json["ticket"]


def with_ticket(path: str, ticket: str) -> str:
    return f"/sessions/s{path}{'&' if '?' in path else '?'}ticket={ticket}"


@pytest.mark.parametrize("path", READING)
async def test_a_ticket_opens_whatever_can_be_read_of_its_session_once(api, path):
    ticket = await ticket_of(api)
    assert (await api.get(with_ticket(path, ticket), who=None)).status in (200, 204)
    assert_problem(await api.get(with_ticket(path, ticket), who=None), 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", ""), ("DELETE", ""), ("PUT", "/participants/dave"), ("POST", "/events"), ("POST", "/leave")],
)
async def test_not_even_a_ticket_of_a_service_writes(api, method, path):
    """P6."""
    ticket = await ticket_of(api, who="service")
    assert_problem(await api.request(method, with_ticket(path, ticket), {}, who=None), 401)
    assert (await api.get("/sessions/s")).json["participantCount"] == 2


async def test_no_ticket_makes_another(api):
    """P6: else one would last for ever."""
    assert_problem(await api.post(f"/sessions/s/tickets?ticket={await ticket_of(api)}", who=None), 401)


@pytest.mark.parametrize("query", ["ticket={0}&ticket={0}", "ticket={0}&ticket=", "ticket=%00{0}", "ticket={0}%FF"])
async def test_a_ticket_that_is_not_given_as_it_is_opens_nothing(api, query):
    """P6, P7: a bad credential is a 401, whatever is wrong with it."""
    ticket = await ticket_of(api)
    assert_problem(await api.get("/sessions/s?" + query.format(ticket), who=None), 401)


async def test_the_refusal_of_a_ticket_challenges_and_is_readable_from_other_origins(start_server):
    api = await start_server(cors_origins="https://app.example")
    await api.create()
    origin = {"Origin": "https://app.example"}
    answer = await api.get("/sessions/s/events?ticket=used", who=None, headers=origin)
    assert assert_problem(answer, 401)["type"] == "/problems/invalid-ticket"
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    async with api.stream(f"ticket={await ticket_of(api)}", who=None, headers=origin) as stream:
        assert (stream.status, stream.headers["access-control-allow-origin"]) == (200, "https://app.example")


# For how long, and how many


@pytest.mark.parametrize(("age_seconds", "status"), [(29, 200), (30, 401), (31, 401)])
async def test_a_ticket_is_gone_after_half_a_minute(api, age_seconds, status):
    """P6: issued so long ago."""
    alice = Principal("alice", Role.PARTICIPANT, expires_at=time.time() + 3600)
    application(api).tickets.issue("t", alice, "s", time.time() - age_seconds)
    assert (await api.get("/sessions/s?ticket=t", who=None)).status == status


async def test_how_long_a_ticket_is_good_is_a_setting(start_server):
    api = await start_server(ticket_ttl=90)
    await api.create()
    answer = await api.post("/sessions/s/tickets", who="alice")
    assert 85 < datetime.fromisoformat(answer.json["expiresAt"]).timestamp() - time.time() <= 90


async def test_no_ticket_outlives_the_token_it_was_asked_for_with(api):
    """P6: and neither does the stream it opens, which ends when the token does."""
    headers = api.headers("alice", ttl_seconds=2)
    answer = await api.post("/sessions/s/tickets", who=None, headers=headers)
    assert datetime.fromisoformat(answer.json["expiresAt"]).timestamp() - time.time() <= 2
    async with api.stream(f"ticket={answer.json['ticket']}", who=None) as stream, asyncio.timeout(10):
        assert (await stream.until("reconnect")).data["reason"] == "token_expired"


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_so_many_unused_tickets_are_kept(start_server, count):
    """P4."""
    api = await start_server(max_tickets=3)
    await api.create()
    tickets = [await ticket_of(api) for _ in range(count)]
    assert len(application(api).tickets) == min(count, 3)
    statuses = [(await api.get(f"/sessions/s?ticket={ticket}", who=None)).status for ticket in tickets]
    assert statuses == [401] * (count - 3) + [200] * min(count, 3)
    assert len(application(api).tickets) == 0


def application(api: Api):
    return api.server.api


# Nobody writes them down


async def test_the_log_of_the_program_holds_no_ticket_and_no_token(io_loop, tmp_path):
    """P6: nor does Tornado's, which quotes what it cannot read."""
    with ServerProcess(tmp_path, "--log-level", "debug") as server:
        port, token = server.port, server.headers("alice")["Authorization"].removeprefix("Bearer ")
        body = b'{"sessionId":"s","participants":[{"participantId":"alice"}]}'
        await request(port, "POST", "/api/sessions", server.headers("service"), body)
        bearer = {"Authorization": f"Bearer {token}"}
        tickets = []
        for path in ("", "/events", "/updates?limit=x", "/nothing", "/messages?before=x"):
            made = await request(port, "POST", "/api/sessions/s/tickets", bearer)
            tickets.append(made.json["ticket"])
            async with Connection(port) as connection:
                connection.send("GET", f"/api{with_ticket(path, tickets[-1])}")
                await connection.read_head()
        for line, header in (
            (f"GET /api/sessions/s?ticket={tickets[0]} HTTP/1.1", f"Authorization: Bearer {token}\x01"),
            (f"GET /api/sessions/s?ticket={tickets[0]} HTTP/1.1", f"Cookie: rt_token={token}\x7f"),
            (f"GET /api/sessions/s?ticket={tickets[0]} HTTP/3.0", "X: 1"),
            (f"GET /api/sessions/s?ticket={tickets[0]} x HTTP/1.1", "X: 1"),
            (f"TRACE /api/sessions/s?ticket={tickets[0]} HTTP/1.1", f"Authorization: Bearer {token}"),
        ):
            async with Connection(port) as connection:
                connection.writer.write(f"{line}\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n".encode("latin1"))
                assert b" 40" in await connection.reader.readline()
        _, logged = server.stop()

    assert "GET /api/sessions/s/updates 400" in logged
    assert not [secret for secret in (token, *tickets) if secret in logged]
