"""The event stream as 4.4 words it: headers, control events, keeping alive, ending, filters, passing states."""

import asyncio
import json

import pytest

from tests.conftest import until
from tests.http import Connection, parse_block
from tests.readers import sequence_of

NASTY = "CR \r LF \n CRLF \r\n NUL \x00 LS \u2028 end\n\ndata: fake\n\nid: 1\n"


async def raw_head(api, version, query="", headers=()):
    """Open a stream by hand and return its head and the connection."""
    connection = Connection(api.port)
    await connection.__aenter__()
    lines = [f"GET /api/sessions/s/events{query} HTTP/{version}", "Host: x", *headers]
    lines += [f"{name}: {value}" for name, value in api.headers("alice").items()]
    connection.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return (await connection.reader.readuntil(b"\r\n\r\n")).decode(), connection


async def test_the_head_is_what_the_contract_says(api):
    async with api.stream() as stream:
        expected = {
            "content-type": "text/event-stream",
            "cache-control": "no-cache, no-store, no-transform, private",
            "connection": "keep-alive",
            "x-accel-buffering": "no",
            "x-content-type-options": "nosniff",
            "transfer-encoding": "chunked",
        }
        assert stream.status == 200
        assert {name: stream.headers[name] for name in expected} == expected


async def test_the_prelude_is_padding_retry_and_connected(api):
    snapshot = (await api.get("/sessions/s")).json
    async with api.stream("heartbeat=7") as stream:
        padding, retry = (await stream.block()).decode().split("\n")
        assert padding.startswith(":") and len(padding) >= 2048
        assert retry == "retry: 5000"
        connected = await stream.next()
        assert (connected.type, connected.id) == ("connected", snapshot["lastEventId"])
        assert set(connected.data) == {
            "sessionId", "connectionId", "lastEventId", "heartbeatInterval", "maxConnectionTime", "serverTime",
            "features",
        }  # fmt: skip
        assert connected.data["sessionId"] == "s"
        assert connected.data["lastEventId"] == snapshot["lastEventId"]
        assert connected.data["heartbeatInterval"] == 7
        assert connected.data["maxConnectionTime"] == 3600
        assert connected.data["features"] == snapshot["features"]


async def test_connected_names_the_cursor_the_stream_starts_from_and_the_end_of_the_session(api):
    first = await api.publish("one")
    last = await api.publish("two")
    async with api.stream(f"lastEventId={first['sequence']}") as stream:
        connected = await stream.until("connected")
        assert (connected.id, connected.data["lastEventId"]) == (first["id"], last["id"])


async def test_padding_can_be_turned_off(start_server):
    api = await start_server(sse_padding=0)
    await api.create()
    async with api.stream() as stream:
        assert await stream.block() == b"retry: 5000"


async def test_an_event_has_type_id_and_its_data(api):
    async with api.stream() as stream:
        await stream.until("connected")
        entry = await api.publish("hello")
        event = await stream.durable()
        assert (event.type, event.id) == ("message_added", entry["id"])
        assert event.data == {
            "messageId": event.data["messageId"],
            "participantId": "alice",
            "content": "hello",
            "timestamp": entry["timestamp"],
        }


async def test_nothing_in_the_data_breaks_the_framing(api):
    async with api.stream() as stream:
        await api.publish(NASTY)
        body = {"type": "x", "data": {NASTY: [NASTY]}}
        assert (await api.post("/sessions/s/events", body)).status == 201
        first, second = await stream.durable(), await stream.durable()
        assert first.data["content"] == NASTY
        assert second.data == body["data"]


async def test_a_probe_comes_two_seconds_after_connected_and_is_small(api):
    """The two apart prove that nothing between holds the stream back."""
    loop = asyncio.get_running_loop()
    async with api.stream() as stream:
        await stream.until("connected")
        connected_at = loop.time()
        probe = await stream.until("probe")
        assert 1.9 <= loop.time() - connected_at <= 3
        assert set(probe.data) == {"serverTime"} and probe.id is None


async def test_heartbeats_come_at_the_announced_interval_without_an_id(start_server):
    """P5."""
    api = await start_server(heartbeat_interval=1)
    await api.create()
    loop = asyncio.get_running_loop()
    async with api.stream() as stream:
        connected = await stream.until("connected")
        assert connected.data["heartbeatInterval"] == 1
        start, times = loop.time(), []
        for _ in range(3):
            event = await stream.until("heartbeat")
            assert event.id is None and set(event.data) == {"timestamp"}
            times.append(loop.time() - start)
        assert [abs(moment - expected) < 0.5 for moment, expected in zip(times, (1, 2, 3), strict=True)] == [True] * 3


async def test_heartbeats_come_however_much_traffic_there_is(start_server):
    """P5: a watchdog counts on heartbeats alone."""
    api = await start_server(heartbeat_interval=1)
    await api.create()
    async with api.stream() as stream:
        beats = asyncio.create_task(stream.until("heartbeat"))
        while not beats.done():
            await api.publish("busy")


@pytest.mark.parametrize(
    ("value", "status"), [("4", 400), ("5", 200), ("60", 200), ("61", 400), ("5.5", 400), ("x", 400)]
)
async def test_the_heartbeat_can_be_asked_for_between_5_and_60_seconds(api, value, status):
    async with api.stream(f"heartbeat={value}") as stream:
        assert stream.status == status
        if status == 200:
            assert (await stream.until("connected")).data["heartbeatInterval"] == int(value)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200), ("text/*", 200), ("*/*", 200), ("text/html, */*;q=0.1", 200), ("", 200),
        ("application/json", 406), ("text/event-stream;q=0", 406), ("*/*, text/event-stream;q=0.0", 406),
    ],
)  # fmt: skip
async def test_accept_must_not_exclude_event_streams(api, accept, status):
    async with api.stream(headers={"Accept": accept}) as stream:
        assert stream.status == status


async def test_http_10_gets_no_chunks_and_the_close_ends_the_stream(api):
    head, connection = await raw_head(api, "1.0")
    assert "transfer-encoding" not in head.lower()
    assert "Connection: close" in head
    await api.publish("hello")
    await api.request("DELETE", "/sessions/s")
    body = await connection.reader.read()
    blocks = [parse_block(block) for block in body.split(b"\n\n") if block]
    assert [block.type for block in blocks if block.data][-1] == "reconnect"
    assert "message_added" in [block.type for block in blocks]
    await connection.close()


async def test_head_gives_the_headers_and_opens_nothing(api):
    response = await api.request("HEAD", "/sessions/s/events", who="alice")
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
    assert "content-length" not in response.headers
    assert api.hub.streams.count == 0


async def test_a_stream_that_the_reader_leaves_is_forgotten(api):
    async with api.stream() as stream:
        await stream.until("connected")
        assert api.hub.streams.count == 1
    await until(lambda: api.hub.streams.count == 0)
    assert api.hub.counters.ended == {"disconnected": 1}
    assert not api.hub.registry.peek("s").streams


# Filters


async def test_a_filter_lets_only_its_types_and_control_events_through(api):
    async with api.stream("eventTypes=a.b,c&from=earliest") as stream:
        assert (await stream.next()).type == "connected"
        for type in ("x", "a.b", "y", "c", "x"):
            assert (await api.post("/sessions/s/events", {"type": type, "data": {}})).status == 201
        assert [(await stream.durable()).type for _ in range(2)] == ["a.b", "c"]
        assert (await stream.next()).type == "probe"


async def test_a_cursor_that_the_filter_left_behind_is_moved_before_the_heartbeat(start_server):
    """A bare id block: EventSource takes the id and dispatches nothing."""
    api = await start_server(heartbeat_interval=3)
    await api.create()
    async with api.stream("eventTypes=nothing") as stream:
        await stream.until("probe")
        last = await api.publish("filtered out")
        moved = await stream.next()
        assert (moved.data, moved.id) == (None, last["id"])
        assert (await stream.next()).type == "heartbeat"
        # Once is enough.
        assert (await stream.next()).type == "heartbeat"


@pytest.mark.parametrize("types", ["", ",", "a,,b", "A", "a b", "x" * 65, "message_added,"])
async def test_a_malformed_filter_is_refused(api, types):
    """P7."""
    for path in ("events", "updates"):
        assert (await api.get(f"/sessions/s/{path}?timeout=0&eventTypes={types.replace(' ', '%20')}")).status == 400


# Passing states


async def transient(api, type, participant, **fields):
    data = {"participantId": participant, **fields}
    response = await api.post("/sessions/s/events", {"type": type, "data": data})
    assert response.status == 202, response.body
    return response.json


async def test_passing_states_arrive_without_an_id_and_are_not_stored(api):
    async with api.stream() as stream:
        await stream.until("connected")
        answer = await transient(api, "typing_indicator", "bob", isTyping=True)
        assert set(answer["events"][0]) == {"type", "timestamp"}
        event = await stream.next()
        assert (event.type, event.id, event.data) == (
            "typing_indicator",
            None,
            {"participantId": "bob", "isTyping": True},
        )
    assert (await api.get("/sessions/s")).json["lastSequence"] == 2


async def test_current_states_are_sent_once_after_the_replay(api):
    """The latest per type and participant, in the order they were published."""
    await api.publish("before")
    await transient(api, "typing_indicator", "bob", isTyping=True)
    await transient(api, "ai_progress", "ava", status="reading")
    await transient(api, "ai_progress", "ava", status="writing")
    async with api.stream("from=earliest") as stream:
        types = [(await stream.next()) for _ in range(6)]
        assert [event.type for event in types] == [
            "connected", "participant_joined", "participant_joined", "message_added", "typing_indicator", "ai_progress",
        ]  # fmt: skip
        assert types[-1].data["status"] == "writing"
        assert (await stream.next()).type == "probe"


async def test_a_passing_state_never_overtakes_the_durable_batch_ahead_of_it(api):
    async with api.stream() as stream:
        await stream.until("connected")
        for number in range(20):
            await asyncio.gather(
                api.publish(f"m{number}"),
                api.publish(f"n{number}"),
                transient(api, "ai_progress", "ava", status=str(number)),
            )
            batch = {"events": [
                {"type": "a", "data": {"n": number}}, {"type": "ai_progress", "data": {"status": f"in {number}"}},
                {"type": "b", "data": {}},
            ]}  # fmt: skip
            entries = (await api.post("/sessions/s/events", batch)).json["events"]
            assert [sorted(entry) for entry in entries] == [
                ["id", "sequence", "timestamp", "type"], ["timestamp", "type"], ["id", "sequence", "timestamp", "type"],
            ]  # fmt: skip
            seen = [await stream.next() for _ in range(6)]
            at = [event.type for event in seen].index("a")
            # Within one publish the passing state stands behind the durable events that it came with.
            assert {event.type for event in seen[at : at + 3]} == {"a", "b", "ai_progress"}


async def test_a_participant_that_leaves_takes_its_states_along(api):
    await transient(api, "typing_indicator", "bob", isTyping=True)
    await api.request("DELETE", "/sessions/s/participants/bob")
    async with api.stream() as stream:
        await stream.until("connected")
        assert (await stream.next()).type == "probe"


async def test_typing_indicators_can_be_turned_off_altogether(start_server):
    api = await start_server(typing_indicators=False)
    await api.create()
    async with api.stream() as stream:
        connected = await stream.until("connected")
        assert connected.data["features"]["sse"]["typingIndicators"] is False
        await transient(api, "typing_indicator", "bob", isTyping=True)
        await transient(api, "ai_progress", "ava", status="writing")
        assert (await stream.next()).type == "ai_progress"


# Endings


@pytest.fixture
def ended(api):
    """Run ``action`` beside an open stream; return the last event, its retry, and the seconds it took."""

    async def run(action, query="", who="alice"):
        loop = asyncio.get_running_loop()
        async with api.stream(query, who=who) as stream:
            await stream.until("connected")
            start = loop.time()
            await action()
            event = await stream.until("reconnect")
            seconds = loop.time() - start
            assert await stream.next() is None, "the stream goes on after its farewell"
            assert event.id is None and event.retry > 0
            return event.data, seconds

    return run


async def test_removal_ends_the_streams_of_that_participant_alone(api, ended):
    """P6: within a second, with its reason."""
    async with api.stream(who="bob") as other, api.stream(who="service") as service:
        data, seconds = await ended(lambda: api.request("DELETE", "/sessions/s/participants/alice"))
        assert data == {"reason": "removed"} and seconds < 1
        for stream in (other, service):
            assert (await stream.durable()).type == "participant_left"
    assert (await api.get("/sessions/s/events", who="alice")).status == 403


async def test_leaving_ends_ones_own_streams(api, ended):
    """P6."""
    data, seconds = await ended(lambda: api.post("/sessions/s/leave", who="alice"))
    assert data == {"reason": "removed"} and seconds < 1


async def test_deletion_of_the_session_ends_every_stream(api, ended):
    data, seconds = await ended(lambda: api.request("DELETE", "/sessions/s"))
    assert data == {"reason": "session_deleted"} and seconds < 1


async def test_expiry_of_the_token_ends_the_stream(api):
    """P6."""
    loop = asyncio.get_running_loop()
    async with api.stream(headers=api.headers("alice", ttl_seconds=2)) as stream:
        start = loop.time()
        assert (await stream.until("reconnect")).data == {"reason": "token_expired"}
        assert loop.time() - start < 3
        assert await stream.next() is None


async def test_a_stream_ends_between_80_and_100_percent_of_its_time(start_server):
    """P5."""
    api = await start_server(max_connection_time=2)
    await api.create()
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def lifetime():
        async with api.stream() as stream:
            event = await stream.until("reconnect")
            assert event.data == {"reason": "max_connection_time"}
            return loop.time() - start, event.retry

    results = await asyncio.gather(*(lifetime() for _ in range(10)))
    assert all(1.55 <= seconds <= 2.6 for seconds, _ in results)
    assert len({retry for _, retry in results}) > 3, "they would all come back in one wave"


async def test_a_closed_session_delivers_what_is_left_and_ends_its_streams(api, ended):
    first = await api.publish("one")
    await api.publish("two")
    async with api.stream() as live:
        await live.until("connected")
        assert (await api.request("PATCH", "/sessions/s", {"status": "closed"})).status == 200
        changed = await live.next()
        assert (changed.type, changed.data) == (
            "session_status_changed",
            {"status": "closed", "previousStatus": "active"},
        )
        assert (await live.until("reconnect")).data == {"reason": "session_closed"}
    async with api.stream(f"lastEventId={first['id']}") as late:
        assert [(await late.durable()).type for _ in range(2)] == ["message_added", "session_status_changed"]
        assert (await late.until("reconnect")).data == {"reason": "session_closed"}
        assert await late.next() is None
    for query in ("", "?from=now", f"?lastEventId={changed.id}"):
        # 204 tells EventSource to stop.
        assert (await api.get(f"/sessions/s/events{query}", who="alice")).status == 204


async def test_a_reopened_session_streams_again(api):
    for status in ("closed", "active"):
        await api.request("PATCH", "/sessions/s", {"status": status})
    async with api.stream() as stream:
        await stream.until("connected")
        await api.publish("again")
        assert (await stream.durable()).data["content"] == "again"


async def test_draining_tells_streams_and_new_ones_and_spreads_their_return(start_server):
    """P5: not a 503, which would stop a native EventSource for good."""
    api = await start_server(drain_seconds=1)
    await api.create()
    streams = [api.stream() for _ in range(8)]
    for stream in streams:
        await stream.__aenter__()
        await stream.until("connected")
    draining = asyncio.create_task(api.hub.drain(1))
    await until(lambda: api.hub.is_draining)
    assert (await api.get("/health/realtime", who=None)).json["status"] == "draining"
    async with api.stream() as late:
        event = await late.next()
        assert (late.status, event.type, event.data) == (200, "reconnect", {"reason": "shutdown"})
        assert late.retry > 0 and await late.next() is None
    farewells = [await stream.until("reconnect") for stream in streams]
    assert {farewell.data["reason"] for farewell in farewells} == {"shutdown"}
    assert len({farewell.retry for farewell in farewells}) > 4
    await draining
    for stream in streams:
        await stream.close()


async def test_a_stream_opened_at_the_limit_is_refused_and_the_slot_comes_back(start_server):
    """P4: n-1, n, n+1."""
    api = await start_server(max_streams=2)
    await api.create()
    async with api.stream() as first, api.stream() as second:
        assert (first.status, second.status) == (200, 200)
        refused = await api.get("/sessions/s/events", who="alice")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    await until(lambda: api.hub.streams.count < 2)
    async with api.stream() as third:
        assert third.status == 200


async def test_a_secret_is_in_no_stream(api):
    """P6."""
    token = api.token("alice")
    async with api.stream(headers={"Authorization": f"Bearer {token}"}) as stream:
        connected = await stream.until("connected")
        assert token not in json.dumps(connected.data)
        assert sequence_of(connected.id) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_leaves_before_its_stream_is_open_leaves_nothing_behind(api, monkeypatch, caplog, method):
    """P4, P7: it is no mistake of the server's either."""
    asked, gone, really = asyncio.Event(), asyncio.Event(), api.hub.open_at

    async def late(*arguments):
        asked.set()
        await gone.wait()
        return await really(*arguments)

    monkeypatch.setattr(api.hub, "open_at", late)
    async with Connection(api.port) as connection:
        connection.send(method, "/api/sessions/s/events", api.headers("alice"))
        await asked.wait()
    await until(lambda: not api.connections)
    gone.set()
    await until(lambda: not api.hub.streams._kept)

    assert api.hub.streams.count == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
