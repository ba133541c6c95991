"""An event loop whose time is simulated: it never waits, it jumps to the next timer.

Same seed, same order of everything: nothing but what is scheduled on it can happen.  And it comes to an end: what goes
round in circles there would do so for ever in the real world.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

# Of one life; the longest of thousands takes 2,400.
MAX_STEPS = 20_000


class Endless(Exception):
    """The simulated world goes on and on."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._steps = 0
        super().__init__(_NoWaiting(self))

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float | None) -> None:
        if seconds is None:
            raise RuntimeError("the simulated world stands still: nothing is scheduled and nobody is done")
        self._steps += 1
        if self._steps > MAX_STEPS:
            # Once: whoever cleans up may take as many again.
            self._steps = 0
            raise Endless(f"a life went on for {MAX_STEPS} steps and did not come to its end")
        # A hair further than asked: a timer must be due after the jump, whatever the rounding.
        self._now += max(0.0, seconds) + 1e-9 if seconds else 0.0


class _NoWaiting(selectors.SelectSelector):
    """Selects nothing, at once, and lets the loop's clock jump instead."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(timeout)
        return []


class SimulatedWorker:
    """Runs blocking calls in their order, each after a delay, on the loop itself.

    ``after_call`` is asked whether the world still stands; if not, nobody gets the answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: Callable[[], float], stands: Callable[[], bool]) -> None:
        self._loop = loop
        self._delay = delay
        self._stands = stands
        self._free_at = 0.0

    def call(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        self._free_at = max(self._free_at, self._loop.time()) + self._delay()
        self._loop.call_at(self._free_at, self._run, future, function, arguments)
        return future

    def _run(self, future: asyncio.Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            result = function(*arguments)
        except Exception as error:
            if self._stands() and not future.cancelled():
                future.set_exception(error)
        else:
            if self._stands() and not future.cancelled():
                future.set_result(result)

    async def close(self) -> None:
        pass
