"""Arithmetic of waiting: spread, lifetimes and limits in time.  Randomness is an argument, so tests decide it."""

from __future__ import annotations

import random


def lifetime_seconds(max_seconds: float, rng: random.Random) -> float:
    """Return how long one stream may live: between 80 % and 100 % of the maximum, so that streams which began
    together do not end together (DESIGN 4.4)."""
    return max_seconds * rng.uniform(0.8, 1.0)


def retry_ms(base_seconds: float, rng: random.Random) -> int:
    """Return a ``retry:`` for a stream that the server ends: half to one and a half of the base, so that those who
    are sent away together do not return in one wave (P5)."""
    return round(base_seconds * 1000 * rng.uniform(0.5, 1.5))


def spread_seconds(window_seconds: float, rng: random.Random) -> float:
    """Return a moment within a window over which many of a kind are ended."""
    return rng.uniform(0, window_seconds)
