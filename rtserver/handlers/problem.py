"""From an exception to a problem document (RFC 9457): the one place where errors become responses (P7)."""

from __future__ import annotations

import msgspec
from tornado.web import HTTPError

from rtserver.errors import Internal, Malformed, MethodNotAllowed, RequestError

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


def as_request_error(error: BaseException | None, not_allowed: MethodNotAllowed) -> RequestError:
    """Return what the client is told of an exception; of a defect only that it is one.

    ``not_allowed`` is the answer to a method nobody knows, which Tornado refuses by itself.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPError) and error.status_code < 500:
        return not_allowed if error.status_code == 405 else Malformed("the address of the request is not valid")
    return Internal("the server's log has the cause")
