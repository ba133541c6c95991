"""Repeats of a publish (DESIGN 4.3): ``Idempotency-Key`` and ``messageId`` publish once, however often they come."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract import MESSAGE, assert_problem, events_after, last_sequence, state

AT = "/sessions/s/events"
KEY = {"Idempotency-Key": "k-1"}
OTHER = {"type": "message_added", "data": {"content": "other"}}
TYPING = {"type": "typing_indicator", "data": {"isTyping": True}}


def named(message_id: str, content: str = "hello") -> dict:
    return {"type": "message_added", "data": {"content": content}, "messageId": message_id}


@pytest.mark.parametrize(
    "body", [MESSAGE, {"events": [MESSAGE, TYPING, OTHER]}, {"events": [named("m1"), named("m1")]}, TYPING], ids=str
)
async def test_a_repeated_key_answers_as_the_first_time_and_publishes_nothing(api, body):
    first = await api.post(AT, body, who="alice", headers=KEY)
    await api.publish("in between", who="bob")
    before = await state(api)

    for _ in range(2):
        again = await api.post(AT, body, who="alice", headers=KEY)
        assert (again.status, again.json) == (first.status, first.json)
        assert again.headers["idempotency-replayed"] == "true"

    assert first.status in (201, 202) and "idempotency-replayed" not in first.headers
    assert await state(api) == before


@pytest.mark.parametrize("other", [OTHER, {"events": [MESSAGE]}, {"events": [MESSAGE, MESSAGE]}, TYPING, named("m")])
async def test_another_body_under_the_same_key_is_a_422_and_the_first_answer_stands(api, other):
    """P7."""
    first = await api.post(AT, MESSAGE, who="alice", headers=KEY)
    before = await state(api)

    assert_problem(await api.post(AT, other, who="alice", headers=KEY), 422)

    assert await state(api) == before
    assert (await api.post(AT, MESSAGE, who="alice", headers=KEY)).json == first.json


async def test_a_key_belongs_to_one_sender_in_one_session(api):
    await api.create("other")

    answers = [
        await api.post("/sessions/s/events", MESSAGE, who="alice", headers=KEY),
        await api.post("/sessions/s/events", OTHER, who="bob", headers=KEY),
        await api.post("/sessions/other/events", OTHER, who="alice", headers=KEY),
        await api.post("/sessions/s/events", OTHER, who="service", headers=KEY),
        await api.post("/sessions/s/events", OTHER, who="alice", headers={"Idempotency-Key": "K-1"}),
    ]

    assert [answer.status for answer in answers] == [201] * 5
    assert not any("idempotency-replayed" in answer.headers for answer in answers)
    assert len({answer.json["lastEventId"] for answer in answers}) == 5


@pytest.mark.parametrize("status", ["closed", "paused"])
async def test_a_repeated_key_is_answered_when_the_session_takes_nothing_any_more(api, status):
    first = await api.post(AT, MESSAGE, who="alice", headers=KEY)
    await api.request("PATCH", "/sessions/s", {"status": status})
    before = await state(api)

    again = await api.post(AT, MESSAGE, who="alice", headers=KEY)

    assert (again.status, again.json) == (201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(await api.post(AT, MESSAGE, who="alice", headers={"Idempotency-Key": "new"}), 409)
    assert await state(api) == before


@pytest.mark.parametrize("refused", [b"{", {"type": "custom", "data": {}}, {"events": [MESSAGE, {}]}], ids=repr)
async def test_a_refused_publish_leaves_its_key_unused(api, refused):
    assert (await api.post(AT, refused, who="alice", headers=KEY)).status in (400, 403)

    response = await api.post(AT, MESSAGE, who="alice", headers=KEY)

    assert response.status == 201 and "idempotency-replayed" not in response.headers
    assert [event["data"]["content"] for event in await events_after(api, 2)] == ["hello"]


async def test_a_key_refused_by_a_closed_session_works_when_it_is_open_again(api):
    await api.request("PATCH", "/sessions/s", {"status": "closed"})
    assert_problem(await api.post(AT, MESSAGE, who="alice", headers=KEY), 409)
    await api.request("PATCH", "/sessions/s", {"status": "active"})

    response = await api.post(AT, MESSAGE, who="alice", headers=KEY)

    assert response.status == 201 and "idempotency-replayed" not in response.headers
    assert await last_sequence(api) == 5


async def test_a_repeat_is_known_after_a_restart(api, start_server):
    """P1."""
    body = {"events": [named("m1"), OTHER]}
    first = await api.post(AT, body, who="alice", headers=KEY)
    before = await state(api)
    await start_server.stop(api)

    api = await start_server()
    by_key = await api.post(AT, body, who="alice", headers=KEY)
    by_id = await api.post(AT, named("m1"), who="alice")

    assert (by_key.status, by_key.json, by_key.headers["idempotency-replayed"]) == (201, first.json, "true")
    assert by_id.json["events"] == [first.json["events"][0] | {"replayed": True}]
    assert await state(api) == before


async def test_a_repeat_is_known_for_a_day_though_its_events_have_been_trimmed(start_server):
    api = await start_server(retention_events=1)
    await api.create()
    body = {"events": [named("m1"), OTHER]}
    first = await api.post(AT, body, who="alice", headers=KEY)
    for number in range(5):
        await api.publish(str(number))
    await api.trim()
    before = await state(api)

    by_key = await api.post(AT, body, who="alice", headers=KEY)
    by_id = await api.post(AT, named("m1"), who="alice")

    assert (by_key.status, by_key.json, by_key.headers["idempotency-replayed"]) == (201, first.json, "true")
    assert by_id.json["events"] == [first.json["events"][0] | {"replayed": True}]
    assert await state(api) == before
    assert len(await events_after(api, before["session"]["lastSequence"] - 1)) == 1


@pytest.mark.parametrize("count", [2, 10])
async def test_the_same_key_at_once_publishes_once_and_all_get_the_same_answer(api, count):
    answers = await asyncio.gather(*(api.post(AT, MESSAGE, who="alice", headers=KEY) for _ in range(count)))

    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", *["true"] * (count - 1)]
    assert len(await events_after(api, 2)) == 1


async def test_one_key_at_once_for_two_bodies_publishes_one_of_them(api):
    answers = await asyncio.gather(*(api.post(AT, body, who="alice", headers=KEY) for body in (MESSAGE, OTHER)))

    assert sorted(answer.status for answer in answers) == [201, 422]
    assert len(await events_after(api, 2)) == 1


async def test_a_deleted_session_takes_its_keys_with_it(api):
    await api.post(AT, named("m1"), who="alice", headers=KEY)
    await api.request("DELETE", "/sessions/s")
    await api.create()

    response = await api.post(AT, named("m1", "anew"), who="alice", headers=KEY)

    assert response.status == 201 and "idempotency-replayed" not in response.headers
    assert "replayed" not in response.json["events"][0]
    assert [event["data"]["content"] for event in await events_after(api, 2)] == ["anew"]


async def test_a_repeated_message_id_answers_with_the_first_event(api):
    first = await api.post(AT, named("m1"), who="alice")
    await api.publish("in between", who="bob")
    before = await state(api)

    again = await api.post(AT, named("m1", "said differently"), who="alice")
    inside = await api.post(AT, {"type": "message_added", "data": {"content": "x", "messageId": "m1"}}, who="alice")

    assert "replayed" not in first.json["events"][0]
    assert (again.status, inside.status) == (201, 201)
    assert again.json["events"] == inside.json["events"] == [first.json["events"][0] | {"replayed": True}]
    assert await state(api) == before


async def test_a_message_id_belongs_to_one_participant_in_one_session(api):
    """P6."""
    await api.create("other")
    forged = {"type": "message_added", "data": {"content": "x", "participantId": "bob", "messageId": "m1"}}

    answers = [
        await api.post("/sessions/s/events", forged, who="alice"),
        await api.post("/sessions/s/events", named("m1"), who="bob"),
        await api.post("/sessions/s/events", named("m1"), who="service"),
        await api.post("/sessions/other/events", named("m1"), who="alice"),
        await api.post("/sessions/s/events", named("M1"), who="alice"),
    ]

    assert not any("replayed" in answer.json["events"][0] for answer in answers)
    assert len({answer.json["lastEventId"] for answer in answers}) == 5


async def test_repeats_stand_in_their_places_in_a_batch(api):
    old = (await api.post(AT, named("old"), who="alice")).json["events"][0]

    batch = [named("new"), named("old"), named("new", "again"), MESSAGE, TYPING, named("old")]
    response = await api.post(AT, {"events": batch}, who="alice")

    assert response.status == 201
    entries = response.json["events"]
    assert [entry.get("sequence") for entry in entries] == [4, 3, 4, 5, None, 3]
    assert [entry.get("replayed", False) for entry in entries] == [False, True, True, False, False, True]
    assert entries[1] == entries[5] == old | {"replayed": True}
    assert entries[2] == entries[0] | {"replayed": True}
    assert [event["sequence"] for event in await events_after(api, 2)] == [3, 4, 5]


async def test_an_ordinary_event_is_repeated_by_its_message_id_too(api):
    event = {"type": "order.paid", "data": {"order": 1}, "messageId": "m1"}
    first = await api.post(AT, event)

    again = await api.post(AT, event)

    assert again.json["events"] == [first.json["events"][0] | {"replayed": True}]
    assert [found["data"] for found in await events_after(api, 2)] == [{"order": 1}]


async def test_the_same_message_id_at_once_is_one_event(api):
    answers = await asyncio.gather(*(api.post(AT, named("m1", str(i)), who="alice") for i in range(10)))

    entries = [answer.json["events"][0] for answer in answers]
    assert {answer.status for answer in answers} == {201}
    assert len({entry["id"] for entry in entries}) == 1
    assert sum("replayed" not in entry for entry in entries) == 1
    assert len(await events_after(api, 2)) == 1


async def test_a_new_key_with_an_old_message_id_publishes_nothing(api):
    first = await api.post(AT, named("m1"), who="alice")

    second = await api.post(AT, named("m1"), who="alice", headers=KEY)
    third = await api.post(AT, named("m1"), who="alice", headers=KEY)

    assert second.json["events"] == third.json["events"] == [first.json["events"][0] | {"replayed": True}]
    assert ("idempotency-replayed" in second.headers, "idempotency-replayed" in third.headers) == (False, True)
    assert await last_sequence(api) == 3
