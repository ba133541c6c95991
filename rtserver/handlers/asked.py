"""What a poll asks for: its parameters and hints, read strictly, and once for all polls that ask the same (DESIGN 4.6).

A client with nothing new sends the same address again and again; reading it is a fifth of the work of a 304.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from rtserver.cursor import Edge, Since, Start
from rtserver.errors import Malformed
from rtserver.handlers.exchange import Request
from rtserver.handlers.query import Query
from rtserver.timestamps import parse_timestamp

MAX_PAGE = 100
SHORT_POLL_PAGE = 50
MAX_CLIENT_ID = 128
MAX_ROUND_TRIP_MS = 600_000
# So many readings are kept, of addresses up to so long (P4).
MAX_KNOWN = 2048
MAX_KNOWN_BYTES = 512


class Asked(NamedTuple):
    """With ``since`` it is a short poll; ``start`` is where to begin on either tier."""

    since: Since | None
    start: Start
    timeout: int
    limit: int
    types: frozenset[str] | None
    wants_typing: bool
    is_compact: bool
    round_trip_ms: int
    client_id: str | None


class _Words(NamedTuple):
    """All of a request that decides what it asks for."""

    query: str
    last_event_id: tuple[str, ...]
    save_data: tuple[str, ...]
    rtt: tuple[str, ...]

    @property
    def headers(self) -> _Words:
        return self

    def get_list(self, name: str) -> list[str]:
        return list({"Last-Event-ID": self.last_event_id, "Save-Data": self.save_data, "RTT": self.rtt}[name])


def read_asked(request: Request, longest: int) -> Asked:
    """Read every parameter of both tiers: what is malformed is an error on either.  ``longest`` in seconds."""
    find = request.headers.get_list
    words = _Words(request.query, tuple(find("Last-Event-ID")), tuple(find("Save-Data")), tuple(find("RTT")))
    # Together, so that a header of any length is not kept either.
    if sum(len(text) for part in words[1:] for text in part) + len(request.query) <= MAX_KNOWN_BYTES:
        return _read_known(words, longest)
    return _read(words, longest)


def _read(words: _Words, longest: int) -> Asked:
    query = Query(words)
    text = query.text("since")
    since = Since(text, parse_timestamp(text, "since")) if text is not None else None
    start: Start = query.start(default=since or Edge.NOW)
    timeout = query.integer("timeout", longest, 0, longest, clamps=True)
    batch = query.integer("batchSize", SHORT_POLL_PAGE if since else MAX_PAGE, 1, MAX_PAGE)
    limit = query.integer("limit", batch if since else MAX_PAGE, 1, MAX_PAGE)
    types = query.event_types()
    wants_typing = query.boolean("includeTyping")
    is_compact = query.boolean("compact", default=query.hint("Save-Data").lower() == "on")
    round_trip_ms = query.integer("rtt", _hinted_round_trip_ms(query), 0, MAX_ROUND_TRIP_MS, clamps=True)
    client_id = query.text("clientId")
    if client_id is not None and not 1 <= len(client_id) <= MAX_CLIENT_ID:
        raise Malformed(f"clientId has {len(client_id)} characters; it must have 1 to {MAX_CLIENT_ID}")
    return Asked(since, start, timeout, limit, types, wants_typing, is_compact, round_trip_ms, client_id)


_read_known = functools.lru_cache(MAX_KNOWN)(_read)


def _hinted_round_trip_ms(query: Query) -> int:
    hint = query.hint("RTT")
    return int(hint) if hint.isascii() and hint.isdigit() and len(hint) < 10 else 0
