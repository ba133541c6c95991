"""What a client tells people: what state the connection is in, on which tier, why, and as of when.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtserver.client.machine import Machine, State, Tier

PEOPLE = {
    State.NEW: "connecting",
    State.BOOTSTRAPPING: "connecting",
    State.VERIFYING_SSE: "connecting",
    State.LIVE: "live",
    State.TRYING_LONG_POLL: "connecting",
    State.VERIFYING_LONG_POLL: "delayed",
    State.DELAYED: "delayed",
    State.POLLING: "polling",
    State.CHECKING: "connecting",
    State.DOUBTING: "reconnecting",
    State.RECONNECTING: "reconnecting",
    State.OFFLINE: "offline",
    State.BLOCKED: "blocked",
    State.SIGNED_OUT: "signed-out",
    State.STOPPED: "stopped",
    State.CLOSED: "stopped",
}
PEOPLE_VERIFIED = {
    State.VERIFYING_SSE: "reconnecting",
    State.TRYING_LONG_POLL: "reconnecting",
    State.CHECKING: "reconnecting",
}
# On which tier events come, by state; on the others they come on none.
_RUNNING = {State.LIVE, State.VERIFYING_LONG_POLL, State.DELAYED, State.POLLING}
# A held poll is answered at once, and asked again a round trip later.
_LONG_POLL_DELAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Status:
    """``state`` is one of ``connecting``, ``live``, ``delayed``, ``polling``, ``reconnecting``, ``offline``,
    ``blocked``, ``signed-out``, ``stopped``.

    ``tier`` is the one that events come on now, or None.  ``as_of`` and ``next_retry_at`` are seconds since 1970: when
    the server was heard last, and when it is tried again.  ``expected_delay`` is in seconds.
    """

    state: str = "connecting"
    tier: str | None = None
    reason: str = ""
    as_of: float | None = None
    next_retry_at: float | None = None
    expected_delay: float | None = None

    @property
    def is_over(self) -> bool:
        """Say whether nothing will come any more unless somebody asks for it."""
        return self.state in ("signed-out", "stopped")


def words(machine: Machine) -> str:
    """Return what a state is called in front of people."""
    if machine.verified and machine.state in PEOPLE_VERIFIED:
        return PEOPLE_VERIFIED[machine.state]
    return PEOPLE[machine.state]


def tier_in_use(machine: Machine) -> Tier | None:
    return machine.tier if machine.state in _RUNNING else None


def expected_delay(tier: Tier | None, poll_seconds: float) -> float | None:
    """Return within how many seconds an event is seen on a tier."""
    return {Tier.SSE: 0.0, Tier.LONG_POLL: _LONG_POLL_DELAY_SECONDS, Tier.SHORT_POLL: poll_seconds, None: None}[tier]
