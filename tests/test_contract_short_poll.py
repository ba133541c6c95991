"""Short polling: ``GET /api/sessions/{id}/updates?since=`` (DESIGN 4.6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest

from rtserver.cursor import decode_id, encode_id
from rtserver.event import format_timestamp
from tests.contract import assert_problem

EPOCH = "1970-01-01T00:00:00Z"


async def short(api, since, query="", **options):
    target = f"since={quote(since, safe=':')}" + (f"&{query}" if query else "")
    return await api.poll(target, **options)


async def updates(api, since, query="", **options):
    response = await short(api, since, query, **options)
    assert response.status == 200, response.body
    return response.json


def contents(page):
    return [item["data"]["content"] for item in page["updates"] if item["type"] == "message_added"]


async def transient(api, type, who="alice", **data):
    body = {"type": type, "data": {"participantId": who} | data}
    assert (await api.post("/sessions/s/events", body)).status == 202


# The page


async def test_a_page_has_what_came_after_since_and_how_to_go_on(api):
    snapshot = await api.create("t", people=("alice",))
    entries = [await api.publish(f"m{n}", session_id="t") for n in range(3)]
    page = await updates(api, snapshot["createdAt"], session_id="t")
    assert set(page) == {"updates", "lastModified", "lastEventId", "hasMore", "suggestedPollInterval"}
    assert [item["sequence"] for item in page["updates"]] == [1, 2, 3, 4]
    assert set(page["updates"][1]) == {"id", "sequence", "type", "timestamp", "data", "priority"}
    assert page["updates"][1]["id"] == entries[0]["id"]
    assert (page["lastEventId"], page["lastModified"]) == (entries[-1]["id"], entries[-1]["timestamp"])
    assert page["hasMore"] is False


async def test_since_is_exclusive_to_the_microsecond(api):
    entry = await api.publish("m")
    before = decode_id(entry["id"]).timestamp_us - 1
    assert contents(await updates(api, entry["timestamp"])) == []
    assert contents(await updates(api, format_timestamp(before))) == ["m"]


@pytest.mark.parametrize("ring_events", [1, 1000])
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_last_modified_as_since_goes_through_everything_once(start_server, ring_events, limit):
    """P2: from the ring and from the store."""
    api = await start_server(ring_events=ring_events)
    await api.create(people=("alice",))
    for number in range(7):
        await api.publish(f"m{number}")
    since, seen = EPOCH, []
    while True:
        page = await updates(api, since, f"limit={limit}")
        seen += [item["sequence"] for item in page["updates"]]
        since = page["lastModified"]
        if not page["hasMore"]:
            break
    assert seen == list(range(1, 9))
    assert (await updates(api, since))["updates"] == []


async def test_before_any_event_the_page_is_empty_and_begins_at_the_zero_cursor(api):
    snapshot = await api.create("t", people=())
    page = await updates(api, snapshot["createdAt"], session_id="t", who="service")
    assert page["updates"] == []
    assert (page["lastModified"], page["lastEventId"]) == (snapshot["createdAt"], snapshot["lastEventId"])
    assert decode_id(page["lastEventId"]).sequence == 0
    assert page["suggestedPollInterval"] == 5


@pytest.mark.parametrize(
    "form",
    [
        lambda moment: moment.isoformat(timespec="microseconds") + "Z",
        lambda moment: moment.isoformat(timespec="microseconds"),
        lambda moment: (moment + timedelta(hours=2)).isoformat(timespec="microseconds") + "+02:00",
        lambda moment: (moment - timedelta(hours=5)).isoformat(timespec="microseconds") + "-05:00",
        lambda moment: moment.isoformat(timespec="microseconds") + "999Z",
    ],
)
async def test_since_is_understood_with_any_offset(api, form):
    entry = await api.publish("m")
    await api.publish("later")
    moment = datetime.fromisoformat(entry["timestamp"].rstrip("Z"))
    assert contents(await updates(api, form(moment))) == ["later"]


async def test_a_plus_that_arrived_as_a_space_is_understood(api):
    entry = await api.publish("m")
    await api.publish("later")
    moment = datetime.fromisoformat(entry["timestamp"].rstrip("Z")) + timedelta(hours=2)
    response = await api.poll(f"since={moment.isoformat(timespec='microseconds')}+02:00")
    assert contents(response.json) == ["later"]


@pytest.mark.parametrize("since", ["", "now", "0", "2026-01-01", "2026-13-01T00:00:00Z", "null"])
async def test_a_since_that_is_no_time_is_refused(api, since):
    """P7."""
    assert_problem(await short(api, since), 400)


@pytest.mark.parametrize("name", ["limit", "batchSize"])
@pytest.mark.parametrize(("limit", "count"), [(1, 1), (99, 99), (100, 100)])
async def test_a_page_has_at_most_its_limit(api, name, limit, count):
    for _ in range(2):
        await api.post("/sessions/s/events", {"events": [{"type": "note", "data": {}}] * 60})
    page = await updates(api, EPOCH, f"{name}={limit}")
    assert (len(page["updates"]), page["hasMore"]) == (count, True)


async def test_a_page_has_fifty_unless_asked_otherwise(api):
    await api.post("/sessions/s/events", {"events": [{"type": "note", "data": {}}] * 60})
    assert len((await updates(api, EPOCH))["updates"]) == 50


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "batchSize=0", "batchSize=101", "limit=x", "limit=1&limit=1"]
)
async def test_a_limit_out_of_range_is_refused(api, query):
    """P7."""
    assert_problem(await short(api, EPOCH, query), 400)


@pytest.mark.parametrize("query", ["includeTyping=yes", "compact=1", "rtt=x", "rtt=-1", "timeout=x"])
async def test_a_malformed_parameter_is_refused(api, query):
    """P7."""
    assert_problem(await short(api, EPOCH, query), 400)
    assert_problem(await api.poll(query), 400)


# Priority


async def test_critical_events_come_first_within_the_page_and_the_rest_in_sequence(api):
    for type in ("note", "ai_response_ready", "note", "session_status_changed", "note"):
        await api.post("/sessions/s/events", {"type": type, "data": {}})
    first = await updates(api, EPOCH, "limit=4")
    assert [(i["sequence"], i["priority"]) for i in first["updates"]] == [
        (4, "critical"),
        (1, "normal"),
        (2, "normal"),
        (3, "normal"),
    ]
    # The page is the next four by sequence: what is critical further on does not jump pages.
    assert decode_id(first["lastEventId"]).sequence == 4
    assert first["lastModified"] == first["updates"][0]["timestamp"]
    second = await updates(api, first["lastModified"], "limit=4")
    assert [i["sequence"] for i in second["updates"]] == [6, 5, 7]
    assert decode_id(second["lastEventId"]).sequence == 7


async def test_which_types_are_critical_is_a_setting(start_server):
    api = await start_server(critical_types="alarm")
    await api.create()
    for type in ("ai_response_ready", "alarm"):
        await api.post("/sessions/s/events", {"type": type, "data": {}})
    page = await updates(api, EPOCH)
    assert [i["priority"] for i in page["updates"]] == ["critical", "normal", "normal", "normal"]
    assert page["updates"][0]["type"] == "alarm"


async def test_a_filter_lets_its_types_through_and_moves_past_the_others(api):
    await api.publish("m")
    await api.post("/sessions/s/events", {"type": "note", "data": {}})
    page = await updates(api, EPOCH, "eventTypes=message_added")
    assert contents(page) == ["m"] and len(page["updates"]) == 1
    rest = await updates(api, page["lastModified"], "eventTypes=message_added")
    assert rest["updates"] == [] and decode_id(rest["lastEventId"]).sequence == 4


# Where to begin


async def test_a_cursor_beside_since_is_the_position(api):
    first, second = [await api.publish(content) for content in ("one", "two")]
    assert contents(await updates(api, second["timestamp"], f"lastEventId={first['id']}")) == ["two"]
    assert contents(await updates(api, EPOCH, f"lastEventId={second['id']}")) == []
    assert contents(await updates(api, second["timestamp"], "lastEventId=0")) == ["one", "two"]
    header = {"Last-Event-ID": first["id"]}
    assert contents(await updates(api, second["timestamp"], headers=header)) == ["two"]


async def test_a_cursor_of_another_life_beside_since_is_a_gap(api):
    """P3."""
    entry = await api.publish("m")
    held = decode_id(entry["id"])
    other = encode_id(held.timestamp_us, held.epoch ^ 1, held.sequence)
    page = await updates(api, entry["timestamp"], f"lastEventId={other}")
    assert page["reset"] == {
        "reason": "epoch",
        "requested": other,
        "earliest": page["reset"]["earliest"],
        "lastEventId": entry["id"],
    }
    assert (page["updates"], page["hasMore"], page["lastEventId"]) == ([], False, entry["id"])
    assert page["lastModified"] == entry["timestamp"]


async def test_a_since_before_what_was_trimmed_is_a_gap_and_the_edge_is_not(start_server):
    """P3."""
    api = await start_server(retention_events=2)
    await api.create(people=("alice",))
    entries = [await api.publish(f"m{n}") for n in range(4)]
    await api.trim()
    edge = entries[1]  # m2 and m3 are kept
    before = format_timestamp(decode_id(edge["id"]).timestamp_us - 1)
    page = await updates(api, before)
    assert page["reset"]["reason"] == "trimmed" and page["reset"]["requested"] == before
    assert page["reset"]["earliest"] == entries[2]["id"]
    assert page["lastEventId"] == entries[3]["id"]
    assert contents(await updates(api, edge["timestamp"])) == ["m2", "m3"]


async def test_an_idle_reader_whose_last_event_was_trimmed_is_told_of_no_gap(start_server):
    """P3."""
    api = await start_server(retention_age="1ms")
    await api.create(people=("alice",))
    entry = await api.publish("m")
    await api.trim()
    page = await updates(api, entry["timestamp"])
    assert "reset" not in page and page["updates"] == []
    assert page["lastEventId"] == entry["id"]


async def test_a_since_later_than_now_is_a_gap(api):
    """P3."""
    page = await updates(api, "2126-01-01T00:00:00Z")
    assert page["reset"]["reason"] == "ahead" and page["reset"]["requested"] == "2126-01-01T00:00:00Z"


async def test_the_newest_event_may_be_later_than_now(start_server):
    """P3, P8: after the clock stepped back, lastModified as since is no gap."""
    now = 1_800_000_000_000_000
    api = await start_server(clock=lambda: now)
    await api.create(people=("alice",))
    entry = await api.publish("m")
    now -= 3_600_000_000
    page = await updates(api, entry["timestamp"])
    assert "reset" not in page and page["updates"] == []
    await api.publish("later")
    assert contents(await updates(api, page["lastModified"])) == ["later"]


async def test_a_session_that_left_memory_is_read_from_the_store(start_server):
    """P2."""
    api = await start_server()
    await api.create(people=("alice",))
    entries = [await api.publish(f"m{n}") for n in range(9)]
    api.hub.registry.discard(api.hub.registry.peek("s"))
    for number, entry in enumerate(entries):
        assert contents(await updates(api, entry["timestamp"])) == [f"m{n}" for n in range(number + 1, 9)]


# Passing states


async def test_typing_is_shown_only_to_who_asks(api):
    entry = await api.publish("m")
    await transient(api, "typing_indicator", isTyping=True)
    assert (await updates(api, entry["timestamp"]))["updates"] == []
    page = await updates(api, entry["timestamp"], "includeTyping=true")
    (item,) = page["updates"]
    assert (item["type"], item["data"]["isTyping"], item["priority"]) == ("typing_indicator", True, "normal")
    assert "id" not in item and "sequence" not in item
    assert page["lastEventId"] == entry["id"]


async def test_a_state_published_before_since_is_not_shown_again(api):
    await transient(api, "typing_indicator", isTyping=True)
    page = await updates(api, EPOCH, "includeTyping=true")
    moment = page["updates"][-1]["timestamp"]
    assert (await updates(api, moment, "includeTyping=true"))["updates"] == []


async def test_of_ai_progress_the_status_is_shown(api):
    entry = await api.publish("m")
    await transient(api, "ai_progress", who="ava", status="thinking", step=1, of=3, note="deep")
    (item,) = (await updates(api, entry["timestamp"]))["updates"]
    assert (item["type"], item["data"]) == ("ai_progress", {"participantId": "ava", "status": "thinking"})


# The short form


@pytest.mark.parametrize(("length", "is_cut"), [(199, False), (200, False), (201, True)])
@pytest.mark.parametrize("tier", ["short-poll", "long-poll"])
async def test_compact_cuts_long_strings_and_says_so(api, length, is_cut, tier):
    text = "ä" * length
    data = {"deep": [{"text": text, "number": 5}], "short": "x"}
    answer = await api.post("/sessions/s/events", {"type": "note", "data": data})
    query = f"since={EPOCH}" if tier == "short-poll" else "lastEventId=0"
    for extra, headers in (("&compact=true", {}), ("", {"Save-Data": "on"})):
        page = (await api.poll(f"{query}&eventTypes=note{extra}", headers=headers)).json
        (item,) = page["updates" if tier == "short-poll" else "events"]
        assert item["data"] == {"deep": [{"text": text[:200], "number": 5}], "short": "x"}
        assert item.get("truncated", False) is is_cut
    whole = await api.get(f"/sessions/s/events/{answer.json['events'][0]['id']}")
    assert whole.json["data"] == data
    page = (await api.poll(f"{query}&eventTypes=note&compact=false", headers={"Save-Data": "on"})).json
    assert "truncated" not in page["updates" if tier == "short-poll" else "events"][0]


@pytest.mark.parametrize("value", ["off", "1", "", "on, on"])
async def test_a_save_data_that_does_not_say_on_is_ignored(api, value):
    await api.post("/sessions/s/events", {"type": "note", "data": {"text": "x" * 300}})
    page = (await api.poll(f"since={EPOCH}&eventTypes=note", headers={"Save-Data": value})).json
    assert len(page["updates"][0]["data"]["text"]) == 300


# How often


async def test_every_answer_says_how_soon_to_poll_again(api):
    entry = await api.publish("m")
    first = await short(api, EPOCH)
    assert first.headers["poll-interval"] == str(first.json["suggestedPollInterval"])
    again = await short(api, entry["timestamp"], headers={"If-None-Match": "*"})
    assert again.status == 304 and 3 <= int(again.headers["poll-interval"]) <= 10
    for query in ("timeout=0", "lastEventId=0"):
        assert 3 <= int((await api.poll(query)).headers["poll-interval"]) <= 10


async def test_the_interval_follows_the_session(start_server):
    now = 1_800_000_000_000_000
    api = await start_server(clock=lambda: now)
    snapshot = await api.create(people=("alice",))

    async def interval():
        return (await updates(api, snapshot["createdAt"]))["suggestedPollInterval"]

    for _ in range(30):
        now += 5_000_000
        await api.publish("m")
    assert await interval() == 3
    now += 30_000_000
    assert 5 <= await interval() <= 8
    now += 29_999_999
    assert await interval() < 10
    now += 1
    assert await interval() == 10


async def test_the_interval_of_a_session_from_the_store_is_the_default_until_it_is_known(start_server):
    now = 1_800_000_000_000_000
    api = await start_server(clock=lambda: now)
    await api.create(people=("alice",))
    api.hub.registry.discard(api.hub.registry.peek("s"))
    assert (await updates(api, EPOCH))["suggestedPollInterval"] == 5


async def test_a_busy_server_asks_to_be_polled_less(start_server):
    now = 1_800_000_000_000_000
    api = await start_server(clock=lambda: now, poll_interval_min=3, poll_interval_default=4, poll_interval_max=12)
    await api.create(people=())
    pace = api.core._pace
    pace.close()
    found = []
    for lag_seconds in (0, 0.05, 0.25, 10):
        pace.lag_seconds = lag_seconds
        found.append((await updates(api, EPOCH, who="service"))["suggestedPollInterval"])
    assert found == [4, 4, 8, 12]
