"""Probes that are under way: how many there may be, and what ends them (DESIGN 4.9).

A probe is an answer that takes its time on purpose, so that a client can see what the network does with it.  It is
nobody's news: it knows nothing of sessions or events, and gives way when the server goes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rtserver.errors import Draining, Overloaded, TooManyProbes

# When who found no place may try again.
RETURN_SECONDS = 5


class Probe:
    """One of them; ``is_over`` once its client has gone or the server goes."""

    def __init__(self) -> None:
        self.is_over = False
        self._woken = asyncio.Event()

    def end(self) -> None:
        self.is_over = True
        self._woken.set()

    def wake(self) -> None:
        """Have a wait that goes on end now."""
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait so long, or until woken or over; return whether the time was up before that."""
        if not self.is_over:
            self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return True
        return False


class Probes:
    """All that are under way: at most ``max_probes``, and ``max_per_participant`` of one person (P4)."""

    def __init__(self, max_probes: int, max_per_participant: int) -> None:
        """``max_per_participant`` of 0 is any number."""
        self._max_probes = max_probes
        self._max_per_participant = max_per_participant
        self._running: dict[Probe, None] = {}
        self._own: Counter[str] = Counter()
        self._is_draining = False

    @property
    def count(self) -> int:
        return len(self._running)

    @contextmanager
    def place(self, subject: str, *, is_participant: bool) -> Iterator[Probe]:
        """Keep a place while a probe runs.

        Raises `Draining`, `Overloaded` if all places are taken, and `TooManyProbes` if this participant has all it may.
        """
        if self._is_draining:
            raise draining()
        if self.count >= self._max_probes:
            raise Overloaded(f"{self.count} probes run; at most {self._max_probes} may", RETURN_SECONDS)
        own, allowed = self._own[subject], self._max_per_participant
        if is_participant and allowed and own >= allowed:
            raise TooManyProbes(f"{subject!r} has {own} probes running; at most {allowed} may", RETURN_SECONDS)
        # Service and admin are counted under a name that no participant has.
        name = subject if is_participant else ""
        probe = Probe()
        self._running[probe] = None
        self._own[name] += 1
        try:
            yield probe
        finally:
            del self._running[probe]
            self._own[name] -= 1
            if not self._own[name]:
                del self._own[name]

    def drain(self) -> None:
        """End all of them, and refuse those that come from now on."""
        self._is_draining = True
        for probe in list(self._running):
            probe.end()


def draining() -> Draining:
    return Draining("the server is shutting down; come back in a moment", 2)
