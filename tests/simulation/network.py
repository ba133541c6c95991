"""The way between server and readers: latency, sockets that fill up, readers that pause, cuts that swallow bytes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable


class SimulatedSink:
    """A stream's socket.  What is written arrives later, or never if the connection is cut first."""

    is_chunked = False

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random, receive: Callable[[bytes], None]) -> None:
        self.is_paused = False
        self.is_closed = False
        self.on_resume: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.ended = loop.create_future()  # done when the reader sees the end
        self._loop = loop
        self._rng = rng
        self._receive = receive
        self._window = rng.choice((1, 500, 5000, 10**9))  # bytes on their way that fill the socket
        self._under_way = bytearray()
        self._reads = True
        self._delivery: asyncio.TimerHandle | None = None

    def write(self, payload: bytes) -> None:
        if self.is_closed:
            return
        assert not self.is_paused, "written to a reader that is paused"
        self._under_way += payload
        self.is_paused = len(self._under_way) > self._window
        self._deliver_later()

    def close(self, payload: bytes) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._under_way += payload
            self._deliver_later()

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._deliver_later()

    def cut(self) -> None:
        """The connection breaks; what is under way is lost."""
        if not self.ended.done():
            self.is_closed = True
            self._under_way.clear()
            if self._delivery is not None:
                self._delivery.cancel()
            self.ended.set_result(None)
            self.on_lost()

    def _deliver_later(self) -> None:
        if self._reads and self._delivery is None and not self.ended.done():
            self._delivery = self._loop.call_later(self._rng.uniform(0, 0.02), self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        if self._under_way:
            count = self._rng.randint(1, len(self._under_way))
            portion = bytes(self._under_way[:count])
            del self._under_way[:count]
            self._receive(portion)
        if self._under_way:
            self._deliver_later()
        elif self.is_closed:
            if not self.ended.done():
                self.ended.set_result(None)
                self.on_lost()
        elif self.is_paused:
            self.is_paused = False
            self.on_resume()
