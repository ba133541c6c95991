"""What networks do, and what the client makes of it: a lower tier, an outage, the way back; P2 all the while."""

import asyncio

import pytest

from rtserver.client.machine import Tier
from rtserver.client.stream import CUT_EARLY_SECONDS
from tests.conftest import until
from tests.proxy import ForwardProxy


@pytest.fixture
def behind(api, follow):
    """Follow the server through a proxy: ``async with behind(proxy) as alice``."""

    def behind(proxy, **options):
        return follow(f"http://rt.example:{api.port}", token=api.token("alice"), proxy=proxy.url, **options)

    return behind


async def passes_on(api, alice, content):
    """Publish, and wait until the client has seen it, on whatever tier."""
    await api.publish(content)
    await until(lambda: content in alice.contents or alice.clock.jump(0.2))


async def test_where_streams_are_refused_long_polls_are_used_at_once(api, behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_streams = True
        async with behind(proxy) as alice:
            await alice.until("delayed")
            assert alice.client.status.tier == "long-poll"
            await passes_on(api, alice, "hello")

    assert len(proxy.streams) == 1
    assert "blocked" not in alice.words


@pytest.mark.parametrize("habit", ["holds_streams", "says_only_head"])
async def test_where_streams_are_held_back_long_polls_are_used_after_ten_seconds(api, behind, habit):
    async with ForwardProxy() as proxy:
        setattr(proxy, habit, True)
        async with behind(proxy) as alice:
            await alice.until("verifying sse")
            await until(lambda: proxy.streams)
            alice.clock.jump(9.0)
            await asyncio.sleep(0)
            assert alice.state == "verifying sse"
            alice.clock.jump(1.0)
            await alice.until("delayed")
            assert [status.reason for status in alice.statuses if status.reason]
            await passes_on(api, alice, "hello")

    assert alice.contents == ["hello"]


async def test_where_nothing_may_be_held_the_client_polls(api, behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_streams = proxy.refuses_held = True
        async with behind(proxy) as alice:
            await alice.until("polling")
            assert alice.client.status.tier == "short-poll"
            await passes_on(api, alice, "hello")
            assert "not from the server" not in alice.client.status.reason

    assert alice.contents == ["hello"]


async def test_an_outage_is_no_reason_to_give_a_tier_up(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        await alice.until("live")
        proxy.refuses_all = True
        proxy.cut()
        for _ in range(15):
            await alice.waits()
            assert alice.driver.machine.tier == Tier.SSE
            count = len(proxy.asked)
            async with asyncio.timeout(10):
                while len(proxy.asked) == count:
                    # Again if the first came while it was still asking: then it waits once more.
                    alice.clock.jump(80)
                    await asyncio.sleep(0.05)
        await alice.until("blocked")
        assert alice.client.status.tier is None
        await api.publish("meanwhile")
        proxy.refuses_all = False
        await alice.waits()
        alice.clock.jump(80)
        await alice.until("live")
        await alice.saw("meanwhile")


async def test_a_server_that_is_away_is_tried_after_five_seconds_and_then_less_and_less_often(start_server, follow):
    api = await start_server()
    await api.create()
    async with follow(api) as alice:
        await alice.until("live")
        await start_server.stop(api)
        delays = []
        for _ in range(7):
            delays.append(await alice.waits())
            alice.clock.jump(delays[-1])
        assert alice.driver.machine.tier == Tier.SSE
        await alice.waits()
        api = await start_server(port=api.port)
        alice.client.refresh()
        await alice.until("live")

    # The first was told by the stream's goodbye, half to one and a half of five seconds.
    assert 2 < delays[0] < 8
    assert delays[1:5] == [pytest.approx(min(60, delays[0] * 2**n), rel=0.1) for n in range(1, 5)]
    assert delays[-1] == pytest.approx(60, rel=0.1)


async def test_a_stream_that_is_cut_is_resumed_where_it_was(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        await alice.until("live")
        for n in range(4):
            await until(lambda: alice.driver.machine.failures == 0)
            alice.clock.jump(CUT_EARLY_SECONDS)
            await passes_on(api, alice, f"before {n}")
            proxy.cut(only_streams=True)
            await alice.until("reconnecting")
            await api.publish(f"while {n}")
            alice.clock.jump(await alice.waits())
            await until(lambda n=n: f"while {n}" in alice.contents)
            await alice.until("live")

    assert alice.contents == [f"{when} {n}" for n in range(4) for when in ("before", "while")]


async def test_a_tier_that_fails_ten_times_in_a_row_is_given_up(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        await alice.until("live")
        alice.clock.jump(CUT_EARLY_SECONDS)
        proxy.drops_streams = True
        proxy.cut(only_streams=True)
        for failures in range(1, 11):
            await until(lambda failures=failures: alice.driver.machine.failures == failures)
            alice.clock.jump(await alice.waits() + 0.1)
        await alice.until("delayed")

    assert len(proxy.streams) == 11 - 1


async def test_streams_that_are_cut_early_again_and_again_are_given_up_for_a_while(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        for cut in range(3):
            await alice.until("live")
            await until(lambda: alice.driver.machine.failures == 0)
            proxy.cut(only_streams=True)
            if cut < 2:
                await alice.until("reconnecting")
                alice.clock.jump(await alice.waits())
        await alice.until("delayed")
        alice.client.refresh()
        await alice.until("live")
        proxy.cut(only_streams=True)
        await alice.until("delayed")
        await until(lambda: max(alice.clock.left()) > 200)
        alice.client.refresh()
        await alice.until("live")
        for n in range(3):
            alice.clock.jump(40)
            await passes_on(api, alice, f"after {n}")
        await until(lambda: alice.driver.machine.strikes == 0)


async def test_an_outage_is_no_strike_against_streams(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        for _ in range(4):
            await alice.until("live")
            await until(lambda: alice.driver.machine.failures == 0)
            proxy.refuses_all = True
            proxy.cut()
            await alice.until("blocked")
            proxy.refuses_all = False
            alice.clock.jump(await alice.waits())
        await alice.until("live")


async def test_a_stream_that_falls_silent_is_opened_anew(api, follow):
    async with follow(api) as alice:
        await alice.until("live")
        alice.clock.jump(59)
        await asyncio.sleep(0.01)
        assert alice.state == "live"
        alice.clock.jump(1.1)
        await alice.until("reconnecting")
        assert alice.client.status.reason == "the stream has fallen silent"
        await alice.tries_again()
        await alice.until("live")
        await passes_on(api, alice, "hello")


async def test_a_machine_that_slept_opens_its_stream_anew(api, behind):
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        await alice.until("live")
        alice.clock.jump(5)
        await asyncio.sleep(0.01)
        assert len(proxy.streams) == 1, "five seconds are no sleep"
        alice.clock.sleep_deeply(600)
        alice.clock.jump(5)
        await until(lambda: len(proxy.streams) == 2)
        await alice.until("live")
        await passes_on(api, alice, "hello")

    assert alice.contents == ["hello"]


async def test_what_was_blocked_is_probed_again_beside_what_runs_and_taken_when_it_works(api, behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_streams = True
        # A long poll that is out would be too late after each jump.
        async with behind(proxy, tiers=["sse", "short-poll"]) as alice:
            await until(lambda: alice.driver.machine.verified)
            probes = []
            for minutes in (1, 5, 15, 30, 60, 60):
                await until(lambda: max(alice.clock.left(), default=0) > 45)
                probes.append(max(alice.clock.left()) / 60)
                assert probes[-1] == pytest.approx(minutes, rel=0.05)
                if minutes == 60:
                    proxy.refuses_streams = len(probes) < 6
                count = len(proxy.streams)
                alice.clock.jump(max(alice.clock.left()))
                await until(lambda count=count: len(proxy.streams) > count)
                await passes_on(api, alice, f"meanwhile {minutes} {len(probes)}")
            await alice.until("live")
            await passes_on(api, alice, "live")

    assert len(alice.contents) == len(set(alice.contents)) == 7


async def test_somebody_who_asks_gets_a_better_tier_at_once(api, behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_streams = proxy.refuses_held = True
        async with behind(proxy) as alice:
            await alice.until("polling")
            await until(lambda: alice.driver.machine.verified)
            proxy.refuses_held = False
            alice.client.refresh()
            await alice.until("delayed")
            await passes_on(api, alice, "one")
            proxy.refuses_streams = False
            alice.client.refresh()
            await alice.until("live")
            await passes_on(api, alice, "two")

    assert alice.contents == ["one", "two"]
    assert "reconnecting" not in alice.words


async def test_who_found_a_better_tier_and_lost_it_probes_it_after_a_minute_again(behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_streams = True
        async with behind(proxy) as alice:
            await alice.until("delayed")
            alice.client.refresh()
            await until(lambda: max(alice.clock.left()) == pytest.approx(300, abs=2))
            proxy.refuses_streams = False
            alice.client.refresh()
            await alice.until("live")
            proxy.refuses_streams = True
            proxy.cut(only_streams=True)
            alice.clock.jump(await alice.waits())
            await alice.until("delayed")
            await until(lambda: max(alice.clock.left()) > 35)

            assert max(alice.clock.left()) == pytest.approx(60, abs=2)


async def test_nothing_is_lost_or_seen_twice_while_the_tier_changes_up_and_down(api, behind):
    """P2."""
    async with ForwardProxy() as proxy, behind(proxy) as alice:
        await until(lambda: alice.client.snapshot)
        publishing = asyncio.create_task(publish_on(api, 300))
        for _ in range(2):
            await alice.until("live")
            await until(lambda: alice.driver.machine.failures == 0)
            alice.clock.jump(CUT_EARLY_SECONDS)
            proxy.refuses_streams = True
            proxy.cut(only_streams=True)
            alice.clock.jump(await alice.waits())
            await alice.until("delayed")
            proxy.refuses_streams = False
            alice.client.refresh()
        await alice.until("live")
        await publishing
        await until(lambda: len(alice.contents) >= 300)

    assert alice.contents == [f"m{n}" for n in range(300)]
    assert alice.resets == []


async def publish_on(api, count):
    for n in range(count):
        await api.publish(f"m{n}")
        await asyncio.sleep(0.01)


async def test_a_page_where_json_belongs_is_blocked_and_tried_again_slowly_for_ever(api, behind):
    async with ForwardProxy() as proxy:
        proxy.refuses_all = True
        async with behind(proxy) as alice:
            for _ in range(4):
                assert 30 <= await alice.waits() <= 60
                assert alice.state == "blocked"
                alice.clock.jump(60)
            await alice.waits()
            assert "something on the way answers itself" in alice.client.status.reason
            proxy.refuses_all = False
            alice.client.refresh()
            await alice.until("live")


async def test_too_many_requests_are_waited_out_and_count_against_no_tier(start_server, follow):
    api = await start_server(max_streams=1)
    await api.create()
    async with api.stream(who="bob") as stream:
        await stream.next()
        async with follow(api) as alice:
            for _ in range(12):
                await alice.tries_again()
            assert alice.driver.machine.tier == Tier.SSE
            await alice.waits()
            await stream.close()
            alice.clock.jump(80)
            await alice.until("live")


async def test_a_hint_that_there_is_no_network_is_checked_and_one_that_it_is_back_is_acted_on(start_server, follow):
    api = await start_server()
    await api.create()
    async with follow(api) as alice:
        await alice.until("live")
        alice.client.network_changed(is_online=False)
        await passes_on(api, alice, "it lied")
        assert alice.state == "live"
        await start_server.stop(api)
        await alice.waits()
        alice.client.network_changed(is_online=False)
        await alice.until("offline")
        api = await start_server(port=api.port)
        alice.client.network_changed(is_online=True)
        await alice.until("live")
