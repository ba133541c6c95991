"""What can be done, address by address."""

from __future__ import annotations

from typing import Any

from rtserver.handlers.probes import TYPES
from rtserver.openapi.parameters import use
from rtserver.openapi.responses import empty, file, headers, json, refusals, text
from rtserver.openapi.schemas import ref

Operation = dict[str, Any]

# What any address that asks for a token may say.
_COMMON = (400, 401, 403, 429, 503)
_SESSION = (*_COMMON, 404)
_WRITE = (*_SESSION, 413, 415, 507)

_VALIDATORS = ("ETag", "Last-Modified")
_CONDITIONAL = use("ifNoneMatch", "ifModifiedSince")
_TICKET: list[dict[str, Any]] = [{"bearer": []}, {"ticket": []}, {"cookie": []}]
_PUBLIC: list[dict[str, Any]] = []

# What can follow the creation of a session, for programs that walk the API.
_LINKS = {
    operation: {"operationId": operation, "parameters": {"sessionId": "$response.body#/sessionId"}}
    for operation in ("getSession", "publish", "poll", "listMessages", "listParticipants", "changeSession")
}


def operation(
    tag: str,
    identifier: str,
    summary: str,
    *responses: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
    body_required: bool = True,
    **more: Any,
) -> Operation:
    found: Operation = {"tags": [tag], "operationId": identifier, "summary": summary}
    if parameters:
        found["parameters"] = parameters
    if body:
        found["requestBody"] = {"required": body_required, "content": {"application/json": {"schema": ref(body)}}}
    found["responses"] = {status: response for each in responses for status, response in each.items()}
    return found | more


def reading(
    tag: str,
    identifier: str,
    summary: str,
    description: str,
    schema: str,
    parameters: list[dict[str, Any]] | None = None,
) -> Operation:
    """Return how a document of one session is read: on condition that it has changed, with a ticket as well."""
    return operation(
        tag,
        identifier,
        summary,
        {"200": json(description, schema, *_VALIDATORS), "304": empty("the client has it already", *_VALIDATORS)},
        refusals(*_SESSION),
        parameters=(parameters or []) + _CONDITIONAL,
        security=_TICKET,
    )


def paths() -> dict[str, Any]:
    """Return every address with its operations."""
    session = {"parameters": use("sessionId")}
    person = {"parameters": use("sessionId", "participantId")}
    return {
        "/api/sessions": {"get": LIST_SESSIONS, "post": CREATE_SESSION},
        "/api/sessions/{sessionId}": session | {"get": GET_SESSION, "patch": CHANGE_SESSION, "delete": DELETE_SESSION},
        "/api/sessions/{sessionId}/participants": session | {"get": LIST_PARTICIPANTS},
        "/api/sessions/{sessionId}/participants/{participantId}": person
        | {"put": PUT_PARTICIPANT, "delete": REMOVE_PARTICIPANT},
        "/api/sessions/{sessionId}/leave": session | {"post": LEAVE},
        "/api/sessions/{sessionId}/tickets": session | {"post": MAKE_TICKET},
        "/api/sessions/{sessionId}/events": session | {"get": STREAM, "post": PUBLISH},
        "/api/sessions/{sessionId}/events/{eventId}": {"parameters": use("sessionId", "eventId"), "get": GET_EVENT},
        "/api/sessions/{sessionId}/messages": session | {"get": LIST_MESSAGES},
        "/api/sessions/{sessionId}/updates": session | {"get": POLL},
        "/api/auth/cookie": {"post": SIGN_IN, "delete": SIGN_OUT},
        "/api/auth/logout": {"post": LOGOUT},
        "/api/diagnostics/network": {"get": NETWORK},
        "/api/diagnostics/reports": {"post": REPORT},
        "/api/diagnostics/stream": {"get": STREAM_PROBE},
        "/api/diagnostics/hold": {"get": HOLD_PROBE},
        "/api/diagnostics/payload": {"get": PAYLOAD_PROBE},
        "/api/health/realtime": {"get": HEALTH},
        "/api/openapi.json": {"get": DESCRIBE},
        "/healthz": {"get": ALIVE},
        "/client/{file}": {"parameters": use("file"), "get": CLIENT},
        "/diagnostics": {"get": CHECK},
        "/diagnostics/{file}": {"parameters": use("file"), "get": CHECK_FILE},
        "/problems": {"get": PROBLEMS},
        "/problems/{slug}": {"parameters": use("slug"), "get": PROBLEM},
    }


LIST_SESSIONS = operation(
    "sessions",
    "listSessions",
    "Sessions by id; participants get those they are in",
    {"200": json("a page", "Sessions")},
    refusals(*_COMMON),
    parameters=use("limit", "after"),
)
CREATE_SESSION = operation(
    "sessions",
    "createSession",
    "Begin a session; publishes participant_joined for each participant",
    {"201": json("the session", "Session", "Location", links=_LINKS)},
    refusals(*_COMMON, 409, 413, 415, 507),
    body="NewSession",
)
GET_SESSION = reading("sessions", "getSession", "The snapshot from which a client starts", "the session", "Session")
CHANGE_SESSION = operation(
    "sessions",
    "changeSession",
    "Change status or metadata; a change of status publishes session_status_changed",
    {"200": json("the session", "Session")},
    refusals(*_WRITE),
    body="SessionChange",
)
DELETE_SESSION = operation(
    "sessions",
    "deleteSession",
    "End streams and polls, remove the session and its events",
    {"204": empty("it is gone")},
    refusals(*_WRITE),
)
LIST_PARTICIPANTS = reading(
    "sessions",
    "listParticipants",
    "Who is in the session",
    "a page",
    "Participants",
    parameters=use("limit", "after"),
)
PUT_PARTICIPANT = operation(
    "sessions",
    "putParticipant",
    "Add a participant (publishes participant_joined), or change name and kind",
    {"201": json("was added", "Participant"), "200": json("was there", "Participant")},
    refusals(*_WRITE, 409),
    body="ParticipantChange",
    body_required=False,
)
REMOVE_PARTICIPANT = operation(
    "sessions",
    "removeParticipant",
    "Remove a participant; its streams and polls end at once",
    {"204": empty("is not in it any more")},
    refusals(*_WRITE),
)
LEAVE = operation("sessions", "leave", "Leave the session", {"204": empty("is not in it any more")}, refusals(*_WRITE))
MAKE_TICKET = operation(
    "sign-in",
    "makeTicket",
    "A ticket for one request to this session, for native EventSource across origins",
    {"201": json("the ticket", "Ticket")},
    refusals(*_SESSION, 413, 415),
)
STREAM = operation(
    "events",
    "stream",
    "The session's events as a stream (Server-Sent Events)",
    {
        "200": {
            "description": "the stream; it stays open",
            "content": {"text/event-stream": {"schema": ref("Stream")}},
        },
        "204": empty("the end of a closed session: nothing comes any more"),
    },
    refusals(*_SESSION, 406),
    parameters=use("lastEventIdHeader", "lastEventIdParameter", "from", "eventTypes", "heartbeat"),
    security=_TICKET,
)
PUBLISH = operation(
    "events",
    "publish",
    "Publish one event, or up to a hundred: all or nothing",
    {
        "201": json("on the disk", "Published", "Idempotency-Replayed"),
        "202": json("passing states alone", "Published", "Idempotency-Replayed"),
    },
    refusals(*_WRITE, 409, 422),
    parameters=use("idempotencyKey"),
    body="Publication",
)
GET_EVENT = reading("events", "getEvent", "One event, whole", "the event", "Event")
LIST_MESSAGES = reading(
    "events",
    "listMessages",
    "History, newest first; following from its lastEventId loses and repeats nothing",
    "a page",
    "Messages",
    parameters=use("before", "limit"),
)
POLL = operation(
    "events",
    "poll",
    "Long poll; with since a short poll",
    {
        "200": {
            "description": "what came",
            "headers": headers(*_VALIDATORS, "Last-Event-ID", "Poll-Interval"),
            "content": {"application/json": {"schema": {"anyOf": [ref("LongPoll"), ref("ShortPoll")]}}},
        },
        "204": empty(
            "nothing within the timeout of a long poll",
            *("Last-Event-ID", "Poll-Interval", "Retry-After", "Poll-Replaced"),
        ),
        "304": empty("nothing new for a short poll", *_VALIDATORS, "Last-Event-ID", "Poll-Interval"),
    },
    refusals(*_SESSION),
    parameters=use(
        *("lastEventIdHeader", "lastEventIdParameter", "from", "eventTypes", "limit", "timeout", "clientId"),
        *("since", "batchSize", "includeTyping", "compact", "rtt", "saveData", "rttHint"),
    )
    + _CONDITIONAL,
    security=_TICKET,
)
SIGN_IN = operation(
    "sign-in",
    "signIn",
    "Put the bearer token into a cookie that scripts cannot read",
    {"204": empty("signed in", "Set-Cookie")},
    refusals(400, 401, 403, 413, 415, 429),
    security=[{"bearer": []}],
)
SIGN_OUT = operation(
    "sign-in",
    "signOut",
    "Take the cookie back, whether it is good or not",
    {"204": empty("signed out", "Set-Cookie")},
    refusals(403, 413, 415),
    security=_PUBLIC,
)
LOGOUT = SIGN_OUT | {"operationId": "logout", "summary": "The same, for networks that let only GET and POST through"}
NETWORK = operation(
    "diagnostics",
    "seeNetwork",
    "What the server sees of this client's network, and what to ask the network team for",
    {"200": json("what is seen; values of headers that may be secret are null", "Network")},
    refusals(*_COMMON),
    parameters=use("nonce", "sent", "clientTime", "networkRtt", "causes", "catalogue"),
)
REPORT = operation(
    "diagnostics",
    "report",
    "Say which tier this client is on and why; of that sums are kept by network",
    {"204": empty("it is counted")},
    refusals(*_COMMON, 413, 415),
    body="Report",
)
STREAM_PROBE = operation(
    "diagnostics",
    "probeStream",
    "Small chunks, the first at once and the others at their times: shows who holds them back",
    {
        "200": {
            "description": "events `chunk` (number, of, serverTime), and at last `end` (reason: done or shutdown)",
            "content": {kind: {} for kind in TYPES},
        }
    },
    refusals(*_COMMON),
    parameters=use("chunks", "interval", "type"),
)
HOLD_PROBE = operation(
    "diagnostics",
    "probeHold",
    "An answer that comes late and whole: finds idle cuts",
    {"200": json("after so long", "Held")},
    refusals(*_COMMON),
    parameters=use("seconds"),
)
PAYLOAD_PROBE = operation(
    "diagnostics",
    "probePayload",
    "So many bytes that hardly shrink: shows the throughput",
    {"200": text("text", "text/plain")},
    refusals(*_COMMON),
    parameters=use("bytes"),
)
HEALTH = operation(
    "operation",
    "health",
    "Whether this server should get traffic",
    {"200": json("yes, also when degraded", "Health"), "503": json("no, it is draining", "Health")},
    security=_PUBLIC,
)
DESCRIBE = operation(
    "operation",
    "describe",
    "This document",
    {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}},
    security=_PUBLIC,
)
ALIVE = operation("operation", "alive", "The process lives", {"200": json("it does", "Alive")}, security=_PUBLIC)
_PAGE = {"200": text("a page for people, as text or HTML", "text/plain", "text/html")}
CLIENT = operation(
    "operation",
    "getClient",
    "The browser client: rtclient.js, the modules it imports, and its types",
    file("a file", "text/javascript", "text/plain"),
    refusals(404),
    security=_PUBLIC,
)
CHECK = operation(
    "operation",
    "getNetworkCheck",
    "The network check, a page for people",
    file("a page", "text/html"),
    security=_PUBLIC,
)
CHECK_FILE = operation(
    "operation",
    "getNetworkCheckFile",
    "What the network check is made of",
    file("a file", "text/javascript", "text/css", "text/html", "image/svg+xml"),
    refusals(404),
    security=_PUBLIC,
)
PROBLEMS = operation("operation", "listProblems", "What is refused, and why", _PAGE, security=_PUBLIC)
PROBLEM = operation(
    "operation",
    "explainProblem",
    "One problem: cause, example, remedy",
    _PAGE,
    refusals(404),
    security=_PUBLIC,
)
