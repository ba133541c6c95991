"""A long poll that comes again with a new cursor is taken on without being read, and told what any other is told.

Each test asks twice on one connection, so that the second poll is taken on, and then changes one thing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time

import pytest

from rtserver.handlers.standing import MAX_STYLES, Standing, cursor_place
from rtserver.handlers.updates import Updates
from tests.conftest import until
from tests.contract import assert_problem
from tests.ways import READ, TAKEN, OnOneConnection, recorded


@pytest.fixture
def ways(monkeypatch):
    return recorded(monkeypatch, Updates, "get", Standing)


class Client(OnOneConnection):
    """Polls on one connection, always in the same words but for the cursor."""

    def __init__(self, api, ways, query="&timeout=20", who="alice", headers=None):
        super().__init__(api, ways, who, headers)
        self.query = query

    async def begin(self):
        """Poll once in the ordinary way, which finds an event."""
        self.cursor = (await self.api.get("/sessions/s")).json["lastEventId"]
        await self.api.publish("first")
        answer = await self.ask()
        assert answer.status == 200 and self.ways[-1] == READ
        self.ways.clear()
        return self

    def send(self, **headers):
        target = f"/api/sessions/s/updates?lastEventId={self.cursor}{self.query}"
        self.connection.send("GET", target, self.headers | headers)

    async def read(self):
        answer = await asyncio.wait_for(self.connection.read_response("GET"), 10)
        self.cursor = answer.headers.get("last-event-id", self.cursor)
        return answer

    async def ask(self, **headers):
        self.send(**headers)
        return await self.read()

    async def wait(self):
        """Have a poll taken on that waits."""
        before = self.api.hub.polls.waiting
        self.send()
        await until(lambda: self.api.hub.polls.waiting == before + 1)
        assert self.ways == [TAKEN]


@pytest.fixture
def client(io_loop, api, ways):
    client = Client(api, ways)
    io_loop.run_sync(client.__aenter__)
    yield io_loop.run_sync(client.begin)
    io_loop.run_sync(client.connection.close)


def contents(answer):
    body = gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body
    return [event["data"]["content"] for event in json.loads(body)["events"]]


async def test_a_poll_that_was_taken_on_is_told_the_next_event(api, client):
    await client.wait()
    await api.publish("second")
    answer = await client.read()
    assert answer.status == 200 and contents(answer) == ["second"]
    assert api.hub.polls.waiting == 0 and not api.hub.polls._open and not api.hub.registry.peek("s").polls


async def test_it_is_told_what_a_poll_that_is_read_is_told(api, client, ways):
    other = asyncio.ensure_future(api.poll(f"lastEventId={client.cursor}&timeout=20"))
    await until(lambda: api.hub.polls.waiting == 1)
    await until(lambda: ways == [READ])
    ways.clear()
    await client.wait()
    await api.publish("second")
    answer, expected = await client.read(), await other
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert answer.headers | {"date": ""} == expected.headers | {"date": ""}


async def test_what_has_come_meanwhile_is_told_at_once(api, client, ways):
    await api.publish("second")
    await api.publish("third")
    assert contents(await client.ask()) == ["second", "third"]
    assert ways == [TAKEN]


async def test_many_events_are_told_once_and_in_order(api, client, ways):
    """P2."""
    seen = []
    for number in range(30):
        if number % 3 == 0:
            client.send()
            await until(lambda: api.hub.polls.waiting == 1)
            await api.publish(str(number))
            seen += contents(await client.read())
        else:
            await api.publish(str(number))
            seen += contents(await client.ask())
    assert seen == [str(number) for number in range(30)]
    assert ways == [TAKEN] * 30


async def test_those_who_wait_together_are_told_in_the_same_bytes_made_once(api, ways, monkeypatch):
    made = []
    say = Updates.say
    clients = [Client(api, ways) for _ in range(20)]
    for client in clients:
        await client.__aenter__()
        await client.begin()
    last = clients[-1].cursor
    for client in clients:
        client.cursor = last
        client.send()
    await until(lambda: api.hub.polls.waiting == 20)
    assert ways == [TAKEN] * 20
    monkeypatch.setattr(Updates, "say", lambda *arguments: made.append(1) or say(*arguments))
    before = api.hub.counters.answered[200], api.hub.counters.answer_bytes
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    await api.publish("to all")
    answers = [await client.read() for client in clients]
    assert [contents(answer) for answer in answers] == [["to all"]] * 20
    assert len({answer.body for answer in answers}) == 1 and len({str(answer.headers) for answer in answers}) == 1
    assert sum(made) == 1
    # Counted as any other; the publish's own answer is a 201.
    assert api.hub.counters.answered[200] - before[0] == 20
    assert api.hub.counters.answer_bytes - before[1] >= 20 * len(answers[0].body)
    for client in clients:
        await client.connection.close()


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("&timeout=20", {"Accept-Encoding": "gzip"}, "gzip"),
        ("&timeout=20", {"Save-Data": "on"}, "truncated"),
        ("&timeout=20&compact=true", {}, "truncated"),
        ("&timeout=20&eventTypes=note", {}, "nothing"),
        ("&timeout=20&limit=1", {}, "more"),
    ],
)
async def test_who_asks_in_another_style_is_told_in_that(api, client, ways, query, headers, expected):
    """P2: nobody is told what was made for another."""
    other = Client(api, ways, query, headers=headers)
    await other.__aenter__()
    other.cursor = (await api.get("/sessions/s")).json["lastEventId"]
    note = {"type": "note", "data": {"content": "x"}}
    assert (await api.post("/sessions/s/events", note)).status == 201
    assert (await other.ask()).status == 200
    ways.clear()
    client.cursor = other.cursor
    await client.wait()
    other.send()
    await until(lambda: api.hub.polls.waiting == 2)
    assert ways == [TAKEN] * 2
    events = [{"type": "message_added", "data": {"content": "y" * 3000}}] * 2
    assert (await api.post("/sessions/s/events", {"events": events})).status == 201
    plain = await client.read()
    assert contents(plain) == ["y" * 3000] * 2 and "content-encoding" not in plain.headers
    if expected == "nothing":
        assert api.hub.polls.waiting == 1
        assert (await api.post("/sessions/s/events", note)).status == 201
    answer = await other.read()
    if expected == "gzip":
        assert answer.headers["content-encoding"] == "gzip" and gzip.decompress(answer.body) == plain.body
    if expected == "truncated":
        assert all(event["truncated"] and len(event["data"]["content"]) == 200 for event in answer.json["events"])
    if expected == "nothing":
        assert contents(answer) == ["x"]
    if expected == "more":
        assert len(answer.json["events"]) == 1 and answer.json["hasMore"]
    await other.connection.close()


async def test_nothing_within_the_timeout_is_a_204(api, ways):
    async with Client(api, ways, "&timeout=1") as client:
        await client.begin()
        answer = await client.ask()
        assert (answer.status, answer.body, ways) == (204, b"", [TAKEN])
        assert "retry-after" in answer.headers and answer.headers["last-event-id"] == client.cursor
        assert (await client.ask()).status == 204
        assert ways == [TAKEN] * 2


async def test_a_newer_poll_of_the_same_client_replaces_it(api, ways):
    async with Client(api, ways, "&timeout=20&clientId=c") as old, Client(api, ways, "&timeout=20&clientId=c") as new:
        await old.begin()
        await old.wait()
        new.cursor = old.cursor
        new.send()
        answer = await old.read()
        assert (answer.status, answer.headers["poll-replaced"]) == (204, "true")
        await api.publish("second")
        assert contents(await new.read()) == ["second"]


async def test_ai_progress_is_told(api, client):
    await client.wait()
    body = {"type": "ai_progress", "data": {"status": "thinking", "participantId": "ava"}}
    assert (await api.post("/sessions/s/events", body)).status == 202
    answer = await client.read()
    assert [event["type"] for event in answer.json["events"]] == ["ai_progress"]


async def test_the_end_of_a_closed_session_is_said(api, client, ways):
    await client.wait()
    assert (await api.request("PATCH", "/sessions/s", {"status": "closed"})).status == 200
    answer = await client.read()
    assert answer.json["closed"] is True
    assert (await client.ask()).json["closed"] is True


async def test_who_is_removed_while_it_waits_is_told_so(api, client):
    """P6."""
    await client.wait()
    await api.request("DELETE", "/sessions/s/participants/alice")
    assert_problem(await client.read(), 403)
    assert not api.hub.polls._open and api.hub.polls.waiting == 0


async def test_who_has_been_removed_is_read(api, client, ways):
    """P6."""
    api.hub.registry.peek("s").remove("alice")
    assert_problem(await client.ask(), 403)
    assert TAKEN not in ways


async def test_who_is_removed_in_the_moment_of_an_event_is_not_told_it(api, client):
    """P6: what others were told is told to nobody who may not know it."""
    async with Client(api, client.ways, who="bob") as bob:
        await bob.begin()
        client.cursor = bob.cursor
        bob.send()
        await until(lambda: api.hub.polls.waiting == 1)
        client.send()
        await until(lambda: api.hub.polls.waiting == 2)
        session = api.hub.registry.peek("s")
        announce = api.hub.polls.announce

        def remove_first(*arguments, **facts):
            announce(*arguments, **facts)
            session.remove("alice")

        api.hub.polls.announce = remove_first
        await api.publish("secret", who="bob")
        assert contents(await bob.read()) == ["secret"]
        assert_problem(await client.read(), 403)


async def test_a_token_that_has_expired_is_refused(api, client, ways, monkeypatch):
    """P6."""
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    assert_problem(await client.ask(), 401)
    assert TAKEN not in ways


async def test_a_token_that_expires_while_the_poll_waits_ends_it(api, client):
    """P6."""
    await client.wait()
    (poll,) = api.hub.polls._open
    poll.expires_at = 0.0
    poll.wake()
    assert_problem(await client.read(), 401)


async def test_a_poll_waits_no_longer_than_its_token_is_good(api, client, monkeypatch):
    """P6."""
    nearly = time.time() + 3599
    monkeypatch.setattr(time, "time", lambda: nearly)
    assert_problem(await client.ask(), 401)
    assert client.ways == [TAKEN]


async def test_a_session_that_is_deleted_ends_it(api, client):
    await client.wait()
    assert (await api.request("DELETE", "/sessions/s")).status == 204
    assert_problem(await client.read(), 403)


async def test_another_session_of_the_same_name_is_a_gap(api, client):
    """P3."""
    assert (await api.request("DELETE", "/sessions/s")).status == 204
    await api.create()
    await api.publish("first")
    answer = await client.ask()
    assert answer.json["reset"]["reason"] == "epoch" and client.ways == [READ]


@pytest.mark.parametrize(
    "cursor",
    ["0" * 36, "12345678-1234-4234-8234-123456789abc", "00000000-0000-7000-8000-000000000001", "x" * 36],
)
async def test_a_cursor_that_is_none_of_this_session_is_read(api, client, ways, cursor):
    """P3."""
    client.cursor = cursor
    answer = await client.ask()
    assert answer.status == 400 or "reset" in answer.json or answer.json["events"]
    assert TAKEN not in ways


async def test_a_cursor_that_memory_does_not_know_is_read(api, client, ways):
    session = api.hub.registry.peek("s")
    old = client.cursor
    await api.publish("second")
    await api.publish("third")
    session.ring.evict_through(session.last_sequence)
    client.cursor = old
    assert contents(await client.ask()) == ["second", "third"]
    assert ways == [READ]


async def test_what_leaves_memory_while_a_poll_waits_is_told_from_the_store(api, client):
    """P2."""
    await client.wait()
    session = api.hub.registry.peek("s")
    announce = api.hub.polls.announce

    def forget(*arguments, **facts):
        announce(*arguments, **facts)
        session.ring.evict_through(session.ring.last)

    api.hub.polls.announce = forget
    await api.publish("second")
    assert contents(await client.read()) == ["second"]
    assert not api.hub.polls._open and api.hub.polls.waiting == 0


async def test_who_asks_too_often_is_refused(start_server, ways):
    """P4: a poll that is taken on costs as much of what is allowed as any other."""
    api = await start_server(rate_limit=5)
    await api.create()
    async with Client(api, ways) as client:
        await client.begin()
        levels = api.server.api.request_limiter._levels
        before = levels["alice"][0]
        await client.wait()
        assert before - 1 <= levels["alice"][0] <= before - 1 + 1
        levels["alice"] = 9.0, time.monotonic()
        await api.publish("second", who="bob")
        await client.read()
        levels["alice"] = 0.0, time.monotonic()
        assert_problem(await client.ask(), 429)
        assert ways == [TAKEN]


async def test_no_more_polls_wait_than_may(start_server, ways):
    """P4."""
    api = await start_server(max_waiting_polls=1)
    await api.create()
    async with Client(api, ways) as client, Client(api, ways) as other:
        await client.begin()
        await other.begin()
        client.cursor = other.cursor
        await client.wait()
        refused = await other.ask()
        assert_problem(refused, 503)
        assert ways == [TAKEN] * 2 and api.hub.polls.waiting == 1


async def test_shutdown_ends_it_and_its_connection(api, client):
    await client.wait()
    await api.hub.drain(0)
    answer = await client.read()
    assert_problem(answer, 503)
    assert "retry-after" in answer.headers


async def test_the_last_answer_says_that_it_is_the_last(api, client):
    await client.wait()
    api.server._wire.is_closing = True
    await api.publish("second")
    answer = await client.read()
    api.server._wire.is_closing = False
    assert answer.headers["connection"] == "close" and contents(answer) == ["second"]


async def test_a_client_that_goes_leaves_nothing_behind(api, client):
    """P4."""
    await client.wait()
    await client.connection.close()
    await until(lambda: not api.hub.polls._open)
    assert api.hub.polls.waiting == 0 and not api.hub.registry.peek("s").polls
    await api.publish("second")


async def test_what_is_sent_ahead_waits_for_its_turn(api, client):
    await client.wait()
    client.connection.send("GET", "/healthz")
    await api.publish("second")
    assert contents(await client.read()) == ["second"]
    assert (await client.connection.read_response("GET")).status == 200


@pytest.mark.parametrize("headers", [{"Save-Data": "on"}, {"Accept-Encoding": "gzip"}, {"Connection": "close"}])
async def test_other_headers_are_read(api, client, ways, headers):
    await api.publish("second")
    await client.ask(**headers)
    assert ways == [READ]


async def test_other_headers_of_the_same_length_are_read(api, client, ways):
    """What follows the cursor counts as much as what stands before it."""
    await api.publish("second")
    client.headers = {name: value[:-1] + "!" for name, value in client.headers.items()}
    assert_problem(await client.ask(), 401)
    assert TAKEN not in ways


async def test_another_token_is_read(api, client, ways):
    """P6."""
    assert_problem(await client.ask(**api.headers("mallory")), 403)
    assert TAKEN not in ways


async def test_a_client_far_away_still_gathers(api, ways):
    async with Client(api, ways, "&timeout=20&rtt=900") as client:
        await client.begin()
        await api.publish("second")
        await client.ask()
        assert ways == [READ]


async def test_a_look_that_does_not_wait_is_read(api, ways):
    async with Client(api, ways, "&timeout=0") as client:
        await client.begin()
        assert (await client.ask()).status == 204
        assert ways == [READ]


async def test_styles_that_are_kept_are_few(api, client, ways):
    """P4."""
    for number in range(MAX_STYLES + 5):
        async with Client(api, ways, headers={"Accept-Encoding": f"x{number}"}) as other:
            await other.begin()
            await api.publish("next")
            await other.ask()
    assert 0 < len(api.server.api.told) <= MAX_STYLES


ID = "019b0000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("head", "is_found"),
    [
        (f"GET /u?lastEventId={ID} HTTP/1.1\r\n\r\n", True),
        (f"GET /u?a=b&lastEventId={ID}&c HTTP/1.1\r\n\r\n", True),
        (f"GET /u HTTP/1.1\r\nlast-event-id: {ID}\r\n\r\n", True),
        (f"GET /u?xlastEventId={ID} HTTP/1.1\r\n\r\n", False),
        (f"GET /u?LASTEVENTID={ID} HTTP/1.1\r\n\r\n", False),
        (f"GET /u?lastEventId={ID}&x={ID} HTTP/1.1\r\n\r\n", False),
        (f"GET /u?x={ID} HTTP/1.1\r\n\r\n", False),
        (f"GET /u HTTP/1.1\r\nReferer: /?lastEventId={ID}\r\n\r\n", False),
        (f"GET /u HTTP/1.1\r\nX-Last-Event-ID: {ID}\r\n\r\n", False),
        ("", False),
    ],
)
def test_the_cursor_is_found_where_it_counts(head, is_found):
    place = cursor_place(head.encode(), ID)
    assert (place is not None) is is_found
    assert place is None or head[place:].startswith(ID)
