"""What was read and not yet handed on: events and resets, in order, bounded by who reads them.

Invariant: what the position counts as taken is in here or was handed on.  So there is no waiting between taking and
putting: who wants to put waits for room *before* it takes, and may be cancelled only there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from rtserver.client.position import Event, Position, Reset

MAX_ITEMS = 1000


class Inbox:
    """``is_full`` while nobody takes out what is in here; then reading pauses, and that is no silence of the server."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.is_over = False
        self._items: deque[Event | Reset] = deque()
        self._changed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return len(self._items) >= MAX_ITEMS

    async def take(self, events: Iterable[Event], cursor: str | None = None) -> None:
        """Take in what is new among events; ``cursor`` is where they end, whatever was filtered out."""
        await self._room()
        self._put(self.position.take(events))
        if cursor is not None:
            self.position.move(cursor)

    async def take_reset(self, reset: Reset, presented: str) -> None:
        """Take in that the cursor ``presented`` could not be continued."""
        await self._room()
        if self.position.reset(reset.last_event_id, presented):
            self._put([reset])

    async def begin(self, history: Iterable[Event], cursor: str) -> None:
        """Put in what was said before, and begin after it."""
        await self._room()
        self._put(list(history))
        self.position.set(cursor)

    async def get(self) -> Event | Reset | None:
        """Return the next item, waiting for it; None when all is over."""
        while not self._items:
            if self.is_over:
                return None
            await self._wait()
        item = self._items.popleft()
        self._changed.set()
        return item

    def end(self) -> None:
        """Nothing comes any more; what is in here is still handed out."""
        self.is_over = True
        self._changed.set()

    def reopen(self) -> None:
        self.is_over = False

    async def _room(self) -> None:
        while self.is_full:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _put(self, items: list[Event] | list[Reset]) -> None:
        self._items.extend(items)
        self._changed.set()
