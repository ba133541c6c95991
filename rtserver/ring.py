"""The newest events of one session, bounded by count and by bytes.

    evicted               kept                       not yet
    ... 7  8  9  |  10  11  12  13  14  |  15 ...
              ^                      ^
       evicted_through              last

A reader's position is the sequence it saw last.  The ring can serve it when ``evicted_through <= sequence <= last``;
what lies before is the store's.

No I/O, no clock, no event loop: the caller appends, the caller asks.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterator
from itertools import islice

from rtserver.event import Event


class Ring:
    """A bounded window over one session's events, without holes.

    ``evicted_through`` is the sequence before the oldest event kept: a session that comes back from the store
    starts with an empty ring at its last sequence.
    """

    __slots__ = ("_events", "evicted_through", "last", "max_bytes", "max_events", "size")

    def __init__(self, max_events: int, max_bytes: int, *, evicted_through: int = 0) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.evicted_through = evicted_through
        self.last = evicted_through
        self.size = 0  # bytes held now
        self._events: deque[Event] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, events: list[Event]) -> None:
        """Add the next events, one at least, evicting from the old end to stay in bounds."""
        first, last = events[0].sequence, events[-1].sequence
        assert first == self.last + 1, f"sequence {first} after {self.last}: skipped or reused"
        assert last == self.last + len(events), f"{len(events)} events up to {last} after {self.last}"
        self._events.extend(events)
        self.last = last
        self.size += sum([event.size for event in events])
        # The newest event always stays, however large: publishing has refused what is over the event limit, and an
        # empty ring would send every waiting reader to the disk.
        while len(self._events) > 1 and (len(self._events) > self.max_events or self.size > self.max_bytes):
            self._evict_oldest()

    def holds_all_after(self, sequence: int) -> bool:
        """Say whether every event after ``sequence`` is in memory."""
        return sequence >= self.evicted_through

    def get(self, sequence: int) -> Event | None:
        """Return the event with that sequence while it is kept."""
        if self.evicted_through < sequence <= self.last:
            return self._events[sequence - self.evicted_through - 1]
        return None

    def sequence_at(self, timestamp_us: int) -> int | None:
        """Return the sequence of the newest event kept that is not later, or None if that lies before the window."""
        if not self._events or timestamp_us < self._events[0].timestamp_us:
            return None
        # Times strictly increase with sequences (P8).
        return self.evicted_through + bisect.bisect_right(self._events, timestamp_us, key=lambda e: e.timestamp_us)

    def after(self, sequence: int, limit: int | None = None) -> list[Event]:
        """Return up to ``limit`` events that come after ``sequence``, which must not lie before the window."""
        assert sequence >= self.evicted_through, "these events were evicted; the store has them"
        start = sequence - self.evicted_through
        if start * 2 > len(self._events):
            # Most readers are near the end, and a deque is walked from the front: take the tail from behind.
            tail = list(islice(reversed(self._events), len(self._events) - start))
            tail.reverse()
            return tail if limit is None else tail[:limit]
        return list(islice(self._events, start, None if limit is None else start + limit))

    def before(self, sequence: int) -> Iterator[Event]:
        """Return the events kept that come before ``sequence``, newest first; to be read at once, while they are."""
        return islice(reversed(self._events), max(0, self.last + 1 - sequence), None)

    def evict_through(self, sequence: int) -> None:
        """Drop every event up to ``sequence``: it has been trimmed from the store, or memory is short."""
        while self._events and self._events[0].sequence <= sequence:
            self._evict_oldest()

    def _evict_oldest(self) -> None:
        event = self._events.popleft()
        self.size -= event.size
        self.evicted_through = event.sequence
