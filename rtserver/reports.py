"""What clients report of their way here: which tier they are on, and why (DESIGN 4.9); and what is kept of that.

A report is somebody's word, so it changes nothing but sums.  They are kept by network, since the people of one office
share their trouble, and nothing is kept of a single report but the tier that its sender is on.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from typing import Any, NamedTuple

from rtserver.diagnosis import TIERS
from rtserver.errors import Malformed
from rtserver.publication import check_name, parse_object

MAX_CLIENT_ID = 128
MAX_USER_AGENT = 512
MAX_MILLISECONDS = 3_600_000
MAX_ATTEMPTS = 1_000_000
# People of whom it is remembered which tier they are on.
MAX_PEOPLE = 10_000

# What clients give as the reason; any other word is counted as `other`, so that nobody can make up labels (P4).
REASONS = (
    "verified", "promoted", "deadline", "probe-together", "stream-lost", "stream-cut-early", "stream-refused",
    "silent", "failed", "page", "broken", "other",
)  # fmt: skip
_REASON = re.compile("[a-z][a-z-]{0,39}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class Report(NamedTuple):
    """``previous_tier`` is None for who had none before; what is None is not known."""

    tier: str
    previous_tier: str | None
    reason: str
    client_id: str | None
    session_id: str | None
    round_trip_ms: int | None
    lag_ms: int | None
    attempts: int | None
    user_agent: str | None

    @property
    def is_fallback(self) -> bool:
        return self.previous_tier is not None and TIERS.index(self.tier) > TIERS.index(self.previous_tier)


def read_report(body: bytes) -> Report:
    """Return the report in the body of a request.  Raises `Malformed`."""
    fields = parse_object(body)
    reason = _text(fields, "reason", 40)
    if reason is None or not _REASON.fullmatch(reason):
        raise Malformed(f"reason is {reason!r}; it must be 1 to 40 of a-z and -, and begin with a letter")
    session_id = fields.get("sessionId")
    tier = _tier(fields, "tier")
    if tier is None:
        raise Malformed(f"tier is missing; it must be one of {', '.join(TIERS)}")
    return Report(
        tier=tier,
        previous_tier=_tier(fields, "previousTier"),
        reason=reason if reason in REASONS else "other",
        client_id=_text(fields, "clientId", MAX_CLIENT_ID),
        session_id=None if session_id is None else check_name(session_id, "sessionId"),
        round_trip_ms=_number(fields, "rttMs", MAX_MILLISECONDS),
        lag_ms=_number(fields, "lagMs", MAX_MILLISECONDS),
        attempts=_number(fields, "attempts", MAX_ATTEMPTS),
        user_agent=_text(fields, "userAgent", MAX_USER_AGENT),
    )


def _tier(fields: dict[str, Any], name: str) -> str | None:
    found = fields.get(name)
    if found is not None and found not in TIERS:
        raise Malformed(f"{name} is {str(found)[:64]!r}; it must be one of {', '.join(TIERS)}")
    return found


def _text(fields: dict[str, Any], name: str, longest: int) -> str | None:
    found = fields.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 1 <= len(found) <= longest or _CONTROL.search(found):
        raise Malformed(f"{name} must be a string of 1 to {longest} characters, without control characters")
    return found


def _number(fields: dict[str, Any], name: str, highest: int) -> int | None:
    found = fields.get(name)
    if found is None:
        return None
    # JSON has one kind of number: 40.0 is a whole one.
    is_whole = isinstance(found, int | float) and not isinstance(found, bool) and found == found // 1
    if not is_whole or not 0 <= found <= highest:
        raise Malformed(f"{name} must be a whole number, 0 to {highest}")
    return int(found)


class _Sum:
    """What the clients of one network said together."""

    def __init__(self) -> None:
        self.reports = 0
        self.tiers: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()  # by reason
        self.slowest_round_trip_ms: int | None = None

    def add(self, report: Report) -> None:
        self.reports += 1
        self.tiers[report.tier] += 1
        if report.is_fallback:
            self.fallbacks[report.reason] += 1
        if report.round_trip_ms is not None:
            self.slowest_round_trip_ms = max(self.slowest_round_trip_ms or 0, report.round_trip_ms)


class Reports:
    """The sums, of at most ``max_networks`` (P4): those that were not heard of for longest give way."""

    def __init__(self, max_networks: int, *, max_people: int = MAX_PEOPLE) -> None:
        self._max_networks = max_networks
        self._max_people = max_people
        self._networks: OrderedDict[str, _Sum] = OrderedDict()
        self._tiers: OrderedDict[str, str] = OrderedDict()  # the last that each person reported

    def __len__(self) -> int:
        return len(self._networks)

    def add(self, network: str, person: str, report: Report) -> None:
        self._networks.setdefault(network, _Sum()).add(report)
        self._networks.move_to_end(network)
        if len(self._networks) > self._max_networks:
            self._networks.popitem(last=False)
        self._tiers[person] = report.tier
        self._tiers.move_to_end(person)
        if len(self._tiers) > self._max_people:
            self._tiers.popitem(last=False)

    def tier_of(self, person: str) -> str | None:
        """Return the tier that a person reported last."""
        return self._tiers.get(person)

    def document(self, network: str) -> dict[str, Any]:
        """Return what was said in a network, for JSON; zeros if nothing was, or if that is long ago."""
        found = self._networks.get(network) or _Sum()
        return {
            "reports": found.reports,
            "tiers": dict(found.tiers),
            "fallbacks": dict(found.fallbacks),
            "slowestRttMs": found.slowest_round_trip_ms,
        }
