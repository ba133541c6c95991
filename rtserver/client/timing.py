"""The client's time: what the clock says, and waiting.  Everything in the client that waits does so here.

Tests put another `Clock` in its place and move it by hand.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from rtserver.client.errors import TimedOut

T = TypeVar("T")


class Clock(Protocol):
    """``now`` only ever grows, in seconds; ``now_us`` is the time of day, in microseconds since 1970."""

    def now(self) -> float: ...
    def now_us(self) -> int: ...
    async def sleep(self, seconds: float) -> None: ...
    def random(self) -> float:
        """Return a number of at least 0 and below 1."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.monotonic()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def random(self) -> float:
        return random.random()


class Limit:
    """``async with Limit(clock, 5, "reading")``: `TimedOut` where it takes longer.

    Like `asyncio.timeout`, by the client's clock: what is inside is cancelled where it waits, and cleans up there.  (In
    a task of its own, what it had just opened would be lost if the waiting were cancelled in that moment.)
    """

    def __init__(self, clock: Clock, seconds: float, what: str) -> None:
        self._clock = clock
        self._seconds = seconds
        self._what = what
        self._is_over = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.create_task(self._expire())

    async def _expire(self) -> None:
        await self._clock.sleep(self._seconds)
        self._is_over = True
        self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._timer.cancel()
        if self._is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimedOut(f"{self._what} took more than {self._seconds:g} s") from None


async def within(clock: Clock, seconds: float, doing: Awaitable[T], what: str) -> T:
    """Return what ``doing`` returns; raise `TimedOut` and end it if it takes longer."""
    async with Limit(clock, seconds, what):
        return await doing


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and return when they are gone; what they say then is not asked for."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
