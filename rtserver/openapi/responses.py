"""What is answered: documents, and refusals."""

from __future__ import annotations

from typing import Any

from rtserver.openapi.schemas import ref

Response = dict[str, Any]


def headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def json(description: str, schema: str, *names: str, links: dict[str, Any] | None = None) -> Response:
    """Return a response with a JSON document and these headers."""
    response = {
        "description": description,
        "headers": headers(*names),
        "content": {"application/json": {"schema": ref(schema)}},
    }
    return response | ({"links": links} if links else {})


def empty(description: str, *names: str) -> Response:
    return {"description": description, "headers": headers(*names)}


def text(description: str, *kinds: str) -> Response:
    """Return a response with a text of one of these media types."""
    return {"description": description, "content": {kind: {"schema": {"type": "string"}} for kind in kinds}}


def file(description: str, *kinds: str) -> dict[str, Response]:
    """Return what a browser gets that asks for a file every time, by the tag of the one it has."""
    return {
        "200": text(description, *kinds) | {"headers": headers("ETag")},
        "304": empty("the browser has it", "ETag"),
    }


def _refusal(description: str, *names: str) -> Response:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {"description": description, "headers": headers(*names), "content": content}


RESPONSES: dict[str, Response] = {
    "400": _refusal("malformed: what was found, and what is allowed"),
    "401": _refusal("no token, or a bad one", "WWW-Authenticate"),
    "403": _refusal("not with this role, or not a participant of a session with this id"),
    "404": _refusal("there is no such thing; participants are told 403"),
    "406": _refusal("Accept excludes what is offered"),
    "409": _refusal("not in this state of the session, or it exists"),
    "413": _refusal("too large"),
    "415": _refusal("a Content-Encoding other than gzip and deflate"),
    "422": _refusal("this Idempotency-Key was used with another body"),
    "429": _refusal("too many requests or streams", "Retry-After"),
    "503": _refusal("draining, full, or the disk fails", "Retry-After"),
    "507": _refusal("the disk is full; reading goes on"),
}


def refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}
