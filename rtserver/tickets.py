"""Tickets: what a browser puts into an address where it can send no header, worth one request (DESIGN 4.1).

The caller says what time it is, and gives the random text.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from rtserver.auth import Principal


class _Issued(NamedTuple):
    principal: Principal
    session_id: str
    expires_at: float


class Tickets:
    """Tickets that have not been used yet, at most ``max_tickets`` (P4): the oldest give way."""

    def __init__(self, ttl_seconds: float, max_tickets: int) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_tickets = max_tickets
        self._issued: OrderedDict[str, _Issued] = OrderedDict()  # oldest first

    def __len__(self) -> int:
        return len(self._issued)

    def issue(self, ticket: str, principal: Principal, session_id: str, now: float) -> float:
        """Make ``ticket`` stand for a principal in one session; return until when, in seconds like ``now``.

        Never longer than the token with which it was asked for.
        """
        self._forget(now)
        expires_at = min(now + self._ttl_seconds, principal.expires_at)
        self._issued[ticket] = _Issued(principal, session_id, expires_at)
        return expires_at

    def redeem(self, ticket: str, session_id: str, now: float, *, keeps: bool = False) -> Principal | None:
        """Return for whom the ticket stands, or None if it is of no worth here and now.

        It is used up by that, whatever the answer; with ``keeps`` it is only looked at.
        """
        issued = self._issued.get(ticket)
        if issued is not None and not keeps:
            del self._issued[ticket]
        if issued is None or issued.session_id != session_id or issued.expires_at <= now:
            return None
        return issued.principal

    def _forget(self, now: float) -> None:
        """Drop what has expired, and make room for one more."""
        while self._issued:
            oldest = next(iter(self._issued.values()))
            if oldest.expires_at > now and len(self._issued) < self._max_tickets:
                return
            self._issued.popitem(last=False)
