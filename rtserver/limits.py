"""How often somebody may ask: token buckets, one for each name (DESIGN 4.8).

A bucket holds so many tokens, each request takes one, and they come back at a steady rate: bursts pass, a loop that
has gone wild does not.

No I/O, no clock, no event loop: the caller says what time it is.
"""

from __future__ import annotations

from collections import OrderedDict

# A burst of so many seconds' worth passes at once: a page that opens, a client that catches up.
BURST_SECONDS = 3
MAX_NAMES = 100_000


class Limiter:
    """Buckets by name; a rate of 0 lets everything pass.

    At most ``max_names`` are remembered (P4); those that have not been used for longest are forgotten first, and what
    is forgotten is full again.
    """

    def __init__(self, per_second: float, *, burst: float = 0, max_names: int = MAX_NAMES) -> None:
        """``burst`` is how many requests pass at once; by default `BURST_SECONDS` worth, and one at least."""
        self.per_second = per_second
        self.burst = max(1.0, burst or per_second * BURST_SECONDS)
        self._max_names = max_names
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when that was so

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: str, now: float) -> float:
        """Take a token and return 0, or return after how many seconds there will be one; ``now`` in seconds."""
        if not self.per_second:
            return 0.0
        level, at = self._levels.pop(name, (self.burst, now))
        level = min(self.burst, level + max(0.0, now - at) * self.per_second)
        is_taken = level >= 1
        self._levels[name] = (level - 1 if is_taken else level, now)
        if len(self._levels) > self._max_names:
            self._levels.popitem(last=False)
        return 0.0 if is_taken else (1 - level) / self.per_second
