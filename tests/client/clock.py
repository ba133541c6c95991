"""A clock that goes by itself and can be moved on by hand, so that no test waits for what takes long."""

from __future__ import annotations

import asyncio
import time


class HandClock:
    """``jump`` moves it on: whoever sleeps until a moment that has come then wakes up."""

    def __init__(self, random: float = 0.5) -> None:
        self._random = random
        self._jumped = 0.0
        self._slept = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now(self) -> float:
        return time.monotonic() + self._jumped

    def now_us(self) -> int:
        return time.time_ns() // 1000 + round((self._jumped + self._slept) * 1e6)

    def random(self) -> float:
        return self._random

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = self.now() + seconds
        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._wake)
        try:
            await sleeper
        finally:
            del self._sleepers[sleeper]
            timer.cancel()

    def jump(self, seconds: float) -> None:
        self._jumped += seconds
        self._wake()

    def sleep_deeply(self, seconds: float) -> None:
        """The machine sleeps: only the time of day goes on."""
        self._slept += seconds

    def left(self) -> list[float]:
        """Return for how many seconds each sleeper sleeps on, the next to wake first."""
        return sorted(due_at - self.now() for due_at in self._sleepers.values())

    def _wake(self) -> None:
        now = self.now()
        for sleeper, due_at in self._sleepers.items():
            # A timer of the loop may be a clock tick early.
            if due_at <= now + 0.002 and not sleeper.done():
                sleeper.set_result(None)
