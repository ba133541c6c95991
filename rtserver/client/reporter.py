"""Says which tier this client is on and why, so that the operator sees whose network is in the way (DESIGN 4.9).

When a tier was given up, or another one has proven itself: once a minute at most, and a while after it happened.
Nothing waits for a report, and one that does not arrive is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rtserver.client.errors import ClientError
from rtserver.client.machine import Event, Machine, State, Tier
from rtserver.client.timing import Clock, end

logger = logging.getLogger(__name__)

DELAY_SECONDS = 5.0
APART_SECONDS = 60.0
# What can cost a tier, as the server counts it.
CAUSES = {
    Event.PROBE_TOGETHER: "probe-together",
    Event.STREAM_LOST: "stream-lost",
    Event.STREAM_CUT_EARLY: "stream-cut-early",
    Event.STREAM_REFUSED: "stream-refused",
    Event.DEADLINE: "deadline",
    Event.SILENT: "silent",
    Event.FAILED: "failed",
    Event.PAGE: "page",
    Event.BROKEN: "broken",
}
# States in which a tier runs: what happens in others is not its fault.
_RUNNING = {
    State.VERIFYING_SSE, State.LIVE, State.TRYING_LONG_POLL, State.VERIFYING_LONG_POLL, State.DELAYED, State.POLLING,
}  # fmt: skip
_TIERS = list(Tier)


class Told(NamedTuple):
    """``previous_tier`` is None where none was given up."""

    tier: Tier
    previous_tier: Tier | None
    reason: str
    attempts: int


class Reporter:
    """``send`` brings a report to the server."""

    def __init__(self, send: Callable[[Told], Awaitable[None]], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._cause = "other"
        self._pending: Told | None = None
        self._reported: Tier | None = None
        self._not_before = float("-inf")
        self._sending: asyncio.Task[None] | None = None

    def saw(self, before: Machine, event: Event, after: Machine) -> None:
        """Take in a step of the machine."""
        if before.state in _RUNNING:
            self._cause = CAUSES.get(event, self._cause)
        is_proven = after.verified and not (before.verified and before.tier is after.tier)
        if _TIERS.index(after.tier) > _TIERS.index(before.tier):
            first = self._pending.previous_tier if self._pending is not None else None
            self._want(Told(after.tier, first or before.tier, self._cause, before.failures))
        elif is_proven and after.tier is not (self._pending.tier if self._pending is not None else self._reported):
            # That it fell back to this tier has been said or is about to be; that it works there is no news.
            is_promoted = event in (Event.PROMOTED_TO_SSE, Event.PROMOTED_TO_LONG_POLL)
            self._want(Told(after.tier, self._reported, "promoted" if is_promoted else "verified", 0))
        if is_proven or after.tier is not before.tier:
            self._cause = "other"

    async def close(self) -> None:
        if self._sending is not None:
            await end(self._sending)

    def _want(self, told: Told) -> None:
        self._pending = told
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_in_time())

    async def _send_in_time(self) -> None:
        while self._pending is not None:
            delay_seconds = DELAY_SECONDS * (0.5 + self._clock.random())
            await self._clock.sleep(max(delay_seconds, self._not_before - self._clock.now()))
            told, self._pending = self._pending, None
            self._reported = told.tier
            self._not_before = self._clock.now() + APART_SECONDS
            try:
                await self._send(told)
            except ClientError as error:
                logger.debug("a report did not arrive: %s", error)
