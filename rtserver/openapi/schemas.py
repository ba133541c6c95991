"""What bodies look like."""

from __future__ import annotations

from typing import Any

from rtserver.diagnosis import CAUSES, TIERS
from rtserver.documents import FEATURES
from rtserver.event import TRANSIENT_SECONDS
from rtserver.handlers.sessions import KINDS, MAX_DISPLAY_NAME
from rtserver.publication import MAX_BATCH_EVENTS, MAX_MESSAGE_ID, RESERVED_TYPES
from rtserver.records import Status
from rtserver.reports import MAX_ATTEMPTS, MAX_CLIENT_ID, MAX_MILLISECONDS, MAX_USER_AGENT, REASONS
from rtserver.sse import Ending, ResetReason

Schema = dict[str, Any]

NAME = r"^(?!\.{1,2}$)[A-Za-z0-9._~@:-]{1,128}$"
TYPE = "[a-z][a-z0-9_.-]{0,63}"
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"
PRINTABLE = "^[^\\u0000-\\u001f\\u007f]"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def string(pattern: str = "", **more: Any) -> Schema:
    return {"type": "string"} | ({"pattern": pattern} if pattern else {}) | more


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items} | more


def record(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_INTEGER: Schema = {"type": "integer", "minimum": 0}
_BOOLEAN: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_MESSAGE_ID = string(minLength=1, maxLength=MAX_MESSAGE_ID)
_NAMED = {"participantId": ref("Name")}

_EVENT_FIELDS: dict[str, Schema] = {
    "id": ref("Id"),
    "sequence": {"type": "integer", "minimum": 1},
    "type": ref("Type"),
    "timestamp": ref("Moment"),
    "data": _OBJECT,
    "truncated": _BOOLEAN,
}

SCHEMAS: dict[str, Schema] = {
    "Name": string(NAME, description="an id of a session or participant", examples=["case-1", "alice"]),
    "Id": string(f"^{UUID}$", description="a UUIDv7; as a cursor: everything after it", format="uuid"),
    "Type": string(f"^{TYPE}$", examples=["message_added"]),
    "Moment": string(MOMENT, description="UTC, in microseconds", examples=["2026-01-31T12:00:00.000001Z"]),
    "Problem": record(
        *("type", "title", "status", "detail", "instance"),
        type=string(format="uri-reference", description="a page with cause, example and remedy"),
        title=string(),
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=string(description="what was found, and what is allowed"),
        instance=string(),
    ),
    "Features": {
        "type": "object",
        "description": "what each tier can show",
        "required": list(FEATURES),
        "properties": dict.fromkeys(FEATURES, _OBJECT),
    },
    "Session": record(
        *("sessionId", "status", "metadata", "createdAt", "updatedAt", "participantCount"),
        *("lastEventId", "lastSequence", "lastModified", "features"),
        sessionId=ref("Name"),
        status={"enum": list(Status)},
        metadata=_OBJECT,
        createdAt=ref("Moment"),
        updatedAt=ref("Moment"),
        participantCount=_INTEGER,
        lastEventId=ref("Id"),
        lastSequence=_INTEGER,
        lastModified=ref("Moment"),
        features=ref("Features"),
    ),
    "Participant": record(
        *("participantId", "displayName", "kind", "joinedAt"),
        participantId=ref("Name"),
        displayName=string(minLength=1, maxLength=MAX_DISPLAY_NAME),
        kind={"enum": list(KINDS)},
        joinedAt=ref("Moment"),
    ),
    "DisplayName": _nullable(string(f"{PRINTABLE}{{1,{MAX_DISPLAY_NAME}}}$")),
    "Kind": {"enum": [*KINDS, None]},
    "NewSession": record(
        sessionId=_nullable(ref("Name")),
        metadata=_nullable(_OBJECT),
        participants=_nullable(
            array(
                record("participantId", participantId=ref("Name"), displayName=ref("DisplayName"), kind=ref("Kind")),
                description="each participantId once",
            )
        ),
    ),
    "SessionChange": record(status={"enum": [*Status, None]}, metadata=_nullable(_OBJECT)),
    "ParticipantChange": record(displayName=ref("DisplayName"), kind=ref("Kind")),
    "Sessions": record(
        *("sessions", "hasMore", "next"),
        sessions=array(ref("Session")),
        hasMore=_BOOLEAN,
        next=_nullable(ref("Name")),
    ),
    "Participants": record(
        *("participants", "hasMore", "next"),
        participants=array(ref("Participant")),
        hasMore=_BOOLEAN,
        next=_nullable(ref("Name")),
    ),
    "Event": record("id", "sequence", "type", "timestamp", "data", **_EVENT_FIELDS),
    "State": record(
        *("type", "timestamp", "data"),
        type={"enum": sorted(TRANSIENT_SECONDS)},
        timestamp=ref("Moment"),
        data=_OBJECT,
        truncated=_BOOLEAN,
    )
    | {"description": "a passing state: no id, no sequence, only the latest counts"},
    "Update": {
        "anyOf": [ref("Event"), ref("State")],
        "type": "object",
        "required": ["priority"],
        "properties": {"priority": {"enum": ["critical", "normal"]}},
    },
    "Reset": record(
        *("reason", "requested", "earliest", "lastEventId"),
        reason={"enum": list(ResetReason)},
        requested=string(),
        earliest=ref("Id"),
        lastEventId=ref("Id"),
    )
    | {"description": "the cursor cannot be continued: fetch snapshot and history, go on from lastEventId"},
    "LongPoll": record(
        *("events", "lastEventId", "hasMore", "nextPollDelay"),
        events=array({"anyOf": [ref("Event"), ref("State")]}),
        lastEventId=ref("Id"),
        hasMore=_BOOLEAN,
        nextPollDelay=_INTEGER,
        closed=_BOOLEAN,
        reset=ref("Reset"),
    ),
    "ShortPoll": record(
        *("updates", "lastModified", "lastEventId", "hasMore", "suggestedPollInterval"),
        updates=array(ref("Update")),
        lastModified=ref("Moment"),
        lastEventId=ref("Id"),
        hasMore=_BOOLEAN,
        suggestedPollInterval=_INTEGER,
        reset=ref("Reset"),
    ),
    "Messages": record(
        *("messages", "hasMore", "next", "lastEventId"),
        messages=array(ref("Event"), description="newest first"),
        hasMore=_BOOLEAN,
        next=_nullable(ref("Id")),
        lastEventId=ref("Id"),
        reset=ref("Reset"),
    ),
    "Message": record(
        *("type", "data"),
        type={"const": "message_added"},
        messageId=_MESSAGE_ID,
        data=record("content", content=string(), **_NAMED),
    ),
    "Typing": record(
        *("type", "data"),
        type={"const": "typing_indicator"},
        data=record("isTyping", isTyping=_BOOLEAN, **_NAMED),
    ),
    "Progress": record(
        *("type", "data"),
        type={"const": "ai_progress"},
        data=record("status", status=string(), **_NAMED),
    ),
    "Other": record(
        *("type", "data"),
        type={
            "allOf": [
                ref("Type"),
                {"not": {"enum": sorted({*RESERVED_TYPES, *TRANSIENT_SECONDS, "message_added"})}},
            ]
        },
        messageId=_MESSAGE_ID,
        data=_OBJECT,
    ),
    "NewEvent": {"oneOf": [ref("Message"), ref("Typing"), ref("Progress"), ref("Other")]},
    "Publication": {
        "oneOf": [
            ref("NewEvent"),
            record("events", events=array(ref("NewEvent"), minItems=1, maxItems=MAX_BATCH_EVENTS)),
        ],
        "examples": [{"type": "message_added", "messageId": "m1", "data": {"content": "Good morning"}}],
    },
    "Published": record(
        *("events", "lastEventId"),
        events=array(
            record(
                *("type", "timestamp"),
                id=ref("Id"),
                sequence={"type": "integer", "minimum": 1},
                type=ref("Type"),
                timestamp=ref("Moment"),
                replayed=_BOOLEAN,
            )
        ),
        lastEventId=ref("Id"),
    ),
    "Held": record("heldSeconds", "serverTime", heldSeconds=_INTEGER, serverTime=ref("Moment")),
    "Report": record(
        *("tier", "reason"),
        tier={"enum": list(TIERS)},
        previousTier={"enum": [*TIERS, None]},
        reason=string("^[a-z][a-z-]{0,39}$", description=f"{', '.join(REASONS)}; others are counted as other"),
        clientId=_nullable(string(f"{PRINTABLE}{{1,{MAX_CLIENT_ID}}}$")),
        sessionId=_nullable(ref("Name")),
        rttMs=_nullable(_INTEGER | {"maximum": MAX_MILLISECONDS}),
        lagMs=_nullable(_INTEGER | {"maximum": MAX_MILLISECONDS}),
        attempts=_nullable(_INTEGER | {"maximum": MAX_ATTEMPTS}),
        userAgent=_nullable(string(f"{PRINTABLE}{{1,{MAX_USER_AGENT}}}$")),
    ),
    "Network": record(
        *(
            "connectionMethod",
            "address",
            "network",
            "reports",
            "protocol",
            "httpVersion",
            "via",
            "forwarded",
            "headers",
            "nonce",
        ),
        *("serverTime", "clockSkewMs", "causes", "verdicts", "ask"),
        connectionMethod=_nullable({"enum": list(TIERS)}),
        address=string(),
        network=string(description="the /24, or /48 of IPv6, that the address is in"),
        reports=record(
            *("reports", "tiers", "fallbacks", "slowestRttMs"),
            reports=_INTEGER,
            tiers=_OBJECT | {"additionalProperties": _INTEGER},
            fallbacks=_OBJECT | {"additionalProperties": _INTEGER},
            slowestRttMs=_nullable(_INTEGER),
        )
        | {"description": "what clients in this network said together; fallbacks by reason"},
        protocol={"enum": ["http", "https"]},
        httpVersion=string("^HTTP/1"),
        via=_nullable(string()),
        forwarded=_OBJECT,
        headers=record(
            *("received", "stripped", "added", "answered"),
            received=_OBJECT | {"additionalProperties": _nullable(string())},
            stripped=array(string()),
            added=array(string()),
            answered=array(string()),
        ),
        nonce=_nullable(string()),
        serverTime=ref("Moment"),
        clockSkewMs=_nullable({"type": "integer"}),
        causes=array({"enum": list(CAUSES)}),
        verdicts=array(
            record(
                *("tier", "verdict", "causes", "reason"),
                tier={"enum": list(TIERS)},
                verdict={"enum": ["works", "limited", "fails"]},
                causes=array({"enum": list(CAUSES)}),
                reason=string(),
            )
        ),
        ask=array(
            record(
                *("cause", "title", "words", "request"),
                cause={"enum": list(CAUSES)},
                title=string(),
                words=string(),
                request=string(),
            )
        ),
        catalogue=_OBJECT,
    ),
    "Ticket": record("ticket", "expiresAt", ticket=string(), expiresAt=ref("Moment")),
    "Health": record(
        *("status", "checks", "version", "uptime"),
        status={"enum": ["ok", "degraded", "draining"]},
        checks=_OBJECT,
        version=string(),
        uptime={"type": "number", "minimum": 0},
    ),
    "Alive": record("status", status={"const": "ok"}),
    "Stream": string(
        description=(
            "Blocks of an event stream: `connected` (id, sessionId, connectionId, lastEventId, heartbeatInterval, "
            "maxConnectionTime, serverTime, features), `probe`, the session's events by their type with their id, "
            "passing states without an id, `heartbeat`, `reset` (see Reset), and before every deliberate end "
            f"`reconnect` with one of the reasons {', '.join(Ending)}"
        ),
        examples=['event: message_added\nid: 01997a0e-0000-7000-8000-000000000001\ndata: {"content": "Hello"}\n\n'],
    ),
}
