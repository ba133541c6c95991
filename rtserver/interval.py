"""Arithmetic of waiting: spread, lifetimes and limits in time.  Randomness is an argument, so tests decide it."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

ACTIVITY_HALF_LIFE_SECONDS = 30
# At so many events a second a session is as lively as polling gets; after so much silence it is asleep.
LIVELY_EVENTS_PER_SECOND = 0.2
SILENCE_SECONDS = 60


class PollIntervals(NamedTuple):
    """Bounds in seconds for how often clients are asked to poll."""

    shortest: float
    default: float
    longest: float


class Activity:
    """The decaying rate of a session's events (DESIGN 4.6), told from their times."""

    __slots__ = ("_newest_us", "_weight")

    def __init__(self) -> None:
        self._weight = 0.0
        self._newest_us = 0

    def note(self, timestamp_us: int, count: int = 1) -> None:
        """Count events that were published together."""
        self._weight = self._weight_at(timestamp_us) + count
        self._newest_us = timestamp_us

    def events_per_second(self, now_us: int) -> float | None:
        """Return the rate, or None while nothing has been counted."""
        if not self._weight:
            return None
        return self._weight_at(now_us) * math.log(2) / ACTIVITY_HALF_LIFE_SECONDS

    def _weight_at(self, now_us: int) -> float:
        # The clock may have stepped back.
        passed_seconds = max(0, now_us - self._newest_us) / 1e6
        return float(self._weight * 0.5 ** (passed_seconds / ACTIVITY_HALF_LIFE_SECONDS))


def poll_interval_seconds(
    bounds: PollIntervals, events_per_second: float | None, silence_seconds: float | None, load_factor: float
) -> int:
    """Return after how many whole seconds a client should poll again.

    ``silence_seconds`` is the time since the newest event, None where there never was one; ``events_per_second`` is
    None where the rate is not known.  ``load_factor``, 1 and more, is how much slower the server asks to be polled.
    """
    if silence_seconds is None:
        seconds = bounds.default
    elif silence_seconds >= SILENCE_SECONDS:
        seconds = bounds.longest
    elif events_per_second is None:
        seconds = bounds.default
    else:
        calm = 1 - min(1.0, events_per_second / LIVELY_EVENTS_PER_SECOND)
        seconds = bounds.shortest + (bounds.longest - bounds.shortest) * calm
    return round(min(max(seconds * load_factor, bounds.shortest), bounds.longest))


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
