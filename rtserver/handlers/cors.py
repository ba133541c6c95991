"""Which origins' pages may read what this server answers (Fetch standard, CORS protocol; DESIGN 4)."""

from __future__ import annotations

from collections.abc import Collection

ALLOWED_HEADERS = (
    "Accept, Authorization, Cache-Control, Content-Encoding, Content-Type, Idempotency-Key, If-Modified-Since, "
    "If-None-Match, Last-Event-ID, RTT, Save-Data"
)
EXPOSED_HEADERS = (
    "Allow, Date, ETag, Idempotency-Replayed, Last-Event-ID, Last-Modified, Location, Poll-Interval, Poll-Replaced, "
    "Retry-After, WWW-Authenticate"
)
PREFLIGHT_SECONDS = 7200


def cors_headers(origins: Collection[str], origin: str | None) -> dict[str, str]:
    """Return the headers that let a page of ``origin`` read an answer, if it is one of the allowed ``origins``."""
    if not origins:
        return {}
    headers = {"Vary": "Origin"}
    if origin is not None and (origin in origins or "*" in origins):
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if origin in origins:
            # Named, it is trusted with cookies; for * browsers would not allow them either.
            headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        else:
            headers["Access-Control-Allow-Origin"] = "*"
    return headers


def preflight_headers(methods: str) -> dict[str, str]:
    """Return what a preflight is told beyond that: the methods of the address, and what a page may send."""
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
