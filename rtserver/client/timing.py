"""The client's time: what the clock says, and waiting.  Everything in the client that waits does so here.

Tests put another `Clock` in its place and move it by hand.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
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


async def within(clock: Clock, seconds: float, doing: Coroutine[Any, Any, T], what: str) -> T:
    """Return what ``doing`` returns; raise `TimedOut` and end it if it takes longer."""
    task = asyncio.ensure_future(doing)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimedOut(f"{what} took more than {seconds:g} s")
    finally:
        await end(task, timer)


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and return when they are gone; what they say then is not asked for."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
