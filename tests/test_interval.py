"""Spread: what the server announces and ends does not happen to everybody at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver import interval

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
