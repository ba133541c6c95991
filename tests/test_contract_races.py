"""What happens at once, and what happens between a request's head and its body (DESIGN 4.2, 4.3)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.contract import MESSAGE, LateBody, assert_problem, events_after, last_sequence, state
from tests.http import Connection

AT = "/sessions/s/events"
LATE = json.dumps({"type": "message_added", "data": {"content": "late"}}).encode()


async def test_two_creations_at_once_make_one_session(api):
    bodies = [{"sessionId": "new", "participants": [{"participantId": name}]} for name in ("anna", "ben")]

    answers = await asyncio.gather(*(api.post("/sessions", body) for body in bodies))

    assert sorted(answer.status for answer in answers) == [201, 409]
    assert_problem(next(answer for answer in answers if answer.status == 409), 409)
    winner, loser = ("anna", "ben") if answers[0].status == 201 else ("ben", "anna")
    assert (await api.get("/sessions/new", who=winner)).status == 200
    assert_problem(await api.get("/sessions/new", who=loser), 403)
    assert await last_sequence(api, "new") == 1


async def test_ten_creations_at_once_make_one_session(api):
    answers = await asyncio.gather(*(api.post("/sessions", {"sessionId": "new"}) for _ in range(10)))

    assert sorted(answer.status for answer in answers) == [201, *[409] * 9]


async def test_a_creation_meets_the_end_of_the_session_before_it_or_finds_it_gone(api):
    answers = await asyncio.gather(api.request("DELETE", "/sessions/s"), api.post("/sessions", {"sessionId": "s"}))

    assert answers[0].status == 204 and answers[1].status in (201, 409)
    found = await api.get("/sessions/s")
    assert found.status == (200 if answers[1].status == 201 else 404)
    if found.status == 200:
        assert found.json["lastSequence"] == found.json["participantCount"] == 0


@pytest.mark.parametrize("count", [2, 10])
async def test_puts_of_one_participant_at_once_are_one_arrival(api, count):
    answers = await asyncio.gather(*(api.request("PUT", "/sessions/s/participants/carol", {}) for _ in range(count)))

    assert sorted(answer.status for answer in answers) == [*[200] * (count - 1), 201]
    assert len({answer.body for answer in answers}) == 1
    assert [event["type"] for event in await events_after(api, 2)] == ["participant_joined"]


async def test_puts_at_once_fill_the_last_place_once(start_server):
    """P4."""
    api = await start_server(max_participants=3)
    await api.create()

    answers = await asyncio.gather(*(api.request("PUT", f"/sessions/s/participants/p{i}", {}) for i in range(5)))

    assert sorted(answer.status for answer in answers) == [201, *[409] * 4]
    assert (await api.get("/sessions/s")).json["participantCount"] == 3
    assert await last_sequence(api) == 3


async def test_removals_and_a_leave_at_once_are_one_departure(api):
    answers = await asyncio.gather(
        api.request("DELETE", "/sessions/s/participants/bob"),
        api.request("DELETE", "/sessions/s/participants/bob"),
        api.post("/sessions/s/leave", who="bob"),
    )

    statuses = [answer.status for answer in answers]
    assert statuses.count(204) == 1 and set(statuses) <= {204, 403, 404}
    assert [event["type"] for event in await events_after(api, 2)] == ["participant_left"]


async def test_the_same_change_of_status_at_once_is_published_once(api):
    answers = await asyncio.gather(*(api.request("PATCH", "/sessions/s", {"status": "paused"}) for _ in range(5)))

    assert {(answer.status, answer.json["status"]) for answer in answers} == {(200, "paused")}
    assert [event["data"] for event in await events_after(api, 2)] == [{"status": "paused", "previousStatus": "active"}]


async def test_changes_of_status_at_once_form_one_chain(api):
    wanted = ["paused", "closed", "active", "paused", "closed"]

    await asyncio.gather(*(api.request("PATCH", "/sessions/s", {"status": status}) for status in wanted))

    status = "active"
    for event in await events_after(api, 2):
        assert event["data"]["previousStatus"] == status != event["data"]["status"]
        status = event["data"]["status"]
    assert (await api.get("/sessions/s")).json["status"] == status


async def test_publishes_at_once_are_all_numbered_once_and_without_holes(api):
    """P2, P8."""
    answers = await asyncio.gather(
        *(
            api.post(
                AT, {"events": [MESSAGE] * (1 + i % 3)} if i % 2 else MESSAGE, who=("alice", "bob", "service")[i % 3]
            )
            for i in range(40)
        )
    )

    assert {answer.status for answer in answers} == {201}
    entries = sorted((entry for answer in answers for entry in answer.json["events"]), key=lambda entry: entry["id"])
    assert [entry["sequence"] for entry in entries] == list(range(3, 3 + len(entries)))
    assert len({entry["timestamp"] for entry in entries}) == len(entries)
    assert [event["id"] for event in await events_after(api, 2)] == [entry["id"] for entry in entries]
    for answer in answers:
        sequences = [entry["sequence"] for entry in answer.json["events"]]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "a batch was torn apart"


async def test_requests_sent_in_one_packet_are_answered_in_their_order(api):
    async with Connection(api.port) as connection:
        for content in ("one", "two", "three"):
            body = json.dumps({"type": "message_added", "data": {"content": content}}).encode()
            connection.send("POST", f"/api{AT}", api.headers("alice"), body)
        answers = [await connection.read_response("POST") for _ in range(3)]

    assert [answer.json["events"][0]["sequence"] for answer in answers] == [3, 4, 5]
    assert [event["data"]["content"] for event in await events_after(api, 2)] == ["one", "two", "three"]


async def test_publishes_beside_the_end_of_a_session_are_answered_and_leave_nothing_behind(api):
    for _ in range(5):
        *publishes, ended = await asyncio.gather(
            *(api.post(AT, MESSAGE, who=who) for who in ("alice", "service") * 5),
            api.request("DELETE", "/sessions/s"),
        )
        assert ended.status == 204
        for index, answer in enumerate(publishes):
            if answer.status != 201:
                assert_problem(answer, (403, 404)[index % 2])
        assert_problem(await api.get("/sessions/s"), 404)
        assert (await api.create())["lastSequence"] == 2
        assert await events_after(api, 2) == []


async def test_ends_of_a_session_at_once_are_one_end(api):
    answers = await asyncio.gather(*(api.request("DELETE", "/sessions/s") for _ in range(3)))

    assert sorted(answer.status for answer in answers) == [204, 404, 404]


async def test_a_leave_beside_the_end_of_the_session_tells_a_participant_nothing(api):
    """P6."""
    for _ in range(3):
        _, left = await asyncio.gather(api.request("DELETE", "/sessions/s"), api.post("/sessions/s/leave", who="alice"))
        assert left.status in (204, 403)
        await api.create()


# Between head and body


@pytest.mark.parametrize(("who", "status"), [("alice", 403), ("service", 404)])
async def test_a_publish_whose_session_is_deleted_before_its_body_comes_is_refused(api, who, status):
    """P1."""
    async with LateBody(api, "POST", AT, LATE, who=who) as publish:
        assert (await api.request("DELETE", "/sessions/s")).status == 204
        response = await publish.finish()

    assert_problem(response, status)
    assert_problem(await api.get("/sessions/s"), 404)


async def test_a_publish_whose_session_is_replaced_before_its_body_comes_is_not_acknowledged_unseen(api):
    """P1."""
    async with LateBody(api, "POST", AT, LATE, who="service") as publish:
        await api.request("DELETE", "/sessions/s")
        await api.create()
        response = await publish.finish()

    seen = [event["data"]["content"] for event in await events_after(api, 2)]
    assert (response.status, seen) in [(201, ["late"]), (404, [])]


async def test_who_is_removed_before_the_body_of_its_publish_comes_publishes_nothing(api):
    """P6."""
    async with LateBody(api, "POST", AT, LATE, who="alice") as publish:
        assert (await api.request("DELETE", "/sessions/s/participants/alice")).status == 204
        before = await state(api)
        response = await publish.finish()

    assert_problem(response, 403)
    assert await state(api) == before


async def test_a_publish_whose_session_left_memory_before_its_body_comes_is_numbered_as_any_other(start_server):
    """P2."""
    api = await start_server(max_sessions=1)
    await api.create()
    async with LateBody(api, "POST", AT, LATE, who="alice") as publish:
        await api.create("other")
        await api.publish("early")
        response = await publish.finish()

    assert response.status == 201
    assert (await api.publish("last"))["sequence"] == 5
    assert [event["data"]["content"] for event in await events_after(api, 2)] == ["early", "late", "last"]


async def test_a_publish_whose_session_left_memory_does_not_stop_those_that_follow(start_server):
    """P2."""
    api = await start_server(max_sessions=1)
    await api.create()
    async with LateBody(api, "POST", AT, LATE, who="alice") as publish:
        await api.create("other")
        assert (await api.get("/sessions/s")).json["lastSequence"] == 2
        response = await publish.finish()

    assert response.status == 201
    assert await last_sequence(api) == 3
    assert (await api.publish("next"))["sequence"] == 4


async def test_a_change_of_a_session_that_left_memory_before_its_body_comes_is_seen(start_server):
    api = await start_server(max_sessions=1)
    await api.create()
    async with LateBody(api, "PATCH", "/sessions/s", b'{"status": "paused"}', who="service") as change:
        await api.create("other")
        assert (await api.get("/sessions/s")).json["status"] == "active"
        response = await change.finish()

    assert response.json["status"] == "paused"
    assert (await api.get("/sessions/s")).json["status"] == "paused"


@pytest.mark.parametrize(
    ("method", "path", "who", "status"),
    [
        ("PATCH", "/sessions/s", "service", 404),
        ("PUT", "/sessions/s/participants/carol", "service", 404),
        ("POST", "/sessions/s/leave", "alice", 403),
    ],
)
async def test_a_change_of_a_session_that_is_deleted_before_its_body_comes_is_refused(api, method, path, who, status):
    """P6."""
    async with LateBody(api, method, path, b'{"status": "paused"}', who=who) as change:
        await api.request("DELETE", "/sessions/s")
        response = await change.finish()

    assert_problem(response, status)
    assert_problem(await api.get("/sessions/s"), 404)


@pytest.mark.parametrize(("session_status", "who"), [("paused", "alice"), ("closed", "alice"), ("closed", "service")])
async def test_a_publish_counts_when_its_body_is_there(api, session_status, who):
    async with LateBody(api, "POST", AT, LATE, who=who) as publish:
        await api.request("PATCH", "/sessions/s", {"status": session_status})
        before = await state(api)
        response = await publish.finish()

    assert_problem(response, 409)
    assert await state(api) == before


async def test_a_body_that_never_comes_whole_does_nothing(api):
    before = await state(api)

    async with LateBody(api, "POST", AT, LATE, who="alice") as publish:
        await publish.send(LATE[:-1])

    assert await state(api) == before
    assert (await api.publish("next"))["sequence"] == 3
