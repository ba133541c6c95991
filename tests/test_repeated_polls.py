"""A short poll that comes again in the same bytes is answered without being read, and never when anything has changed.

Each test here asks twice on one connection, changes one thing, and asks a third time.
"""

from __future__ import annotations

import time

import pytest

from rtserver.handlers.unchanged import Unchanged
from rtserver.handlers.updates import Updates
from tests.conftest import until
from tests.contract import assert_problem
from tests.http import Connection
from tests.ways import READ, TAKEN, recorded


@pytest.fixture
def ways(monkeypatch):
    return recorded(monkeypatch, Updates, "get", Unchanged)


class Client:
    """Polls on one connection, always in the same bytes."""

    def __init__(self, api, ways, connection, query="", who="alice", headers=None, method="GET"):
        self.api, self.ways, self.connection, self.method = api, ways, connection, method
        self.query = query
        self.headers = api.headers(who) | (headers or {})

    async def begin(self):
        """Ask until the answer is 304 by the short way."""
        snapshot = (await self.api.get("/sessions/s")).json
        target = f"/api/sessions/s/updates?since={snapshot['lastModified']}&lastEventId={snapshot['lastEventId']}"
        self.target = target + self.query
        first = await self.connection.request("GET", self.target, self.headers)
        assert first.status == 200
        self.headers |= {"If-None-Match": first.headers["etag"]}
        self.before = await self.ask()
        assert self.before.status == 304
        self.ways.clear()
        assert (await self.ask()).status == 304
        assert self.ways == [TAKEN]
        self.ways.clear()
        return self

    async def ask(self, **headers):
        return await self.connection.request(self.method, self.target, self.headers | headers)


@pytest.fixture
def client(io_loop, api, ways):
    connection = Connection(api.port)
    io_loop.run_sync(connection.__aenter__)
    yield io_loop.asyncio_loop.run_until_complete(Client(api, ways, connection).begin())
    io_loop.run_sync(connection.close)


async def test_the_answer_is_the_same_as_to_who_is_read(client, ways):
    again = await client.ask()
    assert ways == [TAKEN]
    momentary = {"date": "", "last-modified": "", "poll-interval": ""}
    assert again.headers | momentary == client.before.headers | momentary
    assert set(again.headers) == set(client.before.headers) and again.body == b""


async def test_it_is_dated_anew_each_time(api, client, ways, monkeypatch):
    hours_later = time.time() + 1800
    monkeypatch.setattr(api.hub.writer, "_clock", lambda: round(hours_later * 1e6))
    monkeypatch.setattr(api.hub.polls._pace, "poll_interval", lambda session: 77)
    again = await client.ask()
    assert ways == [TAKEN]
    assert again.headers["date"] > "" and again.headers["date"] != client.before.headers["date"]
    assert again.headers["poll-interval"] == "77"
    # What has not changed for longer than a second says so.
    assert again.headers["last-modified"] != again.headers["date"]


async def test_it_is_counted_as_any_other(api, client, ways):
    counters = api.hub.counters
    before = counters.answered[304], counters.opened["short-poll"], counters.request_seconds.count
    await client.ask()
    after = counters.answered[304], counters.opened["short-poll"], counters.request_seconds.count
    assert ways == [TAKEN]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]


async def test_it_keeps_its_session_in_use(api, client):
    session = api.hub.registry.peek("s")
    session.last_used_at = 0.0
    await client.ask()
    assert session.last_used_at > 0


async def test_a_new_event_is_told(api, client, ways):
    """P2."""
    await api.publish("news")
    answer = await client.ask()
    assert (answer.status, ways) == (200, [READ])
    assert [update["data"]["content"] for update in answer.json["updates"]] == ["news"]


async def test_a_passing_state_is_told(api, client, ways):
    body = {"type": "ai_progress", "data": {"status": "thinking", "participantId": "ava"}}
    assert (await api.post("/sessions/s/events", body)).status == 202
    answer = await client.ask()
    assert (answer.status, ways) == (200, [READ])
    assert [update["type"] for update in answer.json["updates"]] == ["ai_progress"]


async def test_while_a_passing_state_may_be_told_every_poll_is_read(api, client, ways):
    """Typing is nothing to this client; that it ends by itself is a reason to look."""
    body = {"type": "typing_indicator", "data": {"isTyping": True}}
    assert (await api.post("/sessions/s/events", body, who="bob")).status == 202
    assert [(await client.ask()).status for _ in range(3)] == [304] * 3
    assert ways == [READ] * 3
    api.hub.registry.peek("s").passing.clear()
    assert [(await client.ask()).status for _ in range(3)] == [304] * 3
    assert ways[3:] == [READ, TAKEN, TAKEN]


async def test_who_has_been_removed_is_told_so(api, client, ways):
    """P6."""
    assert (await api.request("DELETE", "/sessions/s/participants/alice")).status in (200, 204)
    assert_problem(await client.ask(), 403)
    assert TAKEN not in ways


async def test_who_has_been_removed_is_told_so_even_if_nothing_is_shown_for_it(api, client, ways):
    """P6: before the disk has taken the removal, too."""
    api.hub.registry.peek("s").remove("alice")
    assert_problem(await client.ask(), 403)
    assert TAKEN not in ways


async def test_a_token_that_has_expired_is_refused(client, ways, monkeypatch):
    """P6."""
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    assert_problem(await client.ask(), 401)
    assert TAKEN not in ways


async def test_a_token_is_verified_again_when_the_keys_have_changed(api, client, ways):
    """P6."""
    api.server.api.auth._verified.clear()
    assert (await client.ask()).status == 304
    assert ways == [READ]


async def test_a_session_that_was_deleted_is_gone(api, client, ways):
    assert (await api.request("DELETE", "/sessions/s")).status == 204
    assert_problem(await client.ask(), 403)
    assert TAKEN not in ways


async def test_another_session_of_the_same_name_is_another(api, client, ways):
    """P3."""
    assert (await api.request("DELETE", "/sessions/s")).status == 204
    await api.create()
    answer = await client.ask()
    assert answer.status == 200 and "reset" in answer.json
    assert TAKEN not in ways


async def test_a_session_that_was_closed_is_read(api, client, ways):
    assert (await api.request("PATCH", "/sessions/s", {"status": "closed"})).status == 200
    answer = await client.ask()
    assert answer.status == 200 and [u["type"] for u in answer.json["updates"]] == ["session_status_changed"]
    assert ways == [READ]


async def test_the_end_of_a_closed_session_is_never_answered_again(api, ways):
    assert (await api.request("PATCH", "/sessions/s", {"status": "closed"})).status == 200
    async with Connection(api.port) as connection:
        with pytest.raises(AssertionError):
            await Client(api, ways, connection).begin()
    assert TAKEN not in ways


async def test_a_session_that_left_memory_is_asked_for(api, client, ways):
    session = api.hub.registry.peek("s")
    api.hub.registry.discard(session)
    assert (await client.ask()).status == 304
    assert ways == [READ]


async def test_what_was_trimmed_is_looked_at(api, client, ways):
    """P3."""
    api.hub.registry.peek("s").trimmed_sequence += 1
    await client.ask()
    assert ways == [READ]


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": 'W/"another"'},
        {"Save-Data": "on"},
        {"Origin": "https://elsewhere.example"},
        {"Accept-Encoding": "gzip"},
        {"Last-Event-ID": "0"},
        {"Authorization": ""},
        {"Connection": "close"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_other_headers_are_read(client, ways, headers):
    await client.ask(**headers)
    assert TAKEN not in ways


@pytest.mark.parametrize("more", ["&eventTypes=note", "&limit=1", "&includeTyping=true", "&compact=true", "&x=1"])
async def test_another_question_is_read(client, ways, more):
    client.target += more
    await client.ask()
    assert ways == [READ]


async def test_another_token_is_read(api, client, ways):
    """P6."""
    answer = await client.ask(**api.headers("mallory"))
    assert_problem(answer, 403)
    assert ways == []


async def test_a_request_in_between_ends_it(client, ways):
    await client.connection.request("GET", "/healthz")
    assert (await client.ask()).status == 304
    assert ways == [READ]


async def test_who_asks_too_often_is_refused(start_server, ways):
    """P4: the short way takes from the same bucket, once for each request."""
    api = await start_server(rate_limit=2)
    await api.create()
    async with Connection(api.port) as connection:
        client = await Client(api, ways, connection).begin()
        levels = api.server.api.request_limiter._levels
        # Three have been asked; of six, three are left but for what has come back since.
        before = levels["alice"][0]
        await client.ask()
        assert ways == [TAKEN] and before - 1 <= levels["alice"][0] < before - 0.5
        levels["alice"] = 0.0, time.monotonic()
        refused = await client.ask()
        assert_problem(refused, 429)
        assert ways == [TAKEN] and "retry-after" in refused.headers


async def test_a_poll_that_is_decided_by_a_date_is_read_each_time(api, ways):
    """The clock may step back, and a date is compared with it."""
    snapshot = (await api.get("/sessions/s")).json
    target = f"/api/sessions/s/updates?since={snapshot['lastModified']}&lastEventId={snapshot['lastEventId']}"
    later = round(time.time() + 5) * 1_000_000
    api.hub.writer._clock = lambda: later
    async with Connection(api.port) as connection:
        date = (await connection.request("GET", target, api.headers("alice"))).headers["date"]
        for _ in range(3):
            answer = await connection.request("GET", target, api.headers("alice") | {"If-Modified-Since": date})
            assert answer.status == 304
    assert ways == [READ] * 4


async def test_a_ticket_is_used_once(api, ways):
    """P6."""
    snapshot = (await api.get("/sessions/s")).json
    query = f"since={snapshot['lastModified']}&lastEventId={snapshot['lastEventId']}"
    tag = (await api.poll(query)).headers["etag"]
    ticket = (await api.post("/sessions/s/tickets", who="alice")).json["ticket"]
    target = f"/api/sessions/s/updates?{query}&ticket={ticket}"
    async with Connection(api.port) as connection:
        answers = [await connection.request("GET", target, {"If-None-Match": tag}) for _ in range(3)]
    assert [answer.status for answer in answers] == [304, 401, 401]
    assert TAKEN not in ways


async def test_a_cookie_is_as_good_as_a_header(api, ways):
    async with Connection(api.port) as connection:
        client = Client(api, ways, connection, who=None, headers={"Cookie": f"rt_token={api.token('alice')}"})
        await client.begin()


async def test_requests_that_come_together_are_answered_in_order(client, ways):
    for _ in range(3):
        client.connection.send("GET", client.target, client.headers)
    client.connection.send("GET", "/healthz")
    answers = [await client.connection.read_response("GET") for _ in range(4)]
    assert [answer.status for answer in answers] == [304, 304, 304, 200]


async def test_a_head_in_two_pieces_is_read(client, ways):
    client.connection.writer.write(f"GET {client.target} HTTP/1.1\r\nHost".encode())
    await client.connection.writer.drain()
    await until(lambda: any(each._buffer for each in client.api.server._wire.connections))
    lines = "".join(f"\r\n{name}: {value}" for name, value in client.headers.items())
    client.connection.writer.write(f": 127.0.0.1:{client.api.port}{lines}\r\n\r\n".encode())
    assert (await client.connection.read_response("GET")).status == 304
    assert ways == [READ]


async def test_the_last_answer_before_the_end_says_that_it_is_the_last(client, ways):
    client.api.server._wire.is_closing = True
    answer = await client.ask()
    client.api.server._wire.is_closing = False
    assert answer.headers["connection"] == "close" and ways == [READ]


async def test_a_head_too_long_to_be_kept_is_read_each_time(api, ways):
    """P4."""
    async with Connection(api.port) as connection:
        with pytest.raises(AssertionError):
            await Client(api, ways, connection, headers={"X-Long": "x" * 4096}).begin()
        assert TAKEN not in ways
        kept = [each._again for each in api.server._wire.connections]
        assert kept and kept == [None] * len(kept)


async def test_a_stream_keeps_nothing_of_the_polls_before_it(api, client):
    """P4."""
    (wired,) = [each for each in api.server._wire.connections if each._again]
    headers = client.headers | {"Accept": "text/event-stream"}
    client.connection.send("GET", "/api/sessions/s/events", headers)
    assert (await client.connection.read_head())[0] == 200
    assert wired._again is None
