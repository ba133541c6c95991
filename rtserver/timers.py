"""One timer wheel for everything that recurs or expires on streams: heartbeats, lifetimes, tokens, slow readers.

A timer of the event loop per stream and purpose would cost a heap entry and an object each; here a stream is one
entry in one bucket.  No clock of its own: the caller says what time it is.
"""

from __future__ import annotations

import math
from typing import Protocol


class Timed(Protocol):
    """Something that waits in the wheel; ``due_at`` belongs to the wheel."""

    due_at: float


class Wheel:
    """Entries by the tick in which they are due: never early, at most one tick late."""

    def __init__(self, tick_seconds: float, now: float) -> None:
        self.tick_seconds = tick_seconds
        self._buckets: dict[int, list[Timed]] = {}
        self._next = math.floor(now / tick_seconds)  # the first tick not yet collected

    def schedule(self, entry: Timed, at: float) -> None:
        """Have ``entry`` collected at ``at``; a later call for the same entry replaces this one."""
        tick = max(math.ceil(at / self.tick_seconds), self._next)
        due_at = tick * self.tick_seconds
        if entry.due_at != due_at:
            entry.due_at = due_at
            self._buckets.setdefault(tick, []).append(entry)

    def cancel(self, entry: Timed) -> None:
        """Forget the entry.  It stays in its bucket, unheeded, until its tick."""
        entry.due_at = math.inf

    def collect(self, now: float) -> list[Timed]:
        """Return what is due by ``now`` and take it out."""
        due: list[Timed] = []
        current = math.floor(now / self.tick_seconds)
        for tick in range(self._next, current + 1):
            due_at = tick * self.tick_seconds
            for entry in self._buckets.pop(tick, ()):
                # One that was scheduled anew or cancelled is no longer due at this tick.
                if entry.due_at == due_at:
                    entry.due_at = math.inf
                    due.append(entry)
        self._next = max(self._next, current + 1)
        return due
