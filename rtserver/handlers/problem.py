"""From an error to a problem document (RFC 9457): the one place where errors become bodies (P7)."""

from __future__ import annotations

import msgspec

from rtserver.errors import RequestError

MEDIA_TYPE = "application/problem+json"

_encode = msgspec.json.Encoder().encode


def problem_body(error: RequestError, base_path: str, path: str) -> bytes:
    """Return the document; ``path`` is the request's, without the query: that may hold a ticket."""
    return _encode(
        {
            "type": f"{base_path}/problems/{error.slug}",
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "instance": path,
        }
    )
