"""Spread: what the server announces and ends does not happen to everybody at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver import interval
from rtserver.interval import Activity, PollIntervals, poll_interval_seconds

quickly = settings(deadline=None, max_examples=100)
seeds = st.integers(0, 1 << 32)


class Edges(random.Random):
    """Randomness that always falls on one edge of the range asked for."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.share


@quickly
@given(st.floats(1, 1e6), seeds)
def test_stream_lives_between_80_and_100_percent_of_the_maximum(maximum, seed):
    """P5."""
    assert 0.8 * maximum <= interval.lifetime_seconds(maximum, random.Random(seed)) <= maximum


@pytest.mark.parametrize(("share", "expected"), [(0, 2880), (0.5, 3240), (1, 3600)])
def test_whole_range_of_lifetimes_is_used(share, expected):
    assert interval.lifetime_seconds(3600, Edges(share)) == pytest.approx(expected)


@quickly
@given(st.integers(0, 3600), seeds)
def test_retry_is_whole_milliseconds_around_its_base(base_seconds, seed):
    """P5."""
    retry_ms = interval.retry_ms(base_seconds, random.Random(seed))

    assert isinstance(retry_ms, int)
    assert 500 * base_seconds <= retry_ms <= 1500 * base_seconds


@pytest.mark.parametrize(("share", "expected"), [(0, 2500), (0.5, 5000), (1, 7500)])
def test_whole_range_of_retries_is_used(share, expected):
    assert interval.retry_ms(5, Edges(share)) == expected


@quickly
@given(st.floats(0, 600), seeds)
def test_endings_fall_into_the_window(window, seed):
    """P5."""
    assert 0 <= interval.spread_seconds(window, random.Random(seed)) <= window


def test_endings_of_many_are_spread_over_the_whole_window():
    """P5: each tenth of the window gets its share of a thousand streams."""
    rng = random.Random(7)
    tenths = [0] * 10

    for _ in range(1000):
        tenths[min(9, int(interval.spread_seconds(10, rng)))] += 1

    assert all(60 <= count <= 140 for count in tenths), tenths


def test_same_randomness_gives_the_same_times():
    first, second = ([interval.retry_ms(5, rng) for _ in range(20)] for rng in (random.Random(3), random.Random(3)))

    assert first == second
    assert len(set(first)) > 10


# How often to poll

BOUNDS = PollIntervals(3, 5, 10)


@pytest.mark.parametrize(
    ("rate", "silence", "load", "expected"),
    [
        (None, None, 1, 5),  # no event ever
        (None, 1, 1, 5),  # from the store, and nothing since
        (0.2, 0, 1, 3),
        (0.19, 0, 1, 3),
        (5, 59.999, 1, 3),
        (0.1, 5, 1, 6),  # half way: 6.5 to the even number
        (0, 30, 1, 10),
        (5, 60, 1, 10),
        (None, 60, 1, 10),
        (0.2, 0, 2, 6),
        (0.2, 0, 100, 10),
        (None, None, 1.5, 8),
    ],
)
def test_the_poll_interval_follows_activity_and_load(rate, silence, load, expected):
    assert poll_interval_seconds(BOUNDS, rate, silence, load) == expected


def test_a_steady_rate_is_found_and_halves_in_half_a_minute():
    activity = Activity()
    assert activity.events_per_second(0) is None
    for number in range(100):
        activity.note(number * 5_000_000)
    now_us = 99 * 5_000_000
    rate = activity.events_per_second(now_us)
    assert rate == pytest.approx(0.2, rel=0.1)
    assert activity.events_per_second(now_us + 30_000_000) == pytest.approx(rate / 2)
    assert activity.events_per_second(now_us - 3_600_000_000) == rate, "the clock may step back"
