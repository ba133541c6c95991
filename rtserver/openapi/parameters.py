"""What goes into addresses and headers."""

from __future__ import annotations

import re
from typing import Any

from rtserver.config import Config
from rtserver.diagnosis import CAUSES
from rtserver.handlers import network, probes
from rtserver.handlers.asked import MAX_CLIENT_ID
from rtserver.handlers.query import MAX_TYPES
from rtserver.handlers.stream import MAX_HEARTBEAT, MIN_HEARTBEAT
from rtserver.openapi.schemas import NAME, PRINTABLE, TYPE, UUID, Schema, ref, string
from rtserver.publication import MAX_KEY

# A sequence, an id of this server or any other, or nothing.
CURSOR = f"^(|[0-9]{{1,12}}|{UUID})$"
# What is certain to be a moment; more is understood.
SINCE = (
    r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)

PAGE = {"type": "integer", "minimum": 1, "maximum": 100}
BOOLEAN = {"type": "boolean"}
_CAUSE = f"({'|'.join(map(re.escape, CAUSES))})"


def parameter(place: str, name: str, schema: Schema, description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": schema, "description": description} | more


def use(*names: str) -> list[dict[str, Any]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def bounded(low: int, high: int, default: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


PARAMETERS: dict[str, dict[str, Any]] = {
    "sessionId": parameter("path", "sessionId", ref("Name"), "the session", required=True),
    "participantId": parameter("path", "participantId", ref("Name"), "the participant", required=True),
    "eventId": parameter(
        "path", "eventId", string(f"^([0-9]{{1,12}}|{UUID})$"), "an event's id or sequence", required=True
    ),
    "slug": parameter("path", "slug", string("^[a-z-]{1,64}$"), "the end of a problem's type", required=True),
    "file": parameter("path", "file", string("^[a-z.]{3,64}$"), "its name", required=True),
    "limit": parameter("query", "limit", PAGE, "how many at most"),
    "batchSize": parameter("query", "batchSize", PAGE, "another name for limit, of short polls"),
    "after": parameter("query", "after", string(f"^$|{NAME}"), "the last id of the page before"),
    "before": parameter("query", "before", string(CURSOR), "a cursor: what is older than it"),
    "lastEventIdParameter": parameter("query", "lastEventId", string(CURSOR), "a cursor; 0 is the oldest event kept"),
    "lastEventIdHeader": parameter(
        "header", "Last-Event-ID", string(CURSOR), "a cursor; EventSource sends it, and it wins over the parameter"
    ),
    "from": parameter("query", "from", {"enum": ["earliest", "now"]}, "where to begin without a cursor"),
    "eventTypes": parameter(
        "query",
        "eventTypes",
        string(f"^ *{TYPE} *(, *{TYPE} *){{0,{MAX_TYPES - 1}}}$"),
        "only these types, with commas between them",
    ),
    "heartbeat": parameter(
        "query",
        "heartbeat",
        {"type": "integer", "minimum": MIN_HEARTBEAT, "maximum": MAX_HEARTBEAT},
        "seconds between heartbeats, for networks that cut sooner",
    ),
    "clientId": parameter(
        "query",
        "clientId",
        string(f"{PRINTABLE}{{1,{MAX_CLIENT_ID}}}$"),
        "names the client: a newer waiting poll replaces the older",
    ),
    "since": parameter(
        "query",
        "since",
        string(SINCE),
        "makes it a short poll: what came after this moment, strictly; RFC 3339 with any offset, none is UTC",
    ),
    "includeTyping": parameter("query", "includeTyping", BOOLEAN, "typing states, too"),
    "compact": parameter("query", "compact", BOOLEAN, "strings over 200 characters are cut, and the item says so"),
    "rtt": parameter(
        "query",
        "rtt",
        {"type": "integer", "minimum": 0},
        "the client's round trip in ms: over 500, news wait 250 ms for more",
    ),
    "nonce": parameter(
        "query", "nonce", string(f"{PRINTABLE}{{0,{network.MAX_NONCE}}}$"), "comes back: not from a cache"
    ),
    "sent": parameter(
        "query",
        "sent",
        string(f"^({network.HEADER_NAME}(,{network.HEADER_NAME}){{0,{network.MAX_NAMES - 1}}})?$"),
        "names of headers that the client has sent: those that did not arrive are told",
    ),
    "clientTime": parameter(
        "query",
        "clientTime",
        {"type": "integer", "minimum": 0, "maximum": network.MAX_CLIENT_TIME_MS},
        "the client's clock, in ms since 1970",
    ),
    "networkRtt": parameter("query", "rtt", {"type": "integer", "minimum": 0}, "the client's round trip in ms"),
    "causes": parameter(
        "query",
        "causes",
        string(f"^({_CAUSE}(,{_CAUSE}){{0,{len(CAUSES) - 1}}})?$"),
        "what the client has found itself, with commas between them: goes into verdicts and requests",
    ),
    "catalogue": parameter("query", "catalogue", BOOLEAN, "with every cause there is, in words"),
    "chunks": parameter("query", "chunks", bounded(1, probes.MAX_CHUNKS, probes.DEFAULT_CHUNKS), "how many"),
    "interval": parameter(
        "query", "interval", bounded(0, probes.MAX_INTERVAL_MS, probes.DEFAULT_INTERVAL_MS), "ms between them"
    ),
    "type": parameter(
        "query",
        "type",
        {"enum": list(probes.TYPES)},
        "the content type: tells one that is blocked from answers that are held back",
    ),
    "seconds": parameter("query", "seconds", bounded(0, probes.MAX_HOLD_SECONDS, 0), "how long to hold the answer"),
    "bytes": parameter(
        "query", "bytes", bounded(0, probes.MAX_PAYLOAD_BYTES, probes.DEFAULT_PAYLOAD_BYTES), "how many"
    ),
    "saveData": parameter("header", "Save-Data", string(), "on: like compact=true"),
    "rttHint": parameter("header", "RTT", string(), "like rtt"),
    "ifNoneMatch": parameter("header", "If-None-Match", string(), "a tag: 304 if it is still that"),
    "ifModifiedSince": parameter("header", "If-Modified-Since", string(), "a Last-Modified: 304 if nothing came since"),
    "idempotencyKey": parameter(
        "header",
        "Idempotency-Key",
        string(f"^[!-~]([ -~]{{0,{MAX_KEY - 2}}}[!-~])?$"),
        "a repeat with the same key is answered like the first, and publishes nothing",
    ),
}


def limited(config: Config) -> dict[str, dict[str, Any]]:
    """Return the parameters whose limits are settings."""
    longest = round(config.poll_timeout)
    return {
        "timeout": parameter(
            "query",
            "timeout",
            {"type": "integer", "minimum": 0, "default": longest},
            f"how many seconds a long poll may wait; 0 answers at once, more than {longest} is taken as {longest}",
        )
    }


def header(schema: Schema, description: str) -> dict[str, Any]:
    return {"schema": schema, "description": description}


HEADERS: dict[str, dict[str, Any]] = {
    "ETag": header(string('^W/"'), "weak"),
    "Last-Modified": header(string(), "never later than Date, and never hides an event"),
    "Last-Event-ID": header(ref("Id"), "the cursor to go on from"),
    "Poll-Interval": header({"type": "integer", "minimum": 1}, "after how many seconds to poll again"),
    "Retry-After": header({"type": "integer", "minimum": 0}, "seconds"),
    "Location": header(string(), "the address of what was created"),
    "WWW-Authenticate": header(string("^Bearer"), "RFC 6750"),
    "Idempotency-Replayed": header({"const": "true"}, "this answers a repeat"),
    "Poll-Replaced": header({"const": "true"}, "a newer poll of the same client has begun"),
    "Set-Cookie": header(string("^rt_token="), "HttpOnly, SameSite=Strict"),
}
