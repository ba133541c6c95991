"""The long poll as 4.6 words it: answers, waiting, replacing, ending, passing states."""

import asyncio

import pytest

from rtserver.polls import PROGRESS_SECONDS
from rtserver.readers import Poll
from tests.conftest import until
from tests.http import Connection


async def waiting_poll(api, query="", who="alice", **options):
    """Start a poll and return its task once it waits."""
    polls = api.hub.registry.peek("s").polls
    before = set(polls)
    task = asyncio.create_task(api.poll(query, who=who, **options))
    await until(lambda: task.done() or any(poll.is_waiting for poll in set(polls) - before))
    return task


async def test_events_after_the_cursor_come_at_once(api):
    first = await api.publish("one")
    second = await api.publish("two")
    response = await api.poll(f"lastEventId={first['id']}")
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-cache, no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers["last-event-id"] == second["id"]
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.json == {
        "events": [
            {
                "id": second["id"],
                "sequence": 4,
                "type": "message_added",
                "timestamp": second["timestamp"],
                "data": response.json["events"][0]["data"],
            }
        ],
        "lastEventId": second["id"],
        "hasMore": False,
        "nextPollDelay": 0,
    }
    assert response.json["events"][0]["data"]["content"] == "two"


async def test_a_poll_waits_for_the_next_event(api):
    poll = await waiting_poll(api)
    entry = await api.publish("news")
    response = await poll
    assert [event["id"] for event in response.json["events"]] == [entry["id"]]


async def test_nothing_within_the_timeout_is_a_204_with_the_cursor(api):
    snapshot = (await api.get("/sessions/s")).json
    loop = asyncio.get_running_loop()
    start = loop.time()
    response = await api.poll("timeout=1")
    assert 0.95 <= loop.time() - start < 2
    assert (response.status, response.body) == (204, b"")
    assert response.headers["retry-after"] == "5"
    assert response.headers["last-event-id"] == snapshot["lastEventId"]
    assert "content-length" not in response.headers


async def test_timeout_0_answers_at_once(api):
    assert (await api.poll("timeout=0")).status == 204


@pytest.mark.parametrize(("value", "expected"), [("29", 29), ("30", 30), ("31", 30), ("99999999", 30)])
async def test_a_longer_timeout_is_clamped(api, value, expected):
    poll = await waiting_poll(api, f"timeout={value}")
    [waiting] = api.hub.registry.peek("s").polls
    assert waiting.timeout_seconds == expected
    await api.publish("end")
    await poll


async def test_the_default_timeout_is_30_seconds(api):
    poll = await waiting_poll(api)
    [waiting] = api.hub.registry.peek("s").polls
    assert waiting.timeout_seconds == 30
    await api.publish("end")
    await poll


MALFORMED = (
    "timeout=-1", "timeout=1.5", "timeout=x", "timeout=", "limit=0", "limit=101", "limit=-1", "limit=1&limit=2",
    "from=middle", "clientId=", f"clientId={'x' * 129}", "clientId=a%0Ab",
)  # fmt: skip


@pytest.mark.parametrize("query", MALFORMED)
async def test_malformed_parameters_are_refused(api, query):
    """P7."""
    response = await api.poll(query)
    assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("settings", [{}, {"ring_events": 1}], ids=["ring", "store"])
@pytest.mark.parametrize("limit", [1, 4, 5, 6, 100])
async def test_a_page_is_the_next_events_up_to_the_limit(start_server, settings, limit):
    """P4: n-1, n, n+1."""
    api = await start_server(**settings)
    cursor = (await api.create())["lastEventId"]
    for number in range(5):
        await api.publish(f"m{number}")
    seen, has_more = [], True
    while has_more:
        page = (await api.poll(f"lastEventId={cursor}&limit={limit}&timeout=0")).json
        assert len(page["events"]) == min(limit, 5 - len(seen))
        seen += [event["data"]["content"] for event in page["events"]]
        cursor, has_more = page["lastEventId"], page["hasMore"]
        assert has_more is (len(seen) < 5)
    assert seen == [f"m{number}" for number in range(5)]


@pytest.mark.parametrize("settings", [{}, {"ring_events": 1, "replay_step": 2}], ids=["ring", "store"])
async def test_a_filter_moves_the_cursor_past_what_it_left_out(start_server, settings):
    api = await start_server(**settings)
    await api.create()
    for type in ("a", "b", "a", "b", "b", "b", "b"):
        await api.post("/sessions/s/events", {"type": type, "data": {}})
    page = await api.poll("from=earliest&eventTypes=a&timeout=0&limit=1")
    assert [event["sequence"] for event in page.json["events"]] == [3]
    page = await api.poll(f"lastEventId={page.json['lastEventId']}&eventTypes=a&timeout=0")
    assert [event["sequence"] for event in page.json["events"]] == [5]
    page = await api.poll(f"lastEventId={page.json['lastEventId']}&eventTypes=a&timeout=0")
    assert page.status == 204
    assert page.headers["last-event-id"] == (await api.get("/sessions/s")).json["lastEventId"]


async def test_a_waiting_poll_with_a_filter_sleeps_through_other_types(api):
    poll = await waiting_poll(api, "eventTypes=wanted")
    await api.publish("not wanted")
    assert not poll.done()
    await api.post("/sessions/s/events", {"type": "wanted", "data": {}})
    assert [event["type"] for event in (await poll).json["events"]] == ["wanted"]


async def test_head_answers_at_once_without_a_body(api):
    await api.publish("m")
    response = await api.request("HEAD", "/sessions/s/updates?lastEventId=2", who="alice")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["last-event-id"]
    assert (await api.request("HEAD", "/sessions/s/updates", who="alice")).status == 204


# One waiting poll per client


async def test_a_newer_poll_of_the_same_client_replaces_the_older(api):
    older = await waiting_poll(api, "clientId=tab")
    newer = await waiting_poll(api, "clientId=tab")
    response = await older
    assert (response.status, response.headers["poll-replaced"]) == (204, "true")
    assert response.headers["last-event-id"]
    await api.publish("news")
    assert len((await newer).json["events"]) == 1
    assert "poll-replaced" not in newer.result().headers


@pytest.mark.parametrize(
    ("first", "second"),
    [(("alice", "clientId=a"), ("alice", "clientId=b")), (("alice", "clientId=a"), ("bob", "clientId=a")),
     (("alice", ""), ("alice", ""))],
    ids=["another client", "another participant", "no client id"],
)  # fmt: skip
async def test_polls_of_different_clients_leave_each_other_alone(api, first, second):
    polls = [await waiting_poll(api, query, who) for who, query in (first, second)]
    assert api.hub.polls.waiting == 2
    await api.publish("news")
    assert [(await poll).status for poll in polls] == [200, 200]


# Ending


async def test_removal_ends_a_waiting_poll_with_403(api):
    """P6: within a second; others go on waiting."""
    poll = await waiting_poll(api, "eventTypes=x")
    other = await waiting_poll(api, "eventTypes=x", who="bob")
    start = asyncio.get_running_loop().time()
    await api.request("DELETE", "/sessions/s/participants/alice")
    response = await poll
    assert asyncio.get_running_loop().time() - start < 1
    assert (response.status, response.json["type"]) == (403, "/problems/not-a-participant")
    assert not other.done()
    await api.post("/sessions/s/events", {"type": "x", "data": {}})
    assert (await other).status == 200


async def test_expiry_of_the_token_ends_a_waiting_poll_with_401(api):
    """P6."""
    start = asyncio.get_running_loop().time()
    response = await api.poll(headers=api.headers("alice", ttl_seconds=2))
    assert asyncio.get_running_loop().time() - start < 3
    assert (response.status, response.json["type"]) == (401, "/problems/token-expired")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(("who", "status"), [("alice", 403), ("service", 404)])
async def test_deletion_of_the_session_ends_a_waiting_poll(api, who, status):
    poll = await waiting_poll(api, who=who)
    await api.request("DELETE", "/sessions/s")
    assert (await poll).status == status


async def test_shutdown_ends_a_waiting_poll_with_503_and_when_to_return(api):
    """P5."""
    poll = await waiting_poll(api)
    await api.hub.drain(0)
    response = await poll
    assert response.status == 503 and int(response.headers["retry-after"]) >= 1
    assert (await api.poll()).status == 503
    # What is there already is still told.
    assert (await api.poll("from=earliest")).status == 200


async def test_the_end_of_a_closed_session_is_said_at_once(api):
    poll = await waiting_poll(api)
    await api.request("PATCH", "/sessions/s", {"status": "closed"})
    body = (await poll).json
    assert [event["type"] for event in body["events"]] == ["session_status_changed"]
    again = await api.poll(f"lastEventId={body['lastEventId']}")
    assert again.status == 200
    assert again.json == {
        "events": [],
        "lastEventId": body["lastEventId"],
        "hasMore": False,
        "nextPollDelay": 0,
        "closed": True,
    }


async def test_a_client_that_hangs_up_is_forgotten(api):
    async with Connection(api.port) as connection:
        connection.send("GET", "/api/sessions/s/updates", api.headers("alice"))
        await until(lambda: api.hub.polls.waiting == 1)
    await until(lambda: api.hub.polls.waiting == 0)
    assert not api.hub.registry.peek("s").polls


async def test_a_poll_that_would_wait_at_the_limit_is_refused(start_server):
    """P4: n-1, n, n+1; what need not wait is answered."""
    api = await start_server(max_waiting_polls=2)
    await api.create()
    polls = [await waiting_poll(api) for _ in range(2)]
    refused = await api.poll()
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert (await api.poll("from=earliest")).status == 200
    assert (await api.poll("timeout=0")).status == 204
    await api.publish("news")
    assert [(await poll).status for poll in polls] == [200, 200]


# Passing states


async def progress(api, status):
    body = {"type": "ai_progress", "data": {"participantId": "ava", "status": status}}
    assert (await api.post("/sessions/s/events", body)).status == 202


async def test_ai_progress_published_while_the_poll_waits_comes_with_it(api):
    poll = await waiting_poll(api)
    await progress(api, "reading")
    body = (await poll).json
    assert [sorted(item) for item in body["events"]] == [["data", "timestamp", "type"]]
    assert body["events"][0]["data"] == {"participantId": "ava", "status": "reading"}
    assert body["lastEventId"] == (await api.get("/sessions/s")).json["lastEventId"]


async def test_ai_progress_comes_at_most_every_two_seconds_with_the_latest_state_only(api):
    loop = asyncio.get_running_loop()
    poll = await waiting_poll(api)
    await progress(api, "one")
    await poll
    start = loop.time()
    poll = await waiting_poll(api)
    for status in ("two", "three", "four"):
        await progress(api, status)
    body = (await poll).json
    assert loop.time() - start >= PROGRESS_SECONDS - 0.3
    assert [item["data"]["status"] for item in body["events"]] == ["four"]


async def test_ai_progress_from_before_the_poll_is_not_told(api):
    await progress(api, "old")
    assert (await api.poll("timeout=0")).status == 204
    poll = await waiting_poll(api)
    await api.publish("news")
    assert [event["type"] for event in (await poll).json["events"]] == ["message_added"]


async def test_typing_never_wakes_a_poll(api):
    poll = await waiting_poll(api, "timeout=1")
    body = {"type": "typing_indicator", "data": {"isTyping": True}}
    assert (await api.post("/sessions/s/events", body, who="bob")).status == 202
    assert (await poll).status == 204


# Far away


async def test_a_poll_from_far_away_gathers_a_burst_into_one_answer(api):
    """DESIGN 4.6: a round trip of more than half a second is worth a quarter of one."""
    for query, headers in (("rtt=501", {}), ("", {"RTT": "600"})):
        end = (await api.get("/sessions/s")).json["lastEventId"]
        waiting = asyncio.ensure_future(api.poll(f"lastEventId={end}&{query}", headers=headers))
        await until(lambda: api.hub.polls.waiting == 1)
        for content in ("one", "two", "three"):
            await api.publish(content)
        page = (await waiting).json
        assert [event["data"]["content"] for event in page["events"]] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [("rtt=500", {}), ("", {"RTT": "500"}), ("", {"RTT": "far"}), ("", {}), ("timeout=0&rtt=900", {})],
)
async def test_any_other_poll_is_answered_at_once(api, monkeypatch, query, headers):
    """A malformed hint is ignored; nothing waits that asked not to."""
    await api.publish("one")
    waits = []
    monkeypatch.setattr(Poll, "wait", lambda *arguments: waits.append(arguments))
    page = (await api.poll(f"from=earliest&{query}", headers=headers)).json
    assert len(page["events"]) == 3 and waits == []


async def test_a_poll_that_gathers_is_still_ended_by_removal(api):
    """P6."""
    await api.publish("one")
    waiting = asyncio.ensure_future(api.poll("from=earliest&rtt=900"))
    await until(lambda: api.hub.polls.waiting == 1)
    await api.request("DELETE", "/sessions/s/participants/alice")
    assert (await waiting).status == 403
