"""A publish in the words of the last one on its connection is taken without being read, and treated like any other.

Each test publishes once on a connection, so that the next publish is taken, and then changes one thing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
import time

import pytest

from rtserver.errors import StorageFull
from rtserver.handlers.next_publish import NextPublish, mould
from rtserver.handlers.publish import Publish
from tests.conftest import until
from tests.contract import assert_problem
from tests.http import Connection
from tests.ways import READ, TAKEN, OnOneConnection, recorded


@pytest.fixture
def ways(monkeypatch):
    return recorded(monkeypatch, Publish, "post", NextPublish)


class Publisher(OnOneConnection):
    """Publishes on one connection, always in the same words but for the key and the body."""

    def __init__(self, api, ways, who="alice", headers=None):
        super().__init__(api, ways, who, headers)
        self.target = "/api/sessions/s/events"
        self.number = 0

    async def begin(self):
        """Publish once in the ordinary way."""
        answer = await self.publish("first")
        assert answer.status == 201 and self.ways == [READ]
        self.ways.clear()
        self.before = answer
        return self

    def send(self, body, key=None, **headers):
        self.number += 1
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Idempotency-Key": key or f"key {self.number}"}
        self.connection.send("POST", self.target, self.headers | named | headers, encoded)

    async def read(self):
        return await asyncio.wait_for(self.connection.read_response("POST"), 10)

    async def post(self, body, key=None, **headers):
        self.send(body, key, **headers)
        return await self.read()

    async def publish(self, content, key=None, **headers):
        return await self.post({"type": "message_added", "data": {"content": content}}, key, **headers)


@pytest.fixture
def publisher(io_loop, api, ways):
    publisher = Publisher(api, ways)
    io_loop.run_sync(publisher.__aenter__)
    yield io_loop.run_sync(publisher.begin)
    io_loop.run_sync(publisher.connection.close)


def held_back(api, monkeypatch):
    """Have the disk wait for the event that is returned."""
    store, may_go_on = api.hub.writer._store, threading.Event()
    commit = store.commit
    monkeypatch.setattr(store, "commit", lambda *arguments: may_go_on.wait(10) and commit(*arguments))
    return may_go_on


async def contents(api):
    return [
        event["data"]["content"] for event in (await api.poll("from=earliest&eventTypes=message_added")).json["events"]
    ]


async def test_it_is_published_and_answered_like_one_that_is_read(api, publisher, ways):
    """P1, P2."""
    answers = [await publisher.publish("x" * size) for size in (0, 1, 200, 3000)]
    assert ways == [TAKEN] * 4
    assert await contents(api) == ["first", "", "x", "x" * 200, "x" * 3000]
    assert [answer.json["events"][0]["sequence"] for answer in answers] == [4, 5, 6, 7]
    before, same = publisher.before, {"date": "", "content-length": ""}
    for answer in answers:
        assert answer.status == 201 and answer.headers | same == before.headers | same
        assert list(answer.headers) == list(before.headers)
        assert answer.json.keys() == before.json.keys()


async def test_it_is_counted_as_any_other(api, publisher, ways):
    def counted():
        counters = api.hub.counters
        return counters.answered[201], counters.request_seconds.count, counters.request_bytes, counters.answer_bytes

    before = counted()
    answer = await publisher.publish("second")
    body = json.dumps({"type": "message_added", "data": {"content": "second"}})
    assert ways == [TAKEN]
    assert [b - a for a, b in zip(before, counted(), strict=True)] == [1, 1, len(body), len(answer.body)]


async def test_a_repeat_is_answered_as_one(api, publisher, ways):
    """P2: whichever way the first came."""
    first = await publisher.publish("second", "the key")
    again = await publisher.publish("second", "the key")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    async with Connection(api.port) as other:
        publisher.connection, ours = other, publisher.connection
        assert (await publisher.publish("second", "the key")).body == first.body
        publisher.connection = ours
    assert ways == [TAKEN, TAKEN, READ]
    assert await contents(api) == ["first", "second"]
    # And the next one is taken again.
    assert (await publisher.publish("third")).status == 201 and ways[3:] == [TAKEN]


async def test_a_key_with_spaces_around_it_is_the_same_key(api, publisher, ways):
    assert (await publisher.publish("second", "  the key\t")).status == 201
    assert (await publisher.publish("second", "the key")).headers["idempotency-replayed"] == "true"
    assert await contents(api) == ["first", "second"]


async def test_a_key_with_another_body_is_refused(publisher, ways):
    await publisher.publish("second", "the key")
    assert_problem(await publisher.publish("third", "the key"), 422)
    assert ways == [TAKEN, TAKEN]


async def test_without_keys_it_is_taken_as_well(api, ways):
    headers = api.headers("alice")
    async with Connection(api.port) as connection:
        for number in range(3):
            body = json.dumps({"type": "message_added", "data": {"content": f"{number}"}}).encode()
            answer = await connection.request("POST", "/api/sessions/s/events", headers, body)
            assert answer.status == 201
    assert ways == [READ, TAKEN, TAKEN] and await contents(api) == ["0", "1", "2"]


async def test_what_the_disk_does_not_take_is_refused(api, publisher, ways, monkeypatch):
    """P1: 201 is said of nothing that is not durable."""

    def fail(*arguments):
        raise StorageFull("the disk is full")

    commit = api.hub.writer._store.commit
    monkeypatch.setattr(api.hub.writer._store, "commit", fail)
    assert_problem(await publisher.publish("second"), 507)
    monkeypatch.setattr(api.hub.writer._store, "commit", commit)
    assert (await publisher.publish("third")).status == 201
    assert ways == [TAKEN, TAKEN] and await contents(api) == ["first", "third"]


async def test_what_is_more_than_may_wait_is_refused(api, publisher, ways, monkeypatch):
    """P4."""
    monkeypatch.setattr(api.hub.writer, "_max_pending_bytes", 10)
    assert_problem(await publisher.publish("second"), 503)
    assert ways == [TAKEN] and api.hub.registry.peek("s").pins == 0
    monkeypatch.setattr(api.hub.writer, "_max_pending_bytes", 1 << 20)
    assert (await publisher.publish("third")).status == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b'{"type": "probe", "data": {}}', 400),
        (b'{"type": "note", "data": {}}', 403),
        (b'{"type": "message_added", "data": {"content": "%b"}}' % (b"x" * 65536), 413),
    ],
)
async def test_what_is_wrong_is_refused_in_the_ordinary_way(api, publisher, ways, body, status):
    """P7."""
    refused = await publisher.post(body)
    async with Connection(api.port) as other:
        publisher.connection, ours = other, publisher.connection
        expected = await publisher.post(body)
        publisher.connection = ours
    assert_problem(refused, status)
    same = {"date": ""}
    assert (refused.body, refused.headers | same) == (expected.body, expected.headers | same)
    assert ways == [READ, READ] and await contents(api) == ["first"]


async def test_a_body_larger_than_any_may_be_is_refused(start_server, ways):
    """P4, at the limit and a byte above."""
    api = await start_server(max_body_bytes=1024, max_event_bytes=1024)
    await api.create()
    async with Publisher(api, ways) as publisher:
        await publisher.begin()
        body = b'{"type": "message_added", "data": {"content": ""}}'
        assert (await publisher.post(body.ljust(1024))).status == 201
        assert_problem(await publisher.post(body.ljust(1025)), 413)
        assert ways == [TAKEN]


async def test_passing_states_are_answered_as_such(api, publisher, ways):
    answer = await publisher.post({"type": "typing_indicator", "data": {"isTyping": True}})
    assert answer.status == 202 and ways == [TAKEN]
    assert (await publisher.publish("second")).status == 201


@pytest.mark.parametrize(("status", "expected"), [("paused", 409), ("closed", 409)])
async def test_a_session_that_takes_nothing_says_so(api, publisher, ways, status, expected):
    assert (await api.request("PATCH", "/sessions/s", {"status": status})).status == 200
    assert_problem(await publisher.publish("second"), expected)
    assert ways == [TAKEN] and await contents(api) == ["first"]


async def test_who_has_been_removed_is_refused(api, publisher, ways):
    """P6: before the disk has taken the removal, too."""
    api.hub.registry.peek("s").remove("alice")
    assert_problem(await publisher.publish("second"), 403)
    assert TAKEN not in ways


async def test_a_token_that_has_expired_is_refused(publisher, ways, monkeypatch):
    """P6."""
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    assert_problem(await publisher.publish("second"), 401)
    assert TAKEN not in ways


async def test_another_token_is_read(api, publisher, ways):
    """P6."""
    assert_problem(await publisher.publish("second", **api.headers("mallory")), 403)
    assert ways == []


async def test_a_session_that_was_deleted_is_gone(api, publisher, ways):
    assert (await api.request("DELETE", "/sessions/s")).status == 204
    assert_problem(await publisher.publish("second"), 403)
    assert TAKEN not in ways


async def test_a_session_that_is_deleted_before_it_is_written_is_gone(api, publisher, ways, monkeypatch):
    may_go_on = held_back(api, monkeypatch)
    deletion = asyncio.ensure_future(api.request("DELETE", "/sessions/s"))
    await until(lambda: api.hub.writer._flight is not None)
    publisher.send({"type": "message_added", "data": {"content": "second"}})
    await until(lambda: ways == [TAKEN])
    may_go_on.set()
    assert_problem(await publisher.read(), 403)
    assert (await deletion).status == 204


async def test_a_session_that_left_memory_is_asked_for(api, publisher, ways):
    api.hub.registry.discard(api.hub.registry.peek("s"))
    assert (await publisher.publish("second")).status == 201
    assert ways == [READ]


async def test_who_publishes_too_often_is_refused(start_server, ways):
    """P4: a publish that is taken costs as much of what is allowed as any other."""
    api = await start_server(rate_limit=5)
    await api.create()
    async with Publisher(api, ways) as publisher:
        await publisher.begin()
        levels = api.server.api.request_limiter._levels
        levels["alice"] = 1.0, time.monotonic()
        assert (await publisher.publish("second")).status == 201
        assert levels["alice"][0] < 1
        levels["alice"] = 0.0, time.monotonic()
        refused = await publisher.publish("third")
        assert_problem(refused, 429)
        assert ways == [TAKEN] and "retry-after" in refused.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Accept-Encoding": "gzip"},
        {"Connection": "close"},
        {"Content-Length": "0"},
        {"idempotency-key": "two"},
        {"Transfer-Encoding": "chunked"},
        {"X-Forwarded-For": "10.0.0.1"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_other_headers_are_read(publisher, ways, headers):
    await publisher.publish("second", **headers)
    assert TAKEN not in ways


@pytest.mark.parametrize(
    "value", ["a\x01b", "", "x" * 256, "\xe9", "abc\n", "\nabc", "abc\r", "\x0babc", "abc\x1c", "a\nb", "a\n\nb"]
)
async def test_a_key_that_is_none_is_refused(api, publisher, ways, value):
    """P7."""
    publisher.send(b'{"type": "message_added", "data": {"content": "second"}}', **{"Idempotency-Key": value})
    assert_problem(await publisher.read(), 400)
    assert TAKEN not in ways and await contents(api) == ["first"]


@pytest.mark.parametrize("byte", [b"\n", b"\r", b"\0", b" ", b"\t", b"0", b":", b"\r\n", b"\n\n", b"\x0b", b"\xff"])
async def test_what_is_remembered_reads_like_everything_else(api, ways, byte):
    """A second reader that understood a request differently would be a hole (docs/decisions/wire.rst)."""
    first = b"POST /api/sessions/s/events HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n"
    first %= api.headers("alice")["Authorization"].encode()
    body = b'{"type": "message_added", "data": {"content": "x"}}'
    lines = b"Idempotency-Key: %d\r\nContent-Length: %d\r\n\r\n"
    for at in range(len(lines % (100, len(body)))):
        answers = []
        for is_remembered in (True, False):
            async with Connection(api.port) as connection:
                if is_remembered:
                    connection.writer.write(first + lines % (200 + at, len(body)) + body)
                    assert (await connection.read_response("POST")).status in (200, 201)
                changed = lines % (100 + is_remembered, len(body))
                connection.writer.write(first + changed[:at] + byte + changed[at:] + body)
                connection.writer.write_eof()
                answers.append(re.findall(rb"HTTP/1\.1 \d{3}", await connection.reader.read()))
        assert answers[0] == answers[1], (at, changed[:at] + byte + changed[at:])


async def test_a_defect_in_answering_ends_the_connection(api, publisher, ways, monkeypatch, caplog):
    """What was taken has no deadline: nobody waits for ever."""
    monkeypatch.setattr(api.server.api, "note_answer", lambda *facts: 1 / 0)
    publisher.send({"type": "message_added", "data": {"content": "second"}})
    answer = await asyncio.wait_for(publisher.connection.reader.read(), 10)
    assert ways == [TAKEN] and answer.startswith(b"HTTP/1.1 201")
    assert "could not be answered" in caplog.text


async def test_a_gzipped_body_is_read_each_time(api, publisher, ways):
    body = gzip.compress(b'{"type": "message_added", "data": {"content": "second"}}')
    for _ in range(2):
        assert (await publisher.post(body, **{"Content-Encoding": "gzip"})).status == 201
    assert ways == [READ, READ]


async def test_a_long_answer_is_gzipped_for_who_takes_that(api, ways):
    events = [{"type": "message_added", "data": {"content": "x"}}] * 50
    async with Publisher(api, ways, headers={"Accept-Encoding": "gzip"}) as publisher:
        await publisher.begin()
        answer = await publisher.post({"events": events})
        assert answer.headers["content-encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(answer.body))["events"]) == 50
        assert "content-encoding" not in (await publisher.publish("second")).headers
    assert ways == [TAKEN, TAKEN]


async def test_a_long_answer_is_plain_for_all_others(publisher, ways):
    events = [{"type": "message_added", "data": {"content": "x"}}] * 50
    answer = await publisher.post({"events": events})
    assert len(answer.json["events"]) == 50 and "content-encoding" not in answer.headers
    assert ways == [TAKEN]


async def test_who_is_known_by_a_cookie_is_read_each_time(api, ways):
    """P6: where it comes from has to be looked at."""
    headers = {"Cookie": f"rt_token={api.token('alice')}", "Sec-Fetch-Site": "same-origin"}
    async with Publisher(api, ways, who=None, headers=headers) as publisher:
        await publisher.begin()
        assert (await publisher.publish("second")).status == 201
        assert ways == [READ]


async def test_a_body_in_two_pieces_is_read(api, publisher, ways):
    publisher.headers = publisher.headers | {"Idempotency-Key": "k"}
    # What has come is a whole document, and not the whole body.
    body = b'{"type": "message_added", "data": {"content": "second"}}'.ljust(100)
    lines = "".join(f"\r\n{name}: {value}" for name, value in publisher.headers.items())
    head = (
        f"POST {publisher.target} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}{lines}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    publisher.connection.writer.write(head.encode() + body[:80])
    await publisher.connection.writer.drain()
    await until(lambda: any(each._left for each in api.server._wire.connections))
    publisher.connection.writer.write(body[80:])
    assert (await publisher.read()).status == 201
    assert ways == [READ] and await contents(api) == ["first", "second"]


async def test_what_comes_together_is_answered_in_order(api, publisher):
    """P2."""
    for number in range(20):
        publisher.send({"type": "message_added", "data": {"content": f"{number}"}})
    answers = [await publisher.read() for _ in range(20)]
    assert [answer.json["events"][0]["sequence"] for answer in answers] == list(range(4, 24))
    assert await contents(api) == ["first", *map(str, range(20))]


async def test_what_is_sent_ahead_waits_for_its_turn(api, publisher, ways):
    publisher.send({"type": "message_added", "data": {"content": "second"}})
    await until(lambda: ways == [TAKEN])
    publisher.connection.send("GET", "/healthz")
    assert (await publisher.read()).status == 201
    assert (await publisher.connection.read_response("GET")).status == 200


async def test_a_client_that_goes_is_published_all_the_same(api, publisher, ways, monkeypatch, caplog):
    """P1, P4: what was taken is durable whoever waits for the answer, and nothing is left behind."""
    session, may_go_on = api.hub.registry.peek("s"), held_back(api, monkeypatch)
    publisher.send({"type": "message_added", "data": {"content": "second"}})
    await until(lambda: ways == [TAKEN])
    publisher.connection.writer.transport.abort()
    await until(lambda: api.connections == 0)
    may_go_on.set()
    await until(lambda: session.last_sequence == 4 and not session.pins)
    assert await contents(api) == ["first", "second"] and not caplog.records


async def test_the_last_answer_says_that_it_is_the_last(api, publisher, ways, monkeypatch):
    may_go_on = held_back(api, monkeypatch)
    publisher.send({"type": "message_added", "data": {"content": "second"}})
    await until(lambda: ways == [TAKEN])
    api.server._wire.is_closing = True
    may_go_on.set()
    answer = await publisher.read()
    api.server._wire.is_closing = False
    assert answer.status == 201 and answer.headers["connection"] == "close"


HEAD = "POST /e HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + "\r\n",
        HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        HEAD + "Content-Length: 5\r\nIdempotency-Key: a\r\nIDEMPOTENCY-KEY: b\r\n\r\n",
        HEAD + "Idempotency-Key: a\r\n\r\n",
        "",
    ],
)
def test_a_head_without_one_length_and_a_key_at_most_is_not_remembered(head):
    assert mould(head.encode()) is None


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (HEAD + "Content-Length: %L\r\nIdempotency-Key: %K\r\nA: b\r\n\r\n", (b"key", b"12")),
        (HEAD + "idempotency-key: %K\r\nA: b\r\nCONTENT-LENGTH:%L\r\n\r\n", (b"key", b"12")),
        (HEAD + "Content-Length: %L\r\n\r\n", (None, b"12")),
    ],
)
def test_a_head_is_split_where_it_varies(head, found):
    def with_values(key, length):
        return head.replace("%K", key).replace("%L", length).encode()

    known = mould(with_values("another", "3"))
    request = with_values("key", "12")
    assert known.split(request + b"body") == (*found, len(request))
    for at in range(len(request)):
        assert known.split(request[:at]) is None
        changed = request[:at] + b"!" + request[at + 1 :]
        split = known.split(changed)
        # Either it is seen, or it stands in a value and is told as that.
        assert split is None or b"!" in (split[0] or b"") + split[1]
