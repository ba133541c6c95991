"""Sessions over HTTP (DESIGN 4.2): list, change, end."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.conftest import Api
from tests.contract import MESSAGE, SESSION_ROUTES, assert_problem, events_after, last_sequence, state, status_of

STATUSES = ["active", "paused", "closed"]
TYPING = {"type": "typing_indicator", "data": {"isTyping": True}}


async def walk(api: Api, path: str, key: str, limit: int, who: str = "service") -> list[str]:
    """Return the names on all pages, following ``next`` as a client does."""
    names: list[str] = []
    after = ""
    while True:
        page: dict[str, Any] = (await api.get(f"{path}?limit={limit}{after}", who=who)).json
        (entries,) = [value for value in page.values() if isinstance(value, list)]
        assert set(page) >= {"hasMore", "next"} and len(entries) <= limit
        names += [entry[key] for entry in entries]
        if not page["hasMore"]:
            return names
        assert entries and page["next"] is not None
        after = f"&after={page['next']}"


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 100])
async def test_the_pages_of_a_list_hold_every_session_once(api, limit):
    names = {"s", "a", "A", "~", "b.c", "0"}
    for name in names - {"s"}:
        await api.create(name, ("bob",))

    found = await walk(api, "/sessions", "sessionId", limit)

    assert len(found) == 6 and set(found) == names
    page = (await api.get(f"/sessions?limit={limit}")).json
    assert page["hasMore"] is (limit < 6) and len(page["sessions"]) == min(limit, 6)


async def test_the_list_shows_the_same_document_as_the_session_itself(api):
    await api.publish("one")
    await api.create("other", ())

    listed = (await api.get("/sessions")).json["sessions"]

    assert {entry["sessionId"] for entry in listed} == {"s", "other"}
    for entry in listed:
        assert entry == (await api.get(f"/sessions/{entry['sessionId']}")).json


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_participants_see_the_sessions_they_are_in_and_no_others(api, limit):
    """P6."""
    for number in range(3):
        await api.create(f"alice{number}", ("alice",))
        await api.create(f"bob{number}", ("bob",))

    assert set(await walk(api, "/sessions", "sessionId", limit, "alice")) == {"s", "alice0", "alice1", "alice2"}
    assert await walk(api, "/sessions", "sessionId", limit, "carol") == []

    await api.post("/sessions/alice1/leave", who="alice")
    await api.request("DELETE", "/sessions/alice0")
    assert set(await walk(api, "/sessions", "sessionId", limit, "alice")) == {"s", "alice2"}


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
async def test_a_change_of_status_is_published_and_no_change_is_not(api, before, after):
    await api.request("PATCH", "/sessions/s", {"status": before})
    old = (await api.get("/sessions/s")).json

    response = await api.request("PATCH", "/sessions/s", {"status": after})

    assert response.status == 200 and response.json["status"] == after
    assert response.json == (await api.get("/sessions/s")).json
    events = await events_after(api, old["lastSequence"])
    if before == after:
        assert events == [] and response.json == old
    else:
        assert [event["type"] for event in events] == ["session_status_changed"]
        assert events[0]["data"] == {"status": after, "previousStatus": before}
        assert response.json["lastEventId"] == events[0]["id"]
        assert response.json["updatedAt"] > old["updatedAt"]


@pytest.mark.parametrize(
    ("session_status", "who", "status"),
    [
        ("active", "alice", 201),
        ("active", "service", 201),
        ("active", "admin", 201),
        ("paused", "alice", 409),
        ("paused", "service", 201),
        ("paused", "admin", 201),
        ("closed", "alice", 409),
        ("closed", "service", 409),
        ("closed", "admin", 409),
    ],
)
async def test_who_can_publish_depends_on_the_status(api, session_status, who, status):
    await api.request("PATCH", "/sessions/s", {"status": session_status})
    before = await state(api)

    for body, success in ((MESSAGE, 201), (TYPING, 202), ({"events": [TYPING, MESSAGE]}, 201)):
        response = await api.post("/sessions/s/events", body, who=who)
        if status == 201:
            assert response.status == success
        else:
            assert_problem(response, 409)

    if status == 409:
        assert await state(api) == before
        await api.request("PATCH", "/sessions/s", {"status": "active"})
        assert (await api.post("/sessions/s/events", MESSAGE, who=who)).status == 201


@pytest.mark.parametrize("session_status", ["paused", "closed"])
async def test_a_session_that_takes_nothing_can_still_be_read_and_left(api, session_status):
    await api.publish("kept")
    await api.request("PATCH", "/sessions/s", {"status": session_status})

    assert (await api.get("/sessions/s", who="alice")).json["status"] == session_status
    assert (await events_after(api, 2))[0]["data"]["content"] == "kept"
    assert (await api.post("/sessions/s/leave", who="alice")).status == 204
    assert_problem(await api.get("/sessions/s", who="alice"), 403)


async def test_metadata_changes_without_an_event(api):
    old = (await api.get("/sessions/s")).json

    changed = await api.request("PATCH", "/sessions/s", {"metadata": {"topic": "loan"}})

    assert changed.json["metadata"] == {"topic": "loan"}
    assert changed.json["updatedAt"] > old["updatedAt"]
    assert (changed.json["lastSequence"], changed.json["status"]) == (old["lastSequence"], "active")
    again = await api.request("PATCH", "/sessions/s", {"metadata": {"topic": "loan"}})
    assert again.json == changed.json == (await api.get("/sessions/s")).json


async def test_status_and_metadata_change_together(api):
    changed = await api.request("PATCH", "/sessions/s", {"status": "paused", "metadata": {"a": 1}, "unknown": 1})

    assert (changed.json["status"], changed.json["metadata"]) == ("paused", {"a": 1})
    assert [event["type"] for event in await events_after(api, 2)] == ["session_status_changed"]


@pytest.mark.parametrize("body", [{}, {"unknown": 5}, {"status": "active"}, {"metadata": {}}], ids=repr)
async def test_a_change_that_changes_nothing_leaves_no_trace(api, body):
    before = await state(api)

    response = await api.request("PATCH", "/sessions/s", body)

    assert response.status == 200 and response.json == before["session"]
    assert await state(api) == before


@pytest.mark.parametrize("found", ["open", "", "Active", "active ", 1, True, [], ["closed"], {}], ids=repr)
async def test_an_unknown_status_is_refused_together_with_what_came_with_it(api, found):
    """P7."""
    before = await state(api)

    response = await api.request("PATCH", "/sessions/s", {"metadata": {"half": "done"}, "status": found})

    assert all(word in assert_problem(response, 400)["detail"] for word in STATUSES)
    assert await state(api) == before


async def test_what_was_changed_survives_a_restart(api, start_server):
    """P1."""
    await api.request("PATCH", "/sessions/s", {"status": "paused", "metadata": {"a": 1}})
    await api.request("PUT", "/sessions/s/participants/carol", {"displayName": "Carol", "kind": "ai"})
    await api.request("DELETE", "/sessions/s/participants/bob")
    before = await state(api)
    await start_server.stop(api)

    api = await start_server()

    assert await state(api) == before
    assert_problem(await api.post("/sessions/s/events", MESSAGE, who="alice"), 409)


async def test_a_deleted_session_is_gone_for_everybody(api, start_server):
    await api.create("other")
    other = await state(api, "other")

    response = await api.request("DELETE", "/sessions/s")

    assert (response.status, response.body) == (204, b"")
    for route in SESSION_ROUTES:
        assert await status_of(api, route.method, f"/sessions/s{route.path}", route.body) == 404
        assert await status_of(api, route.method, f"/sessions/s{route.path}", route.body, who="alice") == 403
    assert [entry["sessionId"] for entry in (await api.get("/sessions")).json["sessions"]] == ["other"]
    assert [entry["sessionId"] for entry in (await api.get("/sessions", who="bob")).json["sessions"]] == ["other"]
    after = await state(api, "other")
    assert after["session"] == other["session"] and after["events"] == other["events"]

    await start_server.stop(api)
    api = await start_server()
    assert_problem(await api.get("/sessions/s"), 404)
    assert await last_sequence(api, "other") == 2
