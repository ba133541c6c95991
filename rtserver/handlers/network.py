"""``/api/diagnostics/network`` and ``/reports``: what the server sees of a client's network, and is told (DESIGN 4.9).

A header's value is shown only where it is known to be no secret; of all others the name alone.
"""

from __future__ import annotations

import logging
import re

from rtserver import diagnosis
from rtserver.addresses import network_of
from rtserver.errors import Malformed
from rtserver.event import format_timestamp
from rtserver.handlers import credentials
from rtserver.handlers.asked import MAX_ROUND_TRIP_MS
from rtserver.handlers.base import BaseHandler
from rtserver.handlers.query import Query
from rtserver.reports import read_report

log = logging.getLogger(__name__)

# Beyond the year 9999 nothing is a time.
MAX_CLIENT_TIME_MS = 253_402_300_799_999
MAX_NONCE = 64
MAX_NAMES = 40
MAX_SHOWN = 40
MAX_SHOWN_VALUE = 200
HEADER_NAME = "[A-Za-z0-9-]{1,64}"

# Values that are no secret; never Authorization, Cookie, Referer or anything that is not known.
SHOWN_VALUES = frozenset(
    (
        "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length", "content-type",
        "dnt", "forwarded", "host", "if-modified-since", "if-none-match", "last-event-id", "max-forwards", "origin",
        "pragma", "priority", "rtt", "save-data", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "te", "upgrade",
        "user-agent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
        "x-forwarded-server", "x-probe", "x-real-ip",
    )
)  # fmt: skip
# Headers that no browser sends: somebody on the way has added them.
ADDED_NAMES = re.compile(
    "via|forwarded|max-forwards|proxy-.*|client-ip|true-client-ip|cdn-loop|x-(forwarded-.*|real-ip|client-ip"
    "|cluster-client-ip|request-id|amzn-.*|envoy-.*|varnish|original-.*|bluecoat-.*|proxy-.*|iws-.*|zscaler-.*"
    "|authenticated-.*|imforwards|arr-.*|appgw-.*|azure-.*|sophos-.*|mcafee-.*|swg-.*)|cf-.*"
)
# What this answer itself carries, for who wants to see which of it is missing.
ANSWER_HEADERS = ("Cache-Control", "Content-Type", "Date", "Server", "Vary", "X-Content-Type-Options")


class _Told(BaseHandler):
    @property
    def person(self) -> str:
        """Return the name under which this person's tier is remembered; service and admin have one together."""
        return self.principal.subject if self.principal.is_participant else ""


class ClientReports(_Told):
    """Clients say which tier they are on and why; of that sums are kept."""

    async def post(self) -> None:
        report = read_report(self.body())
        network = network_of(self.client_address)
        self.hub.reports.add(network, self.person, report)
        counters = self.hub.counters
        counters.reports += 1
        if report.is_fallback:
            counters.fallbacks[report.reason] += 1
            log.info(
                "a client in %s fell back from %s to %s: %s (session %s, client %r, %s attempts)",
                *(network, report.previous_tier, report.tier, report.reason),
                *(report.session_id, report.client_id, report.attempts),
            )
        self.set_status(204)


class Network(_Told):
    async def get(self) -> None:
        query = self.query
        nonce = query.text("nonce")
        if nonce is not None and len(nonce) > MAX_NONCE:
            raise Malformed(f"nonce has {len(nonce)} characters; it may have {MAX_NONCE}")
        sent = _names(query, "sent", HEADER_NAME)
        found = _names(query, "causes", "[a-z0-9.-]{1,40}")
        unknown = [code for code in found if code not in diagnosis.CAUSES]
        if unknown:
            raise Malformed(f"causes has {unknown[0]!r}, which is none; catalogue=true lists them")
        client_time_ms = query.integer("clientTime", -1, 0, MAX_CLIENT_TIME_MS)
        round_trip_ms = query.integer("rtt", -1, 0, MAX_ROUND_TRIP_MS, clamps=True)
        wants_catalogue = query.boolean("catalogue")

        now_us = self.hub.clock()
        skew_ms = _skew(now_us, client_time_ms, round_trip_ms)
        stripped = [name for name in sent if name not in self.request.headers]
        causes = diagnosis.seen_by_server(
            version=self.request.version,
            stripped=stripped,
            skew_ms=skew_ms,
            round_trip_ms=round_trip_ms if round_trip_ms >= 0 else None,
        )
        causes = [code for code in diagnosis.CAUSES if code in {*causes, *found}]
        host = self.request.host[:256]
        protocol = "https" if credentials.is_over_tls(self.request, self.api.proxies) else "http"
        network = network_of(self.client_address)
        self.answer(
            {
                "connectionMethod": self._method(),
                "address": self.client_address,
                "network": network,
                "reports": self.hub.reports.document(network),
                "protocol": protocol,
                "httpVersion": self.request.version,
                "via": self._line("Via"),
                "forwarded": self._forwarded(),
                "headers": {
                    "received": self._received(),
                    "stripped": stripped,
                    "added": self._added(sent),
                    "answered": list(ANSWER_HEADERS),
                },
                "nonce": nonce,
                "serverTime": format_timestamp(now_us),
                "clockSkewMs": skew_ms,
                "causes": causes,
                "verdicts": [verdict.as_document() for verdict in diagnosis.judge(causes)],
                "ask": diagnosis.asks(causes, host, protocol),
                **({"catalogue": diagnosis.catalogue(host, protocol)} if wants_catalogue else {}),
            }
        )

    def _method(self) -> str | None:
        """Return the tier that this person has a connection on now, as far as that can be seen."""
        subject, is_participant = self.principal.subject, self.principal.is_participant
        if is_participant and self.hub.streams.count_of(subject):
            return "sse"
        if self.hub.polls.waits(subject, is_participant=is_participant):
            return "long-poll"
        # Between two short polls there is nothing to see; but the client may have said so.
        return self.hub.reports.tier_of(self.person)

    def _line(self, name: str) -> str | None:
        values = self.request.headers.get_list(name)
        return ", ".join(values)[:MAX_SHOWN_VALUE] if values else None

    def _forwarded(self) -> dict[str, str | None]:
        names = [name for name in self._seen() if name == "forwarded" or name.startswith("x-forwarded-")]
        return {name: self._line(name) if name in SHOWN_VALUES else None for name in names}

    def _received(self) -> dict[str, str | None]:
        return {name: self._line(name) if name in SHOWN_VALUES else None for name in self._seen()}

    def _added(self, sent: list[str]) -> list[str]:
        own = {name.lower() for name in sent}
        return [name for name in self._seen() if name not in own and ADDED_NAMES.fullmatch(name)]

    def _seen(self) -> list[str]:
        """Return the names of the request's headers, in lower case."""
        names = dict.fromkeys(name.lower()[:64] for name, _ in self.request.headers.get_all())
        return sorted(names)[:MAX_SHOWN]


def _names(query: Query, name: str, pattern: str) -> list[str]:
    """Return a list of names with commas between them; an absent or empty one has none."""
    text = query.text(name)
    if not text:
        return []
    names = text.split(",")
    if len(names) > MAX_NAMES:
        raise Malformed(f"{name} has {len(names)} names; at most {MAX_NAMES} are allowed")
    for each in names:
        if not re.fullmatch(pattern, each):
            raise Malformed(f"{name} has {each[:64]!r}; names have commas between them, and nothing else")
    return names


def _skew(now_us: int, client_time_ms: int, round_trip_ms: int) -> int | None:
    """Return by how much the client's clock is ahead; half of the round trip has passed since it was read."""
    if client_time_ms < 0:
        return None
    return client_time_ms + max(0, round_trip_ms) // 2 - now_us // 1000
