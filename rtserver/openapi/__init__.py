"""The description of the API (OpenAPI 3.1), made from the same limits that the handlers use.

`document` puts it together; `rtserver.openapi.schemas` has what bodies look like, `parameters` what goes into addresses
and headers, `operations` what can be done.  A test compares it with the routes.
"""

from __future__ import annotations

from typing import Any

from rtserver import __version__
from rtserver.config import Config
from rtserver.openapi.operations import paths
from rtserver.openapi.parameters import HEADERS, PARAMETERS, limited
from rtserver.openapi.responses import RESPONSES
from rtserver.openapi.schemas import SCHEMAS

DESCRIPTION = """\
Real-time events over plain HTTP: a session's events by Server-Sent Events, long polling or short polling.

A *cursor* is the id of the last event a reader saw; with it any tier goes on where another stopped. Every answer to GET
is also given to HEAD; OPTIONS names the methods of an address. Unknown parameters and fields are ignored. Every refusal
is a problem document (RFC 9457) whose `type` is a page of this server."""


def document(config: Config) -> dict[str, Any]:
    """Return the description of the API as this server is configured."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rtserver",
            "version": __version__,
            "summary": "Real-time events where WebSockets are blocked",
            "description": DESCRIPTION,
            "license": {"name": "see the distribution"},
        },
        "servers": [{"url": config.base_path or "/"}],
        "tags": [
            {"name": "sessions", "description": "Sessions and who is in them"},
            {"name": "events", "description": "Publishing, and reading on every tier"},
            {"name": "sign-in", "description": "Where no header can be sent"},
            {"name": "diagnostics", "description": "What the network does with answers"},
            {"name": "operation", "description": "How the server is, and what its answers mean"},
        ],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths(),
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS | limited(config),
            "headers": HEADERS,
            "responses": RESPONSES,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Claims: sub, exp, role (participant, service or admin)",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "rt_token",
                    "description": "Set by POST /api/auth/cookie; writes need a same-origin Origin or Sec-Fetch-Site",
                },
                "ticket": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "One request to one session, within half a minute",
                },
            },
        },
    }
