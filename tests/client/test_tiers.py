"""Each tier against the real server: what comes, how often, from where, and how it ends."""

import pytest

from rtserver.client import Refused, SignedOut, connect
from rtserver.client.driver import LOOK_AT_CLOCKS_SECONDS
from rtserver.client.machine import Tier
from tests.conftest import until
from tests.proxy import ForwardProxy

RUNNING = {"sse": "live", "long-poll": "delayed", "short-poll": "polling"}
TIERS = list(RUNNING)


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


async def test_a_tier_proves_itself_and_is_told(api, follow, tier):
    async with follow(api, tiers=[tier]) as alice:
        await alice.until(RUNNING[tier])

    assert alice.words[0] == "connecting"
    assert RUNNING[tier] in alice.words
    told = next(status for status in alice.statuses if status.state == RUNNING[tier])
    assert (told.tier, told.reason, told.next_retry_at) == (tier, "", None)
    assert told.as_of == pytest.approx(alice.clock.now_us() / 1e6, abs=30)


async def test_events_come_whole_once_and_in_order(api, follow, tier):
    """P2."""
    async with follow(api, tiers=[tier]) as alice:
        await alice.until(RUNNING[tier])
        published = [await api.publish(f"m{n}") for n in range(120)]
        if tier == "short-poll":
            alice.clock.jump(10)
        await alice.saw(*(f"m{n}" for n in range(120)))

    assert [(event.id, event.sequence, event.timestamp) for event in alice.events] == [
        (entry["id"], entry["sequence"], entry["timestamp"]) for entry in published
    ]
    assert alice.events[0].data["participantId"] == "alice"
    assert alice.client.cursor == published[-1]["id"]


async def test_what_comes_before_the_tier_is_verified_is_not_held_back(api, follow, tier):
    async with follow(api, tiers=[tier]) as alice:
        await until(lambda: alice.client.snapshot)
        await api.publish("early")
        await until(lambda: alice.contents or alice.clock.jump(0.2))

    assert alice.contents == ["early"]


async def test_a_client_starts_where_it_is_told(api, follow, tier):
    """P2: also from a cursor."""
    first = await api.publish("first")
    await api.publish("second")
    async with (
        follow(api, tiers=[tier], start="earliest") as everything,
        follow(api, tiers=[tier], start=first["id"]) as rest,
        follow(api, tiers=[tier]) as news,
    ):
        await everything.saw("first", "second")
        await rest.saw("second")
        await news.until(RUNNING[tier])
        await api.publish("third")
        for each in (everything, rest, news):
            await until(lambda each=each: "third" in each.contents or each.clock.jump(0.2))

    assert news.contents == ["third"]
    assert [event.type for event in everything.events][:2] == ["participant_joined"] * 2


async def test_history_comes_first_and_joins_what_is_live(api, follow, tier):
    for n in range(7):
        await api.publish(f"old {n}")
    async with follow(api, tiers=[tier], history=5) as alice:
        await alice.saw(*(f"old {n}" for n in range(2, 7)))
        await alice.until(RUNNING[tier])
        await api.publish("new")
        await until(lambda: "new" in alice.contents or alice.clock.jump(0.2))

    assert alice.contents == [*(f"old {n}" for n in range(2, 7)), "new"]


async def test_history_longer_than_a_page_is_read_page_by_page(api, follow):
    for n in range(130):
        await api.publish(f"old {n}")
    async with follow(api, history=120) as alice:
        await alice.saw(*(f"old {n}" for n in range(10, 130)))
        older = await alice.client.history(10, before=alice.events[0].id)

    assert [event.data["content"] for event in older] == [f"old {n}" for n in range(10)]


async def test_history_joins_while_others_publish(api, follow, tier):
    """P2: no event twice and none lost between history and live."""
    import asyncio

    async def publish():
        for n in range(60):
            await api.publish(f"m{n}")

    publishing = asyncio.create_task(publish())
    async with follow(api, tiers=[tier], history=100) as alice:
        await publishing
        await until(lambda: len(alice.contents) == 60 or alice.clock.jump(0.2))

    assert alice.contents == [f"m{n}" for n in range(60)]


async def test_only_the_types_that_are_asked_for_come(api, follow, tier):
    async with follow(api, tiers=[tier], event_types=["note"]) as alice:
        await alice.until(RUNNING[tier])
        await api.publish("not asked for")
        await api.post("/sessions/s/events", {"type": "note", "data": {"n": 1}})
        await until(lambda: alice.events or alice.clock.jump(0.2))

    assert [(event.type, event.data) for event in alice.events] == [("note", {"n": 1})]


async def test_a_cursor_that_cannot_be_continued_is_said_once(api, follow, tier):
    """P3."""
    foreign = "01997a0e-0000-4000-8000-000000000000"
    async with follow(api, tiers=[tier], start=foreign) as alice:
        await until(lambda: alice.resets)
        await alice.until(RUNNING[tier])
        entry = await api.publish("after")
        await until(lambda: alice.contents or alice.clock.jump(0.2))

    assert [(reset.reason, reset.requested) for reset in alice.resets] == [("foreign", foreign)]
    assert [event.id for event in alice.events] == [entry["id"]]


async def test_critical_events_of_a_short_poll_are_put_back_in_sequence(api, follow):
    async with follow(api, tiers=["short-poll"]) as alice:
        await alice.until("polling")
        await until(lambda: alice.driver.machine.verified)
        await api.publish("one")
        await api.post("/sessions/s/events", {"type": "ai_response_ready", "data": {}})
        await api.publish("two")
        await until(lambda: len(alice.events) == 3 or alice.clock.jump(0.2))

    sequences = [event.sequence for event in alice.events]
    assert sequences == sorted(sequences)
    assert [event.type for event in alice.events] == ["message_added", "ai_response_ready", "message_added"]


async def test_short_polls_send_since_as_it_was_written_the_cursor_and_the_tag(api, follow, monkeypatch):
    asked = []
    async with follow(api, tiers=["short-poll"]) as alice:
        request = alice.client._transport.request

        async def note(method, path, headers=None, body=None, **options):
            answer = await request(method, path, headers, body, **options)
            asked.append((path, headers, answer))
            return answer

        monkeypatch.setattr(alice.client._transport, "request", note)
        await until(lambda: len(asked) >= 2)
        for count in (3, 4):
            alice.clock.jump(10)
            await until(lambda count=count: len(asked) >= count)
    (_, _, first), (path, headers, answer), *_ = [each for each in asked if "since=" in each[0]]

    assert f"since={first.json()['lastModified'].replace(':', '%3A')}" in path
    assert f"lastEventId={first.json()['lastEventId']}" in path
    assert headers["If-None-Match"] == first.headers["etag"]
    assert answer.status == 304


async def test_the_server_says_how_often_to_poll(start_server, follow):
    api = await start_server(poll_interval_min=7, poll_interval_default=7, poll_interval_max=7)
    await api.create()
    async with follow(api, tiers=["short-poll"]) as alice:
        await until(lambda: alice.driver.machine.verified)

        assert alice.client.status.expected_delay == 7
        await until(lambda: any(6.5 < left <= 7 for left in alice.clock.left()))


async def test_long_polls_say_how_far_away_the_client_is(api, follow):
    async with ForwardProxy() as proxy:
        url = f"http://rt.example:{api.port}"
        async with follow(url, token=api.token("alice"), proxy=proxy.url, tiers=["long-poll"]) as alice:
            await alice.until("delayed")

    held = [asked.target for asked in proxy.asked if asked.is_held]
    assert held and all("&rtt=" in target for target in held)


async def test_long_polls_are_of_one_client_and_one_at_a_time(api, follow):
    """P4: one that waits, whatever comes."""
    async with follow(api, tiers=["long-poll"]) as alice:
        await alice.until("delayed")
        for n in range(5):
            await api.publish(f"m{n}")
            assert len(api.server.hub.polls._open) <= 1
        await alice.saw(*(f"m{n}" for n in range(5)))
        polls = list(api.server.hub.polls._open)

    assert {poll.client_id for poll in polls} <= {alice.client._api.client_id}


@pytest.mark.parametrize("tier", ["sse", "long-poll"])
async def test_a_session_that_is_closed_is_read_to_its_end(api, follow, tier):
    async with follow(api, tiers=[tier]) as alice:
        await alice.until(RUNNING[tier])
        await api.publish("last words")
        await api.request("PATCH", "/sessions/s", {"status": "closed"})
        await alice.until("stopped")
        await until(lambda: len(alice.events) == 2)

    assert [event.type for event in alice.events] == ["message_added", "session_status_changed"]
    assert alice.client.status.reason == "the session is closed"


@pytest.mark.parametrize("tier", TIERS)
async def test_who_is_removed_is_told_and_asks_no_more(api, follow, tier):
    async with follow(api, tiers=[tier]) as alice:
        await alice.until(RUNNING[tier])
        await api.request("DELETE", "/sessions/s/participants/alice")
        await until(lambda: alice.state == "stopped" or alice.clock.jump(0.2))

        assert [each for each in alice.clock.left() if each > LOOK_AT_CLOCKS_SECONDS] == [], "nothing waits any more"


async def test_iteration_ends_with_the_reason(api):
    url, environment = f"http://127.0.0.1:{api.port}", {}
    async with connect(url, "s", token=api.token("carol"), environment=environment) as client:
        with pytest.raises(Refused) as refused:
            [event async for event in client.events()]
        assert refused.value.status == 403
    async with connect(url, "s", token="nonsense", environment=environment) as client:
        with pytest.raises(SignedOut):
            [event async for event in client.events()]
        assert client.status.state == "signed-out"
    async with connect(url, "none", token=api.token("service", "service"), environment=environment) as client:
        with pytest.raises(Refused) as refused:
            [event async for event in client.events()]
        assert refused.value.status == 404


async def test_iteration_ends_when_the_client_is_closed(api):
    client = connect(f"http://127.0.0.1:{api.port}", "s", token=api.token("alice"), environment={}, start="earliest")
    seen = []
    async with client:
        async for event in client.events():
            seen.append(event)
            if len(seen) == 2:
                await client.close()

    assert len(seen) == 2


async def test_all_tiers_together_choose_the_best(api, follow):
    async with follow(api) as alice:
        await alice.until("live")

    assert alice.client._driver.machine.tiers == tuple(Tier)


async def test_reading_pauses_while_nobody_takes_events_out(api, monkeypatch):
    """P4: what the client holds is bounded, and nothing is lost."""
    monkeypatch.setattr("rtserver.client.inbox.MAX_ITEMS", 5)
    url = f"http://127.0.0.1:{api.port}"
    async with connect(url, "s", token=api.token("alice"), environment={}, start="earliest") as client:
        await until(lambda: client._inbox.is_full or client.status.tier == "sse")
        for n in range(30):
            await api.publish(f"m{n}")
        await until(lambda: client._inbox.is_full)
        seen = []
        async for event in client.events():
            seen.append(event.sequence)
            if len(seen) == 32:
                break

    assert seen == list(range(1, 33))
