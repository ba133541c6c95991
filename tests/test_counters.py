"""What is counted is what happened, and nothing is counted per session or person."""

from __future__ import annotations

import json

import pytest

from rtserver.counters import SECONDS, Counters, Histogram
from tests.conftest import until
from tests.contract import MESSAGE


@pytest.mark.parametrize(
    ("value", "found"),
    [(0, 0), (SECONDS[0], 0), (SECONDS[0] + 1e-9, 1), (SECONDS[-1], len(SECONDS) - 1), (1e9, len(SECONDS))],
)
def test_a_class_holds_what_is_up_to_its_bound(value, found):
    histogram = Histogram(SECONDS)
    histogram.observe(value)
    assert [index for index, count in enumerate(histogram.classes) if count] == [found]
    assert (histogram.count, histogram.total) == (1, value)


def test_a_quantile_is_the_bound_that_so_many_keep_to():
    histogram = Histogram((1, 2, 5))
    assert histogram.quantile(0.5) is None
    for value in (1, 1, 2, 3):
        histogram.observe(value)
    assert [histogram.quantile(share) for share in (0.5, 0.75, 1.0)] == [1, 2, 5]
    histogram.observe(6)
    assert histogram.quantile(1.0) == float("inf")


async def test_streams_are_counted_by_tier_deliveries_by_write_and_ends_by_reason(api):
    counters = api.hub.counters
    async with api.stream() as one, api.stream() as other:
        for stream in (one, other):
            await stream.until("connected")
        await until(lambda: all(s.state.value == "live" for s in api.hub.registry.peek("s").streams))
        before = counters.deliveries
        for _ in range(3):
            await api.publish("x")
            for stream in (one, other):
                await stream.durable()
        assert counters.deliveries - before == 6
        assert counters.stream_bytes > 6 * len("x")
        assert counters.delivery_seconds.count == 3
    await until(lambda: counters.ended["disconnected"] == 2)
    assert counters.opened == {"sse": 2}


async def test_polls_are_counted_by_tier(api):
    await api.get("/sessions/s/updates?timeout=0")
    await api.get("/sessions/s/updates?since=2026-01-01T00:00:00Z")
    assert api.hub.counters.opened == {"long-poll": 1, "short-poll": 1}


async def test_publishes_are_counted_by_what_they_made(api):
    counters = api.hub.counters
    before = counters.events
    await api.post("/sessions/s/events", {"events": [MESSAGE, MESSAGE]}, headers={"Idempotency-Key": "k"})
    assert (counters.events - before, counters.repeats) == (2, 0)
    await api.post("/sessions/s/events", {"events": [MESSAGE, MESSAGE]}, headers={"Idempotency-Key": "k"})
    assert (counters.events - before, counters.repeats) == (2, 1)
    await api.post("/sessions/s/events", {"type": "ai_progress", "data": {"status": "thinking"}})
    assert (counters.events - before, counters.transients) == (2, 1)
    assert counters.batch_sizes.count == counters.commit_seconds.count > 0


async def test_requests_are_counted_by_status_refusals_by_cause_and_bodies_by_bytes(api):
    counters = api.hub.counters
    before = counters.request_bytes
    await api.post("/sessions/s/events", b"{nonsense")
    await api.get("/sessions/s", who=None)
    await api.get("/sessions/none")
    assert (counters.answered[400], counters.answered[401], counters.answered[404]) == (1, 1, 1)
    assert counters.refused == {"malformed-request": 1, "authentication-required": 1, "session-not-found": 1}
    assert counters.request_bytes - before == len(b"{nonsense")
    assert counters.answer_bytes > 0


def test_all_of_them_can_be_shown():
    counters = Counters()
    counters.opened["sse"] += 1
    counters.answered[200] += 1
    shown = json.loads(json.dumps(counters.as_dict()))
    assert set(shown) == set(vars(counters))
    assert shown["opened"] == {"sse": 1} and shown["answered"] == {"200": 1}
    assert shown["delivery_seconds"] == {"count": 0, "total": 0.0, "p50": None, "p99": None}
