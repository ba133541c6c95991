"""Who asks: a bearer token, else a ticket in the address, else a cookie; the first there is decides (DESIGN 4.1)."""

from __future__ import annotations

from rtserver.addresses import NOBODY, Proxies, is_this_machine
from rtserver.errors import CrossSiteWrite
from rtserver.handlers.exchange import Request

COOKIE_NAME = "rt_token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# What a browser leaves out of an Origin, and a proxy may write into the Host.
_USUAL_PORTS = {"http": ":80", "https": ":443"}


def bearer_token(request: Request) -> str | None:
    """Return the token of ``Authorization: Bearer``, or None; other schemes are for somebody on the way."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie_token(request: Request) -> str | None:
    """Return the token in the cookie, or None.

    Of several the first: browsers send the one of the longest path first (RFC 6265 section 5.4), and any other belongs
    to a server at a shorter one.
    """
    for header in request.headers.get_list("Cookie"):
        for pair in header.split(";"):
            name, is_given, value = pair.partition("=")
            if is_given and name.strip() == COOKIE_NAME:
                return value.strip().strip('"')
    return None


def check_same_origin(request: Request) -> None:
    """Raise `CrossSiteWrite` unless a page of this server sent the request.

    A browser adds the cookie whoever made it send the request, so a write needs to say where it comes from: the
    ``Sec-Fetch-Site`` of the browser (Fetch Metadata), or an ``Origin`` with the host that was asked.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_ours = site.strip().lower() == "same-origin"
    else:
        is_ours = _is_of_host(request.headers.get("Origin", ""), request.host)
    if not is_ours:
        raise CrossSiteWrite(
            "a write that is authenticated by cookie must come from a page of this server: with Sec-Fetch-Site: "
            "same-origin, or with its Origin; other programs send Authorization: Bearer <token>"
        )


def _is_of_host(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` came from ``host``.  By http or https alike: TLS may have ended on the way."""
    scheme, _, authority = origin.lower().partition("://")
    port = _USUAL_PORTS.get(scheme)
    return port is not None and bool(authority) and authority.removesuffix(port) == host.lower().removesuffix(port)


def is_over_tls(request: Request, proxies: Proxies = NOBODY) -> bool:
    """Whether the client came by TLS, as far as can be seen from behind a proxy that ends it.

    A browser says so itself: what a page sends with an Origin of https goes by TLS.
    """
    if request.protocol == "https" or request.headers.get("Origin", "").lower().startswith("https://"):
        return True
    peer = request.remote_ip or ""
    if not is_this_machine(peer) and peer not in proxies:
        return False
    forwarded = request.headers.get("X-Forwarded-Proto", "").lower().split(",")
    return "https" in [proto.strip() for proto in forwarded]
