"""From an error to a problem document (RFC 9457): the one place where errors become bodies (P7)."""

from __future__ import annotations

import time
from http.client import responses

import msgspec
from tornado.httputil import ResponseStartLine

from rtserver.errors import RequestError
from rtserver.handlers.exchange import http_date

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


def refuse(base_path: str, error: RequestError, path: str) -> tuple[ResponseStartLine, dict[str, str], bytes]:
    """Return the whole answer to a request that no handler gets to see; its connection ends, too."""
    body = problem_body(error, base_path, path)
    headers = {
        "Server": "rtserver",
        "Date": http_date(int(time.time())),
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }
    return ResponseStartLine("HTTP/1.1", error.status, responses[error.status]), headers, body
