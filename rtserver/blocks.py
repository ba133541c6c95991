"""What streams that come back are sent: blocks of a session's events, made once and shared by all who are behind.

When a network comes back, ten thousand streams do, each with the same few hundred events behind it.  Blocks end at
multiples of their length, so that readers with different cursors share all but their first one; a block below the ring
is read from the store once, whoever asks meanwhile waits for the same reading.

What is in a block never changes: events are immutable.  Whether a reader may have it is judged by its cursor, before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from rtserver import sse
from rtserver.reader import Gap, Page, Reader
from rtserver.session import Session

# Session number, epoch, and the sequence that the reader has.
Key = tuple[int, int, int]


class Block:
    """The bytes of the events up to ``sequence``, and how they are sent in a chunked body.

    ``is_full`` is False for the last block of a session, which may still grow.
    """

    __slots__ = ("chunk", "frames", "is_full", "sequence")

    def __init__(self, page: Page) -> None:
        self.sequence = page.sequence
        self.is_full = page.has_more
        self.frames = b"".join([event.frame for event in page.events])
        self.chunk = sse.chunk(self.frames)

    @property
    def size(self) -> int:
        return len(self.frames) + len(self.chunk)


class Blocks:
    """Blocks of at most ``events`` each; those used least recently are forgotten beyond ``max_bytes`` (P4)."""

    def __init__(self, reader: Reader, events: int, max_bytes: int) -> None:
        self.size = 0  # bytes held now
        self._reader = reader
        self._events = events
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[Key, Block] = OrderedDict()
        self._coming: dict[Key, asyncio.Task[Block | Gap]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def peek(self, session: Session, after: int) -> Block | None:
        """Return the block that follows ``after``, or None if it has to be read from the store."""
        key = session.number, session.epoch, after
        block = self._blocks.get(key)
        may_be_served = after >= session.trimmed_sequence
        if block is not None and may_be_served and (block.is_full or block.sequence == session.last_sequence):
            self._blocks.move_to_end(key)
            return block
        page = self._reader.read_ring(session, after, None, self._length(after))
        return self._keep(key, Block(page)) if page is not None else None

    async def read(self, session: Session, after: int) -> Block | Gap:
        """Return the block that follows ``after``, or the `Gap` for a reader that retention has overtaken."""
        block = self.peek(session, after)
        if block is not None:
            return block
        key = session.number, session.epoch, after
        reading = self._coming.get(key)
        if reading is None:
            reading = self._coming[key] = asyncio.get_running_loop().create_task(self._read(session, key))
            reading.add_done_callback(lambda _: self._coming.pop(key))
        # One reader that leaves must not take the reading with it.
        return await asyncio.shield(reading)

    async def _read(self, session: Session, key: Key) -> Block | Gap:
        page = await self._reader.read(session, key[2], None, self._length(key[2]))
        return page if isinstance(page, Gap) else self._keep(key, Block(page))

    def _length(self, after: int) -> int:
        return self._events - after % self._events

    def _keep(self, key: Key, block: Block) -> Block:
        old = self._blocks.pop(key, None)
        self.size += block.size - (old.size if old else 0)
        self._blocks[key] = block
        while self.size > self._max_bytes and self._blocks:
            _, forgotten = self._blocks.popitem(last=False)
            self.size -= forgotten.size
        return block
