"""Which proxy a request goes through, and with what credentials: an argument, or the environment as programs read it.

``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in lower case first.  This computer is never asked for
through a proxy of the environment: it cannot be reached there.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from rtserver.client.errors import Misused

PORTS = {"http": 80, "https": 443}

_ENCODING = "in user and password / # ? @ must be percent-encoded"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Origin(NamedTuple):
    """Where a server is."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return what stands in ``Host``: the port where it is not the usual one."""
        return _bracketed(self.host) + (f":{self.port}" if self.port != PORTS[self.scheme] else "")

    @property
    def address(self) -> str:
        """Return what a tunnel is asked for: always with the port (RFC 9110 section 9.3.6)."""
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; with ``tunnels_all`` it is asked for a tunnel for ``http`` addresses, too."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    tunnels_all: bool = False

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


def parse_url(url: str) -> tuple[Origin, str]:
    """Return where a server is and the path below which it answers, without a slash at the end.

    Raises `Misused`.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        # What it says may hold a password.
        raise Misused(f"{_hidden(url)!r} is no address of a server: its host or its port cannot be read") from None
    if scheme not in PORTS or not host or parts.query or parts.fragment:
        raise Misused(f"{_hidden(url)!r} is no address of a server; it looks like http://127.0.0.1:8080")
    if "@" in url:
        raise Misused("the address of the server holds a user; give a token instead")
    return Origin(scheme, host, port or PORTS[scheme]), parts.path.rstrip("/")


def parse_proxy(url: str, *, tunnels_all: bool = False) -> Proxy:
    """Read ``http://user:password@host:port``; in user and password ``/ # ? @ %`` are to be percent-encoded.

    Raises `Misused`, with nothing of the password in what it says.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise Misused(f"{_hidden(url)!r} is no proxy: its host or its port cannot be read; {_ENCODING}") from None
    if "@" in parts.path + parts.query + parts.fragment:
        # The host is the user then, and the port the beginning of the password.
        raise Misused(f"{_hidden(url)!r} is no proxy: the host ends before the @; {_ENCODING}")
    if parts.scheme != "http" or not parts.hostname:
        raise Misused(f"{_hidden(url)!r} is no proxy that can be used; it looks like http://proxy.example:3128")
    return Proxy(parts.hostname, port or 80, _basic(parts.username, parts.password), tunnels_all)


def choose_proxy(explicit: str | None, environment: Mapping[str, str], origin: Origin) -> Proxy | None:
    """Return the proxy for a server: the explicit one, none where that is empty, else what the environment says."""
    if explicit is not None:
        return parse_proxy(explicit) if explicit else None
    url = _from_environment(environment, origin.scheme)
    if not url or _is_exempt(origin, environment.get("no_proxy", environment.get("NO_PROXY", ""))):
        return None
    return parse_proxy(url)


def _from_environment(environment: Mapping[str, str], scheme: str) -> str:
    for name in (f"{scheme}_proxy", "all_proxy"):
        if name in environment:
            return environment[name]
        # In a CGI program HTTP_PROXY is the request's header ``Proxy``: whoever asks would choose it.
        is_forged = name == "http_proxy" and "REQUEST_METHOD" in environment
        if name.upper() in environment and not is_forged:
            return environment[name.upper()]
    return ""


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    address = _address(origin.host)
    if origin.host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(origin, address, rule.strip().lower()) for rule in no_proxy.split(","))


def _matches(origin: Origin, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, rule: str) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule.strip("[]"), strict=False)
        except ValueError:
            pass
    host, colon, port = rule.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        if int(port) != origin.port:
            return False
        rule = host
    name = rule.removeprefix("*").removeprefix(".").strip("[]")
    return origin.host == name or (address is None and origin.host.endswith(f".{name}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _basic(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    credentials = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _hidden(url: str) -> str:
    """Return an address without what may be a password in it."""
    _, at, after = url.rpartition("@")
    scheme = _SCHEME.match(url)
    return f"{scheme[0] if scheme else ''}...@{after}" if at else url
