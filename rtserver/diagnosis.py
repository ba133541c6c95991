"""What can be wrong with a network, in plain words, and what to ask its owners for (DESIGN 4.9).

For each trouble a code for ever, a title, what it means for people, which tiers it costs, and the request to the
network team.  Who measures is somebody else: the network check page, clients, the server by what it sees of a request.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

TIERS = ("sse", "long-poll", "short-poll")
TIER_NAMES = {"sse": "the event stream", "long-poll": "long polling", "short-poll": "short polling"}
# A clock that is so wrong confuses the ends of tokens and the dates of caches.
MAX_SKEW_MS = 30_000
# A round trip that is felt.
MAX_ROUND_TRIP_MS = 1000
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")


class Cause(NamedTuple):
    """``fails`` are the tiers that do not work with it, ``limits`` those that work less well.

    ``request`` is empty where there is nothing to ask anybody for; the fields in it stand for the server's address,
    see `fields_of`.
    """

    title: str
    words: str
    request: str
    fails: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


CAUSES: dict[str, Cause] = {
    "unreachable": Cause(
        "The server cannot be reached",
        "No request was answered at all: the network is down, or something refuses connections to this server.",
        "Please allow outbound {service} (TCP port {port}) to {hostname}, directly or through the HTTP proxy, for "
        "browsers.",
        fails=TIERS,
    ),
    "gateway-error": Cause(
        "Something answers, but not the server",
        "A proxy or gateway on the way answered, and said that it got no answer from the server behind it: the server "
        "is down, or that gateway cannot reach it.",
        "Please let the proxy connect to {hostname}, TCP port {port}: it answers requests with an error "
        "of its own (502, 504 or the like). If it can connect, the server itself is down: then please tell its "
        "operators.",
        fails=TIERS,
    ),
    "unavailable": Cause(
        "The server could not answer for a while",
        "It was there, and then not, or it said itself that it is busy or in trouble: usually it restarts or is being "
        "updated. The application waits and goes on by itself.",
        "",
        limits=TIERS,
    ),
    "block-page": Cause(
        "A web filter answers with a page of its own",
        "Where the application's data belong, an answer of somebody else came back: usually a web filter's notice that "
        "the address is blocked or has to be confirmed, sometimes the error page of a gateway.",
        "Please allow {protocol}://{host}/ in the web filter, by its host name and for all paths, without a notice or "
        "confirmation page: programs cannot read or confirm it.",
        fails=TIERS,
    ),
    "sign-in-page": Cause(
        "The network wants a sign-in first",
        "Requests are led to a sign-in page: the application's session has ended, or the network has a sign-in of its "
        "own that has to be renewed.",
        "Please do not redirect requests to {protocol}://{host}/ to a sign-in page of the network once the person has "
        "signed in, or exempt this host from the portal.",
        fails=TIERS,
    ),
    "proxy-sign-in": Cause(
        "The proxy asks for a password",
        "The proxy answers 407: it does not know who asks. A new connection that takes long has the same cause.",
        "Please let the proxy authenticate by itself (Kerberos or NTLM, kept for the whole connection) or allow "
        "{protocol}://{host}/ without proxy authentication.",
        fails=TIERS,
    ),
    "signed-out": Cause(
        "Not signed in, as far as the server can see",
        "The server was not told who asks. If you are signed in, something on the way removes the cookie or the "
        "Authorization header.",
        "Please pass the request headers Cookie and Authorization to {host} unchanged.",
        fails=TIERS,
    ),
    "buffering": Cause(
        "Answers are held back until they are complete",
        "The parts of an answer that were sent over some seconds came together at the end. An event stream has no end, "
        "so nothing of it would arrive; the application asks again and again instead.",
        "Please deliver answers of {protocol}://{host}/ as they come: no response buffering and no scanning of the "
        "whole body before delivery, at least for the content type text/event-stream (exempt it from content or virus "
        "scanning, or use a streaming scan).",
        fails=("sse",),
    ),
    "bursts": Cause(
        "Answers arrive in bursts",
        "The parts of an answer came late and several at once: something on the way collects them for a while or until "
        "there are enough bytes.",
        "Please deliver each part of an answer of {protocol}://{host}/ at once: no response buffering, no data "
        "trickling and no minimum size, at least for the content type text/event-stream.",
        fails=("sse",),
    ),
    "compressed-without-flush": Cause(
        "A proxy compresses answers and holds them back",
        "Something on the way compresses the stream with gzip and keeps the parts until it has enough of them.",
        "Please do not compress responses of {protocol}://{host}/ of the type text/event-stream, nor any with "
        "Cache-Control: no-transform.",
        fails=("sse",),
    ),
    "blocked-event-streams": Cause(
        "Event streams are blocked by their content type",
        "The same answer came through as plain text and not as text/event-stream.",
        "Please allow the content type text/event-stream, in responses and in the request header Accept, for "
        "{protocol}://{host}/.",
        fails=("sse",),
    ),
    "refused-chunks": Cause(
        "Answers whose length is not known are refused",
        "What is sent in parts as it comes was refused under every content type, while complete answers came through.",
        "Please allow responses of {protocol}://{host}/ with Transfer-Encoding: chunked (HTTP/1.1).",
        fails=("sse",),
    ),
    "rewritten-content-type": Cause(
        "A proxy changes the content type",
        "The answer came with another Content-Type than the server sent, so that a browser does not take it for an "
        "event stream.",
        "Please pass the response header Content-Type of {protocol}://{host}/ unchanged; for the event stream it is "
        "text/event-stream.",
        fails=("sse",),
    ),
    "altered-content": Cause(
        "A proxy changes what is inside answers",
        "Something on the way adds to the answers or rewrites them, as filters that insert scripts do.",
        "Please deliver the bodies of {protocol}://{host}/ unchanged: no inserted scripts, banners or rewriting.",
        limits=TIERS,
    ),
    "time-cap": Cause(
        "Every connection is cut after a while",
        "An answer that was still coming was cut, though data flowed: something on the way limits how long one answer "
        "may take. The application reconnects by itself and loses nothing; each cut costs a moment.",
        "Please allow responses of {protocol}://{host}/ to last at least 60 seconds, better 10 minutes or more, as "
        "long as data flow (total response time, client lifetime, scan time-out).",
        limits=("sse", "long-poll"),
    ),
    "idle-cut": Cause(
        "Quiet connections are cut",
        "An answer that was quiet for a while never came: something on the way gives up connections on which nothing "
        "happens.",
        "Please set the idle time-out (read time-out, server time-out) for {protocol}://{host}/ to at least 60 "
        "seconds, better 120.",
        limits=("sse", "long-poll"),
    ),
    "refused-waiting": Cause(
        "Answers that take a while are refused",
        "A request that the server answers only after a while got an answer of somebody else, while quick ones came "
        "through.",
        "Please pass on requests to {protocol}://{host}/ that are answered only after up to 60 seconds as all others, "
        "without an answer of the proxy's own in the meantime.",
        fails=("long-poll",),
    ),
    "silent-connection": Cause(
        "Connections go silent without an end",
        "Data stopped in the middle and the connection was not closed: something on the way forgot it, as firewalls "
        "and NAT gateways do.",
        "Please keep established connections to {hostname}, TCP port {port}, in the state table for at least 120 "
        "seconds of silence, and close with RST or FIN what is dropped.",
        limits=("sse", "long-poll"),
    ),
    "stripped-headers": Cause(
        "Headers are removed on the way",
        "Headers that were sent did not arrive. The application keeps its place in the address as well and goes on.",
        "Please pass these headers to and from {host} unchanged: Accept, Authorization, Cache-Control, Content-Type, "
        "Cookie, ETag, If-Modified-Since, If-None-Match, Last-Event-ID, Last-Modified, Retry-After, Set-Cookie, "
        "X-Content-Type-Options.",
        limits=TIERS,
    ),
    "cached-answers": Cause(
        "Old answers come from a cache",
        "An answer was not fresh: something on the way keeps answers although the server forbids it, or gives one "
        "answer to several requests.",
        "Please do not cache responses of {protocol}://{host}/: honour Cache-Control: no-store and no-cache, and do "
        "not collapse requests to the same address.",
        fails=("long-poll", "short-poll"),
        limits=("sse",),
    ),
    "one-connection": Cause(
        "Only one connection at a time",
        "While one answer was still coming, a second request had to wait. The application then holds none open for "
        "long.",
        "Please allow at least two, better six, connections at a time from one computer to {host}.",
        fails=("sse",),
        limits=("long-poll",),
    ),
    "http-1.0": Cause(
        "A hop speaks HTTP/1.0",
        "The request came as HTTP/1.0: somewhere on the way an old version is spoken, which usually closes the "
        "connection after every answer.",
        "Please speak HTTP/1.1 towards {host}, with keep-alive (in nginx: proxy_http_version 1.1).",
        limits=TIERS,
    ),
    "slow": Cause(
        "The network is slow",
        "A small request took more than a second, or a quarter of a megabyte more than 20. Everything works, later.",
        "Please check the route to {host}: round trips over one second, and less than 100 kilobits a second, are "
        "unusual even through a VPN and a proxy.",
        limits=TIERS,
    ),
    "rate-limited": Cause(
        "Too many requests at once",
        "The server, or something before it, answered that there were too many requests. Many people behind one "
        "address can look like one.",
        "Please do not limit requests to {host} below 2 per second for each person; people behind one address share "
        "it.",
        limits=TIERS,
    ),
    "clock-skew": Cause(
        "The clock of this computer is wrong",
        "Clock and server differ by more than half a minute. Times are shown wrongly, and a sign-in may end too soon.",
        "Please set the clock of this computer by NTP.",
        limits=("short-poll",),
    ),
}


class Verdict(NamedTuple):
    """``verdict`` is ``works``, ``limited`` or ``fails``; ``causes`` say why it does not simply work."""

    tier: str
    verdict: str
    causes: list[str]
    reason: str

    def as_document(self) -> dict[str, Any]:
        return self._asdict()


def seen_by_server(*, version: str, stripped: list[str], skew_ms: int | None, round_trip_ms: int | None) -> list[str]:
    """Return the causes that one request shows to the server; what is None is not known."""
    found = {
        "http-1.0": version == "HTTP/1.0",
        "stripped-headers": bool(stripped),
        "clock-skew": skew_ms is not None and abs(skew_ms) >= MAX_SKEW_MS,
        "slow": round_trip_ms is not None and round_trip_ms >= MAX_ROUND_TRIP_MS,
    }
    return [code for code in CAUSES if found.get(code)]


def judge(causes: list[str]) -> list[Verdict]:
    """Return what these causes mean for each tier."""
    return [_judge_tier(tier, causes) for tier in TIERS]


def _judge_tier(tier: str, causes: list[str]) -> Verdict:
    failing = [code for code in causes if tier in CAUSES[code].fails]
    limiting = [code for code in causes if tier in CAUSES[code].limits]
    name = TIER_NAMES[tier].capitalize()
    if failing:
        return Verdict(tier, "fails", failing + limiting, f"{name} does not work: {_titles(failing)}.")
    if limiting:
        return Verdict(tier, "limited", limiting, f"{name} works, with limits: {_titles(limiting)}.")
    return Verdict(tier, "works", [], f"{name} has nothing in its way that was found.")


def _titles(causes: list[str]) -> str:
    titles = [CAUSES[code].title for code in causes]
    return "; ".join(title[0].lower() + title[1:] for title in titles)


def asks(causes: list[str], host: str, protocol: str) -> list[dict[str, str]]:
    """Return what to ask the network team for, as documents, in the order of `CAUSES`."""
    return [
        {"cause": code, **document(code, host, protocol)} for code in CAUSES if code in causes and CAUSES[code].request
    ]


def document(code: str, host: str, protocol: str) -> dict[str, str]:
    """Return what there is to say of a cause; ``host`` is as in an address, with a port unless it is the usual one."""
    cause = CAUSES[code]
    request = cause.request
    for name, value in fields_of(host, protocol).items():
        request = request.replace(f"{{{name}}}", value)
    return {"title": cause.title, "words": cause.words, "request": request}


def fields_of(host: str, protocol: str) -> dict[str, str]:
    """Return what the fields of a request stand for.

    ``host`` is for addresses, ``hostname`` and ``port`` for rules of firewalls: the name without a port, an IPv6
    address without brackets.
    """
    is_encrypted = protocol == "https"
    match = _HOST.fullmatch(host)
    name, port = match.group("name", "port") if match else (host, "")
    return {
        "protocol": protocol,
        "host": host,
        "hostname": name.removeprefix("[").removesuffix("]"),
        "port": port or ("443" if is_encrypted else "80"),
        "service": "HTTPS" if is_encrypted else "HTTP",
    }


def catalogue(host: str, protocol: str) -> dict[str, dict[str, Any]]:
    """Return every cause by its code: for who must explain one when nothing can be asked any more."""
    return {code: document(code, host, protocol) | _meaning(cause) for code, cause in CAUSES.items()}


def templates() -> dict[str, dict[str, Any]]:
    """Return what `catalogue` does, for who fills in the fields of `fields_of` itself."""
    return {
        code: {"title": cause.title, "words": cause.words, "request": cause.request} | _meaning(cause)
        for code, cause in CAUSES.items()
    }


def _meaning(cause: Cause) -> dict[str, list[str]]:
    return {"fails": list(cause.fails), "limits": list(cause.limits)}
