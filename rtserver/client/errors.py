"""What can go wrong for a client, a type per thing a caller can act on.

* `ClientError`
    * `Misused`               an address, a proxy or an argument makes no sense
    * `Unreachable`           no answer: nobody there, cut, too late, a certificate that is not trusted
        * `TimedOut`
        * `ProxyRefused`      the proxy does not let the request through; 407: it wants a user and a password
    * `Blocked`               something else than the server answered: a page where JSON belongs
    * `Refused`               the server answered and said no, with its `status` and the `slug` of its cause
        * `SignedOut`         401, also after the token function was asked again
    * `Closed`                the client was closed, or has stopped, before the event was on its way

Messages say what was found, and never hold a token or a password.

No I/O, no clock, no event loop.
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of everything below."""


class Misused(ClientError):
    """The caller must change what it asked for."""


class Unreachable(ClientError):
    """There was no answer; whether a request was carried out is not known."""


class TimedOut(Unreachable):
    """It took too long."""


class ProxyRefused(Unreachable):
    """The proxy answered itself; the server was not asked."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status


class Blocked(ClientError):
    """An answer that the server cannot have given.  What it said is not shown to anybody."""


class Refused(ClientError):
    """The server said no: ``slug`` is the end of its problem's ``type`` (RFC 9457)."""

    def __init__(self, status: int, slug: str, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class SignedOut(Refused):
    """No token is accepted any more."""


class Closed(ClientError):
    """Nothing more will be sent."""
