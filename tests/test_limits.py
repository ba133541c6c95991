"""Token buckets: so many at once, so many a second, by name, and not too many names (DESIGN 4.8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.limits import BURST_SECONDS, Limiter


@pytest.mark.parametrize("count", [5, 6, 7])
def test_a_burst_passes_and_no_more(count):
    limiter = Limiter(2)
    assert limiter.burst == 2 * BURST_SECONDS == 6
    waits = [limiter.take("alice", 100.0) for _ in range(count)]
    assert [wait > 0 for wait in waits] == [number >= 6 for number in range(count)]


def test_who_comes_back_when_told_is_let_in_once():
    limiter = Limiter(2, burst=1)
    assert limiter.take("alice", 100.0) == 0
    wait = limiter.take("alice", 100.0)
    assert wait == pytest.approx(0.5)
    assert limiter.take("alice", 100.0 + wait - 0.01) > 0
    assert limiter.take("alice", 100.0 + wait + 0.001) == 0
    assert limiter.take("alice", 100.0 + wait + 0.001) > 0


def test_a_refused_request_costs_nothing():
    limiter = Limiter(1, burst=1)
    limiter.take("alice", 100.0)
    for _ in range(1000):
        assert limiter.take("alice", 100.5) > 0
    assert limiter.take("alice", 101.0) == 0


def test_everybody_has_a_bucket_of_their_own():
    limiter = Limiter(1, burst=1)
    assert [limiter.take(name, 100.0) for name in ("alice", "bob", "carol")] == [0, 0, 0]
    assert limiter.take("alice", 100.0) > 0


def test_a_rate_of_zero_lets_everything_pass_and_remembers_nobody():
    limiter = Limiter(0)
    assert {limiter.take("alice", 100.0) for _ in range(10_000)} == {0}
    assert len(limiter) == 0


@pytest.mark.parametrize("names", [9, 10, 11])
def test_so_many_names_are_remembered_and_the_longest_unused_forgotten(names):
    """P4."""
    limiter = Limiter(1, burst=1, max_names=10)
    for number in range(names):
        limiter.take(f"p{number}", 100.0)
    assert len(limiter) == min(names, 10)
    assert (limiter.take("p0", 100.0) == 0) is (names > 10)


def test_a_clock_that_stands_still_or_steps_back_gives_nothing():
    limiter = Limiter(1, burst=1)
    assert limiter.take("alice", 100.0) == 0
    assert limiter.take("alice", 50.0) > 0


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_never_more_than_the_burst_and_the_rate_pass(pauses, rate, burst):
    limiter, now, passed = Limiter(rate, burst=burst), 100.0, 0
    for pause in pauses:
        now += pause
        passed += limiter.take("alice", now) == 0
        assert passed <= burst + (now - 100.0) * rate + 1e-6
