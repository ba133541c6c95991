"""How often clients should poll: by the activity of their session and the load of the server (DESIGN 4.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtserver.interval import PollIntervals, poll_interval_seconds
from rtserver.session import Session

TICK_SECONDS = 0.25
# So late is nothing that a client would notice; so much later, and half as many polls would help.
UNNOTICED_SECONDS = 0.05
HALVING_SECONDS = 0.2
MAX_LOAD_FACTOR = 4.0
# One slow moment is not load: each tick moves the average by a quarter.
SMOOTHING = 0.25


class Pace:
    """Tells intervals; from `start` to `close` it also measures how late the event loop's timers fire.

    ``lag_seconds`` is that lateness, smoothed.
    """

    def __init__(self, bounds: PollIntervals, clock: Callable[[], int]) -> None:
        """``clock`` gives microseconds since 1970."""
        self.lag_seconds = 0.0
        self._bounds = bounds
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def poll_interval(self, session: Session) -> int:
        """Return after how many whole seconds it is worth polling this session again."""
        now_us = self._clock()
        silence_seconds = (now_us - session.last_timestamp_us) / 1e6 if session.last_sequence else None
        rate = session.activity.events_per_second(now_us)
        return poll_interval_seconds(self._bounds, rate, silence_seconds, self.load_factor)

    @property
    def load_factor(self) -> float:
        """How much slower clients should poll: 1 on an idle server, at most `MAX_LOAD_FACTOR`."""
        excess_seconds = max(0.0, self.lag_seconds - UNNOTICED_SECONDS)
        return min(MAX_LOAD_FACTOR, 1 + excess_seconds / HALVING_SECONDS)

    def start(self) -> None:
        self._schedule(asyncio.get_running_loop())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due_at = loop.time() + TICK_SECONDS
        self._timer = loop.call_at(due_at, self._tick, loop, due_at)

    def _tick(self, loop: asyncio.AbstractEventLoop, due_at: float) -> None:
        self.lag_seconds += (loop.time() - due_at - self.lag_seconds) * SMOOTHING
        self._schedule(loop)
