"""Sessions over HTTP (DESIGN 4.2): create, get, list."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest

from tests.contract import assert_problem, assert_timestamp, decode_id, events_after, state
from tests.http import request

FEATURES = {
    "sse": {
        "typingIndicators": True,
        "instantMessages": "enabled",
        "participantStatus": "real_time",
        "aiProgress": "live_updates",
    },
    "long-poll": {
        "typingIndicators": False,
        "instantMessages": "2-5_second_delay",
        "participantStatus": "near_real_time",
        "aiProgress": "periodic_updates",
    },
    "short-poll": {
        "typingIndicators": False,
        "instantMessages": "5-10_second_delay",
        "participantStatus": "polling_based",
        "aiProgress": "status_only",
    },
}
LETTERS = string.ascii_letters + string.digits + "._~@:-"
GOOD_IDS = ["a", "x" * 127, "x" * 128, LETTERS, "...", ".a", "a.", "-", "~", "0", "S"]
BAD_IDS = [
    "",
    "x" * 129,
    ".",
    "..",
    "a b",
    " a",
    "a ",
    "a/b",
    "a%41",
    "a+b",
    "a,b",
    "ä",
    "\u0661",
    "a\n",
    "\x00",
    "a\\",
]


async def test_a_new_session_is_answered_whole_and_is_found_where_location_says(api):
    body = {"sessionId": "new", "metadata": {"topic": "loan"}, "participants": [{"participantId": "alice"}]}

    created = await api.post("/sessions", body)

    assert created.status == 201
    session = created.json
    assert set(session) == {
        *("sessionId", "status", "metadata", "createdAt", "updatedAt", "participantCount"),
        *("lastEventId", "lastSequence", "lastModified", "features"),
    }
    assert (session["sessionId"], session["status"], session["metadata"]) == ("new", "active", {"topic": "loan"})
    assert (session["participantCount"], session["lastSequence"]) == (1, 1)
    assert session["features"] == FEATURES
    for name in ("createdAt", "updatedAt", "lastModified"):
        assert_timestamp(session[name])
    location = created.headers["location"]
    assert location == "/api/sessions/new"
    assert (await request(api.port, "GET", location, api.headers("service"))).json == session


async def test_behind_a_base_path_location_and_problems_name_the_whole_path(start_server):
    api = await start_server(base_path="/rt")
    service = api.headers("service")

    created = await request(api.port, "POST", "/rt/api/sessions", service, b'{"sessionId": "s"}')

    assert created.headers["location"] == "/rt/api/sessions/s"
    assert (await request(api.port, "GET", "/rt/api/sessions/s", service)).json == created.json
    assert (await request(api.port, "GET", "/api/sessions/s", service)).status == 404
    missing = await request(api.port, "GET", "/rt/api/sessions/nope", service)
    assert assert_problem(missing, 404)["instance"] == "/rt/api/sessions/nope"


async def test_a_session_without_an_id_is_given_one_of_its_own(api):
    first = await api.post("/sessions", {})
    second = await api.post("/sessions", {"sessionId": None, "metadata": None, "participants": None})

    assert (first.status, second.status) == (201, 201)
    names = [answer.json["sessionId"] for answer in (first, second)]
    assert names[0] != names[1]
    for name in names:
        assert set(name) <= set(LETTERS) and 1 <= len(name) <= 128
        assert (await api.get(f"/sessions/{name}")).json["metadata"] == {}


async def test_before_the_first_event_the_cursor_is_the_zero_cursor_and_never_null(api):
    session = (await api.post("/sessions", {"sessionId": "empty"})).json

    zero = decode_id(session["lastEventId"])
    assert zero.sequence == session["lastSequence"] == 0
    assert zero.timestamp == session["createdAt"] == session["lastModified"]
    assert session["participantCount"] == 0
    assert await events_after(api, 0, "empty") == []


async def test_the_first_participants_join_in_the_order_given_as_numbered_events(api):
    people = [
        {"participantId": "zoe", "displayName": "Zoë ☕", "kind": "human"},
        {"participantId": "bot", "displayName": "Helper", "kind": "ai"},
        {"participantId": "alice"},
    ]

    session = (await api.post("/sessions", {"sessionId": "new", "participants": people})).json

    events = await events_after(api, 0, "new")
    assert [(event["sequence"], event["type"]) for event in events] == [(n, "participant_joined") for n in (1, 2, 3)]
    assert [event["data"] for event in events][:2] == people[:2]
    assert events[2]["data"]["participantId"] == "alice" and events[2]["data"]["kind"] == "human"
    assert all(set(event["data"]) == {"participantId", "displayName", "kind"} for event in events)
    assert (session["lastEventId"], session["lastModified"]) == (events[2]["id"], events[2]["timestamp"])
    assert {decode_id(event["id"]).epoch for event in events} == {decode_id(session["lastEventId"]).epoch}


async def test_an_id_that_is_taken_is_a_409_and_changes_nothing(api):
    before = await state(api)

    response = await api.post(
        "/sessions", {"sessionId": "s", "metadata": {"mine": 1}, "participants": [{"participantId": "eve"}]}
    )

    assert_problem(response, 409)
    assert await state(api) == before


async def test_a_session_created_again_after_its_end_starts_from_one_in_another_epoch(api):
    await api.publish("old")
    old = (await api.get("/sessions/s")).json
    assert (await api.request("DELETE", "/sessions/s")).status == 204

    new = await api.create("s", ("carol",))

    assert (new["lastSequence"], new["participantCount"]) == (1, 1)
    assert decode_id(new["lastEventId"]).epoch != decode_id(old["lastEventId"]).epoch
    assert new["createdAt"] > old["createdAt"]
    assert [event["data"]["participantId"] for event in await events_after(api, 0)] == ["carol"]
    assert_problem(await api.get("/sessions/s", who="alice"), 403)


@pytest.mark.parametrize("name", GOOD_IDS)
async def test_every_id_of_the_allowed_letters_names_a_session_and_a_participant(api, name):
    created = await api.post("/sessions", {"sessionId": name, "participants": [{"participantId": name}]})

    assert created.status == 201
    own = await api.get(f"/sessions/{name}", who=name)
    assert own.status == 200 and own.json["sessionId"] == name
    escaped = "".join(f"%{ord(letter):02X}" for letter in name)
    assert (await api.get(f"/sessions/{escaped}", who=name)).json == own.json
    assert (await request(api.port, "GET", created.headers["location"], api.headers("service"))).json == own.json


@pytest.mark.parametrize("name", [*BAD_IDS, 5, 1.5, True, False, [], ["a"], {}], ids=repr)
async def test_every_other_id_is_refused_and_names_nothing(api, name):
    """P7."""
    before = await state(api)

    assert_problem(await api.post("/sessions", {"sessionId": name}), 400)
    assert_problem(await api.post("/sessions", {"participants": [{"participantId": name}]}), 400)

    assert await state(api) == before


@pytest.mark.parametrize("name", [name for name in BAD_IDS if name], ids=repr)
async def test_nobody_joins_by_an_id_that_is_not_allowed(api, name):
    """P7."""
    before = await state(api)

    assert_problem(await api.request("PUT", f"/sessions/s/participants/{quote(name, safe='')}", {}), 400)

    assert await state(api) == before


@pytest.mark.parametrize(
    "people",
    [
        {},
        "alice",
        0,
        False,
        ["alice"],
        [None],
        [[]],
        [{}],
        [{"participantId": None}],
        [{"participantId": "a", "kind": "robot"}],
        [{"participantId": "a", "kind": "AI"}],
        [{"participantId": "a", "kind": ""}],
        [{"participantId": "a", "kind": ["ai"]}],
        [{"participantId": "a", "kind": True}],
        [{"participantId": "a", "displayName": 5}],
        [{"participantId": "a", "displayName": ["A"]}],
        [{"participantId": "a"}, {"participantId": "b/c"}],
    ],
    ids=repr,
)
async def test_participants_that_cannot_be_understood_create_no_session(api, people):
    """P7."""
    before = await state(api)

    assert_problem(await api.post("/sessions", {"sessionId": "new", "participants": people}), 400)

    assert_problem(await api.get("/sessions/new"), 404)
    assert await state(api) == before


@pytest.mark.parametrize(("count", "status"), [(2, 201), (3, 201), (4, 409)])
async def test_a_session_begins_with_at_most_as_many_participants_as_may_be(start_server, count, status):
    """P4."""
    api = await start_server(max_participants=3)
    people = [{"participantId": f"p{i}"} for i in range(count)]

    response = await api.post("/sessions", {"sessionId": "new", "participants": people})

    if status == 201:
        assert response.status == 201 and response.json["participantCount"] == count
    else:
        assert_problem(response, status)
        assert_problem(await api.get("/sessions/new"), 404)


@pytest.mark.parametrize(
    "metadata", [{}, {"a": None, "b": [1, {"c": True}]}, {"": "\x00\r\n\u2028\U0001f600", "ü": -0.5}, {"n": 2**63}]
)
async def test_metadata_is_kept_as_given(api, metadata):
    created = await api.post("/sessions", {"sessionId": "new", "metadata": metadata})

    assert created.json["metadata"] == metadata
    assert (await api.get("/sessions/new")).json["metadata"] == metadata
    listed = (await api.get("/sessions")).json["sessions"]
    assert [entry["metadata"] for entry in listed if entry["sessionId"] == "new"] == [metadata]


@pytest.mark.parametrize("metadata", [[], "x", 0, 1.5, True, False], ids=repr)
async def test_metadata_that_is_not_an_object_is_refused(api, metadata):
    """P7."""
    before = await state(api)

    assert_problem(await api.post("/sessions", {"sessionId": "new", "metadata": metadata}), 400)
    assert_problem(await api.request("PATCH", "/sessions/s", {"metadata": metadata}), 400)

    assert await state(api) == before


@pytest.mark.parametrize(("size", "is_allowed"), [(255, True), (256, True), (257, False)])
async def test_metadata_has_a_limit_in_bytes(start_server, size, is_allowed):
    """P4."""
    api = await start_server(max_metadata_bytes=256)
    await api.create()
    before = await state(api)
    metadata = {"a": "x" * (size - len('{"a":""}'))}

    created = await api.post("/sessions", {"sessionId": "new", "metadata": metadata})
    changed = await api.request("PATCH", "/sessions/s", {"metadata": metadata})

    if is_allowed:
        assert (created.status, changed.status) == (201, 200)
    else:
        assert_problem(created, 413)
        assert_problem(changed, 413)
        assert await state(api) == before


async def test_unknown_fields_of_a_body_are_ignored(api):
    body = {"sessionId": "new", "colour": "red", "status": "closed", "participants": [{"participantId": "a", "x": 1}]}

    created = await api.post("/sessions", body)

    assert created.status == 201
    assert created.json["status"] == "active" and "colour" not in created.json
    assert set((await events_after(api, 0, "new"))[0]["data"]) == {"participantId", "displayName", "kind"}


async def test_the_snapshot_moves_with_every_event(api):
    before = (await api.get("/sessions/s", who="alice")).json

    published = await api.publish("hello")

    after = (await api.get("/sessions/s", who="alice")).json
    assert after["lastSequence"] == before["lastSequence"] + 1 == published["sequence"]
    assert (after["lastEventId"], after["lastModified"]) == (published["id"], published["timestamp"])
    assert (after["createdAt"], after["metadata"]) == (before["createdAt"], before["metadata"])
