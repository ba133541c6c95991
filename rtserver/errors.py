"""Every error rtserver raises on purpose.

* `RTServerError`
    * `StartRefused`                 the process ends with one line on stderr
        * `ConfigRefused`            a setting is wrong
        * `DataDirectoryRefused`     locked by another server, unreadable, garbage, or newer than this program
    * `ReaderGone`                   nobody waits for the answer any more
    * `RequestError`                 answered as a problem document (RFC 9457) with `status`
        * `Malformed`                400
        * `Unauthorized`             401
            * `InvalidToken`
                * `TokenExpired`
                * `InvalidTicket`
        * `Forbidden`                403
            * `NotAParticipant`
            * `CrossSiteWrite`
        * `NotFound`                 404
            * `SessionNotFound`
            * `ParticipantNotFound`
            * `EventNotFound`
        * `MethodNotAllowed`         405
        * `NotAcceptable`            406
        * `SessionExists`            409
        * `SessionPaused`            409
        * `SessionClosed`            409
        * `TooManyParticipants`      409
        * `RequestTimeout`           408
        * `TooLarge`                 413
        * `AddressTooLong`           414
        * `UnsupportedEncoding`      415
        * `IdempotencyMismatch`      422
        * `TooMany`                  429
            * `RateLimited`
            * `TooManyStreams`
            * `TooManyProbes`
        * `HeadTooLarge`             431
        * `Internal`                 500, a defect of this program
        * `Unavailable`              503
            * `Draining`
            * `Overloaded`
            * `StorageFailing`
        * `StorageFull`              507

A type per thing a caller can act on.  Messages say what was found and what is allowed, and never hold a
secret.  The translation to a response stands once, in ``handlers/problem.py``.
"""

from __future__ import annotations

import math
from typing import ClassVar


class RTServerError(Exception):
    """Base of everything below."""


class StartRefused(RTServerError):
    """The server cannot start; the message is the one line the operator reads."""


class ConfigRefused(StartRefused):
    """A setting has a value that is not allowed, or a name that does not exist."""


class DataDirectoryRefused(StartRefused):
    """The data directory cannot be used; nothing in it was changed."""


class ReaderGone(RTServerError):
    """The client closed its connection while its poll waited; there is nobody to tell."""


class RequestError(RTServerError):
    """A request is refused.  ``slug`` names the cause for ever: it is the end of the problem's ``type``."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "Bad request"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def headers(self) -> dict[str, str]:
        """Return the response headers that belong to this refusal."""
        return {}


class Malformed(RequestError):
    slug = "malformed-request"
    title = "The request is malformed"


class Unauthorized(RequestError):
    status = 401
    slug = "authentication-required"
    title = "A token is required"

    def headers(self) -> dict[str, str]:
        # RFC 6750 section 3.1: no error code where no credentials were sent.
        return {"WWW-Authenticate": "Bearer"}


class InvalidToken(Unauthorized):
    slug = "invalid-token"
    title = "The token is not valid"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class TokenExpired(InvalidToken):
    slug = "token-expired"
    title = "The token has expired"


class InvalidTicket(InvalidToken):
    slug = "invalid-ticket"
    title = "The ticket is not valid"


class Forbidden(RequestError):
    status = 403
    slug = "forbidden"
    title = "Not allowed with this token"


class NotAParticipant(Forbidden):
    """Also for a session that does not exist: a participant cannot probe for names (DESIGN 4.1)."""

    slug = "not-a-participant"
    title = "Not a participant of this session"


class CrossSiteWrite(Forbidden):
    slug = "cross-site-write"
    title = "A write by cookie from another site"


class NotFound(RequestError):
    status = 404
    slug = "not-found"
    title = "There is nothing at this address"


class SessionNotFound(NotFound):
    slug = "session-not-found"
    title = "The session does not exist"


class ParticipantNotFound(NotFound):
    slug = "participant-not-found"
    title = "The participant is not in this session"


class EventNotFound(NotFound):
    """Trimmed, of another life of the session, or never there; which of these, an id alone does not tell."""

    slug = "event-not-found"
    title = "The event is not in this session"


class MethodNotAllowed(RequestError):
    status = 405
    slug = "method-not-allowed"
    title = "The method is not allowed here"

    def __init__(self, detail: str, allowed: str) -> None:
        super().__init__(detail)
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {"Allow": self.allowed}


class NotAcceptable(RequestError):
    status = 406
    slug = "not-acceptable"
    title = "The wanted media type is not offered"


class SessionExists(RequestError):
    status = 409
    slug = "session-exists"
    title = "A session with this id exists"


class SessionPaused(RequestError):
    status = 409
    slug = "session-paused"
    title = "The session is paused"


class SessionClosed(RequestError):
    status = 409
    slug = "session-closed"
    title = "The session is closed"


class TooManyParticipants(RequestError):
    status = 409
    slug = "too-many-participants"
    title = "The session is full"


class RequestTimeout(RequestError):
    status = 408
    slug = "request-timeout"
    title = "The request did not come in time"


class AddressTooLong(RequestError):
    status = 414
    slug = "address-too-long"
    title = "The address is too long"


class HeadTooLarge(RequestError):
    status = 431
    slug = "head-too-large"
    title = "The head of the request is too large"


class TooLarge(RequestError):
    status = 413
    slug = "too-large"
    title = "The content is too large"


class UnsupportedEncoding(RequestError):
    status = 415
    slug = "unsupported-encoding"
    title = "The content encoding is not supported"

    def headers(self) -> dict[str, str]:
        # RFC 9110 section 15.5.16: say what would have been accepted.
        return {"Accept-Encoding": "gzip, deflate"}


class IdempotencyMismatch(RequestError):
    status = 422
    slug = "idempotency-mismatch"
    title = "The idempotency key was used with another body"


class TooMany(RequestError):
    status = 429
    slug = "too-many"
    title = "Too much at once"

    def __init__(self, detail: str, retry_after_seconds: float = 1) -> None:
        super().__init__(detail)
        # Rounded up: who comes back then is let in.
        self.retry_after_seconds = max(1, math.ceil(retry_after_seconds))

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class RateLimited(TooMany):
    slug = "rate-limited"
    title = "Too many requests"


class TooManyStreams(TooMany):
    slug = "too-many-streams"
    title = "Too many open streams"


class TooManyProbes(TooMany):
    slug = "too-many-probes"
    title = "Too many probes of the network"


class Internal(RequestError):
    status = 500
    slug = "internal-error"
    title = "The server made a mistake"


class Unavailable(RequestError):
    status = 503
    slug = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class Draining(Unavailable):
    slug = "draining"
    title = "The server is shutting down"


class Overloaded(Unavailable):
    slug = "overloaded"
    title = "The server is full"


class StorageFailing(Unavailable):
    slug = "storage-failing"
    title = "The disk does not take writes"


class StorageFull(RequestError):
    status = 507
    slug = "storage-full"
    title = "The disk is full"
