"""Publishing over HTTP (DESIGN 4.3): what is accepted, what the server adds, what is refused."""

from __future__ import annotations

import uuid
from itertools import count, pairwise

import pytest

from tests.contract import MESSAGE, assert_problem, assert_timestamp, decode_id, events_after, last_sequence, state

AT = "/sessions/s/events"
RESERVED = ["connected", "probe", "heartbeat", "reset", "reconnect", "open", "error", "message"]
TYPING = {"type": "typing_indicator", "data": {"isTyping": True}}
PROGRESS = {"type": "ai_progress", "data": {"status": "thinking", "percent": 5}}


def message(content: str = "hello", **fields: object) -> dict:
    return {"type": "message_added", "data": {"content": content} | fields}


async def test_a_publish_is_answered_with_the_id_that_readers_get(api):
    zero = decode_id((await api.get("/sessions/s")).json["lastEventId"])

    response = await api.post(AT, MESSAGE, who="alice")

    assert response.status == 201
    assert set(response.json) == {"events", "lastEventId"}
    (entry,) = response.json["events"]
    assert set(entry) == {"id", "sequence", "type", "timestamp"}
    assert (entry["sequence"], entry["type"]) == (3, "message_added")
    assert decode_id(entry["id"]) == (entry["timestamp"], zero.epoch, 3)
    assert response.json["lastEventId"] == entry["id"] == (await api.get("/sessions/s")).json["lastEventId"]
    (event,) = await events_after(api, 2)
    assert {name: event[name] for name in entry} == entry
    assert "idempotency-replayed" not in response.headers


async def test_what_a_message_lacks_is_filled_in(api):
    await api.post(AT, message("hi"), who="alice")

    (event,) = await events_after(api, 2)
    data = event["data"]
    assert set(data) == {"messageId", "participantId", "content", "timestamp"}
    assert (data["participantId"], data["content"], data["timestamp"]) == ("alice", "hi", event["timestamp"])
    assert str(uuid.UUID(data["messageId"])) == data["messageId"]


async def test_what_a_message_has_is_kept(api):
    data = {
        "messageId": "any string / at all ☕",
        "participantId": "alice",
        "content": "",
        "timestamp": "2020-01-01T00:00:00.000000Z",
        "attachments": [{"name": None}],
    }

    await api.post(AT, {"type": "message_added", "data": data}, who="alice")

    assert [event["data"] for event in await events_after(api, 2)] == [data]


@pytest.mark.parametrize("claimed", ["bob", "service", "", None, 5, ["bob"], {}], ids=repr)
async def test_participants_speak_only_as_themselves(api, claimed):
    """P6."""
    first = await api.post(AT, message(participantId=claimed), who="alice")
    typing = {"type": "typing_indicator", "data": {"isTyping": True, "participantId": claimed}}
    async with api.stream(who="bob") as stream:
        await stream.until("connected")
        second = await api.post(AT, typing, who="alice")
        seen = await stream.until("typing_indicator")

    assert (first.status, second.status) == (201, 202)
    assert [event["data"]["participantId"] for event in await events_after(api, 2)] == ["alice"]
    assert seen.data == {"isTyping": True, "participantId": "alice"}


@pytest.mark.parametrize("who", ["service", "admin"])
async def test_a_service_speaks_for_whom_it_names_or_as_itself(api, who):
    await api.post(AT, message(participantId="alice"), who=who)
    await api.post(AT, message(), who=who)

    assert [event["data"]["participantId"] for event in await events_after(api, 2)] == ["alice", who]


@pytest.mark.parametrize(
    "type",
    [
        *("participant_joined", "participant_left", "ai_response_ready", "session_status_changed"),
        *("a", "x" * 63, "x" * 64, "order.paid", "a-b_c.9", "messages", "resets", "connected.x"),
    ],
)
async def test_any_other_type_is_an_ordinary_event_with_its_data_untouched(api, type):
    data = {"a": [1, -2.5, None, True, {"b": "ü\r\n\0\u2028\U0001f600"}], "participantId": "x", "big": 2**63 - 1}

    response = await api.post(AT, {"type": type, "data": data, "unknown": 1})

    assert response.status == 201
    assert [(event["type"], event["data"]) for event in await events_after(api, 2)] == [(type, data)]
    assert (await api.get("/sessions/s")).json["status"] == "active"


@pytest.mark.parametrize(
    "type",
    [
        *RESERVED,
        "",
        "x" * 65,
        "A",
        "aB",
        "1a",
        "_a",
        ".a",
        "-a",
        "a b",
        "ä",
        "a\n",
        "a\0",
        "a/b",
        None,
        5,
        True,
        [],
        {},
    ],
    ids=repr,
)
async def test_types_that_streams_cannot_carry_are_refused(api, type):
    """P7."""
    before = await state(api)

    assert_problem(await api.post(AT, {"type": type, "data": {}}), 400)
    assert_problem(await api.post(AT, {"events": [MESSAGE, {"type": type, "data": {}}]}), 400)

    assert await state(api) == before


@pytest.mark.parametrize(
    "type",
    [
        *("participant_joined", "participant_left", "ai_response_ready", "session_status_changed"),
        *("ai_progress", "custom", "message_added.x"),
    ],
)
async def test_participants_publish_messages_and_typing_and_nothing_else(api, type):
    """P6."""
    before = await state(api)
    event = {"type": type, "data": {"content": "x", "status": "x", "participantId": "alice"}}

    assert_problem(await api.post(AT, event, who="alice"), 403)
    assert_problem(await api.post(AT, {"events": [MESSAGE, TYPING, event]}, who="alice"), 403)

    assert await state(api) == before


@pytest.mark.parametrize("size", [1, 2, 99, 100])
async def test_a_batch_is_numbered_in_its_order_without_holes(api, size):
    """P2, P8."""
    response = await api.post(AT, {"events": [message(str(i)) for i in range(size)]}, who="alice")

    assert response.status == 201
    entries = response.json["events"]
    assert [entry["sequence"] for entry in entries] == list(range(3, 3 + size))
    assert all(earlier["timestamp"] < later["timestamp"] for earlier, later in pairwise(entries))
    assert all(earlier["id"] < later["id"] for earlier, later in pairwise(entries))
    assert response.json["lastEventId"] == entries[-1]["id"]
    events = await events_after(api, 2)
    assert [event["data"]["content"] for event in events] == [str(i) for i in range(size)]
    assert [event["id"] for event in events] == [entry["id"] for entry in entries]


@pytest.mark.parametrize(
    "events",
    [[], [MESSAGE] * 101, {}, "x", 5, None, MESSAGE, [None], [[MESSAGE]], ["x"]],
    ids=lambda found: repr(found)[:40],
)
async def test_a_batch_that_is_none_is_refused(api, events):
    """P7."""
    before = await state(api)

    assert_problem(await api.post(AT, {"events": events}), 400)

    assert await state(api) == before


BAD_EVENTS = [
    {},
    {"type": "message_added"},
    {"data": {"content": "x"}},
    {"type": "message_added", "data": None},
    {"type": "message_added", "data": []},
    {"type": "message_added", "data": "x"},
    {"type": "custom", "data": 5},
    {"type": "message_added", "data": {}},
    *({"type": "message_added", "data": {"content": found}} for found in (None, 5, True, [], {}, ["x"])),
    *({**MESSAGE, "messageId": found} for found in ("x" * 129, 5, True, [], {})),
    *(message(messageId=found) for found in ("x" * 129, 5, True, [], {})),
    *({"type": "typing_indicator", "data": found} for found in ({}, {"isTyping": "true"}, {"isTyping": 1}, None)),
    *({"type": "typing_indicator", "data": {"isTyping": found}} for found in (None, [], {})),
]


@pytest.mark.parametrize("event", BAD_EVENTS, ids=lambda found: repr(found)[:70])
async def test_a_bad_event_is_refused_with_all_that_came_with_it(api, event):
    """P7."""
    before = await state(api)

    assert_problem(await api.post(AT, event), 400)
    for place in range(3):
        events = [message("one"), message("two")]
        events.insert(place, event)
        assert_problem(await api.post(AT, {"events": events}), 400)

    assert await state(api) == before


@pytest.mark.parametrize("data", [{}, {"status": None}, {"status": 5}, {"status": ["x"]}, [], None], ids=repr)
async def test_progress_without_a_status_is_refused(api, data):
    """P7."""
    before = await state(api)

    assert_problem(await api.post(AT, {"type": "ai_progress", "data": data}), 400)

    assert await state(api) == before


@pytest.mark.parametrize(
    "found", ["bob/x", "", "x" * 129, "ä", "a\n", 5, True, [], {}], ids=lambda found: repr(found)[:20]
)
async def test_a_service_cannot_speak_for_an_id_that_nobody_can_have(api, found):
    """P7."""
    before = await state(api)

    assert_problem(await api.post(AT, message(participantId=found)), 400)

    assert await state(api) == before


@pytest.mark.parametrize("length", [1, 127, 128])
async def test_a_message_id_has_up_to_128_characters(api, length):
    ids = ["x" * length, "☕" * length, "\0" * length]

    response = await api.post(AT, {"events": [{**MESSAGE, "messageId": found} for found in ids]}, who="alice")

    assert [entry["sequence"] for entry in response.json["events"]] == [3, 4, 5]
    assert [event["data"]["messageId"] for event in await events_after(api, 2)] == ids


@pytest.mark.parametrize("body", [TYPING, PROGRESS, {"events": [TYPING, PROGRESS]}, {"events": [TYPING] * 100}])
async def test_what_passes_is_accepted_without_a_number(api, body):
    before = await state(api)

    response = await api.post(AT, body)

    assert response.status == 202
    entries = response.json["events"]
    assert [entry["type"] for entry in entries] == [event["type"] for event in body.get("events", [body])]
    assert not any({"id", "sequence"} & set(entry) for entry in entries)
    assert response.json["lastEventId"] == before["session"]["lastEventId"]
    assert await state(api) == before


async def test_what_passes_stands_in_its_place_in_a_batch_and_is_not_stored(api):
    response = await api.post(AT, {"events": [TYPING, message("one"), PROGRESS, message("two"), TYPING]})

    assert response.status == 201
    entries = response.json["events"]
    assert [entry.get("sequence") for entry in entries] == [None, 3, None, 4, None]
    assert [entry["type"] for entry in entries[::2]] == ["typing_indicator", "ai_progress", "typing_indicator"]
    for entry in entries:
        assert_timestamp(entry["timestamp"])
    assert response.json["lastEventId"] == entries[3]["id"]
    assert [event["data"]["content"] for event in await events_after(api, 2)] == ["one", "two"]


@pytest.mark.parametrize(("size", "is_allowed"), [(255, True), (256, True), (257, False)])
async def test_the_data_of_an_event_have_a_limit_in_bytes(start_server, size, is_allowed):
    """P4."""
    api = await start_server(max_event_bytes=256)
    await api.create()
    before = await state(api)
    event = {"type": "custom", "data": {"a": "x" * (size - len('{"a":""}'))}}

    for body in (event, {"events": [MESSAGE, event]}):
        response = await api.post(AT, body)
        if is_allowed:
            assert response.status == 201
        else:
            assert_problem(response, 413)

    assert (await state(api) == before) is not is_allowed


@pytest.mark.parametrize("step", [0, -1, -3_600_000_000], ids=["stands still", "creeps back", "jumps back an hour"])
async def test_times_go_forward_when_the_clock_does_not(start_server, monkeypatch, step):
    """P8."""
    clock = count(1_800_000_000_000_000, step)
    monkeypatch.setattr("rtserver.app.now_us", lambda: next(clock))
    api = await start_server()
    await api.create()

    times = [(await api.publish(str(i)))["timestamp"] for i in range(5)]
    batch = await api.post(AT, {"events": [MESSAGE] * 5})
    times += [entry["timestamp"] for entry in batch.json["events"]]

    assert len(set(times)) == 10 and times == sorted(times)
    assert [event["timestamp"] for event in await events_after(api, 2)] == times
    assert await last_sequence(api) == 12
