"""What the server has done so far: plain numbers, added up where things happen and read by whoever shows them.

Labels are of small closed sets (tiers, reasons, slugs, statuses); there is nothing per session or participant.  On the
hot path a pass adds its sums once, not each delivery.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import bisect
from collections import Counter
from typing import Any

# Upper bounds of classes: seconds from what one core can do to what nobody waits for, and how many go together.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


class Histogram:
    """How often something was how large, in classes up to each of ``bounds`` and one above them."""

    __slots__ = ("bounds", "classes", "count", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.classes = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.classes[bisect.bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value

    def quantile(self, share: float) -> float | None:
        """Return the bound that so large a share keeps to, None without observations, infinity above all bounds."""
        if not self.count:
            return None
        seen = 0
        for bound, count in zip(self.bounds, self.classes, strict=False):
            seen += count
            if seen >= share * self.count:
                return bound
        return float("inf")

    def as_dict(self) -> dict[str, Any]:
        return {"count": self.count, "total": self.total, "p50": self.quantile(0.5), "p99": self.quantile(0.99)}


class Counters:
    """All of them.  Those called ``..._seconds`` and ``..._sizes`` are histograms, the rest are sums."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()  # streams and polls, by tier
        self.ended: Counter[str] = Counter()  # streams, by why they ended
        self.answered: Counter[int] = Counter()  # requests, by status
        self.refused: Counter[str] = Counter()  # requests, by the slug of the problem
        self.request_seconds = Histogram(SECONDS)  # from its head to its answer; waiting polls wait
        self.request_bytes = 0  # of bodies, as they came
        self.answer_bytes = 0  # of bodies, as they went; streams apart
        self.deliveries = 0  # writes of news to live streams
        self.stream_bytes = 0  # of these
        # From when the oldest event of a pass was submitted, and when it was durable, to the last write of the pass.
        self.delivery_seconds = Histogram(SECONDS)
        self.commit_seconds = Histogram(SECONDS)
        self.batch_sizes = Histogram(SIZES)  # changes that went to the disk together
        self.reports = 0  # of clients on their way here
        self.fallbacks: Counter[str] = Counter()  # to a lesser tier, by the reason that clients give
        self.events = 0  # made durable
        self.transients = 0  # shown
        self.repeats = 0  # publishes answered as the first time
        self.blocks = 0  # sent to streams that were behind
        self.resumed = 0  # streams that were full and took bytes again
        self.disk_failures = 0  # times that the disk stopped taking what was written
        self.disk_recoveries = 0  # and took it again

    def as_dict(self) -> dict[str, Any]:
        """Return all of them, for JSON."""
        return {
            name: value.as_dict()
            if isinstance(value, Histogram)
            else {str(label): count for label, count in value.items()}
            if isinstance(value, Counter)
            else value
            for name, value in vars(self).items()
        }
