"""304: who has an answer already is told so, and nobody misses an event by it (DESIGN 4.6, RFC 9110 section 13)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tornado.httputil import format_timestamp as http_date

from rtserver.conditional import parse_http_date
from rtserver.cursor import decode_id
from tests.contract import assert_problem

SECOND_US = 1_000_000
NOON_US = 1_767_268_800 * SECOND_US
EARLIEST = "since=1970-01-01T00:00:00Z"
PATHS = {
    "short poll": f"/sessions/s/updates?{EARLIEST}",
    "snapshot": "/sessions/s",
    "participants": "/sessions/s/participants",
    "history": "/sessions/s/messages",
}


class HandClock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now_us = NOON_US

    def __call__(self) -> int:
        return self.now_us

    def move(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND_US)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def api(io_loop, start_server, clock):
    async def start():
        api = await start_server(clock=clock)
        await api.create()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


def date_of(second):
    return http_date(NOON_US // SECOND_US + second)


# Every resource


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_who_has_the_answer_is_told_so(api, clock, path):
    clock.move(5)
    first = await api.get(path, who="alice")
    assert first.status == 200
    for headers in (
        {"If-None-Match": first.headers["etag"]},
        {"If-None-Match": f'"x", {first.headers["etag"]}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first.headers["last-modified"]},
        {"If-Modified-Since": first.headers["date"]},
    ):
        again = await api.get(path, who="alice", headers=headers)
        assert (again.status, again.body) == (304, b""), headers
        for name in ("etag", "date", "cache-control", "vary"):
            assert name in again.headers, name
        assert again.headers["etag"] == first.headers["etag"]
        assert (await api.request("HEAD", path, who="alice", headers=headers)).status == 304


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_tag_wins_over_a_date_and_is_weak(api, clock, path):
    clock.move(5)
    first = await api.get(path, who="alice")
    assert first.headers["etag"].startswith('W/"')
    headers = {"If-None-Match": '"other"', "If-Modified-Since": first.headers["date"]}
    assert (await api.get(path, who="alice", headers=headers)).status == 200
    headers = {"If-None-Match": first.headers["etag"].removeprefix("W/"), "If-Modified-Since": date_of(-100)}
    assert (await api.get(path, who="alice", headers=headers)).status == 304


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("value", ["", "yesterday", "Thu, 01 Jan 2026", date_of(6), date_of(4000)])
async def test_a_date_that_is_none_or_later_than_now_is_ignored(api, clock, path, value):
    """P7: HTTP says to ignore it."""
    clock.move(5)
    assert (await api.get(path, who="alice", headers={"If-Modified-Since": value})).status == 200


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_last_modified_is_never_later_than_date(api, clock, path):
    for seconds in (0.2, 0.5, 1, 0.9, -5, 3):
        clock.move(seconds)
        answer = await api.get(path, who="alice")
        assert parse_http_date(answer.headers["last-modified"]) <= parse_http_date(answer.headers["date"])


CHANGES = {
    "short poll": ["publish"],
    "history": ["publish"],
    "snapshot": ["publish", "metadata", "join", "rename", "status"],
    "participants": ["join", "rename", "leave"],
}


async def change(api, kind):
    match kind:
        case "publish":
            await api.publish("news")
        case "metadata":
            assert (await api.request("PATCH", "/sessions/s", {"metadata": {"a": 1}})).status == 200
        case "status":
            assert (await api.request("PATCH", "/sessions/s", {"status": "paused"})).status == 200
        case "join":
            assert (await api.request("PUT", "/sessions/s/participants/carol", {})).status == 201
        case "rename":
            answer = await api.request("PUT", "/sessions/s/participants/bob", {"displayName": "Robert"})
            assert answer.status == 200
        case "leave":
            assert (await api.request("DELETE", "/sessions/s/participants/bob")).status == 204


@pytest.mark.parametrize(("resource", "kind"), [(r, kind) for r, kinds in CHANGES.items() for kind in kinds])
@pytest.mark.parametrize("moves", [[0, 0], [0.2, 0.3], [0.9, 0.3], [0.9, 5], [1.5, -1], [1.2, -0.5], [30, -3600]])
async def test_no_date_that_was_sent_hides_a_change(api, clock, resource, kind, moves):
    """DESIGN 4.6: within the same second, and when the clock steps back."""
    path = PATHS[resource]
    clock.move(moves[0])
    first = await api.get(path, who="alice")
    clock.move(moves[1])
    await change(api, kind)
    for seconds in (0, 0.4, 0.7, 1, 1, 3600):
        clock.move(seconds)
        for headers in (
            {"If-Modified-Since": first.headers["last-modified"]},
            {"If-None-Match": first.headers["etag"]},
        ):
            again = await api.get(path, who="alice", headers=headers)
            assert again.status == 200, (seconds, headers)
            assert again.body != first.body


# Short poll


async def test_the_same_second_is_asked_about_once_more_and_then_rests(api, clock):
    clock.move(10.2)
    entry = await api.publish("m")
    clock.move(0.1)
    first = await api.get(PATHS["short poll"], who="alice")
    assert first.headers["last-modified"] == date_of(10)
    path = f"/sessions/s/updates?since={entry['timestamp']}"
    clock.move(3)
    second = await api.get(path, who="alice", headers={"If-Modified-Since": first.headers["last-modified"]})
    assert (second.status, second.json["updates"]) == (200, [])
    assert second.headers["last-modified"] == date_of(11)
    clock.move(3)
    third = await api.get(path, who="alice", headers={"If-Modified-Since": second.headers["last-modified"]})
    assert third.status == 304


async def test_a_page_with_more_never_turns_a_later_page_into_a_304(api, clock):
    for number in range(3):
        clock.move(1.3)
        await api.publish(f"m{number}")
    clock.move(60)
    since, seen, headers = "1970-01-01T00:00:00Z", [], {}
    while True:
        page = await api.get(f"/sessions/s/updates?since={since}&limit=1", who="alice", headers=headers)
        assert page.status == 200
        seen += [item["sequence"] for item in page.json["updates"]]
        since = page.json["lastModified"]
        if not page.json["hasMore"]:
            break
        moment_us = decode_id(page.json["lastEventId"]).timestamp_us
        assert page.headers["last-modified"] == http_date(moment_us // SECOND_US)
        headers = {"If-Modified-Since": page.headers["last-modified"]}
        if len(seen) % 2:
            headers = {"If-None-Match": page.headers["etag"]}
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("other", ["limit=7", "eventTypes=note", "compact=true", "includeTyping=true"])
async def test_another_question_has_another_tag(api, other):
    first = await api.get(PATHS["short poll"], who="alice")
    assert (await api.get(f"{PATHS['short poll']}&{other}", who="alice")).headers["etag"] != first.headers["etag"]


async def test_one_more_event_behind_a_full_page_is_another_tag(api):
    """The page is the same, but now it has more."""
    path = f"{PATHS['short poll']}&limit=2"
    first = await api.get(path, who="alice")
    assert first.json["hasMore"] is False
    await api.publish("m")
    again = await api.get(path, who="alice", headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 200 and again.json["hasMore"] is True


async def test_with_typing_only_the_tag_decides(api, clock):
    clock.move(5)
    path = f"{PATHS['short poll']}&includeTyping=true"
    first = await api.get(path, who="alice")
    typing = {"type": "typing_indicator", "data": {"isTyping": True}}
    assert (await api.post("/sessions/s/events", typing, who="bob")).status == 202
    for headers in ({"If-Modified-Since": first.headers["date"]}, {"If-None-Match": first.headers["etag"]}):
        again = await api.get(path, who="alice", headers=headers)
        assert again.status == 200 and again.json["updates"][-1]["type"] == "typing_indicator"
    assert (await api.get(path, who="alice", headers={"If-None-Match": again.headers["etag"]})).status == 304


async def test_ai_progress_is_not_hidden_by_a_date(api, clock):
    clock.move(5)
    first = await api.get(PATHS["short poll"], who="alice")
    progress = {"type": "ai_progress", "data": {"participantId": "ava", "status": "thinking"}}
    assert (await api.post("/sessions/s/events", progress)).status == 202
    for headers in ({"If-Modified-Since": first.headers["date"]}, {"If-None-Match": first.headers["etag"]}):
        again = await api.get(PATHS["short poll"], who="alice", headers=headers)
        assert again.status == 200 and again.json["updates"][-1]["type"] == "ai_progress"


@pytest.mark.parametrize("headers", [{"If-None-Match": "*"}, {"If-Modified-Since": date_of(100)}])
async def test_a_gap_is_never_a_304(api, clock, headers):
    """P3."""
    clock.move(200)
    answer = await api.get("/sessions/s/updates?since=2126-01-01T00:00:00Z", who="alice", headers=headers)
    assert answer.status == 200 and answer.json["reset"]["reason"] == "ahead"


async def test_who_may_not_read_learns_nothing_from_a_validator(api, clock):
    """P6."""
    clock.move(5)
    for path in PATHS.values():
        first = await api.get(path, who="alice")
        for headers in ({"If-None-Match": first.headers["etag"]}, {"If-Modified-Since": first.headers["date"]}):
            assert_problem(await api.get(path, who="carol", headers=headers), 403)


# Whatever happens


class Follower:
    """A client that polls as the headers tell it; ``validator`` is the one it uses."""

    def __init__(self, api, session_id, validator, limit):
        self._api = api
        self._session_id = session_id
        self._validator = validator
        self._limit = limit
        self._since = "1970-01-01T00:00:00Z"
        self._held = None
        self.seen = []

    async def poll(self):
        """Poll once; return whether there may be more."""
        headers = {}
        if self._held is not None:
            headers = {"date": {"If-Modified-Since": self._held[0]}, "tag": {"If-None-Match": self._held[1]}}[
                self._validator
            ]
        query = f"since={self._since}&limit={self._limit}"
        answer = await self._api.poll(query, session_id=self._session_id, who="service", headers=headers)
        assert answer.status in (200, 304), answer.body
        if answer.status == 304:
            return False
        assert "reset" not in answer.json
        self.seen += sorted(item["sequence"] for item in answer.json["updates"])
        self._since = answer.json["lastModified"]
        self._held = (answer.headers["last-modified"], answer.headers["etag"])
        return answer.json["hasMore"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.tuples(st.just("move"), st.sampled_from([0.000001, 0.1, 0.4, 0.7, 1, 1.3, 5, 60])),
        st.tuples(st.just("move"), st.sampled_from([-0.000001, -0.3, -0.9, -2, -10, -3600])),
        st.tuples(st.just("poll"), st.integers(0, 3)),
        st.tuples(st.just("reload"), st.just(0)),
        st.tuples(st.just("edit"), st.just(0)),
    ),
    min_size=3,
    max_size=25,
)


@pytest.mark.parametrize("seed", range(2))
def test_who_follows_the_headers_misses_nothing_whatever_the_clock_does(io_loop, start_server, clock, seed):
    """P2, P8, DESIGN 4.6: random publishes, pages, polls, clock steps back and forward, sessions that leave memory."""
    run = io_loop.asyncio_loop.run_until_complete
    api = run(start_server(clock=clock))
    count = 0
    saved = [0]  # polls that were spared

    async def schedule(steps, limits):
        nonlocal count
        count += 1
        session_id = f"s{seed}-{count}"
        await api.create(session_id, people=())
        followers = [
            Follower(api, session_id, v, n) for v, n in zip(("date", "tag", "date", "tag"), limits, strict=True)
        ]
        published = 0
        for step, argument in steps:
            match step:
                case "publish":
                    body = {"events": [{"type": "note", "data": {}}] * argument}
                    assert (await api.post(f"/sessions/{session_id}/events", body)).status == 201
                    published += argument
                case "move":
                    clock.move(argument)
                case "poll":
                    await followers[argument].poll()
                case "reload":
                    api.hub.registry.discard(api.hub.registry.peek(session_id))
                    await api.get(f"/sessions/{session_id}")
                case "edit":
                    answer = await api.request("PATCH", f"/sessions/{session_id}", {"metadata": {"n": count}})
                    assert answer.status == 200
        for follower in followers:
            # Now, and when every clock has caught up.
            for seconds in (0, 0.5, 1, 3700):
                clock.move(seconds)
                while await follower.poll():
                    pass
            assert follower.seen == list(range(1, published + 1))
            # Nothing happens any more: the first of two polls may still be answered, the second is spared.
            await follower.poll()
            clock.move(2)
            held = follower.seen[:]
            answer_had_news = await follower.poll()
            assert not answer_had_news and follower.seen == held
        saved[0] += 1

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(STEPS, st.tuples(*[st.sampled_from([1, 2, 50])] * 4))
    def example(steps, limits):
        run(asyncio.wait_for(schedule(steps, limits), 20))

    example()
    assert saved[0] >= 60
