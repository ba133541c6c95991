"""What each refusal means and what to do, for people: the pages behind a problem's ``type`` (RFC 9457 section 3.1.1).

One entry for each `RequestError`; a test walks the tree of `rtserver.errors`, another sends the examples.
"""

from __future__ import annotations

from typing import NamedTuple

from rtserver import errors

# What is published in examples.
HELLO = '{"type": "message_added", "data": {"content": "Hello"}}'


class Explanation(NamedTuple):
    """``request`` shows a request that is refused so, ``detail`` what the answer says then."""

    cause: str
    remedy: str
    request: str
    detail: str


class Page(NamedTuple):
    error: type[errors.RequestError]
    explanation: Explanation


EXPLANATIONS: dict[type[errors.RequestError], Explanation] = {
    errors.RequestError: Explanation(
        "The request cannot be understood.",
        "Compare it with the description of the API at /api/openapi.json.",
        "GET /api/sessions?limit=x",
        "the request is not valid",
    ),
    errors.Malformed: Explanation(
        "A parameter, a header or the body is not what this address takes: of the wrong kind, out of range, given "
        "twice, or not valid JSON. Nothing has been changed.",
        "The detail names the part, what was found there and what is allowed. Correct it and send the request again; "
        "the same request will always be refused.",
        "GET /api/sessions/case-1/updates?timeout=soon",
        "timeout is 'soon'; it must be a whole number, 0 to 30",
    ),
    errors.Unauthorized: Explanation(
        "The request carries no token, and this address answers only to somebody.",
        "Send Authorization: Bearer with a token (rtserver token makes one), or sign in for the cookie. A browser's "
        "EventSource sends no header: use the cookie or a ticket.",
        "GET /api/sessions/case-1",
        "send a token: Authorization: Bearer <token>",
    ),
    errors.InvalidToken: Explanation(
        "The token was not made with a key that this server knows, is damaged, or lacks sub or exp.",
        "Get a new token from whoever issues them. If every token is refused, compare the secret or JWKS of issuer and "
        "server, the audience and the issuer.",
        "GET /api/sessions/case-1\nAuthorization: Bearer abc",
        "the bearer token is not a JSON Web Token",
    ),
    errors.TokenExpired: Explanation(
        "The token was good until the time in its exp; that has passed.",
        "Get a new token and repeat the request. Clients that stay for long ask for a new one before the old one ends.",
        "GET /api/sessions/case-1\nAuthorization: Bearer eyJ...",
        "the token has expired; get a new one",
    ),
    errors.InvalidTicket: Explanation(
        "A ticket is good for one request to one session within half a minute; this one has been used, has expired, or "
        "is of another session.",
        "Ask for a new ticket for every connection: POST /api/sessions/{id}/tickets.",
        "GET /api/sessions/case-1/events?ticket=used",
        "the ticket is not of this session, has been used, or has expired; get a new one",
    ),
    errors.Forbidden: Explanation(
        "The token is good, but its role does not allow this: creating and changing sessions, managing participants "
        "and publishing all types needs the role service or admin.",
        "Let the application do it with its service token, or ask for a token with that role.",
        'POST /api/sessions\nAuthorization: Bearer <a participant\'s>\n\n{"sessionId": "case-1"}',
        "this needs a token with the role service or admin; this one is a participant's",
    ),
    errors.NotAParticipant: Explanation(
        "Only its participants may read a session or publish in it. A participant is told the same of a session that "
        "does not exist, so that nobody can find out names.",
        "Check the session's id; then have the application add the participant: PUT "
        "/api/sessions/{id}/participants/{participantId}. After a removal this is the final answer.",
        "GET /api/sessions/case-2",
        "'alice' is not a participant of a session with this id",
    ),
    errors.CrossSiteWrite: Explanation(
        "A browser sends the cookie whichever page made it send the request. A write that is authenticated by the "
        "cookie alone must therefore show that it comes from a page of this server.",
        "Send it from a page of the same origin, or send Authorization: Bearer instead of the cookie. If a proxy "
        "changes the Host, have it pass the original one on.",
        f"POST /api/sessions/case-1/events\nCookie: rt_token=eyJ...\nOrigin: https://elsewhere.example\n\n{HELLO}",
        "a write that is authenticated by cookie must come from a page of this server: with Sec-Fetch-Site: "
        "same-origin, or with its Origin; other programs send Authorization: Bearer <token>",
    ),
    errors.NotFound: Explanation(
        "There is nothing at this address.",
        "Check the path, and the base path if the server runs under one. All addresses are in /api/openapi.json.",
        "GET /api/session/case-1",
        "/api/session/case-1 is not an address of this server",
    ),
    errors.SessionNotFound: Explanation(
        "There is no session with this id: it was never created, or it was deleted.",
        "Check the id, or create the session: POST /api/sessions.",
        "GET /api/sessions/case-2",
        "there is no session 'case-2'",
    ),
    errors.ParticipantNotFound: Explanation(
        "The session exists, and this participant is not in it.",
        "If the participant was to be removed, that has been done already.",
        "DELETE /api/sessions/case-1/participants/bob",
        "'bob' is not in this session",
    ),
    errors.EventNotFound: Explanation(
        "The session has no event with this id any more: it was removed by retention, belongs to an earlier life of "
        "the session, or never was.",
        "Ask with an id or a sequence that was read from this session. What retention removes is gone; how long events "
        "are kept is the operator's setting.",
        "GET /api/sessions/case-1/events/7",
        "the session has no event '7': it was trimmed, is of an earlier life of it, or never was; ask with the id of "
        "an event that was read here, or its sequence",
    ),
    errors.MethodNotAllowed: Explanation(
        "The address exists and does not take this method.",
        "The header Allow lists the methods that it takes.",
        "DELETE /api/sessions",
        "DELETE is not allowed here; allowed: GET, HEAD, POST, OPTIONS",
    ),
    errors.NotAcceptable: Explanation(
        "The Accept header excludes everything that this address can send.",
        "For events, accept text/event-stream; programs that cannot read streams use /updates instead.",
        "GET /api/sessions/case-1/events\nAccept: application/json",
        "Accept is 'application/json'; this address offers text/event-stream",
    ),
    errors.SessionExists: Explanation(
        "A session with this id was created before.",
        "Use that session, or choose another id. Without sessionId the server chooses one.",
        'POST /api/sessions\n\n{"sessionId": "case-1"}',
        "there is a session 'case-1' already; choose another id, or use that one",
    ),
    errors.SessionPaused: Explanation(
        "The application has paused the session; participants cannot publish meanwhile. Reading goes on.",
        "Wait for session_status_changed with the status active.",
        f"POST /api/sessions/case-1/events\n\n{HELLO}",
        "the session is paused; participants can publish when its status is 'active' again",
    ),
    errors.SessionClosed: Explanation(
        "The session is closed; nobody can publish in it. Its events can still be read.",
        'The application may open it again: PATCH /api/sessions/{id} with {"status": "active"}.',
        f"POST /api/sessions/case-1/events\n\n{HELLO}",
        "the session is closed; nobody can publish until its status is 'active' again",
    ),
    errors.TooManyParticipants: Explanation(
        "The session has as many participants as the setting max_participants allows.",
        "Remove participants who have left, or have the operator raise the setting.",
        "PUT /api/sessions/case-1/participants/zoe",
        "the session has 1000 participants; at most 1000 are allowed",
    ),
    errors.RequestTimeout: Explanation(
        "The request had begun, and the rest of it did not come in time. Nothing has been changed.",
        "Send it again. If that happens often, something on the way holds requests back or loses parts of them.",
        "POST /api/sessions\nContent-Length: 100",
        "the request did not come whole in time; send it again",
    ),
    errors.AddressTooLong: Explanation(
        "The address of the request, its query included, is longer than this server reads.",
        "Shorten the query: lastEventId, since and eventTypes are short. Servers and proxies on the way have limits of "
        "their own.",
        "GET /api/sessions?after=aaa...",
        "the address of the request has more than 16384 bytes",
    ),
    errors.HeadTooLarge: Explanation(
        "The header fields of the request are too many, or too large together. Cookies of other applications on the "
        "same host are the usual cause.",
        "Delete cookies of this host that nobody needs, or give this server a host name of its own.",
        "GET /api/sessions\nCookie: a=aaa...",
        "the head of the request has more than 65536 bytes; send fewer or smaller ones",
    ),
    errors.TooLarge: Explanation(
        "The body, one event or the metadata is larger than this server takes; compressed bodies count as what they "
        "inflate to. Nothing has been changed.",
        "Send less at once: fewer events in a batch, or a link to a file instead of the file. The limits are the "
        "settings max_body_bytes, max_event_bytes and max_metadata_bytes.",
        "POST /api/sessions/case-1/events\nContent-Length: 5000000",
        "the body has 5000000 bytes; at most 1048576 are allowed",
    ),
    errors.UnsupportedEncoding: Explanation(
        "The body has a Content-Encoding that this server does not read.",
        "Send it plain, or with gzip or deflate.",
        "POST /api/sessions/case-1/events\nContent-Encoding: br",
        "Content-Encoding is 'br'; allowed are gzip, deflate and identity",
    ),
    errors.IdempotencyMismatch: Explanation(
        "This Idempotency-Key was used for another body before. A key stands for one publish, so that its repetition "
        "can be answered like the first time.",
        "Make a new key for every new publish, and repeat the old body with the old key only.",
        'POST /api/sessions/case-1/events\nIdempotency-Key: k1\n\n{"type": "note", "data": {"other": true}}',
        "this Idempotency-Key was used with another body; repeat that body, or choose a new key",
    ),
    errors.TooMany: Explanation(
        "Too much was asked for at once.",
        "Wait as long as Retry-After says.",
        "GET /api/sessions/case-1",
        "too much at once",
    ),
    errors.RateLimited: Explanation(
        "One participant, or failed sign-ins from one address, asked more often than the settings rate_limit and "
        "stream_rate_limit allow. Ordinary clients stay far below; a loop without a pause does not.",
        "Wait as long as Retry-After says, then go on. Look for a client that repeats a request without waiting.",
        "GET /api/sessions/case-1/updates",
        "more than 100 a second are not allowed, beyond a burst of 300; come back in 0.4 s",
    ),
    errors.TooManyStreams: Explanation(
        "This participant has as many event streams open as max_streams_per_participant allows, in all its sessions "
        "and on all its devices.",
        "Close streams that are not looked at. The tabs of one browser can share one stream.",
        "GET /api/sessions/case-1/events",
        "'alice' has 50 streams open; at most 50 may be",
    ),
    errors.TooManyProbes: Explanation(
        "This participant has as many checks of the network running as max_probes_per_participant allows; each holds a "
        "connection for a while.",
        "Wait until they have ended, or close the other windows that check the network.",
        "GET /api/diagnostics/hold?seconds=5",
        "'alice' has 1 probes running; at most 1 may",
    ),
    errors.Internal: Explanation(
        "The server has a defect. The request may or may not have had an effect.",
        "Repeat a publish with the same messageId or Idempotency-Key: it takes effect once. Tell the operator, with "
        "the time of the request: the server's log has the cause.",
        "GET /api/sessions/case-1",
        "the server's log has the cause",
    ),
    errors.Unavailable: Explanation(
        "The server cannot do this now.",
        "Wait as long as Retry-After says, and try again.",
        "GET /api/sessions/case-1/updates",
        "temporarily unavailable",
    ),
    errors.Draining: Explanation(
        "The server is being stopped or restarted in good order.",
        "Come back after Retry-After with the same cursor: nothing is lost.",
        "GET /api/sessions/case-1/updates",
        "the server is shutting down; come back in a moment",
    ),
    errors.Overloaded: Explanation(
        "Something of which there may be so many is used up: streams, waiting polls, probes of the network, sessions "
        "in memory, or bytes that wait for the disk.",
        "Wait as long as Retry-After says. If it happens often, the operator finds the limits under "
        "Memory and limits in rtserver serve --help.",
        "GET /api/sessions/case-1/events",
        "20000 streams are open; at most 20000 may be",
    ),
    errors.StorageFailing: Explanation(
        "The disk under the server refuses writes. What was acknowledged is safe; this publish was not made.",
        "Repeat it with the same messageId or Idempotency-Key. The operator should look at the disk: the server's log "
        "has what it said.",
        f"POST /api/sessions/case-1/events\n\n{HELLO}",
        "the disk does not take writes (SQLITE_IOERR_WRITE); try again",
    ),
    errors.StorageFull: Explanation(
        "The disk under the server is full. Reading goes on; this publish was not made.",
        "Free space, or shorten retention; publishing works again by itself. Then repeat the publish with the same "
        "messageId or Idempotency-Key.",
        f"POST /api/sessions/case-1/events\n\n{HELLO}",
        "the disk is full; events can be read but not published until there is space again",
    ),
}

PAGES: dict[str, Page] = {error.slug: Page(error, explanation) for error, explanation in EXPLANATIONS.items()}
