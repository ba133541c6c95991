"""Participants of a session over HTTP (DESIGN 4.2)."""

from __future__ import annotations

import pytest

from tests.contract import MESSAGE, assert_problem, assert_timestamp, events_after, last_sequence, state
from tests.test_contract_session_life import walk

AT = "/sessions/s/participants"


async def test_the_first_put_adds_a_participant_and_says_so_to_all(api):
    before = (await api.get("/sessions/s")).json

    response = await api.request("PUT", f"{AT}/carol", {"displayName": "Carol ☕", "kind": "ai", "unknown": 1})

    assert response.status == 201
    person = response.json
    assert_timestamp(person.pop("joinedAt"))
    assert person == {"participantId": "carol", "displayName": "Carol ☕", "kind": "ai"}
    events = await events_after(api, before["lastSequence"])
    assert [(event["type"], event["data"]) for event in events] == [("participant_joined", person)]
    listed = (await api.get(AT, who="carol")).json
    assert [entry for entry in listed["participants"] if entry["participantId"] == "carol"] == [response.json]
    assert (await api.get("/sessions/s")).json["participantCount"] == before["participantCount"] + 1


async def test_all_that_a_participant_needs_is_an_id(api):
    response = await api.request("PUT", f"{AT}/carol", {})

    assert response.status == 201
    assert set(response.json) == {"participantId", "displayName", "kind", "joinedAt"}
    assert response.json["kind"] == "human"
    assert (await api.get("/sessions/s", who="carol")).status == 200


async def test_a_later_put_changes_a_participant_and_publishes_nothing(api):
    joined = (await api.request("PUT", f"{AT}/carol", {"displayName": "Carol", "kind": "human"})).json
    sequence = await last_sequence(api)

    changed = await api.request("PUT", f"{AT}/carol", {"displayName": "Caroline", "kind": "ai"})
    same = await api.request("PUT", f"{AT}/carol", {"displayName": "Caroline", "kind": "ai"})

    assert (changed.status, same.status) == (200, 200)
    assert changed.json == same.json == joined | {"displayName": "Caroline", "kind": "ai"}
    assert changed.json in (await api.get(AT)).json["participants"]
    assert await last_sequence(api) == sequence
    assert (await api.get("/sessions/s")).json["participantCount"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": 5},
        {"displayName": True},
        {"displayName": ["Carol"]},
        {"displayName": {}},
        {"kind": "robot"},
        {"kind": "AI"},
        {"kind": ""},
        {"kind": 0},
        {"kind": ["ai"]},
        {"displayName": "Carol", "kind": {}},
        [],
        "carol",
        5,
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("who", ["carol", "alice"])
async def test_a_put_that_cannot_be_understood_adds_and_changes_nobody(api, who, body):
    """P7."""
    before = await state(api)

    encoded = b"null" if body is None else body
    assert_problem(await api.request("PUT", f"{AT}/{who}", encoded), 400)

    assert await state(api) == before


@pytest.mark.parametrize("members", [2, 3])
async def test_a_session_has_at_most_as_many_participants_as_may_be(start_server, members):
    """P4."""
    api = await start_server(max_participants=3)
    await api.create("s", tuple(f"p{i}" for i in range(members)))
    before = await state(api)

    response = await api.request("PUT", f"{AT}/carol", {})

    if members < 3:
        assert response.status == 201
    else:
        assert_problem(response, 409)
        assert await state(api) == before
        # Who is in already can still be changed, and a place that becomes free can be taken.
        assert (await api.request("PUT", f"{AT}/p0", {"kind": "ai"})).status == 200
        assert (await api.request("DELETE", f"{AT}/p0")).status == 204
        assert (await api.request("PUT", f"{AT}/carol", {})).status == 201


@pytest.mark.parametrize(
    ("method", "path", "who"), [("DELETE", f"{AT}/bob", "service"), ("POST", "/sessions/s/leave", "bob")]
)
async def test_who_is_removed_or_leaves_is_out_at_once_and_all_are_told(api, method, path, who):
    """P6."""
    before = (await api.get("/sessions/s")).json

    response = await api.request(method, path, who=who)

    assert (response.status, response.body) == (204, b"")
    events = await events_after(api, before["lastSequence"])
    assert [(event["type"], event["data"]) for event in events] == [("participant_left", {"participantId": "bob"})]
    assert (await api.get("/sessions/s")).json["participantCount"] == 1
    assert [entry["participantId"] for entry in (await api.get(AT)).json["participants"]] == ["alice"]
    for refused in (
        await api.get("/sessions/s", who="bob"),
        await api.post("/sessions/s/events", MESSAGE, who="bob"),
        await api.poll("timeout=0", who="bob"),
        await api.post("/sessions/s/leave", who="bob"),
    ):
        assert_problem(refused, 403)
    assert await last_sequence(api) == before["lastSequence"] + 1


@pytest.mark.parametrize("who", ["carol", "bob2", "BOB", "service", "%62ob2"])
async def test_nobody_can_be_removed_who_is_not_in_the_session(api, who):
    before = await state(api)

    assert_problem(await api.request("DELETE", f"{AT}/{who}"), 404)

    assert await state(api) == before


@pytest.mark.parametrize("who", ["service", "admin"])
async def test_who_is_not_in_a_session_cannot_leave_it(api, who):
    before = await state(api)

    assert_problem(await api.post("/sessions/s/leave", who=who), 404)

    assert await state(api) == before


async def test_a_second_removal_finds_nobody_and_is_not_published(api):
    await api.request("DELETE", f"{AT}/bob")
    before = await state(api)

    assert_problem(await api.request("DELETE", f"{AT}/bob"), 404)

    assert await state(api) == before


async def test_who_comes_back_joins_again_and_the_numbers_go_on(api):
    first = next(entry for entry in (await api.get(AT)).json["participants"] if entry["participantId"] == "bob")
    await api.request("DELETE", f"{AT}/bob")

    response = await api.request("PUT", f"{AT}/bob", {})

    assert response.status == 201 and response.json["joinedAt"] > first["joinedAt"]
    events = await events_after(api, 2)
    assert [(event["sequence"], event["type"]) for event in events] == [
        (3, "participant_left"),
        (4, "participant_joined"),
    ]
    assert (await api.get("/sessions/s", who="bob")).status == 200


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7])
async def test_the_pages_of_a_list_hold_every_participant_once(api, limit):
    names = {"alice", "bob", "Zoe", "~", "0", "a.b"}
    for name in names - {"alice", "bob"}:
        await api.request("PUT", f"{AT}/{name}", {})

    found = await walk(api, AT, "participantId", limit, "alice")

    assert len(found) == 6 and set(found) == names
    page = (await api.get(f"{AT}?limit={limit}")).json
    assert page["hasMore"] is (limit < 6) and len(page["participants"]) == min(limit, 6)


async def test_a_participant_of_one_session_is_nobody_in_another(api):
    """P6."""
    await api.create("other", ("carol",))

    assert_problem(await api.request("DELETE", "/sessions/other/participants/bob"), 404)
    assert (await api.request("DELETE", f"{AT}/bob")).status == 204

    assert_problem(await api.get("/sessions/other", who="alice"), 403)
    assert (await api.get("/sessions/other")).json["participantCount"] == 1
    assert await last_sequence(api, "other") == 1
