"""History and single events over HTTP (DESIGN 4.2): newest first, page by page, joined to live without a race."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from tests.checker import History, check
from tests.contract import assert_problem, decode_id, state
from tests.readers import READERS, TIERS, sequence_of, uid_of
from tests.test_delivery import SOURCES, stored_events

OTHER = {"type": "custom", "data": {"n": 1}}


@pytest.fixture(params=SOURCES)
def source(request):
    return SOURCES[request.param]


async def messages(api, query="", *, session_id="s", who="alice", **options):
    """Return a page of history that must be one."""
    response = await api.get(f"/sessions/{session_id}/messages?{query}", who=who, **options)
    assert response.status == 200, response.body
    page = response.json
    assert set(page) == {"messages", "hasMore", "next", "lastEventId"}
    assert (page["next"] is None) is not page["hasMore"]
    return page


async def all_pages(api, query="", *, first=None, pause=lambda: asyncio.sleep(0)):
    """Return every page from the newest on, following ``next``."""
    pages = [first or await messages(api, query)]
    while pages[-1]["hasMore"]:
        await pause()
        pages.append(await messages(api, f"{query}&before={pages[-1]['next']}"))
    return pages


async def live_items(api, session_id="s"):
    """Return every event as a long poll carries it."""
    items, cursor = [], "0"
    while True:
        response = await api.poll(f"lastEventId={cursor}&timeout=0", session_id=session_id, who="service")
        if response.status == 204:
            return items
        items += response.json["events"]
        cursor = response.json["lastEventId"]


async def publish_other(api, count=1):
    for _ in range(count):
        assert (await api.post("/sessions/s/events", OTHER)).status == 201


def contents(page):
    return [message["data"]["content"] for message in page["messages"]]


# A page


async def test_history_is_the_messages_newest_first_as_they_are_everywhere(start_server, source):
    api = await start_server(**source)
    await api.create()
    for n in range(5):
        await api.publish(f"m{n}")
        await publish_other(api)

    page = await messages(api)

    expected = [item for item in await live_items(api) if item["type"] == "message_added"]
    assert page["messages"] == expected[::-1]
    assert contents(page) == ["m4", "m3", "m2", "m1", "m0"]
    assert all(set(message) == {"id", "sequence", "type", "timestamp", "data"} for message in page["messages"])
    assert (page["hasMore"], page["next"]) == (False, None)
    assert page["lastEventId"] == (await api.get("/sessions/s")).json["lastEventId"]
    for who in ("bob", "service", "admin"):
        assert await messages(api, who=who) == page


async def test_an_empty_session_has_an_empty_history_and_its_zero_cursor(api):
    session = (await api.post("/sessions", {"sessionId": "empty"})).json

    page = await messages(api, session_id="empty", who="service")

    assert page == {"messages": [], "hasMore": False, "next": None, "lastEventId": session["lastEventId"]}
    assert decode_id(page["lastEventId"]).sequence == 0
    assert await messages(api, f"before={page['lastEventId']}", session_id="empty", who="service") == page


@pytest.mark.parametrize("count", [0, 1, 30])
async def test_a_session_with_only_other_events_has_an_empty_history(start_server, source, count):
    api = await start_server(**source)
    await api.create()
    await publish_other(api, count)

    page = await messages(api, "limit=1")

    end = (await api.get("/sessions/s")).json["lastEventId"]
    assert page == {"messages": [], "hasMore": False, "next": None, "lastEventId": end}


@pytest.mark.parametrize(("query", "limit"), [("limit=3", 3), ("", 50), ("limit=100", 100)])
@pytest.mark.parametrize("extra", [-1, 0, 1])
async def test_a_page_has_its_limit_and_says_exactly_whether_there_is_more(start_server, source, query, limit, extra):
    """P4: n-1, n and n+1 messages; those who joined before the first are no messages."""
    api = await start_server(**source)
    await api.create()
    names = [f"m{n}" for n in range(limit + extra)]
    batch = [{"type": "message_added", "data": {"content": name}} for name in names]
    for start in range(0, len(batch), 100):
        assert (await api.post("/sessions/s/events", {"events": batch[start : start + 100]})).status == 201

    page = await messages(api, query)

    assert contents(page) == names[::-1][:limit]
    assert page["hasMore"] is (extra > 0)
    if extra > 0:
        assert page["next"] == page["messages"][-1]["id"]
        following = await messages(api, f"{query}&before={page['next']}")
        assert contents(following) == names[:1] and not following["hasMore"]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 100])
async def test_the_pages_together_are_every_message_once(start_server, source, limit):
    """P2."""
    api = await start_server(**source)
    await api.create()
    rng = random.Random(limit)
    names = []
    for n in range(40):
        if rng.random() < 0.4:
            names.append(f"m{n}")
            await api.publish(names[-1])
        else:
            await publish_other(api, rng.choice([1, 1, 9]))

    pages = await all_pages(api, f"limit={limit}")

    assert [content for page in pages for content in contents(page)] == names[::-1]
    assert all(len(page["messages"]) == limit for page in pages[:-1])


async def test_before_takes_any_event_by_its_id_and_by_its_sequence(start_server, source):
    api = await start_server(**source)
    await api.create()
    for n in range(4):
        await publish_other(api, 3)
        await api.publish(f"m{n}")
        await api.publish(f"n{n}")
    items = await live_items(api)

    for item in items:
        older = [
            each["id"]
            for each in items[::-1]
            if each["type"] == "message_added" and each["sequence"] < item["sequence"]
        ]
        for before in (item["id"], item["id"].upper(), item["sequence"]):
            page = await messages(api, f"before={before}")
            assert [message["id"] for message in page["messages"]] == older
            assert page["lastEventId"] == items[-1]["id"]


@pytest.mark.parametrize("before", ["", "before=", "before=&limit=50"])
async def test_without_a_place_history_begins_at_the_end(api, before):
    await api.publish("m")

    assert contents(await messages(api, before)) == ["m"]


async def test_before_the_first_event_there_is_nothing(api):
    await api.publish("m")
    created = (await api.post("/sessions", {"sessionId": "other"})).json

    for before in ("0", "1", "2", "3"):
        page = await messages(api, f"before={before}")
        assert (page["messages"], page["hasMore"], page["next"]) == ([], False, None)
    assert (await messages(api, f"before={created['lastEventId']}", session_id="other", who="service"))[
        "messages"
    ] == []


@pytest.mark.parametrize(
    "text", ["Grüße aus Zürich", "\U0001f600\u200d\U0001f525", "\x00\r\n\u2028\u2029\\\"'", "\ufeff", "अ" * 5000]
)
async def test_a_message_may_say_anything(start_server, source, text):
    api = await start_server(**source)
    await api.create()
    await api.publish(text)
    published = await api.publish(text + "!")
    await publish_other(api, 2)

    page = await messages(api)

    assert contents(page) == [text + "!", text]
    assert (await api.get(f"/sessions/s/events/{published['id']}", who="alice")).json["data"]["content"] == text + "!"


async def test_compact_is_for_updates_only(api):
    await api.publish("x" * 1000)

    page = await messages(api, "compact=true", headers={"Save-Data": "on"})

    assert contents(page) == ["x" * 1000] and "truncated" not in page["messages"][0]


async def test_a_closed_session_can_be_read(api):
    await api.publish("m")
    await api.request("PATCH", "/sessions/s", {"status": "closed"})

    page = await messages(api)

    assert contents(page) == ["m"]
    assert sequence_of(page["lastEventId"]) == 4


# What is refused, and what is told


@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=",
            "limit=x",
            "limit=1.0",
            "limit=1e1",
            "limit=%D9%A3",
            "limit=1%00",
        ),
        *("limit=1&limit=1", "before=1&before=1", "before=&before=1"),
        *("before=x", "before=-1", "before=1.5", "before=%00", "before=1%0A", "before=now", "before=earliest"),
        *(f"before={1 << 40}", "before=99999999999999", "before=%FF", "before=null"),
        *("before=00000000-0000-0000-0000-00000000000", "before=000000000000000000000000000000000000"),
    ],
)
async def test_what_is_malformed_is_refused(api, query):
    """P7."""
    before = await state(api)

    detail = assert_problem(await api.get(f"/sessions/s/messages?{query}", who="alice"), 400)["detail"]

    assert query.partition("=")[0] in detail
    assert await state(api) == before


@pytest.mark.parametrize("limit", [1, 2, 99, 100])
async def test_a_limit_in_range_is_taken(api, limit):
    await messages(api, f"limit={limit}")


async def test_unknown_parameters_are_ignored(api):
    await api.publish("m")
    plain = await messages(api)

    for query in ("x=1&x=2", "eventTypes=%00", "lastEventId=nonsense", "after=%FF", "Limit=abc"):
        assert await messages(api, query) == plain


async def test_a_place_of_another_life_is_told_like_a_gap(start_server, source):
    """P3: what the client has shown so far does not belong to this session."""
    api = await start_server(**source)
    await api.create()
    old = await api.publish("old")
    await api.request("DELETE", "/sessions/s")
    await api.create()
    await api.publish("new")
    other = await api.create("other")
    end = (await api.get("/sessions/s")).json["lastEventId"]
    earliest = (await live_items(api))[0]["id"]

    for before, reason in {
        old["id"]: "epoch",
        other["lastEventId"]: "epoch",
        "8df38f48-1cdf-46f9-95c3-c50739799481": "foreign",
        "4": "ahead",
        str((1 << 40) - 1): "ahead",
    }.items():
        response = await api.get(f"/sessions/s/messages?before={before}", who="alice", headers={"If-None-Match": "*"})
        assert response.status == 200 and "etag" not in response.headers
        reset = {"reason": reason, "requested": before, "earliest": earliest, "lastEventId": end}
        assert response.json == {
            "messages": [],
            "hasMore": False,
            "next": None,
            "lastEventId": end,
            "reset": reset,
        }


async def test_trimmed_history_ends_where_retention_has_come_to(start_server):
    """P3: whoever reads backwards has missed nothing that is kept, so it is an end and no gap."""
    api = await start_server(retention_events=5)
    await api.create()
    entries = [await api.publish(f"m{n}") for n in range(10)]
    await api.trim()

    pages = await all_pages(api, "limit=2")

    assert [content for page in pages for content in contents(page)] == ["m9", "m8", "m7", "m6", "m5"]
    for entry in entries[:6]:
        page = await messages(api, f"before={entry['id']}")
        assert (page["messages"], page["hasMore"], page["next"]) == ([], False, None)
        assert page["lastEventId"] == entries[-1]["id"]


async def test_history_survives_a_restart(start_server):
    """P1."""
    api = await start_server()
    await api.create()
    for n in range(5):
        await api.publish(f"m{n}")
    before = await messages(api)
    await start_server.stop(api)
    api = await start_server()

    assert await messages(api) == before
    assert [contents(page) for page in await all_pages(api, "limit=2")] == [["m4", "m3"], ["m2", "m1"], ["m0"]]


async def test_who_is_removed_while_history_is_read_does_not_get_it(start_server, monkeypatch):
    """P6."""
    api = await start_server(session_idle=0, ring_events=1)
    await api.create()
    for n in range(3):
        await api.publish(f"m{n}")
    session = api.hub.registry.peek("s")
    call = api.core._query_worker.call

    def removing(function, *arguments):
        session.remove("alice")
        return call(function, *arguments)

    monkeypatch.setattr(api.core._query_worker, "call", removing)

    assert_problem(await api.get("/sessions/s/messages", who="alice"), 403)
    assert contents(await messages(api, who="bob")) == ["m2", "m1", "m0"]


# History and live


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(2))
async def test_history_and_live_join_without_losing_or_repeating_an_event(start_server, source, tier, seed):
    """P2: five readers begin at random moments while three publish; each reads back to the start, then follows."""
    rng = random.Random(seed)
    api = await start_server(**source | {"replay_step": 1})
    await api.create()
    history = History(attempted={"participant_joined:alice", "participant_joined:bob"})
    total, joins = 150, 0

    async def publish(name):
        for n in range(total // 3):
            uid = f"{name}{n}"
            history.attempted.add(uid)
            entry = await api.publish(uid)
            history.acknowledge(uid, entry["sequence"], entry["id"])

    async def read(number):
        nonlocal joins
        begins_at = total * number // 6 + rng.randrange(total // 6)
        while len(history.acknowledged) < begins_at:
            await asyncio.sleep(0.001)
        first = await messages(api, f"limit={rng.choice([3, 10, 50])}")
        pages = await all_pages(api, "limit=20", first=first, pause=lambda: asyncio.sleep(rng.random() / 200))
        log = history.reader(f"r{number}")
        log.began(2)
        for message in reversed([message for page in pages for message in page["messages"]]):
            log.saw(message["sequence"], message["id"], uid_of(message["type"], message["data"]))
        joins += 2 < sequence_of(first["lastEventId"]) < total + 2
        async with READERS[tier](api, log, first["lastEventId"]) as reader:
            while sequence_of(reader.cursor) < total + 2:
                assert await reader.read()

    await asyncio.gather(*(publish(name) for name in "xyz"), *(read(number) for number in range(5)))

    assert joins > 2, "hardly any reader began in the middle"
    assert check(history, await stored_events(api)) == []


async def test_history_and_live_join_where_other_events_lie_between(start_server):
    """P2: what is not a message is in no page and, after the join, in the live events."""
    api = await start_server(ring_events=3, replay_step=1)
    await api.create()
    joined = []

    async def publish():
        for n in range(60):
            await (api.publish(f"m{n}") if n % 3 else publish_other(api))

    async def read():
        for _ in range(12):
            page = await messages(api, "limit=100")
            joined.append(page)
            await asyncio.sleep(0.005)

    await asyncio.gather(publish(), read())

    items = await live_items(api)
    assert len({page["lastEventId"] for page in joined}) > 3
    for page in joined:
        end = sequence_of(page["lastEventId"])
        before = [item for item in items if item["sequence"] <= end and item["type"] == "message_added"]
        assert page["messages"] == before[::-1]
        after = await api.poll(f"lastEventId={page['lastEventId']}&timeout=0")
        following = after.json["events"] if after.status == 200 else []
        assert following == items[end:]


# One event


async def test_an_event_is_answered_whole_by_its_id_and_by_its_sequence(start_server, source):
    api = await start_server(**source)
    await api.create()
    await api.publish("x" * 1000)
    await publish_other(api)
    await api.publish("y")

    for item in await live_items(api):
        for place in (item["id"], item["id"].upper(), item["sequence"]):
            response = await api.get(
                f"/sessions/s/events/{place}?compact=true", who="alice", headers={"Save-Data": "on"}
            )
            assert response.status == 200
            assert response.headers["content-type"] == "application/json"
            assert response.json == item


NO_EVENT = [
    *(
        "0",
        "5",
        "-1",
        "1.5",
        "x",
        "1x",
        "%00",
        "%0A1",
        "%FF",
        "%20",
        "1%2F2",
        "..%2Fs",
        "null",
        str(1 << 40),
        "9" * 500,
    ),
    *("00000000-0000-0000-0000-000000000000", "8df38f48-1cdf-46f9-95c3-c50739799481", "%F0%9F%98%80", "messages"),
]


async def test_what_is_no_event_of_the_session_is_a_404_of_its_own_kind(start_server, source, subtests):
    """P7."""
    api = await start_server(**source, retention_events=2)
    await api.create()
    other = await api.create("other")
    entries = [await api.publish(f"m{n}") for n in range(2)]
    await api.trim()
    zero = "01" + entries[0]["id"][2:-12] + "0" * 12
    trimmed = ["1", "2"]
    wrong = [
        other["lastEventId"],
        zero,
        entries[0]["id"][:-1] + "4",
        entries[0]["id"][:9] + "0000" + entries[0]["id"][13:],
    ]

    types = set()
    for place in [*NO_EVENT, *trimmed, *wrong]:
        with subtests.test(place=place[:40]):
            problem = assert_problem(await api.get(f"/sessions/s/events/{place}", who="alice"), 404)
            types.add(problem["type"])
            assert (await api.request("HEAD", f"/sessions/s/events/{place}", who="alice")).status == 404

    assert len(types) == 1
    assert types != {(await api.get("/sessions/nope/events/1")).json["type"]}
    assert types != {(await api.get("/nothing")).json["type"]}
    assert (await api.get("/sessions/s/events/3", who="alice")).json["data"]["content"] == "m0"


async def test_an_event_of_an_earlier_life_is_not_found(api):
    """P2: its number is there again, and is another event's."""
    old = await api.publish("old")
    await api.request("DELETE", "/sessions/s")
    await api.create()
    new = await api.publish("new")

    assert old["sequence"] == new["sequence"]
    assert_problem(await api.get(f"/sessions/s/events/{old['id']}"), 404)
    assert (await api.get(f"/sessions/s/events/{new['id']}")).json["data"]["content"] == "new"


async def test_a_passing_state_is_no_event(api):
    await api.post("/sessions/s/events", {"type": "typing_indicator", "data": {"isTyping": True}}, who="alice")

    assert_problem(await api.get("/sessions/s/events/3", who="alice"), 404)
    assert (await messages(api))["messages"] == []


# Validators

PLACES = ["/sessions/s/messages", "/sessions/s/events/3"]


async def at(start_server, moment="2026-03-01T12:00:00.400000", **settings):
    """Return a server at that moment, and the clock that moves it."""
    clock = [datetime.fromisoformat(moment).replace(tzinfo=UTC)]
    api = await start_server(clock=lambda: round(clock[0].timestamp() * 1_000_000), **settings)
    await api.create()
    return api, clock


def date(moment):
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("path", PLACES)
async def test_who_has_the_answer_is_told_so(api, path):
    await api.publish("m")
    first = await api.get(path, who="alice")

    assert first.headers["etag"].startswith('W/"')
    assert set(first.headers["cache-control"].split(", ")) == {"no-cache", "private"}
    parsedate_to_datetime(first.headers["last-modified"])
    for tag in (first.headers["etag"], first.headers["etag"][2:], f'"x", {first.headers["etag"]}', "*"):
        for method in ("GET", "HEAD"):
            again = await api.request(method, path, who="bob", headers={"If-None-Match": tag})
            assert (again.status, again.body) == (304, b"")
            for name in ("etag", "cache-control"):
                assert again.headers[name] == first.headers[name]
            assert "date" in again.headers and "content-type" not in again.headers
    for tag in ('W/"x"', '"', "nonsense"):
        assert (await api.get(path, who="alice", headers={"If-None-Match": tag})).body == first.body


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("header", ["If-None-Match", "If-Modified-Since"])
async def test_who_may_not_read_it_is_not_told_that_it_is_unchanged(api, path, header):
    """P6: also who could a moment ago."""
    await api.publish("m")
    value = "*" if header == "If-None-Match" else date(datetime.now(UTC) + timedelta(seconds=-1))
    assert (await api.get(path, who="bob", headers={"If-None-Match": "*"})).status == 304

    await api.request("DELETE", "/sessions/s/participants/bob")

    for who in ("bob", "carol"):
        problem = await api.get(path, who=who, headers={header: value})
        assert_problem(problem, 403)
        assert problem.headers["cache-control"] == "no-store" and "etag" not in problem.headers
    assert_problem(await api.get("/sessions/s/events/99", who="alice", headers={header: value}), 404)


async def test_the_tag_of_history_changes_whenever_the_answer_would(start_server):
    """P3: by anything that happened in the session, by what is asked, and by retention."""
    api, _ = await at(start_server, retention_events=6)
    tags = {}

    async def look(what, query=""):
        response = await api.get(f"/sessions/s/messages?{query}", who="alice")
        again = await api.get(
            f"/sessions/s/messages?{query}", who="alice", headers={"If-None-Match": response.headers["etag"]}
        )
        assert again.status == 304
        tags[what] = response.headers["etag"]

    await look("empty")
    for n in range(4):
        await api.publish(f"m{n}")
        await look(f"message {n}")
    await publish_other(api)
    await look("another event")
    await api.request("PUT", "/sessions/s/participants/dave", {})
    await look("somebody joined")
    for query in ("limit=1", "limit=2", "limit=3", "limit=99", "before=6", "before=5", "before=4", "before=5&limit=1"):
        await look(query, query)
    before = await messages(api)
    await api.trim()
    assert await messages(api) == before, "only the two who joined were trimmed"
    await publish_other(api)
    await look("a page with more", "limit=3")
    await api.trim()
    await look("the same page without more", "limit=3")
    for n in range(3):
        await publish_other(api)
        await look(f"event {n} before trimming")
        page = await messages(api)
        await api.trim()
        assert await messages(api) != page
        await look(f"event {n} after trimming")
    await api.request("DELETE", "/sessions/s")
    await api.create()
    await look("another life")

    assert len(set(tags.values())) == len(tags)


async def test_what_happens_without_an_event_leaves_the_tag(api):
    await api.publish("m")
    tag = (await api.get("/sessions/s/messages", who="alice")).headers["etag"]

    await api.request("PATCH", "/sessions/s", {"metadata": {"a": 1}})
    await api.post("/sessions/s/events", {"type": "typing_indicator", "data": {"isTyping": True}}, who="bob")

    assert (await api.get("/sessions/s/messages", who="alice", headers={"If-None-Match": tag})).status == 304


@pytest.mark.parametrize("path", PLACES)
async def test_a_date_says_unchanged_only_when_the_second_of_the_newest_event_is_over(start_server, path):
    """4.6: M is the start of the second after; sent is the earlier of M and Date."""
    api, clock = await at(start_server)
    await api.publish("m")
    second = clock[0].replace(microsecond=0)

    early = await api.get(path, who="alice")
    assert early.headers["last-modified"] == date(second) == early.headers["date"]
    assert (await api.get(path, who="alice", headers={"If-Modified-Since": date(second)})).status == 200
    clock[0] = second + timedelta(seconds=5)
    late = await api.get(path, who="alice")
    assert late.headers["last-modified"] == date(second + timedelta(seconds=1))

    for offset, status in ((0, 200), (1, 304), (2, 304), (5, 304), (6, 200)):
        since = {"If-Modified-Since": date(second + timedelta(seconds=offset))}
        response = await api.get(path, who="alice", headers=since)
        assert response.status == status, offset
        with_tag = await api.get(path, who="alice", headers=since | {"If-None-Match": '"x"'})
        assert with_tag.status == 200, "the tag decides"
    for value in ("yesterday", "", f"{date(second)}, {date(second)}"):
        assert (await api.get(path, who="alice", headers={"If-Modified-Since": value})).status == 200


async def test_a_date_never_hides_an_event_of_the_same_second(start_server):
    api, clock = await at(start_server)
    await api.publish("first")
    seen = await api.get("/sessions/s/messages", who="alice")

    clock[0] += timedelta(microseconds=200_000)
    await api.publish("second")
    clock[0] += timedelta(seconds=10)

    since = {"If-Modified-Since": seen.headers["last-modified"]}
    again = await api.get("/sessions/s/messages", who="alice", headers=since)
    assert again.status == 200 and contents(again.json) == ["second", "first"]


async def test_a_date_does_not_vouch_for_what_came_while_history_was_read(start_server, monkeypatch):
    api, clock = await at(start_server, ring_events=1)
    await api.publish("first")
    second = clock[0].replace(microsecond=0)
    call = api.core._query_worker.call

    async def slow(function, *arguments):
        monkeypatch.setattr(api.core._query_worker, "call", call)
        clock[0] += timedelta(microseconds=300_000)
        await api.publish("meanwhile")
        clock[0] = second + timedelta(seconds=1)
        return await call(function, *arguments)

    monkeypatch.setattr(api.core._query_worker, "call", lambda *arguments: asyncio.ensure_future(slow(*arguments)))
    seen = await api.get("/sessions/s/messages", who="alice")
    assert contents(seen.json) == ["first"]

    clock[0] += timedelta(seconds=10)
    since = {"If-Modified-Since": seen.headers["last-modified"]}
    again = await api.get("/sessions/s/messages", who="alice", headers=since)
    assert again.status == 200 and contents(again.json) == ["meanwhile", "first"]


@pytest.mark.parametrize(
    "path", ["/sessions/s/messages", "/sessions/s", "/sessions/s/updates?since=2026-03-01T00:00:00Z"]
)
async def test_a_date_does_not_vouch_for_what_is_on_its_way_to_the_disk(start_server, monkeypatch, path):
    """P1, 4.6: it has its time already, and is seen when it is durable: here in the next second."""
    api, clock = await at(start_server)
    await api.publish("first")
    second = clock[0].replace(microsecond=0)
    worker, sealed, disk = api.hub.writer._worker, asyncio.Event(), asyncio.Event()
    call = worker.call

    async def slow(function, *arguments):
        sealed.set()
        await disk.wait()
        return await call(function, *arguments)

    monkeypatch.setattr(worker, "call", lambda *arguments: asyncio.ensure_future(slow(*arguments)))
    clock[0] += timedelta(microseconds=300_000)
    publishing = asyncio.ensure_future(api.publish("second"))
    await sealed.wait()
    clock[0] = second + timedelta(seconds=1)
    seen = await api.get(path, who="alice")
    disk.set()
    published = await publishing

    clock[0] += timedelta(seconds=10)
    again = await api.get(path, who="alice", headers={"If-Modified-Since": seen.headers["last-modified"]})
    assert published["timestamp"].startswith("2026-03-01T12:00:00.7")
    assert again.status == 200 and again.json["lastEventId"] == published["id"] != seen.json["lastEventId"]


async def test_a_page_with_more_is_dated_by_its_newest_message(start_server):
    """4.6: a date taken from it can never hide the following page, nor a new event."""
    api, clock = await at(start_server)
    for n in range(3):
        await api.publish(f"m{n}")
        clock[0] += timedelta(seconds=10)
    await publish_other(api)
    clock[0] += timedelta(seconds=10)
    start = clock[0] - timedelta(seconds=40)

    page = await api.get("/sessions/s/messages?limit=2", who="alice")

    assert page.json["hasMore"]
    assert page.headers["last-modified"] == date(start + timedelta(seconds=20))
    since = {"If-Modified-Since": page.headers["last-modified"]}
    for query in ("limit=2", f"limit=2&before={page.json['next']}"):
        assert (await api.get(f"/sessions/s/messages?{query}", who="alice", headers=since)).status == 200


async def test_a_date_does_not_vouch_for_what_retention_took(start_server):
    api, clock = await at(start_server, retention_events=2)
    for n in range(4):
        await api.publish(f"m{n}")
    clock[0] += timedelta(seconds=10)
    whole = await api.get("/sessions/s/messages", who="alice")
    since = {"If-Modified-Since": whole.headers["last-modified"]}
    assert (await api.get("/sessions/s/messages", who="alice", headers=since)).status == 304

    await api.trim()

    left = await api.get("/sessions/s/messages", who="alice", headers=since)
    assert left.status == 200 and contents(left.json) == ["m3", "m2"]
