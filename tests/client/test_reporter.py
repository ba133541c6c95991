"""What a client says of its way to the server: when a tier was given up or proven, seldom, and to no one's harm."""

from __future__ import annotations

import contextlib

from rtserver.client.errors import Unreachable
from rtserver.client.machine import Event, Machine, State, Tier
from rtserver.client.reporter import APART_SECONDS, CAUSES, Reporter
from rtserver.reports import REASONS
from tests.client.clock import HandClock
from tests.conftest import until
from tests.proxy import ForwardProxy


class Heard:
    """A reporter and what it said."""

    def __init__(self, error: Exception | None = None) -> None:
        self.clock = HandClock()
        self.told: list[tuple] = []
        self._error = error
        self.reporter = Reporter(self._send, self.clock)

    async def _send(self, told) -> None:
        self.told.append((told.tier, told.previous_tier, told.reason))
        if self._error is not None:
            raise self._error

    def step(self, tier, event, next_tier=None, *, state=State.LIVE, was_verified=False, verified=False):
        before = Machine(state, Tier(tier), tuple(Tier), was_verified, 0)
        after = Machine(state, Tier(next_tier or tier), tuple(Tier), verified, 0)
        self.reporter.saw(before, event, after)

    async def says(self, count: int) -> None:
        await until(lambda: len(self.told) == count or self.clock.jump(1))


def test_every_cause_is_one_that_the_server_counts():
    assert set(CAUSES.values()) <= set(REASONS)


async def test_a_tier_that_has_proven_itself_is_told_once():
    heard = Heard()
    heard.step("sse", Event.PROBE_APART, verified=True)
    await heard.says(1)
    heard.step("sse", Event.PROBE_APART, verified=True)
    assert heard.told == [("sse", None, "verified")]
    assert heard.clock.left() == []


async def test_a_tier_that_was_given_up_is_told_with_its_cause_and_the_next_ones_proof_is_no_other_report():
    heard = Heard()
    heard.step("sse", Event.DEADLINE)
    heard.step("sse", Event.FAILED, state=State.CHECKING)
    heard.step("sse", Event.OK, "long-poll", state=State.CHECKING)
    heard.step("long-poll", Event.OK, verified=True)
    await heard.says(1)
    heard.step("long-poll", Event.OK, verified=True)
    assert heard.told == [("long-poll", "sse", "deadline")]
    assert heard.clock.left() == []


async def test_what_comes_within_a_minute_is_told_together_from_where_it_began():
    heard = Heard()
    heard.step("sse", Event.PROBE_APART, verified=True)
    await heard.says(1)
    began_at = heard.clock.now()
    for tier, following, cause in (("sse", "long-poll", Event.SILENT), ("long-poll", "short-poll", Event.PAGE)):
        heard.step(tier, cause)
        heard.step(tier, Event.OK, following, state=State.CHECKING)
    await heard.says(2)
    assert heard.told[1] == ("short-poll", "sse", "page")
    assert heard.clock.now() - began_at > APART_SECONDS - 5


async def test_a_better_tier_is_told_as_promoted():
    heard = Heard()
    heard.step("long-poll", Event.OK, verified=True)
    await heard.says(1)
    heard.step("long-poll", Event.PROMOTED_TO_SSE, "sse", was_verified=True, verified=True)
    await heard.says(2)
    assert heard.told[1] == ("sse", "long-poll", "promoted")


async def test_a_report_that_does_not_arrive_is_forgotten():
    heard = Heard(Unreachable("no way"))
    heard.step("sse", Event.PROBE_APART, verified=True)
    await heard.says(1)
    await until(lambda: heard.reporter._sending.done())
    assert heard.clock.left() == []


async def test_a_reporter_that_was_closed_says_nothing_more():
    heard = Heard()
    heard.step("sse", Event.PROBE_APART, verified=True)
    await heard.reporter.close()
    assert heard.clock.left() == [] and heard.told == []


async def test_the_server_counts_what_clients_behind_a_proxy_say(api, follow):
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(ForwardProxy())
        proxy.refuses_streams = True
        url = f"http://rt.example:{api.port}"
        alice = await stack.enter_async_context(follow(url, token=api.token("alice"), proxy=proxy.url))
        await alice.until("delayed")
        counters = api.hub.counters
        await until(lambda: counters.reports or alice.clock.jump(0.5))
        assert (counters.reports, counters.fallbacks.total()) == (1, 1)
        assert api.hub.reports.tier_of("alice") == "long-poll"
