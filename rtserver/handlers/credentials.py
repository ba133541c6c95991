"""Who asks: a bearer token, else a ticket in the address, else a cookie; the first there is decides (DESIGN 4.1)."""

from __future__ import annotations

from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from rtserver.errors import CrossSiteWrite

COOKIE_NAME = "rt_token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def bearer_token(request: HTTPServerRequest) -> str | None:
    """Return the token of ``Authorization: Bearer``, or None; other schemes are for somebody on the way."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie_token(request: HTTPServerRequest) -> str | None:
    morsel = request.cookies.get(COOKIE_NAME)
    return morsel.value if morsel is not None else None


def check_same_origin(request: HTTPServerRequest) -> None:
    """Raise `CrossSiteWrite` unless a page of this server sent the request.

    A browser adds the cookie whoever made it send the request, so a write needs to say where it comes from: the
    ``Sec-Fetch-Site`` of the browser (Fetch Metadata), or an ``Origin`` with the host that was asked.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_ours = site.strip().lower() == "same-origin"
    else:
        # Not the scheme: TLS may have ended on the way.
        host = _host_of(request.headers.get("Origin", ""))
        is_ours = bool(host) and host.lower() == request.host.lower()
    if not is_ours:
        raise CrossSiteWrite(
            "a write that is authenticated by cookie must come from a page of this server: with Sec-Fetch-Site: "
            "same-origin, or with its Origin; other programs send Authorization: Bearer <token>"
        )


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # http://[::1
        return ""


def is_over_tls(request: HTTPServerRequest) -> bool:
    """Whether the client came by TLS, as far as can be seen from behind a proxy that ends it.

    Believing the client here makes nothing weaker: it only says that its cookie should not travel in the clear.
    """
    return (
        request.protocol == "https"
        or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        or request.headers.get("Origin", "").lower().startswith("https://")
    )
